"""Cards, holdings and the value of seven-card hands, compiled.

A card is OpenSpiel's id, rank * 4 + suit (ranks 2 to ace, suits c, d, h, s). A holding is two cards, numbered by its
place in the list of pairs (i, j), i < j: 1,326 of them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

N_CARDS = 52
N_HOLDINGS = 1326
N_CLASSES = 169  # holdings before the flop, suits aside

HOLDINGS = np.array([(i, j) for i in range(N_CARDS) for j in range(i + 1, N_CARDS)], dtype=np.int8)
"""(1326, 2): the cards of each holding, the lower id first."""

# A hand's value is category << 26 | the ranks that define it << 13 | the kickers, both as masks of the 13 ranks:
# of two hands the better one has the larger value.
PAIR, TWO_PAIR, TRIPS, STRAIGHT, FLUSH, FULL_HOUSE, QUADS, STRAIGHT_FLUSH = (
    category << 26 for category in range(1, 9)
)


@njit(cache=True, inline="always")
def holding_index(a: int, b: int) -> int:
    """The number of the holding of two different cards, in either order."""
    low, high = min(a, b), max(a, b)
    return low * (103 - low) // 2 + high - low - 1


@njit(cache=True, inline="always")
def preflop_class(a: int, b: int) -> int:
    """Of 169, as a cell of the usual 13 x 13 chart (row * 13 + column, from the deuce): suited hands have the higher
    rank as the row, offsuit ones the lower."""
    low, high = min(a, b) >> 2, max(a, b) >> 2
    return high * 13 + low if (a & 3) == (b & 3) else low * 13 + high


PREFLOP_CLASSES = np.array([preflop_class(int(a), int(b)) for a, b in HOLDINGS], dtype=np.uint8)
"""(1326,): the class of each holding before the flop."""


@njit(cache=True)
def _highest(mask: int) -> int:
    while mask & (mask - 1):
        mask &= mask - 1
    return mask


@njit(cache=True)
def _drop_two_lowest(mask: int) -> int:
    mask &= mask - 1
    return mask & (mask - 1)


@njit(cache=True)
def _straight(ranks: int) -> int:
    """The low end of the best straight as a bit (the ace below the deuce is bit 0), or 0."""
    ranks = ranks << 1 | ranks >> 12
    return _highest(ranks & ranks >> 1 & ranks >> 2 & ranks >> 3 & ranks >> 4)


@njit(cache=True)
def value_without_flush(once: int, twice: int, thrice: int, four_times: int) -> int:
    """Value of seven cards that hold no flush, given the masks of the ranks there at least once, twice, ..."""
    if four_times:
        return QUADS | four_times << 13 | _highest(once & ~four_times)
    trips = _highest(thrice)
    if trips:
        pairs = twice & ~trips
        if pairs:
            return FULL_HOUSE | trips << 13 | _highest(pairs)
    straight = _straight(once)
    if straight:
        return STRAIGHT | straight
    if trips:
        return TRIPS | trips << 13 | _drop_two_lowest(once & ~trips)
    if not twice:
        return _drop_two_lowest(once)
    second = twice & (twice - 1)
    if not second:
        return PAIR | twice << 13 | _drop_two_lowest(once & ~twice)
    if second & (second - 1):  # three pairs: the lowest one is at best a kicker
        twice = second
    return TWO_PAIR | twice << 13 | _highest(once & ~twice)


@njit(cache=True)
def flush_value(ranks: int) -> int:
    """Value of a hand with five or more cards of one suit, given the mask of their ranks."""
    straight = _straight(ranks)
    if straight:
        return STRAIGHT_FLUSH | straight
    count = popcount(ranks)
    while count > 5:
        ranks &= ranks - 1
        count -= 1
    return FLUSH | ranks


@njit(cache=True)
def popcount(mask: int) -> int:
    """The number of bits set."""
    count = 0
    while mask:
        mask &= mask - 1
        count += 1
    return count


@njit(cache=True, inline="always")
def rank_masks(cards: np.ndarray, suits: np.ndarray) -> tuple[int, int, int, int]:
    """Masks of the ranks that are there at least once, twice, three and four times; `suits` (4,), zeros before, gets
    the mask of each suit's ranks."""
    once, twice, thrice, four_times = 0, 0, 0, 0
    for card in cards:
        rank = 1 << (card >> 2)
        four_times |= thrice & rank
        thrice |= twice & rank
        twice |= once & rank
        once |= rank
        suits[card & 3] |= rank
    return once, twice, thrice, four_times


@njit(cache=True)
def hand_value(cards: np.ndarray) -> int:
    """Value of seven cards: of two hands the better one's is larger, equal hands' are equal."""
    suits = np.zeros(4, np.int64)
    once, twice, thrice, four_times = rank_masks(cards, suits)
    for suit in range(4):
        if popcount(suits[suit]) >= 5:
            return flush_value(suits[suit])
    return value_without_flush(once, twice, thrice, four_times)
