"""Card abstraction for hold'em: hands that play alike share a bucket.

Before the flop the 169 classes are kept apart. On each later street a bucket is the nearest of K centroids to the
hand's point (see `features`); only the centroids travel with a strategy. The bucket of a hand is the same whether it
is read from a table (`tables`) or computed from the cards here: both compare the same integers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numba import njit

from poker_env.cards.canonical import (
    canonical_boards,
    canonical_suits,
    holding_permutations,
    key_cards,
    renamed_holding,
)
from poker_env.cards.holdings import HOLDINGS, N_CARDS, N_CLASSES, N_HOLDINGS, PREFLOP_CLASSES
from poker_env.cards.rank_tables import flush_values, rank_values
from poker_env.cfr.abstraction import kmeans
from poker_env.cfr.abstraction.features import (
    N_GROUPS,
    N_LEVELS,
    N_RIVER_AXES,
    UNIT,
    hand_point,
    river_levels,
    river_points,
    runout_points,
    shares,
)
from poker_env.errors import UserError
from poker_env.parallel import Report, available_cores, over_chunks, progress_bars

MAX_BUCKETS = 60_000  # a bucket fits in 16 bits
NO_BUCKET = 65_535  # in 16 bits: the board blocks the holding
STREETS = ("preflop", "flop", "turn", "river")

_FORMAT = b"points 2"  # part of the digest: change it whenever `features` computes other points
_CACHED_HANDS = 1_000_000
_NO_LEVELS = np.empty((0, N_HOLDINGS), np.uint8)


@dataclass(frozen=True)
class Abstraction:
    """Buckets of hands on the four streets."""

    centroids: tuple[np.ndarray, np.ndarray, np.ndarray]
    """Flop, turn and river: (K, dimensions) int16, weakest first."""
    groups: np.ndarray
    """(169,) uint8: the group of opponents' holdings, 0 (weakest) to 7, that each preflop class belongs to."""
    _cache: dict[tuple[int, int], int] = field(default_factory=dict, repr=False, compare=False)

    @property
    def buckets_per_street(self) -> tuple[int, int, int, int]:
        """How many buckets each street has."""
        flop, turn, river = (len(centroids) for centroids in self.centroids)
        return N_CLASSES, flop, turn, river

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what decides the buckets, in hex."""
        digest = hashlib.sha256(_FORMAT)
        for name, array in self.to_arrays().items():
            digest.update(f"{name} {array.shape} {array.dtype.str}".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What a file has to hold: the centroids and groups."""
        return {**dict(zip(STREETS[1:], self.centroids, strict=True)), "groups": self.groups}

    @staticmethod
    def from_arrays(arrays: dict[str, np.ndarray]) -> Abstraction:
        """The abstraction whose `to_arrays` these are. Raises `UserError` for anything else."""
        for name, width in (("flop", N_LEVELS), ("turn", N_LEVELS), ("river", N_RIVER_AXES)):
            array = _array(arrays, name)
            if array.dtype != np.int16 or array.ndim != 2 or array.shape[1] != width or not len(array):
                raise UserError(f"not a card abstraction: array {name!r} is {array.dtype} of shape {array.shape}")
            if array.min() < 0 or array.max() > UNIT or (np.diff(array.sum(axis=1, dtype=np.int64)) < 0).any():
                raise UserError(f"not a card abstraction: the values of array {name!r} are no centroids")
        groups = _array(arrays, "groups")
        if groups.dtype != np.uint8 or groups.shape != (N_CLASSES,) or groups.max() >= N_GROUPS:
            raise UserError(f"not a card abstraction: array 'groups' isn't {N_CLASSES} numbers below {N_GROUPS}")
        return Abstraction((arrays["flop"], arrays["turn"], arrays["river"]), groups)

    def lookup(self, holes: np.ndarray, boards: np.ndarray) -> np.ndarray:
        """Buckets (n,) int32 of hole cards (n, 2) on boards (n, 0, 3, 4 or 5), computed from the cards.

        Neither the order of cards nor the names of suits matter. A hand seen before (up to suits) comes from a cache.
        """
        holes, boards = np.asarray(holes, np.int64), np.asarray(boards, np.int64)
        if boards.shape[1] == 0:
            low, high = holes.min(axis=1), holes.max(axis=1)
            return PREFLOP_CLASSES[low * (103 - low) // 2 + high - low - 1].astype(np.int32)
        board_keys, holdings = np.empty(len(holes), np.int64), np.empty(len(holes), np.int64)
        _canonical_hands(holes, boards, board_keys, holdings)
        hands = list(zip(board_keys.tolist(), holdings.tolist(), strict=True))
        if len(self._cache) >= _CACHED_HANDS:
            self._cache.clear()
        new = list({hand for hand in hands if hand not in self._cache})
        if new:
            self._cache.update(zip(new, self._buckets(np.array(new, np.int64), boards.shape[1]).tolist(), strict=True))
        return np.array([self._cache[hand] for hand in hands], np.int32)

    def lookup_range(self, board: np.ndarray) -> np.ndarray:
        """Buckets (1326,) int32 of all holdings on a board of 0, 3, 4 or 5 cards; -1 where it blocks the holding."""
        board = np.asarray(board, np.int64)
        if len(board) == 0:
            return PREFLOP_CLASSES.astype(np.int32)
        table = np.empty((1, N_HOLDINGS), np.uint16)
        self.fill_table(board[None, :], table, _NO_LEVELS)
        return np.where(table[0] == NO_BUCKET, -1, table[0].astype(np.int32))

    def fill_table(self, boards: np.ndarray, table: np.ndarray, levels: np.ndarray) -> None:
        """Buckets (n, 1326) uint16 of all holdings on boards (n, 3, 4 or 5); `NO_BUCKET` where blocked.

        `levels` are the equity levels of all canonical rivers (`all_river_levels`), or no rows to do without.
        """
        _fill_table(boards, self._prepared[boards.shape[1] - 3], *_inputs(levels, self.groups), table)

    def _buckets(self, hands: np.ndarray, n_board: int) -> np.ndarray:
        """Buckets (n,) of hands (n, 2): a canonical board's key, a holding."""
        buckets = np.empty(len(hands), np.int32)
        inputs = self._prepared[n_board - 3], self._holding_groups, rank_values(), flush_values()
        _buckets_of(hands, n_board, *inputs, buckets)
        return buckets

    @cached_property
    def _holding_groups(self) -> np.ndarray:
        return self.groups[PREFLOP_CLASSES]

    @cached_property
    def _prepared(self) -> list[kmeans.Centroids]:
        return [kmeans.prepare(centroids) for centroids in self.centroids]


def build_abstraction(
    buckets: tuple[int, int, int, int] = (N_CLASSES, 1024, 1024, 1024), seed: int = 0, progress: bool = False
) -> Abstraction:
    """Cluster the hands of each street into `buckets[street]` buckets; `progress` shows bars.

    The points are exact; k-means sees a seeded sample of hands as they are dealt (at least 100,000 a street), and the
    same seed gives the same abstraction on any number of cores. Raises `UserError` for impossible numbers of buckets.
    """
    if len(buckets) != 4 or buckets[0] != N_CLASSES:
        raise UserError(
            f"buckets {tuple(buckets)}: give four numbers, the first one {N_CLASSES} (the preflop classes)"
        )
    if not all(1 <= k <= MAX_BUCKETS for k in buckets):
        raise UserError(f"buckets {tuple(buckets)}: each street can have 1 to {MAX_BUCKETS} buckets")
    with progress_bars(progress) as bar:
        levels = all_river_levels(bar("equities on every river"))
        groups = _group_classes(levels, np.random.default_rng((seed, 0)))
        centroids = []
        for n_board, street, k in zip((3, 4, 5), STREETS[1:], buckets[1:], strict=True):
            rng = np.random.default_rng((seed, n_board))
            points = _dealt_points(n_board, max(100_000, 200 * k), levels, groups, rng, bar(f"{street} hands"))
            centroids.append(kmeans.fit(points, k, rng, available_cores(), report=bar(f"{street} buckets")))
    return Abstraction((centroids[0], centroids[1], centroids[2]), groups)


def all_river_levels(report: Report = lambda share: None) -> np.ndarray:
    """Equity level of every holding on every canonical river: (134459, 1326) uint8."""
    boards = canonical_boards(5).cards
    levels = np.empty((len(boards), N_HOLDINGS), np.uint8)
    over_chunks(lambda rows: river_levels(boards[rows], levels[rows]), len(boards), report, chunk=1024)
    return levels


def _array(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    if name not in arrays:
        raise UserError(f"not a card abstraction: array {name!r} is missing")
    return arrays[name]


def _inputs(levels: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    keys = canonical_boards(5).keys if len(levels) else np.empty(0, np.int64)
    return keys, levels, holding_permutations(), groups[PREFLOP_CLASSES]


def _group_classes(levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Groups (169,) of preflop classes, by k-means on their equity on the river over all boards."""
    histograms = np.zeros((N_CLASSES, N_LEVELS + 2), np.int64)
    _class_histograms(levels, canonical_boards(5).counts, PREFLOP_CLASSES, histograms)
    points = np.empty((N_CLASSES, N_LEVELS), np.int16)
    for row in range(N_CLASSES):
        shares(histograms[row], points[row])
    centroids = kmeans.prepare(kmeans.fit(points[PREFLOP_CLASSES], N_GROUPS, rng, threads=1))
    return np.array([kmeans.nearest(point, centroids, 0) for point in points.astype(np.int32)], np.uint8)


def _dealt_points(
    n_board: int, count: int, levels: np.ndarray, groups: np.ndarray, rng: np.random.Generator, report: Report
) -> np.ndarray:
    """Points (about `count`, d) of hands drawn as often as they are dealt."""
    boards = canonical_boards(n_board)
    rows = np.sort(rng.choice(len(boards.cards), count, p=boards.counts / boards.counts.sum()))
    holdings = rng.integers(0, N_HOLDINGS, count)
    blocked = (HOLDINGS[holdings][:, :, None] == boards.cards[rows][:, None, :]).any(axis=(1, 2))
    rows, holdings = rows[~blocked], holdings[~blocked]
    points = np.empty((len(rows), N_RIVER_AXES if n_board == 5 else N_LEVELS), np.int16)
    inputs = _inputs(levels, groups)

    def compute(part: slice) -> None:
        _points_of_hands(boards.cards[rows[part]], rows[part], holdings[part], *inputs, points[part])

    over_chunks(compute, len(rows), report, chunk=max(1, len(rows) // 100))
    return points


@njit(cache=True, nogil=True)
def _class_histograms(levels: np.ndarray, counts: np.ndarray, classes: np.ndarray, histograms: np.ndarray) -> None:
    for row in range(levels.shape[0]):
        for holding in range(N_HOLDINGS):
            histograms[classes[holding], levels[row, holding]] += counts[row]


@njit(cache=True, nogil=True)
def _points_of_hands(
    boards: np.ndarray,
    board_rows: np.ndarray,
    holdings: np.ndarray,
    keys: np.ndarray,
    levels: np.ndarray,
    renamings: np.ndarray,
    holding_groups: np.ndarray,
    out: np.ndarray,
) -> None:
    points = np.empty((N_HOLDINGS, out.shape[1]), np.int32)
    for row in range(boards.shape[0]):
        if row == 0 or board_rows[row] != board_rows[row - 1]:
            if boards.shape[1] == 5:
                river_points(boards[row], holding_groups, points)
            else:
                runout_points(boards[row], keys, levels, renamings, points)
        out[row] = points[holdings[row]]


@njit(cache=True, nogil=True)
def _fill_table(
    boards: np.ndarray,
    centroids: kmeans.Centroids,
    keys: np.ndarray,
    levels: np.ndarray,
    renamings: np.ndarray,
    holding_groups: np.ndarray,
    table: np.ndarray,
) -> None:
    points = np.empty((N_HOLDINGS, centroids.rows.shape[1]), np.int32)
    blocked = np.empty(N_CARDS, np.bool_)
    bucket = 0
    for row in range(boards.shape[0]):
        if boards.shape[1] == 5:
            river_points(boards[row], holding_groups, points)
        else:
            runout_points(boards[row], keys, levels, renamings, points)
        blocked[:] = False
        for card in boards[row]:
            blocked[card] = True
        for holding in range(N_HOLDINGS):
            if blocked[HOLDINGS[holding, 0]] or blocked[HOLDINGS[holding, 1]]:
                table[row, holding] = NO_BUCKET
            else:
                bucket = kmeans.nearest(points[holding], centroids, bucket)
                table[row, holding] = bucket


@njit(cache=True)
def _buckets_of(
    hands: np.ndarray,
    n_board: int,
    centroids: kmeans.Centroids,
    holding_groups: np.ndarray,
    rank_values: np.ndarray,
    flush_values: np.ndarray,
    buckets: np.ndarray,
) -> None:
    board, hole = np.empty(n_board, np.int64), np.empty(2, np.int64)
    point = np.empty(centroids.rows.shape[1], np.int32)
    for row in range(hands.shape[0]):
        key_cards(hands[row, 0], board)
        hole[:] = HOLDINGS[hands[row, 1]]
        hand_point(hole, board, holding_groups, rank_values, flush_values, point)
        buckets[row] = kmeans.nearest_from_sum(point, centroids)


@njit(cache=True)
def _canonical_hands(holes: np.ndarray, boards: np.ndarray, board_keys: np.ndarray, holdings: np.ndarray) -> None:
    """The board's key and the holding once suits are renamed by what board and hole cards together hold of them."""
    masks, renamed = np.empty(4, np.int64), np.empty(4, np.int64)
    for row in range(holes.shape[0]):
        masks[:] = 0
        for card in boards[row]:
            masks[card & 3] |= 1 << (card >> 2)
        board_keys[row] = canonical_suits(masks, renamed)
        for suit in range(4):
            masks[suit] <<= 13
        for card in holes[row]:
            masks[card & 3] |= 1 << (card >> 2)
        canonical_suits(masks, renamed)
        holdings[row] = renamed_holding(holes[row, 0], holes[row, 1], renamed)
