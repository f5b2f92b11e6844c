"""Equity of one hand against every holding of the opponent, exact over all run-outs of the board.

Ranks decide most showdowns, and there are only 6,188 boards of five ranks: the values of all rank pairs on them are
one table. What flushes change is then put right, run-out by run-out, for the few holdings that they touch.
"""

from __future__ import annotations

import functools
from importlib.resources import files

import numpy as np
from numba import njit

from poker_env.cards.canonical import canonical_boards
from poker_env.cards.holdings import (
    HOLDINGS,
    N_CARDS,
    N_CLASSES,
    N_HOLDINGS,
    PREFLOP_CLASSES,
    holding_index,
    popcount,
    preflop_class,
)
from poker_env.cards.rank_tables import (
    HIGH,
    LOW,
    N_RANK_PAIRS,
    flush_values,
    half_wins_between,
    rank_pair,
    rank_row,
    rank_values,
    suited_ranks,
)
from poker_env.cards.showdowns import N_LIVE, rank_holdings

PREFLOP_FILE = "preflop_equities.npy"


def equities_against(hole: np.ndarray, board: np.ndarray) -> np.ndarray:
    """Equity (1326,) of hole cards (2) on a board (0, 3, 4 or 5 cards) against each holding; ties count half.

    Of a holding that these cards block it means nothing. Before the flop the equity against a holding is the mean over
    those of its class that one's own cards don't block.
    """
    if len(board) == 0:
        return preflop_equities()[preflop_class(hole[0], hole[1])][PREFLOP_CLASSES]
    out = np.zeros(N_HOLDINGS)
    _equities(np.asarray(hole, np.int64), np.asarray(board, np.int64), rank_values(), flush_values(), out)
    return out


@functools.cache
def preflop_equities() -> np.ndarray:
    """(169, 169): equity of a class against another, over all boards and all suits that they can have together."""
    return np.load(str(files("poker_env.cards") / PREFLOP_FILE), allow_pickle=False).astype(np.float64)


def compute_preflop_equities() -> np.ndarray:
    """What `preflop_equities` reads from its file, from scratch: half a minute."""
    boards = canonical_boards(5)
    half_wins, pairs = np.zeros((N_CLASSES, N_CLASSES), np.int64), np.zeros((N_CLASSES, N_CLASSES), np.int64)
    _count_half_wins(boards.cards.astype(np.int64), boards.counts, PREFLOP_CLASSES.astype(np.int64), half_wins, pairs)
    return half_wins / (2 * pairs)


@njit(cache=True, inline="always")
def _holding_and_pair(a: int, b: int) -> tuple[int, int]:
    return holding_index(a, b), rank_pair(a >> 2, b >> 2)


@njit(cache=True)
def _equities(
    hole: np.ndarray, board: np.ndarray, rank_values: np.ndarray, flush_values: np.ndarray, out: np.ndarray
) -> None:
    missing = 5 - board.shape[0]
    dead = np.zeros(N_CARDS, np.bool_)
    dead[hole[0]] = dead[hole[1]] = True
    ranks = np.zeros(5, np.int64)
    for place in range(board.shape[0]):
        dead[board[place]] = True
        ranks[place] = board[place] >> 2
    live = np.empty(N_CARDS, np.int64)
    left = np.zeros(13, np.int32)
    n_live = 0
    for card in range(N_CARDS):
        if not dead[card]:
            live[n_live] = card
            n_live += 1
            left[card >> 2] += 1
    own = rank_pair(hole[0] >> 2, hole[1] >> 2)

    rows = np.zeros((13, 13), np.int64)  # of the table, by the ranks to come (0 where none is)
    by_pair = np.zeros(N_RANK_PAIRS, np.int32)
    for x in range(13 if missing >= 1 else 1):
        for y in range(x + 1 if missing == 2 else 1):
            if missing >= 1:
                ranks[4] = x
            if missing == 2:
                ranks[3] = y
            row = rank_row(ranks)
            rows[x, y] = rows[y, x] = row
            mine = rank_values[row, own]
            for pair in range(N_RANK_PAIRS):
                # How often these ranks come, once the opponent holds its two; pairs it can't hold are never read.
                ways = np.int32(1)
                if missing >= 1:
                    ways = left[x] - np.int32(HIGH[pair] == x) - np.int32(LOW[pair] == x)
                if missing == 2 and x == y:
                    ways = ways * (ways - np.int32(1)) // np.int32(2)
                elif missing == 2:
                    ways *= left[y] - np.int32(HIGH[pair] == y) - np.int32(LOW[pair] == y)
                by_pair[pair] += ways * half_wins_between(mine, rank_values[row, pair])

    half_wins = np.zeros(N_HOLDINGS, np.int64)
    for suit in range(4):
        _add_flushes(suit, hole, board, live[:n_live], rows, own, rank_values, flush_values, by_pair, half_wins)
    unseen = n_live - 2  # by both players
    runouts = 1 if missing == 0 else unseen if missing == 1 else unseen * (unseen - 1) // 2
    for i in range(n_live):
        for j in range(i + 1, n_live):
            holding, pair = _holding_and_pair(live[i], live[j])
            out[holding] = (half_wins[holding] + by_pair[pair]) / (2 * runouts)


