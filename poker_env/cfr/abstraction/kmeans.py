"""K-means in integers: the same point always finds the same centroid, whoever asks and on whatever machine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import njit

from poker_env.parallel import Report

# What a squared distance may reach: it is summed in 32 bits, which runs in vectors.
LARGEST_DISTANCE = 2**31 - 1

_NEIGHBOURS = 64


class Centroids(NamedTuple):
    """Centroids made ready for `nearest`."""

    rows: np.ndarray
    """(k, d) int32, in the order of their sums."""
    sums: np.ndarray
    """(k,) int64."""
    neighbours: np.ndarray
    """(k, up to 64) int32: the nearest other centroids of each, nearest first."""
    gaps: np.ndarray
    """(k, up to 64) int64: their squared distances."""


def prepare(rows: np.ndarray) -> Centroids:
    """Centroids (k, d) of any order, made ready for `nearest`."""
    sums = rows.sum(axis=1, dtype=np.int64)
    order = np.argsort(sums, kind="stable")
    rows, sums = np.ascontiguousarray(rows[order], np.int32), sums[order]
    count = min(_NEIGHBOURS, len(rows) - 1)
    neighbours, gaps = np.empty((len(rows), count), np.int32), np.empty((len(rows), count), np.int64)
    exact = rows.astype(np.float64)  # holds all these integers exactly
    squares = (exact**2).sum(axis=1)
    for start in range(0, len(rows), 512):
        part = slice(start, start + 512)
        distances = squares[part, None] + squares - 2 * exact[part] @ exact.T
        distances[np.arange(len(distances)), np.arange(start, start + len(distances))] = np.inf
        found = np.argpartition(distances, count - 1, axis=1)[:, :count] if count else np.empty((1, 0), np.int64)
        found_distances = np.take_along_axis(distances, found, axis=1)
        by_distance = np.argsort(found_distances, axis=1, kind="stable")
        neighbours[part] = np.take_along_axis(found, by_distance, axis=1)
        gaps[part] = np.take_along_axis(found_distances, by_distance, axis=1)
    return Centroids(rows, sums, neighbours, gaps)


@njit(cache=True)
def _distance(a: np.ndarray, b: np.ndarray) -> int:
    total = np.int32(0)
    for axis in range(a.shape[0]):
        step = np.int32(a[axis] - b[axis])
        total = np.int32(total + np.int32(step * step))
    return int(total)


@njit(cache=True, nogil=True)
def nearest(point: np.ndarray, centroids: Centroids, start: int) -> int:
    """Row of the centroid nearest to an int32 point (d,), of equally near ones the first. The search walks from
    centroid `start` to nearer ones: where it starts matters for time alone.

    By the triangle inequality, whatever is nearer to the point than a centroid at distance r lies within 2 r of that
    centroid (Elkan 2003), so few neighbours need a look.
    """
    here, best = start, _distance(point, centroids.rows[start])
    place = 0
    while place < centroids.neighbours.shape[1]:
        if centroids.gaps[here, place] > 4 * best:
            return here
        row = centroids.neighbours[here, place]
        place += 1
        distance = _distance(point, centroids.rows[row])
        if distance < best or (distance == best and row < here):
            here, best, place = row, distance, 0
    for row in range(centroids.rows.shape[0]):
        distance = _distance(point, centroids.rows[row])
        if distance < best or (distance == best and row < here):
            here, best = row, distance
    return here


@njit(cache=True, nogil=True)
def nearest_from_sum(point: np.ndarray, centroids: Centroids) -> int:
    """`nearest`, started from the centroid whose sum is like the point's."""
    start = np.searchsorted(centroids.sums, point.sum())
    return nearest(point, centroids, min(start, centroids.sums.shape[0] - 1))


@njit(cache=True, nogil=True)
def _assign(
    points: np.ndarray, centroids: Centroids, clusters: np.ndarray, totals: np.ndarray, sizes: np.ndarray
) -> None:
    point = np.empty(points.shape[1], np.int32)
    for row in range(points.shape[0]):
        point[:] = points[row]
        cluster = nearest(point, centroids, clusters[row])
        clusters[row] = cluster
        sizes[cluster] += 1
        for axis in range(point.shape[0]):
            totals[cluster, axis] += point[axis]


@njit(cache=True, nogil=True)
def _spread_out(points: np.ndarray, k: int, draws: np.ndarray) -> np.ndarray:
    """K-means++ (Arthur & Vassilvitskii 2007): each next seed is drawn by its squared distance from those so far."""
    chosen = np.empty(k, np.int64)
    distances = np.full(points.shape[0], np.int64(LARGEST_DISTANCE))
    row = np.int64(draws[0] * points.shape[0])
    for place in range(k):
        chosen[place] = row
        total = np.int64(0)
        for other in range(points.shape[0]):
            distances[other] = min(distances[other], _distance(points[other], points[row]))
            total += distances[other]
        if place + 1 < k:
            target = np.int64(draws[place + 1] * total)
            row = np.int64(0)
            passed = distances[0]
            while passed <= target and row + 1 < points.shape[0]:
                row += 1
                passed += distances[row]
    return chosen


def fit(
    points: np.ndarray,
    k: int,
    rng: np.random.Generator,
    threads: int,
    iterations: int = 25,
    report: Report = lambda share: None,
) -> np.ndarray:
    """Lloyd's k-means of int16 points (n, d): centroids (k, d) int16 in the order of their sums.

    The result doesn't depend on the number of threads: all sums are integers. `report` hears the share of work done.
    """
    sample = points[rng.choice(len(points), min(len(points), 16 * k), replace=False)].astype(np.int32)
    rows = sample[_spread_out(sample, k, rng.random(k))]
    parts = np.array_split(points, threads)
    clusters = [np.zeros(len(part), np.int64) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        for iteration in range(iterations):
            centroids = prepare(rows)
            totals = np.zeros((threads, *rows.shape), np.int64)
            sizes = np.zeros((threads, k), np.int64)
            list(pool.map(_assign, parts, [centroids] * threads, clusters, totals, sizes))
            size = sizes.sum(axis=0)[:, None]
            means = (2 * totals.sum(axis=0) + size) // np.maximum(2 * size, 1)
            rows = np.where(size > 0, means, centroids.rows)
            report((iteration + 1) / iterations)
    return prepare(rows).rows.astype(np.int16)
