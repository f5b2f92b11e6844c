"""A match: two players over many decks, each deck played in both seats."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from poker_env.errors import UserError
from poker_env.evaluation.estimates import Estimate, duplicate_estimate, raw_estimate
from poker_env.games import Deal, Game, make_deals
from poker_env.hand import Decision, Hand
from poker_env.players.base import Player
from poker_env.state import position
from poker_env.table import play

ACTIONS = ("fold", "check", "call", "bet", "raise", "all-in", "illegal")

DECKS_AT_ONCE = 64


@dataclass(frozen=True)
class Evaluation:
    """The hands of a match and what they say about hero."""

    game: Game
    hero: Player
    villain: Player
    seed: int
    hands: tuple[Hand, ...]
    """Two per deck: hero in the deal's seat, then in the other one."""
    seconds: float

    @property
    def deals(self) -> int:
        """How many decks were played."""
        return len(self.hands) // 2

    @property
    def win_rate(self) -> float:
        """Share of hands in which hero won chips."""
        return sum(hand.payoff > 0 for hand in self.hands) / len(self.hands)

    @property
    def legal_rate(self) -> float:
        """Share of hero's decisions that named a legal action."""
        decisions = self._decisions
        return sum(decision.legal for decision in decisions) / max(1, len(decisions))

    @property
    def action_mix(self) -> dict[str, float]:
        """Share of hero's decisions by `ACTIONS`; a bet or raise of the whole stack counts as all-in alone."""
        decisions = self._decisions
        counts = Counter(_action(self.game, decision) for decision in decisions)
        return {action: counts[action] / max(1, len(decisions)) for action in ACTIONS}

    @property
    def estimates(self) -> dict[str, Estimate]:
        """Hero's win rate by name of the estimator.

        `raw` takes one hand of each deck, as if no deck had ever been played twice; `duplicate` takes all hands.
        """
        return {"raw": raw_estimate(self.hands[::2]), "duplicate": duplicate_estimate(self.hands)}

    @property
    def headline(self) -> str:
        """Name of the estimate to quote."""
        return "duplicate"

    @property
    def by_seat(self) -> dict[str, Estimate]:
        """Hero's win rate in each seat, by the seat's name."""
        return {
            position(self.game, seat): raw_estimate([hand for hand in self.hands if hand.hero_seat == seat])
            for seat in (0, 1)
        }

    @property
    def _decisions(self) -> list[Decision]:
        return [decision for hand in self.hands for decision in hand.hero_decisions]


def evaluate(
    game: Game, hero: Player, villain: Player, hands: int, seed: int = 0, progress: bool = True
) -> Evaluation:
    """Play `hands` hands (one more when odd) on the decks that `seed` names, each deck in both seats.

    The same seed deals the same decks, whoever plays. Raises `UserError` for fewer than one hand or a negative seed.
    """
    if hands < 1:
        raise UserError(f"can't evaluate on {hands} hands: play at least 1")
    if seed < 0:
        raise UserError(f"seed {seed} must be 0 or above")
    deals = make_deals(game, (hands + 1) // 2, seed)
    started = time.monotonic()
    played: list[Hand] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("hands"))
    clock = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, *clock, console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task(f"{hero.name} against {villain.name}", total=2 * len(deals))
        for start in range(0, len(deals), DECKS_AT_ONCE):
            chunk = _both_seats(deals[start : start + DECKS_AT_ONCE])
            played += play(game, chunk, hero, villain)
            bar.advance(task, len(chunk))
    return Evaluation(game, hero, villain, seed, tuple(played), time.monotonic() - started)


def _both_seats(deals: list[Deal]) -> list[Deal]:
    return [seated for deal in deals for seated in (deal, deal.swapped())]


def _action(game: Game, decision: Decision) -> str:
    if decision.move is None:
        return "illegal"
    all_in = game.name == "holdem" and decision.aggressive and decision.move.to >= game.stack
    return "all-in" if all_in else decision.move.kind
