"""River boards: every holding ranked at once, and equities from one sweep over the ranking."""

from __future__ import annotations

import numpy as np
from numba import njit

from poker_env.cards.holdings import (
    HOLDINGS,
    N_CARDS,
    N_HOLDINGS,
    flush_value,
    popcount,
    rank_masks,
    value_without_flush,
)

N_LIVE = 1081  # holdings that a river board leaves possible
N_OPPONENTS = 990  # ... and that go with one's own two cards

_SHAPES = 3 * 169  # ways a holding can play: by its two ranks, those with both suited, those with one suited card


@njit(cache=True)
def _shape(a: int, b: int, flush_suit: int, needed: int) -> int:
    """How a holding (a < b) plays: its two ranks decide, unless suited cards make the flush that the board allows."""
    low, high = a >> 2, b >> 2
    if flush_suit >= 0:
        a_suited, b_suited = (a & 3) == flush_suit, (b & 3) == flush_suit
        if a_suited and b_suited:
            return 169 + high * 13 + low
        if needed <= 1 and a_suited:
            return 338 + low
        if needed <= 1 and b_suited:
            return 338 + high
    return high * 13 + low


@njit(cache=True)
def _shape_values(board: np.ndarray, shapes: np.ndarray, values: np.ndarray) -> tuple[int, int, int]:
    """List the shapes a holding can have on a river board, and their values: how many, the flush suit (or -1) and how
    many suited cards make the flush."""
    suits = np.zeros(4, np.int64)
    once, twice, thrice, four_times = rank_masks(board, suits)
    flush_suit, needed = -1, 0
    for suit in range(4):
        if popcount(suits[suit]) >= 3:
            flush_suit, needed = suit, 5 - popcount(suits[suit])
    on_board = flush_value(suits[flush_suit]) if flush_suit >= 0 and needed == 0 else 0
    count = 0
    for high in range(13):
        bit = 1 << high
        if four_times & bit:
            continue
        four_1, three_1 = four_times | thrice & bit, thrice | twice & bit
        two_1, one_1 = twice | once & bit, once | bit
        for low in range(high + 1):
            bit = 1 << low
            if four_1 & bit:
                continue
            value = value_without_flush(
                one_1 | bit, two_1 | one_1 & bit, three_1 | two_1 & bit, four_1 | three_1 & bit
            )
            shapes[count], values[count] = high * 13 + low, max(value, on_board)
            count += 1
    if flush_suit >= 0:
        held = suits[flush_suit]
        for high in range(13):
            if held >> high & 1:
                continue
            if needed <= 1:
                shapes[count], values[count] = 338 + high, flush_value(held | 1 << high)
                count += 1
            for low in range(high):
                if not held >> low & 1:
                    shapes[count], values[count] = 169 + high * 13 + low, flush_value(held | 1 << high | 1 << low)
                    count += 1
    return count, flush_suit, needed


@njit(cache=True)
def rank_holdings(board: np.ndarray, order: np.ndarray, strength: np.ndarray) -> int:
    """Rank all holdings on a river board of five cards.

    `order` (1081) receives the holdings that the board leaves possible, weakest first; `strength` (1326) the place of
    each among the distinct hand values, from 0, and -1 where the board blocks it. Returns how many values there are.
    """
    shapes, values = np.empty(_SHAPES, np.int64), np.empty(_SHAPES, np.int64)
    n_shapes, flush_suit, needed = _shape_values(board, shapes, values)
    keys = values[:n_shapes] << 9 | shapes[:n_shapes]
    keys.sort()
    places = np.empty(_SHAPES, np.int64)
    n_values = 0
    for place in range(n_shapes):
        if place > 0 and keys[place] >> 9 != keys[place - 1] >> 9:
            n_values += 1
        places[keys[place] & 511] = n_values
    n_values += 1

    # Counting sort of the holdings by place.
    ends = np.zeros(n_values, np.int64)
    blocked = np.zeros(N_CARDS, np.bool_)
    for card in board:
        blocked[card] = True
    holding = 0
    for a in range(N_CARDS):
        for b in range(a + 1, N_CARDS):
            if blocked[a] or blocked[b]:
                strength[holding] = -1
            else:
                shape = _shape(a, b, flush_suit, needed)
                strength[holding] = places[shape]
                ends[places[shape]] += 1
            holding += 1
    total = 0
    for place in range(n_values):
        total += ends[place]
        ends[place] = total
    for holding in range(N_HOLDINGS - 1, -1, -1):
        if strength[holding] >= 0:
            ends[strength[holding]] -= 1
            order[ends[strength[holding]]] = holding
    return n_values


@njit(cache=True)
def half_wins(board: np.ndarray, out: np.ndarray) -> None:
    """Twice the opponents' holdings that each holding beats plus those it ties (0 to 1980); -1 where blocked.

    Equity against a uniformly random holding is this over 1980. One sweep over the ranking: the holdings weaker than
    mine, less those that hold one of my cards.
    """
    order = np.empty(N_LIVE, np.int64)
    strength = np.empty(N_HOLDINGS, np.int64)
    rank_holdings(board, order, strength)
    with_card = np.zeros(N_CARDS, np.int64)
    out[:] = -1
    start = 0
    while start < N_LIVE:
        end = start
        while end < N_LIVE and strength[order[end]] == strength[order[start]]:
            a, b = HOLDINGS[order[end], 0], HOLDINGS[order[end], 1]
            out[order[end]] = start - with_card[a] - with_card[b]
            end += 1
        for place in range(start, end):
            with_card[HOLDINGS[order[place], 0]] += 1
            with_card[HOLDINGS[order[place], 1]] += 1
        for place in range(start, end):
            a, b = HOLDINGS[order[place], 0], HOLDINGS[order[place], 1]
            out[order[place]] += end - with_card[a] - with_card[b] + 1  # itself was taken off twice
        start = end


def river_equities(board: np.ndarray) -> np.ndarray:
    """Equity (1326,) of all holdings against a random one on a river board of five cards; NaN where blocked."""
    counts = np.empty(N_HOLDINGS, np.int64)
    half_wins(np.asarray(board, np.int64), counts)
    return np.where(counts < 0, np.nan, counts / (2 * N_OPPONENTS))
