"""How strong a hand is on its board, in two small numbers: its equity on the rivers to come, and how far these differ.

Exact over all run-outs and all of the opponent's holdings, in whole percent. Two numbers are enough to tell a made
hand from a draw of the same equity (after Johanson, Burch, Valenzano & Bowling 2013, "Evaluating State-Space
Abstractions in Extensive-Form Games", section 4, which keeps the whole distribution).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numba import njit

from poker_env.cards.canonical import (
    canonical_boards,
    canonical_row,
    holding_permutations,
    renamed_holding,
    renaming_code,
)
from poker_env.cards.equity import preflop_equities
from poker_env.cards.holdings import HOLDINGS, N_CARDS, N_HOLDINGS, PREFLOP_CLASSES, holding_index
from poker_env.cards.rank_tables import flush_values, rank_values
from poker_env.cards.runouts import count_rivers, rivers_after
from poker_env.cards.showdowns import N_OPPONENTS, half_wins
from poker_env.parallel import over_chunks, progress_bars

N_STRENGTHS = 2
UNKNOWN = -1
"""Of a holding that the board blocks."""
MANY_DEALS = 2_000
"""From which on it pays to make tables of all flops and turns first."""
_MOST = 2 * N_OPPONENTS


@njit(cache=True, inline="always")
def _percent(rivers: int, total: int, squares: int, out: np.ndarray) -> None:
    """Write mean and twice the standard deviation (at most a half) of equities, from sums of half-wins."""
    mean = total / rivers
    variance = max(squares / rivers - mean * mean, 0.0)
    out[0] = int(100 * mean / _MOST + 0.5)
    out[1] = int(200 * np.sqrt(variance) / _MOST + 0.5)


@njit(cache=True, nogil=True)
def _add_rivers(board: np.ndarray, sums: np.ndarray) -> None:
    """Add to sums (1326, 3) each holding's rivers, half-wins and their squares, over all rivers of a board."""
    rivers, counts = rivers_after(board), np.empty(N_HOLDINGS, np.int64)
    for row in range(rivers.shape[0]):
        half_wins(rivers[row], counts)
        for holding in range(N_HOLDINGS):
            if counts[holding] >= 0:
                sums[holding, 0] += 1
                sums[holding, 1] += counts[holding]
                sums[holding, 2] += counts[holding] * counts[holding]


@njit(cache=True, nogil=True)
def _of_sums(sums: np.ndarray, out: np.ndarray) -> None:
    for holding in range(N_HOLDINGS):
        if sums[holding, 0] > 0:
            _percent(sums[holding, 0], sums[holding, 1], sums[holding, 2], out[holding])
        else:
            out[holding] = UNKNOWN


@functools.cache
def preflop_strengths() -> np.ndarray:
    """(1326, 2): a hand's equity against any holding, and 0."""
    equities = preflop_equities()[:, PREFLOP_CLASSES].mean(axis=1)
    percent = np.rint(100 * equities).astype(np.int8)[PREFLOP_CLASSES]
    return np.stack((percent, np.zeros_like(percent)), axis=1)


def range_strengths(board: np.ndarray) -> np.ndarray:
    """(1326, 2) int8: of all holdings on a board of 0, 3, 4 or 5 cards; `UNKNOWN` where it blocks them."""
    if len(board) == 0:
        return preflop_strengths()
    renamed = np.empty(4, np.int64)
    row = canonical_row(canonical_boards(len(board)).keys, np.asarray(board, np.int64), len(board), renamed)
    return _on_board(len(board), row)[holding_permutations()[renaming_code(renamed)]]


@functools.lru_cache(maxsize=8192)
def _on_board(n_board: int, row: int) -> np.ndarray:
    """`range_strengths` on a canonical board: on a flop a thirtieth of a second."""
    board = canonical_boards(n_board).cards[row].astype(np.int64)
    sums, out = np.zeros((N_HOLDINGS, 3), np.int64), np.empty((N_HOLDINGS, N_STRENGTHS), np.int8)
    _add_rivers(board, sums)
    _of_sums(sums, out)
    return out


def hand_strength(hole: np.ndarray, board: np.ndarray) -> np.ndarray:
    """(2,) int8: the same of one hand, faster."""
    if len(board) == 0:
        return preflop_strengths()[holding_index(int(hole[0]), int(hole[1]))]
    counts = np.zeros(_MOST + 1, np.int32)
    count_rivers(np.asarray(hole, np.int64), np.asarray(board, np.int64), rank_values(), flush_values(), counts)
    out = np.empty(N_STRENGTHS, np.int8)
    _of_counts(counts, out)
    return out


@njit(cache=True)
def _of_counts(counts: np.ndarray, out: np.ndarray) -> None:
    rivers = total = squares = 0
    for half_win_count in range(counts.shape[0]):
        rivers += counts[half_win_count]
        total += half_win_count * counts[half_win_count]
        squares += half_win_count * half_win_count * counts[half_win_count]
    _percent(rivers, total, squares, out)


