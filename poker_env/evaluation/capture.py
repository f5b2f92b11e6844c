"""How much of what could be won from villain hero wins: local best responses on the same decks, and ratios to them.

Capture is hero's win rate divided by the best response's. Villain against itself wins 0 over both seats, so nothing
has to be taken off either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]

from poker_env.cfr.blueprint import Blueprint
from poker_env.cfr.playing.translation import Translator
from poker_env.errors import UserError
from poker_env.evaluation.estimates import Estimate, by_deck, deck_estimate, vary
from poker_env.evaluation.lbr import DEFAULT_SETTING, LocalBestResponder
from poker_env.games import Deal, Game
from poker_env.hand import Hand
from poker_env.knowledge.exact_value import LEAST_ROOM
from poker_env.knowledge.ranges import range_policy_of
from poker_env.players.base import Player
from poker_env.players.cfr import CFRPlayer
from poker_env.state import HandState

Interval = tuple[float, float]


@dataclass(frozen=True)
class Ratio:
    """A quotient of two means."""

    value: float | None
    """None where the denominator's 95 % interval reaches down to 0: there is nothing to measure against."""
    ci95: Interval | None


def ratio(numerators: np.ndarray, denominators: np.ndarray) -> Ratio:
    """The quotient of the means of paired samples (n,), with its 95 % interval.

    Fieller 1954, "Some Problems in Interval Estimation": all quotients q for which a t-test doesn't reject that the
    mean of numerator - q * denominator is 0.
    """
    n = len(numerators)
    x, y = float(np.mean(numerators)), float(np.mean(denominators))
    if n < 2:
        return Ratio(None, None)
    (xx, xy), (_, yy) = (np.cov(numerators, denominators) / n * float(stdtrit(n - 1, 0.975)) ** 2).tolist()
    a, b, c = y * y - yy, x * y - xy, x * x - xx
    if a <= 0 or y <= 0:
        return Ratio(None, None)
    if not vary(numerators - x / y * denominators):
        return Ratio(x / y, None)
    half_width = max(0.0, b * b - a * c) ** 0.5 / a
    return Ratio(x / y, (b / a - half_width, b / a + half_width))


@dataclass(frozen=True)
class Capture:
    """Hero's share of what a named best response wins from villain."""

    value: float | None
    """See `Ratio`."""
    ci95: Interval | None
    best_response_mbb: float
    best_response_ci95: Interval | None
    on_tree: Ratio | None = None
    """The part won in hands where hero bet only what villain's blueprint knows; None where that makes no sense."""
    off_tree: Ratio | None = None
    """The part won in all other hands."""


def local_capture(values: np.ndarray, reference: np.ndarray, off_tree: np.ndarray | None) -> Capture:
    """Of a local best response: mbb (hands,) of hero and of the reference on the same decks, see `by_deck`."""
    best = deck_estimate(reference)
    whole = ratio(by_deck(values), by_deck(reference))
    parts = (
        []
        if off_tree is None
        else [ratio(by_deck(values * mask), by_deck(reference)) for mask in (~off_tree, off_tree)]
    )
    return Capture(whole.value, whole.ci95, best.mbb_per_hand, best.ci95, *parts)


def exact_capture(won: Estimate, best_response_mbb: float) -> Capture | None:
    """Of the exact best response; None where it wins next to nothing."""
    if best_response_mbb < LEAST_ROOM * 1000:
        return None
    interval = (won.ci95[0] / best_response_mbb, won.ci95[1] / best_response_mbb) if won.ci95 else None
    best = (best_response_mbb, best_response_mbb)
    return Capture(won.mbb_per_hand / best_response_mbb, interval, best_response_mbb, best)


class Reference:
    """A local best response to villain, by setting (Lisý & Bowling 2017, see `lbr.py`)."""

    def __init__(self, game: Game, villain: Player, settings: Sequence[str], tables: bool) -> None:
        """Raises `UserError` for unknown settings, another game than hold'em, or a villain whose policy isn't known.

        With `tables`, a blueprint's buckets come from those, see `BucketTables`.
        """
        policy = range_policy_of(villain, long_run=tables)
        self._players = {setting: LocalBestResponder.of(game, policy, setting) for setting in settings}

    def scores(self, deals: Sequence[Deal]) -> dict[str, list[float]]:
        """By setting, the chips it wins in hero's place in each deal, with villain's holding and the like averaged."""
        return {setting: [player.play(deal) for deal in deals] for setting, player in self._players.items()}


def knows_ranges(player: Player) -> bool:
    """Whether a hold'em player's policy is known for every holding."""
    try:
        range_policy_of(player)
    except UserError:
        return False
    return True


def usual_settings(game: Game, villain: Player) -> tuple[str, ...]:
    """The LBR settings that hero's win is measured by unless said otherwise; none if villain's policy isn't known."""
    return (DEFAULT_SETTING,) if game.name == "holdem" and knows_ranges(villain) else ()


class TreeWatcher:
    """Tells whether hero bets sizes that villain's blueprint knows, or leaves it to translate."""

    def __init__(self, game: Game, blueprint: Blueprint) -> None:
        self._game, self._translator = game, Translator(game, blueprint.tree)
        self._known: dict[tuple[int, ...], bool] = {}

    @staticmethod
    def of(game: Game, villain: Player) -> TreeWatcher | None:
        """None for a villain without a blueprint."""
        blueprint = villain.blueprint if isinstance(villain, CFRPlayer) else None
        return TreeWatcher(game, blueprint) if blueprint else None

    def leaves(self, hand: Hand) -> bool:
        """Whether hero made a bet or raise in a hand that is none of the tree's where it stood."""
        actions: tuple[int, ...] = ()
        for decision in hand.decisions:
            if decision.move is None:
                return False
            action = decision.move.action
            if decision.seat == hand.hero_seat and decision.aggressive and not self._knows(actions, action):
                return True
            actions = (*actions, action)
        return False

    def _knows(self, actions: tuple[int, ...], action: int) -> bool:
        key = (*actions, action)
        if key not in self._known:
            state = HandState(self._game, Deal(tuple(range(self._game.deck_length)), 0, 0))  # any cards will do
            for earlier in actions:
                state.apply(earlier)
            observation = state.observe()
            located = self._translator.locate(observation)
            self._known[key] = any(
                action in self._translator.real_actions(location, observation) for location, _ in located
            )
        return self._known[key]
