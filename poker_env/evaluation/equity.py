"""Equity of one hand against every holding of the opponent, exact over all run-outs of the board.

Ranks decide most showdowns, and there are only 6,188 boards of five ranks: the values of all rank pairs on them are
one table. What flushes change is then put right, run-out by run-out, for the few holdings that they touch.
"""

from __future__ import annotations

import functools
from importlib.resources import files

import numpy as np
from numba import njit

from poker_env.cfr.canonical import canonical_boards
from poker_env.cfr.cards import (
    HOLDINGS,
    N_CARDS,
    N_CLASSES,
    N_HOLDINGS,
    PREFLOP_CLASSES,
    flush_value,
    popcount,
    preflop_class,
    value_without_flush,
)
from poker_env.cfr.river import N_LIVE, rank_holdings

PREFLOP_FILE = "preflop_equities.npy"
N_RANK_PAIRS = 91
_BINOMIALS = np.array([[functools.reduce(lambda c, i: c * (n - i) // (i + 1), range(k), 1) for k in range(6)]
                       for n in range(18)])  # fmt: skip
_HIGH = np.array([high for high in range(13) for _ in range(high + 1)])  # of each rank pair
_LOW = np.array([low for high in range(13) for low in range(high + 1)])


def equities_against(hole: np.ndarray, board: np.ndarray) -> np.ndarray:
    """Equity (1326,) of hole cards (2) on a board (0, 3, 4 or 5 cards) against each holding; 0 where it is blocked.

    Ties count half. Before the flop the equity against a holding is the mean over those of its class that one's own
    cards don't block.
    """
    if len(board) == 0:
        own = preflop_class(int(hole[0]), int(hole[1]))
        blocked = (HOLDINGS[:, :, None] == np.asarray(hole)).any(axis=(1, 2))
        return np.where(blocked, 0.0, preflop_equities()[own][PREFLOP_CLASSES])
    out = np.zeros(N_HOLDINGS)
    _equities(np.asarray(hole, np.int64), np.asarray(board, np.int64), _rank_values(), _flush_values(), out)
    return out


@functools.cache
def preflop_equities() -> np.ndarray:
    """(169, 169): equity of a class against the holdings of another, over all boards and the suits that go together."""
    return np.load(str(files("poker_env.evaluation") / PREFLOP_FILE), allow_pickle=False).astype(np.float64)


def compute_preflop_equities() -> np.ndarray:
    """What `preflop_equities` reads from its file, from scratch: half a minute."""
    boards = canonical_boards(5)
    half_wins, pairs = np.zeros((N_CLASSES, N_CLASSES), np.int64), np.zeros((N_CLASSES, N_CLASSES), np.int64)
    _count_half_wins(boards.cards.astype(np.int64), boards.counts, PREFLOP_CLASSES.astype(np.int64), half_wins, pairs)
    return half_wins / (2 * pairs)


@functools.cache
def _rank_values() -> np.ndarray:
    """(6188, 91): the value of every rank pair on every board of five ranks, flushes aside; 0 for five of a rank."""
    values = np.zeros((6188, N_RANK_PAIRS), np.int64)
    _fill_rank_values(values)
    return values


@functools.cache
def _flush_values() -> np.ndarray:
    """(8192,): the value of a flush by the mask of its ranks; 0 for fewer than five."""
    return np.array([flush_value(mask) if mask.bit_count() >= 5 else 0 for mask in range(8192)])


@njit(cache=True, inline="always")
def _rank_pair(a: int, b: int) -> int:
    high, low = max(a, b), min(a, b)
    return high * (high + 1) // 2 + low


@njit(cache=True)
def _row(ranks: np.ndarray) -> int:
    """Place of five ranks, in any order, among the 6,188 multisets."""
    ordered = np.sort(ranks)
    row = 0
    for place in range(5):
        row += _BINOMIALS[ordered[place] + place, place + 1]
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
            for rank in ranks:
                counts[rank] += 1
            counts[_HIGH[pair]] += 1
            counts[_LOW[pair]] += 1
            once, twice, thrice, four_times, too_many = 0, 0, 0, 0, False
            for rank in range(13):
                once |= (counts[rank] >= 1) << rank
                twice |= (counts[rank] >= 2) << rank
                thrice |= (counts[rank] >= 3) << rank
                four_times |= (counts[rank] >= 4) << rank
                too_many |= counts[rank] > 4
            if not too_many:
                values[_row(ranks), pair] = value_without_flush(once, twice, thrice, four_times)


@njit(cache=True, inline="always")
def _half_wins(mine: int, other: int) -> int:
    return 2 if mine > other else int(mine == other)


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
    left = np.zeros(13, np.int64)
    n_live = 0
    for card in range(N_CARDS):
        if not dead[card]:
            live[n_live] = card
            n_live += 1
            left[card >> 2] += 1
    own = _rank_pair(hole[0] >> 2, hole[1] >> 2)

    # Run-outs by their ranks: rows of the table, 13 x 13 (13 without a river card to come, one if none is).
    rows = np.zeros((13, 13), np.int64)
    for x in range(13 if missing >= 1 else 1):
        for y in range(x + 1 if missing == 2 else 1):
            if missing >= 1:
                ranks[4] = x
            if missing == 2:
                ranks[3] = y
            rows[x, y] = rows[y, x] = _row(ranks)

    by_pair = np.zeros(N_RANK_PAIRS, np.int64)
    for pair in range(N_RANK_PAIRS):
        high, low = _HIGH[pair], _LOW[pair]
        left[high] -= 1
        left[low] -= 1
        total = 0
        if left[high] >= 0 and left[low] >= 0:
            for x in range(13 if missing >= 1 else 1):
                for y in range(x + 1 if missing == 2 else 1):
                    ways = 1
                    if missing == 1:
                        ways = left[x]
                    elif missing == 2:
                        ways = left[x] * left[y] if x != y else left[x] * (left[x] - 1) // 2
                    row = rows[x, y]
                    total += ways * _half_wins(rank_values[row, own], rank_values[row, pair])
        by_pair[pair] = total
        left[high] += 1
        left[low] += 1

    half_wins = np.zeros(N_HOLDINGS, np.int64)
    for holding in range(N_HOLDINGS):
        a, b = HOLDINGS[holding, 0], HOLDINGS[holding, 1]
        if not dead[a] and not dead[b]:
            half_wins[holding] = by_pair[_rank_pair(a >> 2, b >> 2)]
    for suit in range(4):
        _add_flushes(suit, hole, board, live[:n_live], rows, own, rank_values, flush_values, half_wins)

    unseen = n_live - 2  # by both players
    runouts = 1 if missing == 0 else unseen if missing == 1 else unseen * (unseen - 1) // 2
    for holding in range(N_HOLDINGS):
        out[holding] = half_wins[holding] / (2 * runouts)


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
    half_wins: np.ndarray,
) -> None:
    """Add what flushes of a suit change, over the run-outs that put three or more of it on the board."""
    missing = 5 - board.shape[0]
    on_board, in_hand = 0, 0
    for card in board:
        if card & 3 == suit:
            on_board |= 1 << (card >> 2)
    for card in hole:
        if card & 3 == suit:
            in_hand |= 1 << (card >> 2)
    if popcount(on_board) + missing < 3:
        return

    # The opponent's holdings: those with two cards of the suit first, then with one, then with none.
    n_live = live.shape[0]
    holdings = np.empty((n_live * (n_live - 1) // 2, 5), np.int64)
    ends = np.zeros(3, np.int64)
    count = 0
    for suited in range(2, -1, -1):
        for i in range(n_live):
            for j in range(i + 1, n_live):
                a, b = live[i], live[j]
                if (a & 3 == suit) + (b & 3 == suit) == suited:
                    mask = (1 << (a >> 2) if a & 3 == suit else 0) | (1 << (b >> 2) if b & 3 == suit else 0)
                    holdings[count, 0] = a
                    holdings[count, 1] = b
                    holdings[count, 2] = a * (103 - a) // 2 + b - a - 1
                    holdings[count, 3] = _rank_pair(a >> 2, b >> 2)
                    holdings[count, 4] = mask
                    count += 1
        ends[2 - suited] = count

    for i in range(n_live if missing >= 1 else 1):
        for j in range(i if missing == 2 else 1):
            first = live[i] if missing >= 1 else -1
            second = live[j] if missing == 2 else -1
            suited_board = on_board
            if first >= 0 and first & 3 == suit:
                suited_board |= 1 << (first >> 2)
            if second >= 0 and second & 3 == suit:
                suited_board |= 1 << (second >> 2)
            on_table = popcount(suited_board)
            if on_table < 3:
                continue
            row = rows[max(first, 0) >> 2, max(second, 0) >> 2]
            my_rank_value = rank_values[row, own]
            my_flush = flush_values[suited_board | in_hand]
            # Unless I make a flush myself, only those who make one count.
            touched = ends[2] if my_flush else ends[on_table - 3]
            for place in range(touched):
                a, b = holdings[place, 0], holdings[place, 1]
                if a == first or a == second or b == first or b == second:
                    continue
                value = rank_values[row, holdings[place, 3]]
                flush = flush_values[suited_board | holdings[place, 4]]
                half_wins[holdings[place, 2]] += _half_wins(max(my_rank_value, my_flush), max(value, flush))
                half_wins[holdings[place, 2]] -= _half_wins(my_rank_value, value)


@njit(cache=True)
def _count_half_wins(
    boards: np.ndarray, counts: np.ndarray, classes: np.ndarray, half_wins: np.ndarray, pairs: np.ndarray
) -> None:
    """Add up, over boards that stand for `counts` each, the showdowns between classes."""
    order, strength = np.empty(N_LIVE, np.int64), np.empty(N_HOLDINGS, np.int64)
    weaker, everybody = np.empty(N_CLASSES, np.int64), np.empty(N_CLASSES, np.int64)
    equal = np.empty(N_CLASSES, np.int64)
    by_card = np.empty((N_CARDS, N_CARDS), np.int64)  # the holding of two cards
    for holding in range(N_HOLDINGS):
        a, b = HOLDINGS[holding, 0], HOLDINGS[holding, 1]
        by_card[a, b] = by_card[b, a] = holding
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
            for rank in range(start, end):
                holding = order[rank]
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
                        half_wins[own, classes[blocked]] -= counts[place] * _half_wins(mine, strength[blocked])
                        pairs[own, classes[blocked]] -= counts[place]
            for rank in range(start, end):
                weaker[classes[order[rank]]] += 1
            start = end
