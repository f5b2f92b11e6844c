"""Random deals as the solver needs them: buckets of both seats on every street, and the winner."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit

from poker_env.cards.holdings import N_CARDS, hand_value
from poker_env.cfr.abstraction.bucket_tables import BucketTables, deal_buckets
from poker_env.cfr.traverse import random_float

LEDUC_BUCKETS = (3, 9)
"""Leduc: the rank of the own card, then rank * 3 + rank of the board card. Suits don't matter."""


def deal_leduc(count: int, random_state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Deals of Leduc hold'em."""
    buckets, winners = np.empty((count, 2, 2), np.uint16), np.empty(count, np.int8)
    _deal_leduc(random_state, buckets, winners)
    return buckets, winners


@njit(cache=True, nogil=True)
def _deal_leduc(random_state: np.ndarray, buckets: np.ndarray, winners: np.ndarray) -> None:
    deck = np.arange(6)
    for deal in range(len(winners)):
        shuffle_top(deck, 3, random_state)
        first, second, board = deck[0] // 2, deck[1] // 2, deck[2] // 2
        buckets[deal, 0, 0], buckets[deal, 1, 0] = first, second
        buckets[deal, 0, 1], buckets[deal, 1, 1] = first * 3 + board, second * 3 + board
        first_value, second_value = first + 3 * (first == board), second + 3 * (second == board)
        winners[deal] = np.sign(first_value - second_value)


@njit(cache=True, inline="always")
def shuffle_top(deck: np.ndarray, count: int, random_state: np.ndarray) -> None:
    """Put `count` random cards on top of a deck (Fisher & Yates)."""
    for place in range(count):
        other = place + int(random_float(random_state) * (len(deck) - place))
        deck[place], deck[other] = deck[other], deck[place]


def holdem_dealer(tables: BucketTables) -> Callable[[int, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """A dealer of hold'em hands in the buckets of an abstraction."""

    def deal(count: int, random_state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        buckets, winners = np.empty((count, 2, 4), np.uint16), np.empty(count, np.int8)
        _deal_holdem(tables.arrays, random_state, buckets, winners)
        return buckets, winners

    return deal


@njit(cache=True, nogil=True)
def _deal_holdem(tables: tuple, random_state: np.ndarray, buckets: np.ndarray, winners: np.ndarray) -> None:
    deck = np.arange(N_CARDS)
    hand = np.empty(7, np.int64)
    for deal in range(len(winners)):
        shuffle_top(deck, 9, random_state)
        deal_buckets(tables, deck[:9], buckets[deal])
        hand[:] = deck[2:9]
        second = hand_value(hand)
        hand[:2] = deck[:2]
        winners[deal] = np.sign(hand_value(hand) - second)
