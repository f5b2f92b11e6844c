"""The loop that everything else is measured against, as one would write it first: nothing is shared, nothing batched.

One hand at a time, one decision at a time, a prompt in full sentences, an answer of ten tokens from `generate`; then
one forward and one backward pass for each decision, with REINFORCE: its log-probability times what its hand won.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from poker_env.games import Deal, Game
from poker_env.hand import Answer, Hand
from poker_env.menu import POT_FRACTIONS, make_menu
from poker_env.players.base import Player
from poker_env.prompts import build_messages, parse_answer
from poker_env.state import Observation
from poker_env.table import play

ANSWER_TOKENS = 10


class PlainHero:
    """A language model at the table, asked for one decision after the other."""

    name = "plain"

    def __init__(
        self, model: Any, tokenizer: PreTrainedTokenizerBase, fractions: tuple[float, ...] = POT_FRACTIONS
    ) -> None:
        self.model, self.tokenizer, self.fractions = model, tokenizer, fractions
        ends = model.generation_config.eos_token_id if model.generation_config else None
        self._sampling = GenerationConfig(
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=ANSWER_TOKENS,
            eos_token_id=tokenizer.eos_token_id if ends is None else ends,
            pad_token_id=tokenizer.pad_token_id,
        )

    def act(self, observations: Sequence[Observation]) -> list[Answer]:
        """One answer per observation."""
        return [self._answer(observation) for observation in observations]

    @torch.no_grad()
    def _answer(self, observation: Observation) -> Answer:
        menu = make_menu(observation, self.fractions)
        messages = build_messages(observation, menu, "classic")
        text = str(self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))
        prompt = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        ids = torch.tensor([prompt], device=self.model.device)
        torch.manual_seed(observation.coin_seed)
        output = self.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=self._sampling
        )
        completion = output[0, len(prompt) :].tolist()
        words = str(self.tokenizer.decode(completion, skip_special_tokens=True))
        item = parse_answer(words, menu)
        return Answer(
            action=item.action if item else None,
            prompt=messages[0]["content"],
            completion=words,
            prompt_ids=tuple(prompt),
            completion_ids=tuple(completion),
        )


def play_plainly(game: Game, deals: Sequence[Deal], hero: Player, villain: Player) -> list[Hand]:
    """One hand after the other."""
    return [hand for deal in deals for hand in play(game, [deal], hero, villain)]


def token_logps(model: Any, prompt: Sequence[int], answer: Sequence[int]) -> torch.Tensor:
    """The log-probability (answer tokens,) of each token of an answer, by one forward pass."""
    ids = torch.tensor([[*prompt, *answer]], device=model.device)
    logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
    logps = torch.log_softmax(logits.float(), dim=-1)
    return logps.gather(1, ids[0, len(prompt) :, None])[:, 0]


def update_plainly(model: Any, optimizer: torch.optim.Optimizer, hands: Sequence[Hand], autocast: bool) -> int:
    """One REINFORCE step on all of hero's decisions, against the mean of what the hands won; returns how many."""
    mean = sum(hand.payoff_bb for hand in hands) / len(hands)
    decisions = [(decision.answer, hand.payoff_bb - mean) for hand in hands for decision in hand.hero_decisions]
    optimizer.zero_grad()
    for answer, advantage in decisions:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=autocast):
            logp = token_logps(model, answer.prompt_ids, answer.completion_ids).sum()
        (-advantage * logp / len(decisions)).backward()
    optimizer.step()
    return len(decisions)
