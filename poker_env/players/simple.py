"""Bots that need no solving: random, always call, always fold, and two heuristics, tight and loose aggressive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from poker_env.hand import Answer
from poker_env.menu import MenuItem, make_menu
from poker_env.players.strength import strength
from poker_env.state import Observation


@dataclass(frozen=True)
class SimplePlayer:
    """A bot that picks an item of its menu."""

    name: str
    choose: Callable[[Observation, Sequence[MenuItem]], MenuItem]

    def act(self, observations: Sequence[Observation]) -> list[Answer]:
        """One answer per observation."""
        return [Answer(self.choose(observation, make_menu(observation)).action) for observation in observations]


def choose_random(observation: Observation, menu: Sequence[MenuItem]) -> MenuItem:
    """Every item of the menu with the same probability."""
    return menu[int(observation.coin * len(menu))]


def choose_call(observation: Observation, menu: Sequence[MenuItem]) -> MenuItem:
    """Check or call."""
    return _find(menu, "check", "call")


def choose_fold(observation: Observation, menu: Sequence[MenuItem]) -> MenuItem:
    """Fold, but check when that is free."""
    return _find(menu, "check", "fold")


@dataclass(frozen=True)
class Style:
    """A heuristic's thresholds on `strength` (share of random hands beaten, 0 to 1)."""

    open: float
    """Bets or raises with at least this."""
    call: float
    """Calls a bet with at least this much more than the pot odds ask."""
    bluff: float
    """How often it bets regardless."""
    pot_fraction: float
    """Its bet size."""


TIGHT_AGGRESSIVE = Style(open=0.68, call=0.18, bluff=0.05, pot_fraction=0.75)
LOOSE_AGGRESSIVE = Style(open=0.52, call=0.05, bluff=0.25, pot_fraction=1.0)


def choose_by_style(style: Style) -> Callable[[Observation, Sequence[MenuItem]], MenuItem]:
    """A heuristic: bet what is strong, call by pot odds plus a margin, now and then bluff, else check or fold.

    Each raise it faces on a street makes it ask for a stronger hand, so two of these don't raise each other all-in.
    """

    def choose(observation: Observation, menu: Sequence[MenuItem]) -> MenuItem:
        """Bets what is strong, calls by pot odds plus a margin, now and then bluffs."""
        hand_strength = strength(observation)
        raises = sum(move.kind in ("bet", "raise") for move in observation.moves if move.street == observation.street)
        needed = 1 - (1 - style.open) / (1 + raises) ** 1.5
        bluffs = raises == 0 and observation.coin < style.bluff
        if hand_strength >= needed or bluffs:
            return _sized(observation, menu, style.pot_fraction)
        if observation.to_call == 0:
            return _find(menu, "check")
        odds = observation.to_call / (observation.pot + observation.to_call)
        margin = style.call * min(1.0, observation.to_call / observation.pot)
        return _find(menu, "call" if hand_strength >= odds + margin else "fold")

    return choose


def _find(menu: Sequence[MenuItem], *kinds: str) -> MenuItem:
    return next(item for kind in kinds for item in menu if item.kind == kind)


def _sized(observation: Observation, menu: Sequence[MenuItem], pot_fraction: float) -> MenuItem:
    """The bet or raise nearest to a fraction of the pot, or check/call where none is left."""
    raises = [item for item in menu if item.kind in ("bet", "raise")]
    if not raises:
        return _find(menu, "check", "call")
    target = max(observation.contributions) + pot_fraction * (observation.pot + observation.to_call)
    return min(raises, key=lambda item: abs(item.to - target))


SIMPLE = {
    "random": choose_random,
    "call": choose_call,
    "fold": choose_fold,
    "tag": choose_by_style(TIGHT_AGGRESSIVE),
    "lag": choose_by_style(LOOSE_AGGRESSIVE),
}
