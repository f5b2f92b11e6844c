"""What seven cards are worth, from tables: there are only 6,188 boards of five ranks, and 91 pairs of ranks to hold.

A flush is looked up by the mask of its suit's ranks: who has one has nothing better without it.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numba import njit

from poker_env.cards.holdings import flush_value, value_without_flush

N_RANK_PAIRS = 91
_BINOMIALS = np.array([[math.comb(n, k) for k in range(6)] for n in range(18)])
HIGH = np.array([high for high in range(13) for _ in range(high + 1)], np.int32)  # of each rank pair
LOW = np.array([low for high in range(13) for low in range(high + 1)], np.int32)


@functools.cache
def rank_values() -> np.ndarray:
    """(6188, 91): the value of every rank pair on every board of five ranks, flushes aside; 0 for five of a rank."""
    values = np.zeros((6188, N_RANK_PAIRS), np.int32)
    _fill_rank_values(values)
    return values


@functools.cache
def flush_values() -> np.ndarray:
    """(8192,): the value of a flush by the mask of its ranks; 0 for fewer than five."""
    return np.array([flush_value(mask) if mask.bit_count() >= 5 else 0 for mask in range(8192)], np.int32)


@njit(cache=True, inline="always")
def rank_pair(a: int, b: int) -> int:
    """The number of a pair of ranks, in either order."""
    high, low = max(a, b), min(a, b)
    return high * (high + 1) // 2 + low


@njit(cache=True)
def suited_ranks(cards: np.ndarray, suit: int) -> int:
    """Mask of the ranks of a suit; a card below 0 is none."""
    mask = 0
    for card in cards:
        if card >= 0 and card & 3 == suit:
            mask |= 1 << (card >> 2)
    return mask


@njit(cache=True)
def rank_row(ranks: np.ndarray) -> int:
    """Place of five ranks, in any order, among the 6,188 multisets."""
    row = 0
    for place in range(5):
        smaller = 0
        for other in range(5):
            smaller += ranks[other] < ranks[place] or (ranks[other] == ranks[place] and other < place)
        row += _BINOMIALS[ranks[place] + smaller, smaller + 1]
    return row


@njit(cache=True)
def _fill_rank_values(values: np.ndarray) -> None:
    ranks = np.empty(5, np.int64)
    counts = np.empty(13, np.int64)
    for number in range(13**5):
        rest = number
        ascending = True
        for place in range(5):
            ranks[place] = rest % 13
            rest //= 13
            ascending &= place == 0 or ranks[place] >= ranks[place - 1]
        if not ascending:
            continue
        for pair in range(N_RANK_PAIRS):
            counts[:] = 0
            for on_board in ranks:
                counts[on_board] += 1
            counts[HIGH[pair]] += 1
            counts[LOW[pair]] += 1
            if counts.max() > 4:
                continue
            masks = np.zeros(4, np.int64)  # of the ranks that are there at least once, twice, ...
            for rank in range(13):
                masks[: counts[rank]] |= 1 << rank
            values[rank_row(ranks), pair] = value_without_flush(masks[0], masks[1], masks[2], masks[3])


@njit(cache=True, inline="always")
def half_wins_between(mine: int, other: int) -> int:
    """Of two values: 2 where mine wins, 1 where they tie."""
    return 2 if mine > other else int(mine == other)
