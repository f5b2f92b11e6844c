"""Five to seven cards as one of the 7,462 kinds of poker hands, 1 the best: what the earlier bot had from `treys`.

The numbers are those of Cactus Kev's evaluator (http://suffe.cool/poker/evaluator.html).
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
from numba import njit

from poker_env.cards.rank_tables import rank_row

N_RANKS = 7462
CLASS_ENDS = np.array([1, 10, 166, 322, 1599, 1609, 2467, 3325, 6185, N_RANKS])
"""The last rank of each class: royal flush, straight flush, four of a kind, …, pair, high card (treys 0.1.8)."""

_SUBSETS = {n: np.array(list(itertools.combinations(range(n), 5)), np.int64) for n in (5, 6, 7)}
_SHAPES = {(4, 1): 7, (3, 2): 6, (3, 1, 1): 3, (2, 2, 1): 2, (2, 1, 1, 1): 1, (1, 1, 1, 1, 1): 0}
_WHEEL = (12, 3, 2, 1, 0)


def hand_ranks(cards: np.ndarray) -> np.ndarray:
    """The rank (n,) of the best five of each row of five to seven card ids (n, m)."""
    plain, flush = _tables()
    return _best(cards.astype(np.int64), _SUBSETS[cards.shape[1]], plain, flush)


def hand_classes(ranks: np.ndarray) -> np.ndarray:
    """Classes (n,) of ranks, 0 for a royal flush to 9 for a high card."""
    return np.searchsorted(CLASS_ENDS, ranks)


@njit(cache=True)
def _best(cards: np.ndarray, subsets: np.ndarray, plain: np.ndarray, flush: np.ndarray) -> np.ndarray:
    best = np.empty(len(cards), np.int64)
    five = np.empty(5, np.int64)
    for row in range(len(cards)):
        best[row] = 7462
        for subset in subsets:
            mask, suited = 0, True
            for place in range(5):
                card = cards[row, subset[place]]
                five[place] = card >> 2
                mask |= 1 << (card >> 2)
                suited &= card & 3 == cards[row, subset[0]] & 3
            best[row] = min(best[row], flush[mask] if suited else plain[rank_row(five)])
    return best


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Ranks by `rank_row` of five ranks, (6188,), and of flushes by the mask of their ranks, (8192,)."""
    plain = [ranks for ranks in itertools.combinations_with_replacement(range(13), 5) if ranks[0] != ranks[4]]
    suited = list(itertools.combinations(range(13), 5))
    kinds = sorted({_kind(ranks, False) for ranks in plain} | {_kind(ranks, True) for ranks in suited}, reverse=True)
    places = {kind: place for place, kind in enumerate(kinds, 1)}
    by_row, by_mask = np.zeros(6188, np.int64), np.zeros(8192, np.int64)
    for ranks in plain:
        by_row[rank_row(np.array(ranks))] = places[_kind(ranks, False)]
    for ranks in suited:
        by_mask[sum(1 << rank for rank in ranks)] = places[_kind(ranks, True)]
    return by_row, by_mask


def _kind(ranks: tuple[int, ...], suited: bool) -> tuple[int, ...]:
    """What a hand is, so that of two the better one is larger: its class, then the ranks that decide."""
    counted = sorted(((ranks.count(rank), rank) for rank in set(ranks)), reverse=True)
    shape, deciding = tuple(count for count, _ in counted), tuple(rank for _, rank in counted)
    straight = len(deciding) == 5 and (deciding[0] - deciding[4] == 4 or deciding == _WHEEL)
    if straight:
        return (8 if suited else 4), 3 if deciding == _WHEEL else deciding[0]
    return (5 if suited else _SHAPES[shape]), *deciding
