"""The built-in reward functions.

Each maps a finished hand to one float per hero decision (`hand.hero_decisions`; none when villain folded before hero
ever acted). Amounts are keyword arguments, so a config can change them. Everything but `chips` and `illegal` is a
bonus for a style: it bends play away from winning the most chips (docs/rewards.md says how far). Shaping that doesn't
is in `reward_fns.shaping`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pokerkit import Label, StandardHighHand

from poker_env.hand import Decision, Hand

POT_FRACTIONS = (0.33, 0.5, 0.75, 1.0)  # the sizes everyone uses
ILLEGAL_PENALTY = -0.5


def chips(hand: Hand, payoff_scale: float | None = None) -> list[float]:
    """Chips hero won or lost in the hand over `payoff_scale` (None: one big blind), on its last decision."""
    return _on_last_decision(hand, hand.payoff / (hand.game.big_blind if payoff_scale is None else payoff_scale))


def bluff(hand: Hand, bonus: float = 0.5) -> list[float]:
    """`bonus` for every bet or raise in a hand won with a weak holding (see `weak_holding`)."""
    won = hand.payoff > 0 and any(map(_aggressive, hand.hero_decisions)) and weak_holding(hand)
    return [bonus if won and decision.aggressive else 0.0 for decision in hand.hero_decisions]


def aggression(hand: Hand, bonus: float = 0.1) -> list[float]:
    """`bonus` for every bet or raise."""
    return [bonus if decision.aggressive else 0.0 for decision in hand.hero_decisions]


def fold_equity(hand: Hand, bonus: float = 0.3) -> list[float]:
    """`bonus` when the hand ends with villain's fold, on hero's last decision (the bet that villain folded to)."""
    return _on_last_decision(hand, bonus if hand.villain_folded else 0.0)


def showdown(hand: Hand, bonus: float = 0.2) -> list[float]:
    """`bonus` for a showdown won (not for a split pot), on hero's last decision."""
    return _on_last_decision(hand, bonus if hand.showdown and hand.payoff > 0 else 0.0)


def sizing(
    hand: Hand, bonus: float = 0.2, over: float = 1.2, under: float = 0.2, tolerance: float = 0.1
) -> list[float]:
    """`bonus` for every unusual bet or raise size.

    A size is a fraction of the pot after calling. It is unusual above `over`, below `under`, or further than
    `tolerance` from each of 33, 50, 75 and 100 %.
    """

    def unusual(decision: Decision) -> bool:
        fraction = decision.pot_fraction
        if fraction is None:
            return False
        distance = min(abs(fraction - usual) for usual in POT_FRACTIONS)
        return fraction > over or fraction < under or distance > tolerance

    return [bonus if unusual(decision) else 0.0 for decision in hand.hero_decisions]


def illegal(hand: Hand, penalty: float = ILLEGAL_PENALTY) -> list[float]:
    """`penalty`, a number below 0 (or 0), for an answer that named no legal action."""
    return [0.0 if decision.legal else penalty for decision in hand.hero_decisions]


BUILT_IN = {
    function.__name__: function for function in (chips, bluff, aggression, fold_equity, showdown, sizing, illegal)
}


def check(function: Callable[..., list[float]], weight: float, args: Mapping[str, Any]) -> None:
    """Raise `ValueError` where a built-in function's amounts turn what it is for upside down."""
    if function is illegal:
        penalty = args.get("penalty", ILLEGAL_PENALTY)
        if penalty > 0:
            raise ValueError(f"penalty {penalty:g}, which would pay for illegal answers: give a number below 0")
        if penalty * weight > 0:
            raise ValueError(f"weight {weight:g}, which would pay for illegal answers: give one above 0")
    if function is chips and args.get("payoff_scale") is not None and args["payoff_scale"] <= 0:
        raise ValueError(f"payoff_scale {args['payoff_scale']:g}: the chips that count as 1 must be above 0")


def weak_holding(hand: Hand) -> bool:
    """Whether hero's cards were worth little on the board as it lay when the hand ended.

    Kuhn: the jack. Leduc: neither a pair nor the king. Hold'em: before the flop neither a pair nor an ace nor a king;
    after it, hero's own cards make no pair or better (a pair, straight or flush that lies on the board counts for
    nothing).
    """
    hole, board = hand.hole[hand.hero_seat], hand.board
    if hand.game.name == "kuhn":
        return hole == ("J",)
    if hand.game.name == "leduc":
        return hole != ("K",) and hole != board
    ranks, board_ranks = {card[0] for card in hole}, {card[0] for card in board}
    if len(ranks) == 1 or ranks & board_ranks:
        return False
    if not board:
        return not ranks & {"A", "K"}
    made = StandardHighHand.from_game("".join(hole), "".join(board))
    if made.entry.label not in (Label.STRAIGHT, Label.FLUSH, Label.STRAIGHT_FLUSH):
        return True  # any pair is the board's
    return len(board) == 5 and made == StandardHighHand("".join(board))


def _on_last_decision(hand: Hand, reward: float) -> list[float]:
    count = len(hand.hero_decisions)
    return [0.0] * (count - 1) + [reward] if count else []


def _aggressive(decision: Decision) -> bool:
    return decision.aggressive
