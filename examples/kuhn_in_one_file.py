"""Reinforcement learning of an LLM at poker in one file: stock TRL, Kuhn poker, an opponent with leaks to find.

    python examples/kuhn_in_one_file.py

SmolLM2-135M reads its card and the betting and continues "The answer is (" with a letter. Each epoch it plays 2,048
hands against `cfr:weak`; every answer is credited with what hands went on to win after it, more than after others in
the same spot; TRL's GRPOTrainer takes one step on that. Kuhn is so small that a policy's worth can be worked out, so
`capture` is exact: 0 a draw, 1 the most that anybody can win here. Of this repository it needs `poker_env` alone.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PreTrainedTokenizerBase
from trl import GRPOConfig, GRPOTrainer

from poker_env.games import make_deals, make_game
from poker_env.hand import Answer, Hand
from poker_env.knowledge.exact_value import ExactJudge, exact_policy
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.player_specs import make_player
from poker_env.state import Observation
from poker_env.table import play

HANDS = 2_048  # an epoch's
ROWS = 32  # of training data each epoch: 12 spots with two answers each, and the commonest that make no sense
ILLEGAL = 1.0  # chips taken off for an answer that makes no sense, which loses the hand besides
CURIOSITY = 1.0  # at the start, falling to 0: else the first letter that is found to make sense is all it ever says


def question(seen: Observation) -> str:
    """What the model is to continue, at an `Observation`; the answer (A) is OpenSpiel's action 0, (B) its action 1."""
    told = [f"card {seen.hole[0]}"]
    told += [f"{'I' if move.seat == seen.seat else 'villain'} {move.kind}" for move in seen.moves]
    names = ("fold", "call") if seen.to_call else ("check", "bet")
    return f"Poker: {', '.join(told)}. Options: (A) {names[0]} (B) {names[1]}. The answer is ("


class Hero:
    """The model as a player: it answers with one token, sampled from all that it knows."""

    name = "hero"

    def __init__(self, model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model, self.tokenizer, self.known = model, tokenizer, {}
        self.letters = [tokenizer.encode(letter, add_special_tokens=False)[0] for letter in "AB"]

    def ask(self, seen: Observation) -> tuple[list[int], np.ndarray, np.ndarray]:
        """The question's tokens; the answer's distribution, (vocabulary,) cumulated; (letters,) probabilities."""
        text = question(seen)
        if text not in self.known:
            ids = self.tokenizer.encode(text)
            with torch.no_grad():
                logits = self.model(torch.tensor([ids], device=self.model.device)).logits[0, -1]
            probabilities = logits.double().softmax(-1).cpu().numpy()
            self.known[text] = ids, probabilities.cumsum(), probabilities[self.letters]
        return self.known[text]

    def act(self, observations: Sequence[Observation]) -> list[Answer]:
        """What `poker_env.table.play` asks of a player. The deal holds the coin: the same deals, the same answers."""
        answers = []
        for seen in observations:
            ids, cumulated, letters = self.ask(seen)
            token = int(np.searchsorted(cumulated, seen.coin * cumulated[-1]))
            action = self.letters.index(token) if token in self.letters else None  # None gives the hand up
            answers.append(Answer(action, "", "", tuple(ids), (token,), probabilities=tuple(letters)))
        return answers

    def policy(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        """What `exact_policy` asks: each action's probability."""
        return [dict(enumerate(map(float, self.ask(seen)[2]))) for seen in observations]


def credited(hands: Sequence[Hand], curiosity: float) -> dict[tuple, float]:
    """By (prompt, answer): what hands that went that way were worth, less what the prompt's hands were on average.

    That is chips won, and a bonus for the letter that is played less: the entropy of the choice, times `curiosity`.
    """
    won = defaultdict(lambda: defaultdict(list))
    for hand in hands:
        for decision in hand.hero_decisions:
            answer, letters, worth = decision.answer, decision.answer.probabilities, hand.payoff
            worth += -ILLEGAL if answer.action is None else curiosity * np.log(sum(letters) / letters[answer.action])
            won[answer.prompt_ids][answer.completion_ids].append(worth)
    credit = {}
    for prompt, answers in won.items():
        mean = np.mean([worth for own in answers.values() for worth in own])
        credit |= {(prompt, answer): sum(own) - len(own) * mean for answer, own in answers.items()}
    return credit


def main(epochs: int, learning_rate: float, seed: int) -> None:
    """Train, and print what the policy is worth on the way."""
    game = make_game("kuhn")
    villain = make_player("cfr:weak", game)
    judge = ExactJudge(game, villain)
    model, tokenizer = load_model("smollm2-135m", torch.float32), load_tokenizer("smollm2-135m")

    def tell(epoch: int, hero: Hero) -> None:
        print(f"epoch {epoch:3}  capture {judge.judge(exact_policy(game, hero)).capture:+.3f}", flush=True)

    def rollout(prompts: list[str], trainer: GRPOTrainer) -> dict[str, list]:
        """An epoch's hands as rows: one for each prompt and answer, weighted by how often it came up."""
        epoch, hero = trainer.state.global_step, Hero(trainer.accelerator.unwrap_model(trainer.model), tokenizer)
        if epoch % 10 == 0:
            tell(epoch, hero)
        hands = play(game, make_deals(game, HANDS, seed, start=epoch * HANDS), hero, villain)
        credit = credited(hands, CURIOSITY * (1 - epoch / epochs) ** 2)
        rows = sorted(credit, key=lambda row: -abs(credit[row]))[: ROWS - 1]  # those that say the most
        filler = [((tokenizer.eos_token_id,), (tokenizer.eos_token_id,))] * (ROWS - len(rows))
        balance = -sum(credit[row] for row in rows) / len(filler)  # the trainer takes the rows' mean off: 0 already
        shares = [credit[row] for row in rows] + [balance] * len(filler)
        return {
            "prompt_ids": [list(prompt) for prompt, _ in rows + filler],
            "completion_ids": [list(answer) for _, answer in rows + filler],
            "logprobs": None,
            "env_mask": [[1]] * len(rows) + [[0]] * len(filler),  # a 0 is not learned from
            "credit": [chips * len(rows) / HANDS for chips in shares],  # the loss is a mean over rows
        }

    options = {"max_steps": epochs, "learning_rate": learning_rate, "seed": seed, "scale_rewards": "none"}
    options |= {"per_device_train_batch_size": ROWS, "num_generations": ROWS, "gradient_checkpointing": False}
    options |= {"lr_scheduler_type": "cosine", "warmup_steps": 3, "adam_beta2": 0.95, "max_grad_norm": 0.1}
    options |= {"use_cpu": not torch.cuda.is_available(), "bf16": False, "report_to": "none", "disable_tqdm": True}
    options |= {"save_strategy": "no", "logging_strategy": "no", "output_dir": "runs/kuhn_in_one_file"}
    trainer = GRPOTrainer(
        model=model,
        args=GRPOConfig(**options),
        reward_funcs=lambda credit, **_: credit,
        train_dataset=Dataset.from_dict({"prompt": ["a hand"]}),  # a dummy: the rollout deals the cards
        processing_class=tokenizer,
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
        rollout_func=rollout,
    )
    trainer.train()
    tell(epochs, Hero(trainer.model, tokenizer))
    trainer.save_model()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in {"epochs": 60, "learning_rate": 5e-4, "seed": 0}.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help="default: %(default)s")
    main(**vars(parser.parse_args()))
