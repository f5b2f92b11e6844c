"""The closed list of actions a player is offered: tokens A0, A1, … for fold, check or call, and a few raise sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poker_env.games import Game
from poker_env.state import CALL, FOLD, Observation

POT_FRACTIONS = (0.33, 0.5, 0.75, 1.0, 1.5)


@dataclass(frozen=True)
class MenuItem:
    """One offer. Amounts are chips."""

    token: str
    action: int
    """OpenSpiel's action id."""
    kind: str
    """fold, check, call, bet or raise."""
    to: int
    """Chips the player has in over the whole hand afterwards."""
    added: int
    """Chips it adds."""
    all_in: bool


def make_menu(observation: Observation, fractions: tuple[float, ...] = POT_FRACTIONS) -> tuple[MenuItem, ...]:
    """The legal offers, cheapest first: raises to `fractions` of the pot (after calling), and all-in, where legal."""
    seat, own = observation.seat, observation.contributions[observation.seat]
    offers: list[tuple[int, str, int]] = []
    facing_bet = observation.to_call > 0
    if observation.game.name == "kuhn":
        offers.append((0, "fold" if facing_bet else "check", own))
        offers.append((1, "call" if facing_bet else "bet", own + 1))
    else:
        highest = max(observation.contributions)
        if FOLD in observation.legal:
            offers.append((FOLD, "fold", own))
        if CALL in observation.legal:
            offers.append((CALL, "call" if facing_bet else "check", highest))
        opened = observation.street == 0 and observation.game.name == "holdem"
        raise_kind = "raise" if facing_bet or opened else "bet"
        if 2 in observation.legal:  # Leduc's one size
            offers.append((2, raise_kind, highest + (2, 4)[observation.street]))
        offers += [(to, raise_kind, to) for to in raise_sizes(observation, fractions)]
    stack, holdem = observation.game.stack, observation.game.name == "holdem"
    return tuple(
        MenuItem(f"A{index}", action, kind, to, to - observation.contributions[seat], holdem and to >= stack)
        for index, (action, kind, to) in enumerate(offers)
    )


def longest_menu(game: Game, fractions: Sequence[float] = POT_FRACTIONS) -> int:
    """How many offers a menu has at most: in hold'em fold, call, a raise to each fraction, and all-in."""
    return {"kuhn": 2, "leduc": 3}.get(game.name, len(set(fractions)) + 3)


def raise_sizes(observation: Observation, fractions: tuple[float, ...]) -> list[int]:
    """Hold'em's legal totals for raises to `fractions` of the pot (after calling), and all-in, smallest first."""
    if observation.min_raise_to is None:
        return []
    stack, highest = observation.game.stack, max(observation.contributions)
    pot_after_call = observation.pot + observation.to_call
    totals = {highest + round(fraction * pot_after_call) for fraction in fractions}
    return sorted({total for total in totals if observation.min_raise_to <= total < stack} | {stack})
