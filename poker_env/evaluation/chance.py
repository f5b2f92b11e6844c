"""Payoffs with the luck of the community cards taken out, whoever plays."""

from __future__ import annotations

import itertools

from poker_env.hand import Decision, Hand
from poker_env.knowledge.beliefs import DealtCards


def without_chance(hand: Hand) -> tuple[float, float]:
    """Chips hero won with the luck of some deals taken out: of those after the betting was over, and of all.

    The first is the payoff of an all-in by equity. From the second comes off, for every deal, what it changed in
    hero's share of the pot by equity; the expectation of that is 0 (advantage sums: Zinkevich, Bowling, Bard, Kan &
    Billings 2006, "Optimal Unbiased Estimators for Evaluating Agent Performance").

    Equities before the flop are means over the suits of both holdings: no bias unless both players play suits
    differently there.
    """
    cards, last, river = DealtCards(hand.game, hand.deal), hand.decisions[-1], len(hand.game.streets) - 1

    def luck(decision: Decision, street: int) -> float:
        """Of the cards dealt between a decision and a street."""
        return _pot(decision) * (_equity(cards, hand, street) - _equity(cards, hand, decision.street))

    run_out = luck(last, river) if hand.showdown and last.street < river else 0.0
    deals = [
        luck(before, after.street)
        for before, after in itertools.pairwise(hand.decisions)
        if after.street > before.street
    ]
    return hand.payoff - run_out, hand.payoff - run_out - sum(deals)


def _pot(decision: Decision) -> int:
    """After a decision."""
    return decision.pot + (decision.move.added if decision.move else 0)


def _equity(cards: DealtCards, hand: Hand, street: int) -> float:
    """Hero's against villain's hand, by the board of a street."""
    return float(cards.equities(hand.game.board_cards[street])[cards.villain])