@njit(cache=True)
def _add_flushes(
    suit: int,
    hole: np.ndarray,
    board: np.ndarray,
    live: np.ndarray,
    rows: np.ndarray,
    own: int,
    rank_values: np.ndarray,
    flush_values: np.ndarray,
    by_pair: np.ndarray,
    half_wins: np.ndarray,
) -> None:
    """Add what flushes of a suit change, over the run-outs that put three or more of it on the board: to `by_pair`
    what holds for every holding of two ranks, to `half_wins` (1326,) the rest."""
    missing = 5 - board.shape[0]
    on_board, in_hand = suited_ranks(board, suit), suited_ranks(hole, suit)
    needed = 3 - popcount(on_board)
    if needed > missing:
        return
    cards = live[np.argsort(live & 3 != suit, kind="mergesort")]  # those of the suit first
    n_live, n_suited = len(cards), np.count_nonzero(live & 3 == suit)

    # The opponent's holdings with two cards of the suit, then those with one.
    n_two = n_suited * (n_suited - 1) // 2
    n_any = n_two + n_suited * (n_live - n_suited)
    firsts, seconds = np.empty(n_any, np.int64), np.empty(n_any, np.int64)
    holdings, pairs, suited = np.empty(n_any, np.int64), np.empty(n_any, np.int64), np.empty(n_any, np.int64)
    place = 0
    for start, end in ((0, n_suited), (n_suited, n_live)):
        for i in range(n_suited):
            for j in range(max(i + 1, start), end):
                firsts[place], seconds[place] = cards[i], cards[j]
                holdings[place], pairs[place] = _holding_and_pair(cards[i], cards[j])
                suited[place] = 1 << (cards[i] >> 2) | (1 << (cards[j] >> 2) if j < n_suited else 0)
                place += 1

    for i in range(1 if missing == 0 else n_suited if needed >= 1 else n_live):
        for j in range(i + 1, i + 2 if missing < 2 else n_suited if needed == 2 else n_live):
            first = cards[i] if missing >= 1 else -1
            second = cards[j] if missing == 2 else -1
            table = on_board
            if missing >= 1 and i < n_suited:
                table |= 1 << (first >> 2)
            if missing == 2 and j < n_suited:
                table |= 1 << (second >> 2)
            row = rank_values[rows[max(first, 0) >> 2, max(second, 0) >> 2]]
            mine, my_flush, everybodys = row[own], flush_values[table | in_hand], flush_values[table]
            if my_flush:
                _add_own_flush(first, second, live, row, mine, my_flush, everybodys, by_pair, half_wins)
                mine = my_flush
            for place in range(n_two if popcount(table) == 3 else n_any):
                flush = flush_values[table | suited[place]]
                a, b = firsts[place], seconds[place]
                if a != first and a != second and b != first and b != second:
                    half_wins[holdings[place]] += half_wins_between(mine, flush)
                    half_wins[holdings[place]] -= half_wins_between(mine, max(row[pairs[place]], everybodys))


@njit(cache=True)
def _add_own_flush(
    first: int,
    second: int,
    live: np.ndarray,
    row: np.ndarray,
    mine: int,
    my_flush: int,
    everybodys: int,
    by_pair: np.ndarray,
    half_wins: np.ndarray,
) -> None:
    """Add what one's own flush changes on a run-out against all holdings, as if they had none but the board's."""
    change = np.empty(N_RANK_PAIRS, np.int32)
    for pair in range(N_RANK_PAIRS):
        change[pair] = half_wins_between(my_flush, max(row[pair], everybodys)) - half_wins_between(mine, row[pair])
        by_pair[pair] += change[pair]
    for card in live:  # but not against those that hold a card of the run-out
        if first >= 0 and card != first:
            holding, pair = _holding_and_pair(first, card)
            half_wins[holding] -= change[pair]
        if second >= 0 and card != second and card != first:
            holding, pair = _holding_and_pair(second, card)
            half_wins[holding] -= change[pair]


@njit(cache=True)
def _count_half_wins(
    boards: np.ndarray, counts: np.ndarray, classes: np.ndarray, half_wins: np.ndarray, pairs: np.ndarray
) -> None:
    """Add up, over boards that stand for `counts` each, the showdowns between classes."""
    order, strength = np.empty(N_LIVE, np.int64), np.empty(N_HOLDINGS, np.int64)
    weaker, everybody = np.empty(N_CLASSES, np.int64), np.empty(N_CLASSES, np.int64)
    equal = np.empty(N_CLASSES, np.int64)
    by_card = np.empty((N_CARDS, N_CARDS), np.int64)  # the holding of two cards
    for number in range(N_HOLDINGS):
        by_card[HOLDINGS[number, 0], HOLDINGS[number, 1]] = number
        by_card[HOLDINGS[number, 1], HOLDINGS[number, 0]] = number
    for place in range(boards.shape[0]):
        rank_holdings(boards[place], order, strength)
        everybody[:] = 0
        for holding in order:
            everybody[classes[holding]] += 1
        weaker[:] = 0
        start = 0
        while start < N_LIVE:
            end = start
            equal[:] = 0
            while end < N_LIVE and strength[order[end]] == strength[order[start]]:
                equal[classes[order[end]]] += 1
                end += 1
            mine = strength[order[start]]
            for holding in order[start:end]:
                own = classes[holding]
                for other in range(N_CLASSES):
                    half_wins[own, other] += counts[place] * (2 * weaker[other] + equal[other])
                    pairs[own, other] += counts[place] * everybody[other]
                for hand_card in range(2):
                    card = HOLDINGS[holding, hand_card]
                    for second in range(N_CARDS):
                        if second == card:
                            continue
                        blocked = by_card[card, second]
                        if strength[blocked] < 0 or (hand_card == 1 and blocked == holding):
                            continue
                        half_wins[own, classes[blocked]] -= counts[place] * half_wins_between(mine, strength[blocked])
                        pairs[own, classes[blocked]] -= counts[place]
            for holding in order[start:end]:
                weaker[classes[holding]] += 1
            start = end
