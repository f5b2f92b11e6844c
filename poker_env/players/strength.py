"""How strong a hand looks to a heuristic: the share of an opponent's possible hands it beats as the board lies."""

from __future__ import annotations

import functools

import numpy as np
from numba import njit

from poker_env.cards.holdings import HOLDINGS, hand_value
from poker_env.games import HOLDEM_CARDS
from poker_env.state import Observation


def strength(observation: Observation) -> float:
    """Between 0 (beats nothing) and 1; ties count half."""
    if observation.game.name != "holdem":
        return _small_game_strength(observation)
    hole = [HOLDEM_CARDS.index(card) for card in observation.hole]
    if not observation.board:
        return float(_preflop_shares()[hole[0], hole[1]])
    board = [HOLDEM_CARDS.index(card) for card in observation.board]
    return float(_share_beaten(np.array(hole), np.array(board), HOLDINGS))


def _small_game_strength(observation: Observation) -> float:
    """Kuhn and Leduc: one card each, a pair with the board on top of everything."""

    def value(card: str) -> int:
        return 3 if card in observation.board else "JQK".index(card)

    deck = list(observation.game.cards)
    for card in (*observation.hole, *observation.board):
        deck.remove(card)
    own = value(observation.hole[0])
    return float(np.mean([(own > value(card)) + (own == value(card)) / 2 for card in deck]))


@njit(cache=True)
def _share_beaten(hole: np.ndarray, board: np.ndarray, holdings: np.ndarray) -> float:
    """On the flop and turn `hand_value` leaves some kickers uncounted: good enough for a heuristic."""
    cards = np.empty(2 + len(board), np.int64)
    cards[:2] = hole
    cards[2:] = board
    own = hand_value(cards)
    beaten, total = 0.0, 0
    for index in range(len(holdings)):
        first, second = holdings[index]
        blocked = False
        for card in cards[2:]:
            blocked |= card in (first, second)
        for card in hole:
            blocked |= card in (first, second)
        if blocked:
            continue
        cards[0], cards[1] = first, second
        value = hand_value(cards)
        cards[:2] = hole
        total += 1
        beaten += 1.0 if own > value else 0.5 if own == value else 0.0
    return beaten / total


@functools.cache
def _preflop_shares() -> np.ndarray:
    """(52, 52): the share of holdings that look weaker, by a line fitted by eye to the equities against a random hand.

    Pairs run from 50 % (deuces) to 85 % (aces), other hands from 32 % (three-deuce) to 67 % (ace-king suited).
    """
    first, second = HOLDINGS[:, 0].astype(int), HOLDINGS[:, 1].astype(int)
    low, high = first // 4, second // 4  # HOLDINGS has the lower card first
    pair, suited = low == high, first % 4 == second % 4
    equity = np.where(pair, 0.50 + 0.35 * high / 12, 0.30 + 0.25 * high / 12 + 0.09 * low / 12 + 0.03 * suited)
    order = np.sort(equity)
    share = (np.searchsorted(order, equity, "left") + np.searchsorted(order, equity, "right")) / (2 * len(equity))
    table = np.zeros((52, 52))
    table[first, second] = table[second, first] = share
    return table
