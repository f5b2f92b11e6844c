"""One hand against all opponents' holdings at once, on every river that can still come, from the tables of ranks.

Most rivers are alike: where no flush can be made ranks decide, and where one can, the other suits don't count.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from poker_env.cards.holdings import N_CARDS, holding_index, popcount
from poker_env.cards.rank_tables import (
    HIGH,
    LOW,
    N_RANK_PAIRS,
    half_wins_between,
    rank_pair,
    rank_row,
    suited_ranks,
)

_NO_CARD = -1


@njit(cache=True, nogil=True)
def rivers_after(board: np.ndarray) -> np.ndarray:
    """Every river board (n, 5) that can follow a flop or turn; a river's own is itself."""
    left = np.array([card for card in range(N_CARDS) if not (board == card).any()], np.int64)
    n_board = board.shape[0]
    missing = 5 - n_board
    count = left.shape[0] * (left.shape[0] - 1) // 2 if missing == 2 else left.shape[0] if missing == 1 else 1
    rivers = np.empty((count, 5), np.int64)
    rivers[:, :n_board] = board
    if missing == 1:
        rivers[:, 4] = left
    if missing == 2:
        place = 0
        for first in range(left.shape[0]):
            for second in range(first + 1, left.shape[0]):
                rivers[place, 3], rivers[place, 4] = left[first], left[second]
                place += 1
    return rivers


@njit(cache=True, nogil=True)
def count_rivers(
    hole: np.ndarray, board: np.ndarray, rank_values: np.ndarray, flush_values: np.ndarray, counts: np.ndarray
) -> None:
    """Add to `counts` (1981,) how many rivers give a hand each number of half-wins, as `showdowns.half_wins` has them.

    The board has 3, 4 or 5 cards.
    """
    missing = 5 - board.shape[0]
    dead, ranks = np.zeros(N_CARDS, np.bool_), np.zeros(5, np.int64)
    dead[hole[0]] = dead[hole[1]] = True
    for place in range(board.shape[0]):
        dead[board[place]] = True
        ranks[place] = board[place] >> 2
    live = np.flatnonzero(~dead)
    left = np.zeros(13, np.int64)
    for place in range(live.shape[0]):
        left[live[place] >> 2] += 1
    suited = np.array([suited_ranks(board, suit) for suit in range(4)])
    n_suited = np.array([popcount(mask) for mask in suited])
    held = np.array([suited_ranks(hole, suit) for suit in range(4)])
    own = rank_pair(hole[0] >> 2, hole[1] >> 2)
    # Half-wins by the ranks of the cards to come, the suit of a flush (4: none), and which of the cards have it.
    known = np.full((13, 13, 5, 4), -1, np.int32)
    for i in range(live.shape[0] if missing >= 1 else 1):
        for j in range(i + 1, live.shape[0] if missing == 2 else i + 2):
            first = int(live[i]) if missing >= 1 else _NO_CARD
            second = int(live[j]) if missing == 2 else _NO_CARD
            suit = 4
            for flush in range(4):
                count = n_suited[flush] + int(missing >= 1 and first & 3 == flush)
                if count + int(missing == 2 and second & 3 == flush) >= 3:
                    suit = flush
            if missing >= 1:
                ranks[4] = first >> 2
            if missing == 2:
                ranks[3] = second >> 2
            same_ranks = known[ranks[4], ranks[3]]
            kind = 2 * (first & 3 == suit) + (second & 3 == suit)
            if same_ranks[suit, kind] < 0:
                row = rank_values[rank_row(ranks)]
                for card in (first, second):
                    if card >= 0:
                        dead[card] = True
                        left[card >> 2] -= 1
                if same_ranks[4, 0] < 0:
                    same_ranks[4, 0] = _by_ranks(left, row, int(row[own]), 0)
                if suit < 4:
                    table = suited[suit] | _rank_bit(first, suit) | _rank_bit(second, suit)
                    mine, everybodys = int(flush_values[table | held[suit]]), int(flush_values[table])
                    total = same_ranks[4, 0] if mine == 0 else _by_ranks(left, row, mine, everybodys)
                    mine = max(mine, int(row[own]))
                    total += _by_flushes(dead, left, row, mine, everybodys, suit, table, flush_values)
                    same_ranks[suit, kind] = total
                for card in (first, second):
                    if card >= 0:
                        dead[card] = False
                        left[card >> 2] += 1
            counts[same_ranks[suit, kind]] += 1


