"""One hand as one episode, a decision of hero's at a time. Knows no trainer; those beside it are made of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from poker_env.errors import UserError
from poker_env.games import Deal, Game, make_deals, make_game
from poker_env.hand import Answer, Hand
from poker_env.menu import MenuItem, make_menu
from poker_env.player_specs import make_player
from poker_env.players.base import Player
from poker_env.prompts import STYLES, Messages, build_messages, parse_answer
from poker_env.table import LiveHand
from poker_env.thoughts import read_thought
from reward_fns import RewardSpec, read_reward, reward_list

CHIPS: tuple[str | dict[str, Any], ...] = ("chips",)

Rewards = str | Sequence[str | Mapping[str, Any]] | Mapping[str, Any]
"""What may be written for `rewards`."""

DISCOUNT = 1.0
"""A hand's reward is the plain sum of what its decisions get: trainers of whole episodes ask for one number."""


@dataclass(frozen=True)
class Table:
    """What is played, against whom, how hero is asked, what it is rewarded for, and which deals there are."""

    game: Game
    villain: Player
    prompt_style: str
    rewards: tuple[RewardSpec, ...]
    seed: int
    """Names the sequence of deals, as in `poker_env.games.make_deals`."""

    def episode(self, index: int, seed: int | None = None) -> Episode:
        """Deal number `index` of the sequence that `seed` names (None: the table's own)."""
        seed = self.seed if seed is None else seed
        if not (_counts(index) and _counts(seed)):
            raise UserError(f"deal {index!r} of seed {seed!r}: both are whole numbers, 0 or above")
        (deal,) = make_deals(self.game, 1, seed, start=index)
        return Episode(self, deal)

    def asked(self, start: int = 0) -> Iterator[int]:
        """The numbers of the deals from `start` on in which hero is asked; in hold'em villain may fold before."""
        return (index for index in itertools.count(start) if not self.episode(index).done)


def listed(rewards: Rewards) -> Sequence[str | Mapping[str, Any]]:
    """What `rewards` are, one by one, as `reward_fns.read_reward` takes them."""
    if isinstance(rewards, str):
        return [rewards]
    return reward_list(rewards) if isinstance(rewards, Mapping) else rewards


def make_table(
    game: str = "kuhn",
    villain: str = "cfr",
    prompt_style: str = "compact",
    rewards: Rewards = CHIPS,
    seed: int = 0,
) -> Table:
    """A table by the words that a training config has for it.

    `game` is a spec of `poker_env.games`, `villain` one of `poker_env.player_specs`, `prompt_style` one of
    `poker_env.prompts.STYLES`; `rewards` are names and weights, or what `reward_fns.read_reward` takes, or a list of
    that.

    Raises `UserError` for any of them that there isn't, and a seed below 0.
    """
    if prompt_style not in STYLES:
        raise UserError(f"unknown prompt_style {prompt_style!r}: choose one of {', '.join(STYLES)}")
    if not _counts(seed):
        raise UserError(f"seed {seed!r} must be a whole number, 0 or above")
    read = tuple(read_reward(reward, DISCOUNT) for reward in listed(rewards))
    if not read:
        raise UserError("rewards are none: name one at least, say chips")
    played = make_game(game)
    return Table(played, make_player(villain, played), prompt_style, read, seed)


class Episode:
    """A hand from hero's first decision to its end; villain's answers come in between."""

    def __init__(self, table: Table, deal: Deal) -> None:
        self._table = table
        self._live = LiveHand(table.game, deal)
        self.messages: Messages = []
        """What hero is told at its decision, as chat messages; none when the hand is over."""
        self.menu: tuple[MenuItem, ...] = ()
        """What it may answer."""
        self._until_hero()

    @property
    def done(self) -> bool:
        """Whether the hand is over."""
        return self._live.state.done

    def answer(self, text: str) -> None:
        """Play the first legal action token in hero's words; without one the hand ends as a fold.

        What it thinks before them doesn't count, and who never ends a thought says nothing (`poker_env.thoughts`).
        Raises `ValueError` when the hand is over.
        """
        if self.done:
            raise ValueError("the hand is over")
        item = parse_answer(read_thought(text, ()).answer, self.menu)
        offered = tuple(each.action for each in self.menu)
        self._live.decide(Answer(None if item is None else item.action, completion=text, menu=offered))
        self._until_hero()

    @property
    def hand(self) -> Hand:
        """The record of a hand that is over."""
        return self._live.finished()

    @property
    def illegal(self) -> bool:
        """Whether an answer of hero's named no legal action."""
        return any(not decision.legal for decision in self.hand.hero_decisions)

    @property
    def reward(self) -> float:
        """Of a hand that is over: what the reward functions give its decisions, weighted and summed."""
        hand = self.hand
        return sum(spec.weight * sum(spec(hand)) for spec in self._table.rewards)

    @property
    def outcome(self) -> str:
        """Of a hand that is over: what it came to, in words."""
        payoff = self.hand.payoff
        result = f"won {payoff:g} chips" if payoff > 0 else f"lost {-payoff:g} chips" if payoff else "split the pot"
        return f"The hand is over. You {result}."

    def _until_hero(self) -> None:
        """Let villain act until hero is asked, or the hand is over."""
        live, table = self._live, self._table
        while not (live.state.done or live.hero_to_act):
            (answer,) = table.villain.act([live.observe()])
            live.decide(answer)
        self.messages, self.menu = [], ()
        if not live.state.done:
            observation = live.observe()
            self.menu = make_menu(observation)
            self.messages = build_messages(observation, self.menu, table.prompt_style)


def _counts(number: Any) -> bool:
    """Whether it is a whole number, 0 or above."""
    return isinstance(number, int) and number >= 0
