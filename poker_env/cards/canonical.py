"""Boards up to a renaming of suits: 1,755 flops, 16,432 turns and 134,459 rivers (the order of cards never counts)."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np
from numba import njit

from poker_env.cards.holdings import HOLDINGS, N_CARDS, N_HOLDINGS, holding_index


@njit(cache=True)
def canonical_suits(masks: np.ndarray, renamed: np.ndarray) -> int:
    """Sort four suits by what they hold, most first; suit s is renamed to `renamed[s]`. Masks have 13 bits.

    Returns the sorted masks in one number: the key of the board.
    """
    key = 0
    for suit in range(4):
        place = 0
        for other in range(4):
            if masks[other] > masks[suit] or (masks[other] == masks[suit] and other < suit):
                place += 1
        renamed[suit] = place
        key |= masks[suit] << (39 - 13 * place)
    return key


@njit(cache=True)
def _board_keys(n_board: int, total: int) -> np.ndarray:
    keys = np.empty(total, np.int64)
    cards = np.arange(n_board)
    masks, renamed = np.empty(4, np.int64), np.empty(4, np.int64)
    for row in range(total):
        masks[:] = 0
        for card in cards:
            masks[card & 3] |= 1 << (card >> 2)
        keys[row] = canonical_suits(masks, renamed)
        place = n_board - 1
        while place >= 0 and cards[place] == N_CARDS - n_board + place:
            place -= 1
        if place >= 0:
            cards[place] += 1
            for later in range(place + 1, n_board):
                cards[later] = cards[later - 1] + 1
    return keys


@njit(cache=True)
def key_cards(key: int, board: np.ndarray) -> None:
    """The cards of a board's key, in the canonical suits."""
    place = 0
    for suit in range(4):
        mask = key >> (39 - 13 * suit) & 0x1FFF
        for rank in range(13):
            if mask >> rank & 1:
                board[place] = rank * 4 + suit
                place += 1


@dataclass(frozen=True)
class CanonicalBoards:
    """All boards of one street up to a renaming of suits."""

    keys: np.ndarray
    """(n,) int64, ascending."""
    cards: np.ndarray
    """(n, cards on the board) int8."""
    counts: np.ndarray
    """(n,) int64: how many real boards each stands for."""


@functools.cache
def canonical_boards(n_board: int) -> CanonicalBoards:
    """The canonical boards of 3, 4 or 5 cards."""
    total = {3: 22_100, 4: 270_725, 5: 2_598_960}[n_board]
    keys, counts = np.unique(_board_keys(n_board, total), return_counts=True)
    cards = np.empty((len(keys), n_board), np.int8)
    for row, key in enumerate(keys):
        key_cards(key, cards[row])
    return CanonicalBoards(keys, cards, counts)


@njit(cache=True)
def canonical_row(keys: np.ndarray, board: np.ndarray, n_board: int, renamed: np.ndarray) -> int:
    """Row of the board's first `n_board` cards in `keys`; `renamed` receives the new name of each suit."""
    masks = np.zeros(4, np.int64)
    for place in range(n_board):
        masks[board[place] & 3] |= 1 << (board[place] >> 2)
    return np.searchsorted(keys, canonical_suits(masks, renamed))


@njit(cache=True, inline="always")
def renamed_holding(a: int, b: int, renamed: np.ndarray) -> int:
    """The holding that two cards become when suits are renamed."""
    return holding_index((a & ~3) | renamed[a & 3], (b & ~3) | renamed[b & 3])


@functools.cache
def holding_permutations() -> np.ndarray:
    """(256, 1326) uint16: what each holding becomes under a renaming of suits, by `renaming_code`."""
    table = np.zeros((256, N_HOLDINGS), np.uint16)
    for renamed in itertools.permutations(range(4)):
        suits = np.array(renamed)
        cards = np.sort(HOLDINGS & ~3 | suits[HOLDINGS & 3], axis=1)
        table[renaming_code(suits)] = cards[:, 0] * (103 - cards[:, 0]) // 2 + cards[:, 1] - cards[:, 0] - 1
    return table


@njit(cache=True, inline="always")
def renaming_code(renamed: np.ndarray) -> int:
    """A renaming of the four suits in one byte."""
    return renamed[0] | renamed[1] << 2 | renamed[2] << 4 | renamed[3] << 6