@njit(cache=True, inline="always")
def _rank_bit(card: int, suit: int) -> int:
    """A card's rank as a mask, if it has the suit; a card below 0 is none."""
    return 1 << (card >> 2) if card >= 0 and card & 3 == suit else 0


@njit(cache=True)
def _by_ranks(left: np.ndarray, row: np.ndarray, mine: int, everybodys: int) -> int:
    """Half-wins of a value, as if the opponents' holdings had no flush but `everybodys`, that of the board (0: none).

    Of each rank so many cards are `left`; `row` are the values by ranks.
    """
    total = 0
    for pair in range(N_RANK_PAIRS):
        high, low = HIGH[pair], LOW[pair]
        ways = left[high] * (left[high] - 1) // 2 if high == low else left[high] * left[low]
        total += ways * half_wins_between(mine, max(int(row[pair]), everybodys))
    return total


@njit(cache=True)
def _by_flushes(
    dead: np.ndarray,
    left: np.ndarray,
    row: np.ndarray,
    mine: int,
    everybodys: int,
    suit: int,
    table: int,
    flush_values: np.ndarray,
) -> int:
    """What their flushes change about it: the board has the ranks `table`, three or more, of a suit."""
    total = 0
    one_is_enough = popcount(table) >= 4
    for high in range(13):
        if dead[high * 4 + suit]:
            continue
        for low in range(high):
            if not dead[low * 4 + suit]:
                plain = max(int(row[rank_pair(high, low)]), everybodys)
                flush = int(flush_values[table | 1 << high | 1 << low])
                total += half_wins_between(mine, flush) - half_wins_between(mine, plain)
        if one_is_enough:
            flush = half_wins_between(mine, int(flush_values[table | 1 << high]))
            for low in range(13):
                others = left[low] - (not dead[low * 4 + suit])
                plain = max(int(row[rank_pair(high, low)]), everybodys)
                total += others * (flush - half_wins_between(mine, plain))
    return total


@njit(cache=True, nogil=True)
def half_wins_by_group(
    hole: np.ndarray,
    board: np.ndarray,
    groups: np.ndarray,
    rank_values: np.ndarray,
    flush_values: np.ndarray,
    half_wins: np.ndarray,
    sizes: np.ndarray,
) -> None:
    """Add to `half_wins` a hand's half-wins on a river against each group of holdings, to `sizes` how many it meets.

    `groups` (1326,) is the group of each holding.
    """
    live = np.empty(N_CARDS, np.int64)
    n_live = 0
    for card in range(N_CARDS):
        if card != hole[0] and card != hole[1] and not (board == card).any():
            live[n_live] = card
            n_live += 1
    row = rank_values[rank_row(board >> 2)]
    suit, table = 4, 0
    for flush in range(4):
        mask = suited_ranks(board, flush)
        if popcount(mask) >= 3:
            suit, table = flush, mask
    mine = row[rank_pair(hole[0] >> 2, hole[1] >> 2)]
    if suit < 4:
        mine = max(mine, flush_values[table | suited_ranks(hole, suit)])
    for i in range(n_live):
        a = live[i]
        with_a = table | 1 << (a >> 2) if a & 3 == suit else table
        for j in range(i + 1, n_live):
            b = live[j]
            with_both = with_a | 1 << (b >> 2) if b & 3 == suit else with_a
            other = max(row[rank_pair(a >> 2, b >> 2)], flush_values[with_both])
            group = groups[holding_index(a, b)]
            half_wins[group] += half_wins_between(mine, other)
            sizes[group] += 1
