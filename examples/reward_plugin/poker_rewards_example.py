"""Two reward functions: a plain bonus, which bends play, and a potential, which doesn't."""

from __future__ import annotations

from poker_env.hand import Hand
from poker_env.players.strength import strength
from poker_env.state import Observation
from reward_fns.builtin import weak_holding
from reward_fns.shaping import potential_based


def patience(hand: Hand, bonus: float = 0.1) -> list[float]:
    """`bonus` for folding a weak holding to a bet, however good the price: it buys folds, not chips."""
    return [
        bonus if decision.move is not None and decision.move.kind == "fold" and weak_holding(hand) else 0.0
        for decision in hand.hero_decisions
    ]


@potential_based
def pot_share(observation: Observation, payoff_scale: float | None = None) -> float:
    """What hero would win if the pot were shared out by strength, in units of `payoff_scale` (None: one big blind).

    Strength is the share of an opponent's possible holdings that hero beats as the board lies.
    """
    chips = strength(observation) * observation.pot - observation.contributions[observation.seat]
    return chips / (observation.game.big_blind if payoff_scale is None else payoff_scale)
