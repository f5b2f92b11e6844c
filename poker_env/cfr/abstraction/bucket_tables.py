"""Buckets of every hand in tables, for training: about 4.7, 44 and 357 MB for flop, turn and river."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numba import njit

from poker_env.cards.canonical import (
    canonical_boards,
    canonical_row,
    holding_permutations,
    renamed_holding,
    renaming_code,
)
from poker_env.cards.holdings import N_HOLDINGS, PREFLOP_CLASSES, preflop_class
from poker_env.cfr.abstraction.card_abstraction import NO_BUCKET, STREETS, Abstraction, all_river_levels
from poker_env.errors import UserError
from poker_env.files import locked
from poker_env.parallel import over_chunks, progress_bars


def default_cache_dir() -> Path:
    """Where tables are kept: `$XDG_CACHE_HOME/exploitative-poker`, by default under `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "exploitative-poker"


@dataclass(frozen=True)
class BucketTables:
    """Buckets by canonical board and holding, memory-mapped: processes on one machine share them."""

    arrays: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    """For flop, turn and river in turn: the canonical boards' keys and the table, (boards, 1326) uint16."""

    @staticmethod
    def build(abstraction: Abstraction, cache_dir: Path | None = None, progress: bool = False) -> BucketTables:
        """The tables of an abstraction, from the cache directory or computed and stored there (406 MB).

        Raises `UserError` when the directory can't be written.
        """
        directory = (cache_dir or default_cache_dir()) / "buckets"
        paths = [directory / f"{abstraction.digest[:32]}-{street}.npy" for street in STREETS[1:]]
        try:
            if not all(path.exists() for path in paths):
                directory.mkdir(parents=True, exist_ok=True)
                with locked(directory / f".{abstraction.digest[:32]}.lock"):
                    if not all(path.exists() for path in paths):  # another process was faster
                        _write_tables(abstraction, paths, progress)
            tables = [np.asarray(np.load(path, mmap_mode="r")) for path in paths]
        except OSError as error:
            raise UserError(f"can't keep bucket tables in {directory}: {error.strerror}") from error
        keys = [canonical_boards(n_board).keys for n_board in (3, 4, 5)]
        return BucketTables((keys[0], tables[0], keys[1], tables[1], keys[2], tables[2]))

    def lookup(self, holes: np.ndarray, boards: np.ndarray) -> np.ndarray:
        """Same as `Abstraction.lookup`, from the tables."""
        holes, boards = np.asarray(holes, np.int64), np.asarray(boards, np.int64)
        buckets = np.empty(len(holes), np.int32)
        if boards.shape[1] == 0:
            _lookup_preflop(holes, buckets)
        else:
            _lookup(*self._street(boards.shape[1]), holes, boards, buckets)
        return buckets

    def lookup_range(self, board: np.ndarray) -> np.ndarray:
        """Same as `Abstraction.lookup_range`, from the tables."""
        board = np.asarray(board, np.int64)
        if len(board) == 0:
            return PREFLOP_CLASSES.astype(np.int32)
        keys, table = self._street(len(board))
        buckets = np.empty(N_HOLDINGS, np.int32)
        range_buckets(keys, table, holding_permutations(), board, buckets)
        return buckets

    def _street(self, n_board: int) -> tuple[np.ndarray, np.ndarray]:
        return self.arrays[2 * (n_board - 3)], self.arrays[2 * (n_board - 3) + 1]


def _write_tables(abstraction: Abstraction, paths: list[Path], progress: bool) -> None:
    with progress_bars(progress) as bar:
        levels = all_river_levels(bar("equities on every river"))
        for n_board, path in zip((3, 4, 5), paths, strict=True):
            boards = canonical_boards(n_board).cards
            temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            try:
                table = np.lib.format.open_memmap(temporary, "w+", np.uint16, (len(boards), N_HOLDINGS))
                fill = partial(_fill_rows, abstraction, boards, table, levels)
                over_chunks(fill, len(boards), bar(f"{STREETS[n_board - 2]} table"), chunk=len(boards) // 200)
                table.flush()
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)


def _fill_rows(
    abstraction: Abstraction, boards: np.ndarray, table: np.ndarray, levels: np.ndarray, rows: slice
) -> None:
    abstraction.fill_table(boards[rows], table[rows], levels)


@njit(cache=True)
def deal_buckets(tables: tuple, cards: np.ndarray, out: np.ndarray) -> None:
    """Buckets `out` (2 seats, 4 streets) of a deal of nine cards: seat 0's two, seat 1's two, flop, turn, river.

    `tables` is `BucketTables.arrays`.
    """
    keys_3, table_3, keys_4, table_4, keys_5, table_5 = tables
    board = cards[4:9]
    renamed = np.empty(4, np.int64)
    for seat in range(2):
        out[seat, 0] = preflop_class(cards[2 * seat], cards[2 * seat + 1])
    row = canonical_row(keys_3, board, 3, renamed)
    for seat in range(2):
        out[seat, 1] = table_3[row, renamed_holding(cards[2 * seat], cards[2 * seat + 1], renamed)]
    row = canonical_row(keys_4, board, 4, renamed)
    for seat in range(2):
        out[seat, 2] = table_4[row, renamed_holding(cards[2 * seat], cards[2 * seat + 1], renamed)]
    row = canonical_row(keys_5, board, 5, renamed)
    for seat in range(2):
        out[seat, 3] = table_5[row, renamed_holding(cards[2 * seat], cards[2 * seat + 1], renamed)]


@njit(cache=True)
def range_buckets(
    keys: np.ndarray, table: np.ndarray, renamings: np.ndarray, board: np.ndarray, out: np.ndarray
) -> None:
    """Buckets (1326,) of all holdings on a board, -1 where blocked; `renamings` is `holding_permutations()`."""
    renamed = np.empty(4, np.int64)
    row = canonical_row(keys, board, board.shape[0], renamed)
    renaming = renamings[renaming_code(renamed)]
    for holding in range(N_HOLDINGS):
        bucket = table[row, renaming[holding]]
        out[holding] = -1 if bucket == NO_BUCKET else np.int32(bucket)


@njit(cache=True)
def _lookup(keys: np.ndarray, table: np.ndarray, holes: np.ndarray, boards: np.ndarray, buckets: np.ndarray) -> None:
    renamed = np.empty(4, np.int64)
    for place in range(holes.shape[0]):
        row = canonical_row(keys, boards[place], boards.shape[1], renamed)
        buckets[place] = table[row, renamed_holding(holes[place, 0], holes[place, 1], renamed)]


@njit(cache=True)
def _lookup_preflop(holes: np.ndarray, buckets: np.ndarray) -> None:
    for place in range(holes.shape[0]):
        buckets[place] = preflop_class(holes[place, 0], holes[place, 1])
