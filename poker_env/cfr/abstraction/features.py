"""What a hand is worth, as a point to cluster: exact counts over all run-outs and opponents, never a sample.

Before the river the point is the distribution of the equity that the hand will have on the river (against a uniformly
random holding): for each of 32 levels, the share of run-outs that reach it. Euclidean distance between two such points
is a smooth relative of the earth mover's distance (Johanson, Burch, Valenzano & Bowling 2013, section 4.2). On the
river it is the equity against a random holding and, weighing less, the equity against each of eight groups of
opponents' holdings (the same paper's OCHS, section 4.3): strength comes first, texture second. Shares are integers out
of `UNIT`, so tables and play compute the very same points.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from poker_env.cards.canonical import canonical_row, renaming_code
from poker_env.cards.holdings import HOLDINGS, N_CARDS, N_HOLDINGS
from poker_env.cards.runouts import count_rivers, half_wins_by_group, rivers_after
from poker_env.cards.showdowns import N_LIVE, N_OPPONENTS, half_wins, rank_holdings

UNIT = 8000  # 32 squared differences of this size still fit in 32 bits
N_LEVELS = 32
N_GROUPS = 8
N_RIVER_AXES = N_GROUPS + 1

_GROUP_UNIT = UNIT // 8  # of the shares that the groups have on the river
_BLOCKED = N_LEVELS + 1  # the level of a holding that the board blocks


@njit(cache=True, inline="always")
def _level(half_win_count: int) -> int:
    """0 to 32: which of 33 equal parts of the scale 0 to 1980 it is in."""
    return half_win_count * (N_LEVELS + 1) // (2 * N_OPPONENTS + 1)


@njit(cache=True, nogil=True)
def river_levels(boards: np.ndarray, out: np.ndarray) -> None:
    """Equity level of every holding on river boards (n, 5): (n, 1326) uint8."""
    counts = np.empty(N_HOLDINGS, np.int64)
    for row in range(boards.shape[0]):
        half_wins(boards[row], counts)
        for holding in range(N_HOLDINGS):
            out[row, holding] = _level(counts[holding]) if counts[holding] >= 0 else _BLOCKED


@njit(cache=True)
def shares(histogram: np.ndarray, point: np.ndarray) -> None:
    """The share of a histogram over levels 0 to 32 that reaches each of the levels 1 to 32."""
    total = histogram[: N_LEVELS + 1].sum()
    reached = np.int64(0)
    for level in range(N_LEVELS, 0, -1):
        reached += histogram[level]
        point[level - 1] = reached * UNIT // total


@njit(cache=True, nogil=True)
def runout_points(
    board: np.ndarray, keys: np.ndarray, levels: np.ndarray, renamings: np.ndarray, points: np.ndarray
) -> None:
    """Points (1326, 32) of all holdings on a flop or turn, read from the `levels` of all canonical rivers.

    Without such a table (no rows) every river is ranked again. Rows of holdings that the board blocks are left alone.
    """
    rivers = rivers_after(board)
    levels_here = np.empty((1, N_HOLDINGS), np.uint8)
    renamed = np.empty(4, np.int64)
    histograms = np.zeros((N_HOLDINGS, N_LEVELS + 2), np.int32)
    for place in range(rivers.shape[0]):
        if levels.shape[0] == 0:
            river_levels(rivers[place : place + 1], levels_here)
            for holding in range(N_HOLDINGS):
                histograms[holding, levels_here[0, holding]] += 1
        else:
            row = canonical_row(keys, rivers[place], 5, renamed)
            renaming = renamings[renaming_code(renamed)]
            for holding in range(N_HOLDINGS):
                histograms[holding, levels[row, renaming[holding]]] += 1
    for holding in range(N_HOLDINGS):
        if histograms[holding, _BLOCKED] < rivers.shape[0]:
            shares(histograms[holding], points[holding])


@njit(cache=True, nogil=True)
def hand_point(
    hole: np.ndarray,
    board: np.ndarray,
    groups: np.ndarray,
    rank_values: np.ndarray,
    flush_values: np.ndarray,
    point: np.ndarray,
) -> None:
    """Point of one holding on a flop or turn (32,), or on a river (9,), from the cards and `cards.rank_tables` alone.

    `groups` (1326,) is the group of each holding.
    """
    if board.shape[0] == 5:
        half_wins, sizes = np.zeros(N_GROUPS, np.int64), np.zeros(N_GROUPS, np.int64)
        half_wins_by_group(hole, board, groups, rank_values, flush_values, half_wins, sizes)
        _river_point(half_wins, sizes, point)
        return
    counts = np.zeros(2 * N_OPPONENTS + 1, np.int32)
    count_rivers(hole, board, rank_values, flush_values, counts)
    histogram = np.zeros(N_LEVELS + 2, np.int32)
    for half_win_count in range(counts.shape[0]):
        histogram[_level(half_win_count)] += counts[half_win_count]
    shares(histogram, point)


@njit(cache=True, nogil=True)
def river_points(board: np.ndarray, groups: np.ndarray, points: np.ndarray) -> None:
    """Points (1326, 9) of all holdings on a river board: equity against each group of holdings, and against all.

    `groups` (1326,) is the group of each holding. Rows of holdings that the board blocks are left alone.
    """
    order, strength = np.empty(N_LIVE, np.int64), np.empty(N_HOLDINGS, np.int64)
    rank_holdings(board, order, strength)
    weaker = np.zeros(N_GROUPS, np.int32)
    with_card = np.zeros((N_CARDS, N_GROUPS), np.int32)
    wins = np.empty((N_HOLDINGS, N_GROUPS), np.int32)
    start = 0
    while start < N_LIVE:
        end = start
        while end < N_LIVE and strength[order[end]] == strength[order[start]]:
            holding = order[end]
            a, b = HOLDINGS[holding, 0], HOLDINGS[holding, 1]
            for group in range(N_GROUPS):
                wins[holding, group] = weaker[group] - with_card[a, group] - with_card[b, group]
            end += 1
        for place in range(start, end):
            holding = order[place]
            weaker[groups[holding]] += 1
            with_card[HOLDINGS[holding, 0], groups[holding]] += 1
            with_card[HOLDINGS[holding, 1], groups[holding]] += 1
        for place in range(start, end):
            holding = order[place]
            a, b = HOLDINGS[holding, 0], HOLDINGS[holding, 1]
            for group in range(N_GROUPS):
                wins[holding, group] += weaker[group] - with_card[a, group] - with_card[b, group]
            wins[holding, groups[holding]] += 1  # itself was taken off twice
        start = end
    sizes = np.empty(N_GROUPS, np.int64)
    for place in range(N_LIVE):
        holding = order[place]
        a, b = HOLDINGS[holding, 0], HOLDINGS[holding, 1]
        for group in range(N_GROUPS):
            sizes[group] = weaker[group] - with_card[a, group] - with_card[b, group] + (group == groups[holding])
        _river_point(wins[holding], sizes, points[holding])


@njit(cache=True, nogil=True)
def _river_point(half_wins: np.ndarray, sizes: np.ndarray, point: np.ndarray) -> None:
    """Point (9,) of a holding with so many half-wins against each group of so many holdings."""
    total = half_wins.sum()
    for group in range(N_GROUPS):
        if sizes[group] > 0:
            point[group] = half_wins[group] * _GROUP_UNIT // (2 * sizes[group])
        else:  # my cards and the board block the whole group
            point[group] = total * _GROUP_UNIT // (2 * N_OPPONENTS)
    point[N_GROUPS] = total * UNIT // (2 * N_OPPONENTS)
