"""For TRL's `GRPOTrainer(environment_factory=…)`: a hand is a conversation with one tool, `act`.

The trainer makes an environment for each rollout, gives it a row of the dataset (`deals`) to reset to, and takes
`get_reward` at the end. Its other reward functions are handed the `environments`, whose `episode.hand` says all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from poker_environments.episode import Episode, Table


class PokerHand:
    """A rollout's environment. The trainer takes every public method but `reset` and `get_reward` for a tool."""

    episode: Episode

    def __init__(self, table: Table) -> None:
        self._table = table

    def reset(self, deal: int, **_: Any) -> str:
        """Deal number `deal` of the table's sequence; what hero is told at its first decision."""
        self.episode = self._table.episode(deal)
        return self.episode.messages[-1]["content"]

    def act(self, answer: str) -> str:
        """
        Decide what to do, once at each decision.

        Args:
            answer: The token of one of the actions on offer, as A1.

        Returns:
            What happened then and the next decision's actions, or what the hand came to.
        """
        episode = self.episode
        episode.answer(answer)
        return episode.outcome if episode.done else episode.messages[-1]["content"]

    def get_reward(self) -> float:
        """The hand's reward. A hand that was left in the middle, without a call, ends as a fold."""
        if not self.episode.done:
            self.episode.answer("")
        return self.episode.reward


def environment_factory(table: Table) -> Callable[[], PokerHand]:
    """What `GRPOTrainer` takes under that name."""
    return partial(PokerHand, table)


def deals(table: Table, count: int, start: int = 0) -> Dataset:
    """Rows for the first `count` deals from `start` on in which hero is asked: `deal`, and a `prompt` to be filled."""
    numbers = list(itertools.islice(table.asked(start), count))
    *rules, told = table.episode(next(table.asked())).messages
    prompt = [*rules, {**told, "content": ""}]
    return Dataset.from_dict({"prompt": [prompt] * len(numbers), "deal": numbers})


PLAIN_TURNS = """\
{%- set turns = namespace(all=[]) -%}
{%- for message in messages -%}
{%- if message.role == 'tool' -%}
{%- set turn = {'role': 'user', 'content': message.content} -%}
{%- elif message.tool_calls -%}
{%- set call = message.tool_calls[0].function -%}
{%- set said = call.arguments.answer | default('') if call.name == 'act' else call.name ~ ' ' ~ call.arguments -%}
{%- set turn = {'role': 'assistant', 'content': said} -%}
{%- else -%}
{%- set turn = message -%}
{%- endif -%}
{%- set turns.all = turns.all + [turn] -%}
{%- endfor -%}
{%- set messages = turns.all -%}
"""
"""Before a chat template: calls of `act` become what was answered, and what it returns the user's next words."""

WHOLE_ANSWERS = {
    "start_anchor_pattern": r"\A.*\Z",
    "defaults": {"role": "assistant"},
    "fields": {
        "tool_calls": {
            "open_pattern": r"(?=.)",
            "content": "text",
            "repeats": True,
            "transform": {"type": "function", "function": {"name": "act", "arguments": {"answer": "{content}"}}},
        },
    },
}
"""How transformers reads what the model says after its prompt (`response_template`): all of it is a call of `act`."""


def answer_plainly(tokenizer: PreTrainedTokenizerBase) -> None:
    """Let a model that knows of no tools play: all that it says is an answer, as in this package's own training.

    It can't fall silent when a hand is over, so `GRPOConfig(max_tool_calling_iterations=…)` has to: 2 in Kuhn.
    """
    tokenizer.chat_template = f"{PLAIN_TURNS}{tokenizer.chat_template}"
    tokenizer.response_template = WHOLE_ANSWERS
