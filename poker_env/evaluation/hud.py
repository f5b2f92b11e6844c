"""What players do, in the figures of poker's heads-up displays, adapted to two players: VPIP, PFR, c-bets and so on.

Each figure is a share of opportunities, with a Wilson interval (Wilson 1927, "Probable inference, the law of
succession, and statistical inference") that takes opportunities for independent. Those of one deck, played in both
seats, aren't quite. An answer that named no legal action counts as the fold that it became.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from poker_env.games import Game
from poker_env.hand import Decision, Hand
from poker_env.histories.steps import all_in
from poker_env.state import position

Z = 1.959963984540054  # 97.5 % quantile of the normal distribution

SIZES = (
    (0.4, "<40% pot"),
    (0.6, "40-60% pot"),
    (0.85, "60-85% pot"),
    (1.2, "85-120% pot"),
    (float("inf"), ">120% pot"),
)
"""Bets and raises by their share of the pot (after calling): upper ends and names."""

HOLDEM_ACTIONS = ("fold", "check", "call", *(name for _, name in SIZES), "all-in", "illegal")
SMALL_GAME_ACTIONS = ("fold", "check", "call", "bet", "raise", "illegal")


@dataclass(frozen=True)
class Habit:
    """A figure: how it is called, what it means, and what a hand says of it."""

    key: str
    label: str
    meaning: str
    opportunities: Callable[[Hand, int], Iterable[bool]]
    """Hand, seat -> for each opportunity of the player in the seat, whether it was taken."""


def habits(hands: Sequence[Hand], game: Game) -> dict[str, Any]:
    """Hero's and villain's figures, as JSON: by player (`hero`, `villain`), then for `all` hands and by seat's name.

    Hands of a game may have stakes of their own.

    Each figure is `{share, ci95, count, opportunities}`, share and interval None without opportunities. For what they
    mean see `habits_of(game)`. Beside them are `hands`, `aggression_factor` (`{value, bets_and_raises, calls}`; after
    the flop in hold'em, value None without calls) and `action_mix`: by street, the share of the player's `decisions`
    by `actions` (`actions_of(game)`).
    """
    return {
        who: {
            "all": _figures(game, [(hand, _seat(hand, who)) for hand in hands]),
            **{
                position(game, seat): _figures(game, [(hand, seat) for hand in hands if _seat(hand, who) == seat])
                for seat in (1, 0)
            },
        }
        for who in ("hero", "villain")
    }


def habits_of(game: Game) -> tuple[Habit, ...]:
    """The figures that make sense in a game."""
    return HOLDEM_HABITS if game.name == "holdem" else SMALL_GAME_HABITS


def actions_of(game: Game) -> tuple[str, ...]:
    """The names of `action_name` in a game."""
    return HOLDEM_ACTIONS if game.name == "holdem" else SMALL_GAME_ACTIONS


def action_name(game: Game, decision: Decision) -> str:
    """What was decided; in hold'em bets and raises by their size, those of the whole stack apart."""
    if decision.move is None:
        return "illegal"
    if game.name != "holdem" or not decision.aggressive:
        return decision.move.kind
    fraction = decision.pot_fraction or 0.0
    return "all-in" if all_in(game, decision) else next(name for limit, name in SIZES if fraction <= limit)


def rate(taken: int, opportunities: int) -> dict[str, Any]:
    """A share of opportunities with its 95 % Wilson interval."""
    if opportunities == 0:
        return {"share": None, "ci95": None, "count": 0, "opportunities": 0}
    share, spread = taken / opportunities, Z**2 / opportunities
    middle = (share + spread / 2) / (1 + spread)
    half_width = (spread * share * (1 - share) + spread**2 / 4) ** 0.5 / (1 + spread)
    interval = [max(0.0, middle - half_width), min(1.0, middle + half_width)]
    return {"share": share, "ci95": interval, "count": taken, "opportunities": opportunities}


def _figures(game: Game, played: Sequence[tuple[Hand, int]]) -> dict[str, Any]:
    """Of the player in each hand's seat."""
    found: dict[str, Any] = {"hands": len(played)}
    for habit in habits_of(game):
        taken = [took for hand, seat in played for took in habit.opportunities(hand, seat)]
        found[habit.key] = rate(sum(taken), len(taken))
    decisions = [(hand.game, decision) for hand, seat in played for decision in _decisions(hand, seat)]
    found["aggression_factor"] = _aggression_factor(
        [item for _, item in decisions if item.street or game.name != "holdem"]
    )
    found["action_mix"] = {
        street: _action_mix(game, [(own, item) for own, item in decisions if item.street == number])
        for number, street in enumerate(game.streets)
    }
    return found


def _aggression_factor(decisions: Sequence[Decision]) -> dict[str, Any]:
    aggressive = sum(decision.aggressive for decision in decisions)
    calls = sum(decision.move is not None and decision.move.kind == "call" for decision in decisions)
    return {"value": aggressive / calls if calls else None, "bets_and_raises": aggressive, "calls": calls}


def _action_mix(game: Game, decisions: Sequence[tuple[Game, Decision]]) -> dict[str, Any]:
    """Each decision comes with its hand's game, whose stack says what is all-in."""
    counts = Counter(action_name(own, decision) for own, decision in decisions)
    actions = {action: rate(counts[action], len(decisions)) for action in actions_of(game)}
    return {"decisions": len(decisions), "actions": actions}


def _seat(hand: Hand, who: str) -> int:
    return hand.hero_seat if who == "hero" else 1 - hand.hero_seat


def _decisions(hand: Hand, seat: int, street: int | None = None) -> list[Decision]:
    return [item for item in hand.decisions if item.seat == seat and street in (None, item.street)]


def _folds(decision: Decision) -> bool:
    return decision.move is None or decision.move.kind == "fold"


def _puts_chips_in(hand: Hand, seat: int) -> list[bool]:
    own = _decisions(hand, seat, 0)
    return [any(item.move is not None and item.move.kind in ("call", "raise") for item in own)] if own else []


def _raises_preflop(hand: Hand, seat: int) -> list[bool]:
    own = _decisions(hand, seat, 0)
    return [any(item.aggressive for item in own)] if own else []


def _three_bets(hand: Hand, seat: int) -> list[bool]:
    first = _first_aggressive(hand, 0)
    if first is None or hand.decisions[first].seat == seat or all_in(hand.game, hand.decisions[first]):
        return []
    return [hand.decisions[first + 1].aggressive]


def _aggressor(hand: Hand) -> int | None:
    """Who raised last before the flop."""
    return next((item.seat for item in reversed(hand.decisions) if item.street == 0 and item.aggressive), None)


def _first_aggressive(hand: Hand, street: int) -> int | None:
    """The place among the decisions of a street's first bet or raise; the other player's reply comes next."""
    places = (place for place, item in enumerate(hand.decisions) if item.street == street and item.aggressive)
    return next(places, None)


def _continues(hand: Hand, seat: int) -> list[bool]:
    own = next((item for item in hand.decisions if item.street == 1 and item.seat == seat), None)
    return [own.aggressive] if own is not None and own.to_call == 0 and _aggressor(hand) == seat else []


def _folds_to_continuation(hand: Hand, seat: int) -> list[bool]:
    bet = _first_aggressive(hand, 1)
    if bet is None or hand.decisions[bet].seat == seat or _aggressor(hand) != hand.decisions[bet].seat:
        return []
    return [_folds(hand.decisions[bet + 1])]


def _saw_flop(hand: Hand) -> bool:
    return len(hand.board) >= 3


def _won(hand: Hand, seat: int) -> bool:
    """Split pots are won, as in trackers."""
    return (hand.payoff if seat == hand.hero_seat else -hand.payoff) >= 0


_WON_AT_SHOWDOWN = Habit(
    "wsd",
    "W$SD",
    "Won the pot or half of it, of the hands that went to showdown.",
    lambda hand, seat: [_won(hand, seat)] if hand.showdown else [],
)
_LEGAL = Habit(
    "legal",
    "Legal",
    "Named a legal action, of all its decisions.",
    lambda hand, seat: [item.legal for item in _decisions(hand, seat)],
)

HOLDEM_HABITS = (
    Habit(
        "vpip",
        "VPIP",
        "Called or raised before the flop, of the hands in which it got to act there (when the button folds, the big "
        "blind doesn't).",
        _puts_chips_in,
    ),
    Habit("pfr", "PFR", "Raised before the flop, of the same hands.", _raises_preflop),
    Habit(
        "three_bet",
        "3-bet",
        "Raised again, when it faced the first raise before the flop and had chips to raise with.",
        _three_bets,
    ),
    Habit(
        "c_bet",
        "C-bet",
        "Bet the flop after the last raise before it was its own, when nobody had bet before it.",
        _continues,
    ),
    Habit(
        "fold_to_c_bet", "Fold to c-bet", "Folded at once, when the other player made a c-bet.", _folds_to_continuation
    ),
    Habit(
        "wtsd",
        "WTSD",
        "Went to showdown, of the hands that saw a flop. Heads-up it is the same for both players.",
        lambda hand, seat: [hand.showdown] if _saw_flop(hand) else [],
    ),
    _WON_AT_SHOWDOWN,
    Habit(
        "wwsf",
        "WWSF",
        "Won the pot or half of it, of the hands that saw a flop.",
        lambda hand, seat: [_won(hand, seat)] if _saw_flop(hand) else [],
    ),
    _LEGAL,
)

SMALL_GAME_HABITS = (
    Habit(
        "bet",
        "Bet",
        "Bet, when nobody had bet before it on the street.",
        lambda hand, seat: [item.aggressive for item in _decisions(hand, seat) if not item.to_call],
    ),
    Habit(
        "fold_to_bet",
        "Fold to bet",
        "Folded, when it faced a bet or a raise.",
        lambda hand, seat: [_folds(item) for item in _decisions(hand, seat) if item.to_call],
    ),
    Habit(
        "wtsd",
        "WTSD",
        "Went to showdown, of all hands. With two players it is the same for both.",
        lambda hand, seat: [hand.showdown],
    ),
    _WON_AT_SHOWDOWN,
    _LEGAL,
)
