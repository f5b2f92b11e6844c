"""Reinforcement learning of an LLM at poker in one file: stock TRL, Kuhn poker, an opponent with leaks to find.

    python examples/kuhn_in_one_file.py

SmolLM2-135M reads its card and the betting and continues "The answer is (" with a letter. Each epoch it plays 2,048
hands against `cfr:weak`; every answer is credited with what the hands went on to win, more than other answers in the
same spot; TRL's GRPOTrainer takes one step on that. Kuhn is so small that what the model's policy is worth can be
worked out exactly, so `capture` below is no estimate: 0 is a draw, 1 the most that anybody can win from this opponent.

It needs `poker_env` for the game and the opponent, and none of this repository's other code: take it and change it.
"""

import argparse
import os
from collections import defaultdict

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from poker_env.games import make_deals, make_game
from poker_env.hand import Answer
from poker_env.knowledge.exact_value import ExactJudge, exact_policy
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.player_specs import make_player
from poker_env.table import play

LETTERS = "AB"
HANDS = 2_048  # an epoch's
ROWS = 32  # of training data each epoch: 12 spots with two answers each, and the commonest that make no sense
ILLEGAL = 1.0  # chips taken off for an answer that makes no sense, which loses the hand besides
CURIOSITY = 1.0  # at the start, falling to 0: else the first letter that is found to make sense is all it ever says


def question(seen):
    """What the model is to continue, at an `Observation`; the answer (A) is OpenSpiel's action 0, (B) its action 1."""
    told = [f"card {seen.hole[0]}"]
    told += [f"{'I' if move.seat == seen.seat else 'villain'} {move.kind}" for move in seen.moves]
    names = ("fold", "call") if seen.to_call else ("check", "bet")
    return f"Poker: {', '.join(told)}. Options: (A) {names[0]} (B) {names[1]}. The answer is ("


class Hero:
    """The model as a player: it answers with one token, sampled from all that it knows."""

    name = "hero"

    def __init__(self, model, tokenizer):
        self.model, self.tokenizer = model, tokenizer
        self.letters = [tokenizer.encode(letter, add_special_tokens=False)[0] for letter in LETTERS]
        self.known = {}  # by question

    def ask(self, seen):
        """(tokens of the question; the answer's distribution, (vocabulary,) cumulated; (letters,) probabilities)."""
        text = question(seen)
        if text not in self.known:
            ids = self.tokenizer.encode(text)
            with torch.no_grad():
                logits = self.model(torch.tensor([ids], device=self.model.device)).logits[0, -1]
            probabilities = logits.double().softmax(-1).cpu().numpy()
            self.known[text] = ids, probabilities.cumsum(), probabilities[self.letters]
        return self.known[text]

    def act(self, observations):
        """What `poker_env.table.play` asks of a player. The deal holds the coin: the same deals, the same answers."""
        answers = []
        for seen in observations:
            ids, cumulated, letters = self.ask(seen)
            token = int(np.searchsorted(cumulated, seen.coin * cumulated[-1]))
            action = self.letters.index(token) if token in self.letters else None  # None gives the hand up
            answers.append(Answer(action, "", "", tuple(ids), (token,), probabilities=tuple(letters)))
        return answers

    def policy(self, observations):
        """What `exact_policy` asks: each action's probability."""
        return [dict(enumerate(map(float, self.ask(seen)[2]))) for seen in observations]


def credited(hands, curiosity):
    """By (prompt, answer): what hands that went that way were worth, less what the prompt's hands were on average.

    That is chips won, and a bonus for the letter that is played less: the entropy of the choice, times `curiosity`.
    """
    won = defaultdict(lambda: defaultdict(list))
    for hand in hands:
        for decision in hand.hero_decisions:
            answer, letters, worth = decision.answer, decision.answer.probabilities, hand.payoff
            worth += -ILLEGAL if answer.action is None else curiosity * np.log(sum(letters) / letters[answer.action])
            won[answer.prompt_ids][answer.completion_ids].append(worth)
    return {
        (prompt, answer): sum(chips) - len(chips) * np.mean(sum(answers.values(), []))
        for prompt, answers in won.items()
        for answer, chips in answers.items()
    }


def main(epochs, learning_rate, seed):
    game = make_game("kuhn")
    villain = make_player("cfr:weak", game)
    judge = ExactJudge(game, villain)
    tokenizer = load_tokenizer("smollm2-135m")

    def capture(model):
        return judge.judge(exact_policy(game, Hero(model, tokenizer))).capture

    def rollout(prompts, trainer):
        """An epoch's hands as rows: one for each prompt and answer, weighted by how often it came up."""
        hero = Hero(trainer.accelerator.unwrap_model(trainer.model), tokenizer)
        hands = play(game, make_deals(game, HANDS, seed, start=trainer.state.global_step * HANDS), hero, villain)
        credit = credited(hands, CURIOSITY * (1 - trainer.state.global_step / epochs))
        rows = sorted(credit, key=lambda row: -abs(credit[row]))[: len(prompts) - 1]  # those that say the most
        rest = -sum(credit[row] for row in rows)  # the trainer subtracts the rows' mean: it has to be 0 already
        filler = [((tokenizer.eos_token_id,), (tokenizer.eos_token_id,))] * (len(prompts) - len(rows))
        share = [credit[row] for row in rows] + [rest / len(filler)] * len(filler)
        return {
            "prompt_ids": [list(prompt) for prompt, _ in rows + filler],
            "completion_ids": [list(answer) for _, answer in rows + filler],
            "logprobs": None,
            "env_mask": [[1]] * len(rows) + [[0]] * len(filler),  # fillers are not learned from
            "credit": [chips * len(prompts) / HANDS for chips in share],
        }

    class Watch(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **_):
            if state.global_step % 10 == 0:
                print(f"epoch {state.global_step:3}  capture {capture(model):+.3f}", flush=True)

    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # rollout_func may change: pin TRL
    options = {"output_dir": "kuhn_in_one_file", "save_strategy": "no", "report_to": "none", "disable_tqdm": True}
    options |= {"use_cpu": not torch.cuda.is_available(), "bf16": False, "gradient_checkpointing": False}
    one_step = {"per_device_train_batch_size": ROWS, "num_generations": ROWS, "max_completion_length": 1}
    trainer = GRPOTrainer(
        model=load_model("smollm2-135m", torch.float32),
        args=GRPOConfig(
            **options,
            **one_step,
            max_steps=epochs,
            learning_rate=learning_rate,
            seed=seed,
            scale_rewards="none",
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=3,
            adam_beta2=0.95,
        ),
        reward_funcs=lambda credit, **_: credit,
        train_dataset=Dataset.from_dict({"prompt": ["a hand"]}),  # the rollout deals the cards
        processing_class=tokenizer,
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
        rollout_func=rollout,
        callbacks=[Watch()],
    )
    print(f"before     capture {capture(trainer.model):+.3f}", flush=True)
    trainer.train()
    print(f"after      capture {capture(trainer.model):+.3f}")
    trainer.save_model()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--learning_rate", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