@dataclass(frozen=True)
class StrengthTables:
    """Strengths on all flops and turns, by canonical board and holding."""

    arrays: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    """The canonical flops' keys and their strengths (1755, 1326, 2) int8, and the turns' (16432, 1326, 2)."""

    @staticmethod
    def build(progress: bool = False) -> StrengthTables:
        """The tables: half a minute of processor time, on all cores. 48 MB, and 260 MB on the way."""
        flops, turns = canonical_boards(3), canonical_boards(4)
        sums = np.zeros((len(turns.keys), N_HOLDINGS, 3), np.int32)
        strengths = np.empty((len(turns.keys), N_HOLDINGS, N_STRENGTHS), np.int8)
        of_flops = np.empty((len(flops.keys), N_HOLDINGS, N_STRENGTHS), np.int8)
        turn_cards, flop_cards = turns.cards.astype(np.int64), flops.cards.astype(np.int64)

        def fill_turns(rows: slice) -> None:
            _fill_turns(turn_cards[rows], sums[rows], strengths[rows])

        with progress_bars(progress) as open_bar:
            over_chunks(fill_turns, len(turns.keys), open_bar("how strong hands are on all turns"), chunk=64)
        _fill_flops(flop_cards, turns.keys, sums, holding_permutations(), of_flops)
        return StrengthTables((flops.keys, of_flops, turns.keys, strengths))


_built: list[StrengthTables] = []


def strength_tables(progress: bool = False) -> StrengthTables:
    """This process's, built when first asked for, with a bar if `progress`."""
    if not _built:
        _built.append(StrengthTables.build(progress))
    return _built[0]


@njit(cache=True, nogil=True)
def _fill_turns(boards: np.ndarray, sums: np.ndarray, out: np.ndarray) -> None:
    for row in range(boards.shape[0]):
        _add_rivers(boards[row], sums[row])
        _of_sums(sums[row], out[row])


@njit(cache=True, nogil=True)
def _fill_flops(
    boards: np.ndarray, turn_keys: np.ndarray, turn_sums: np.ndarray, renamings: np.ndarray, out: np.ndarray
) -> None:
    """From the turns that follow, each river's sums twice: means don't mind."""
    turn, renamed = np.empty(4, np.int64), np.empty(4, np.int64)
    for row in range(boards.shape[0]):
        sums = np.zeros((N_HOLDINGS, 3), np.int64)
        turn[:3] = boards[row]
        for card in range(N_CARDS):
            if (boards[row] == card).any():
                continue
            turn[3] = card
            found = turn_sums[canonical_row(turn_keys, turn, 4, renamed)]
            renaming = renamings[renaming_code(renamed)]
            for holding in range(N_HOLDINGS):
                if HOLDINGS[holding, 0] != card and HOLDINGS[holding, 1] != card:
                    for column in range(3):
                        sums[holding, column] += found[renaming[holding], column]
        _of_sums(sums, out[row])


def deal_strengths(cards: np.ndarray) -> np.ndarray:
    """(deals, 2 seats, 4 streets, 2) int8: of deals (deals, 9), each seat's two cards and then the board's five.

    Many at once take `strength_tables`.
    """
    cards = np.asarray(cards, np.int64)
    out = np.empty((len(cards), 2, 4, N_STRENGTHS), np.int8)
    if len(cards) >= MANY_DEALS:
        _look_up(strength_tables().arrays, preflop_strengths(), cards, out)
        return out
    for deal, strengths in zip(cards, out, strict=True):
        for seat, street in np.ndindex(2, 4):
            board = deal[4 : 4 + (0, 3, 4, 5)[street]]
            strengths[seat, street] = hand_strength(deal[2 * seat : 2 * seat + 2], board)
    return out


@njit(cache=True, nogil=True)
def _look_up(tables: tuple, preflop: np.ndarray, cards: np.ndarray, out: np.ndarray) -> None:
    flop_keys, flops, turn_keys, turns = tables
    renamed, counts = np.empty(4, np.int64), np.empty(N_HOLDINGS, np.int64)
    for deal in range(len(cards)):
        board = cards[deal, 4:]
        for seat in range(2):
            out[deal, seat, 0] = preflop[holding_index(cards[deal, 2 * seat], cards[deal, 2 * seat + 1])]
        row = canonical_row(flop_keys, board, 3, renamed)
        for seat in range(2):
            out[deal, seat, 1] = flops[row, renamed_holding(cards[deal, 2 * seat], cards[deal, 2 * seat + 1], renamed)]
        row = canonical_row(turn_keys, board, 4, renamed)
        for seat in range(2):
            out[deal, seat, 2] = turns[row, renamed_holding(cards[deal, 2 * seat], cards[deal, 2 * seat + 1], renamed)]
        half_wins(board, counts)
        for seat in range(2):
            half_win_count = counts[holding_index(cards[deal, 2 * seat], cards[deal, 2 * seat + 1])]
            _percent(1, half_win_count, half_win_count * half_win_count, out[deal, seat, 3])
