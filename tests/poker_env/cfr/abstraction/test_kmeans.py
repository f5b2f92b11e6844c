import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.cfr.abstraction import kmeans


def cloud(seed, count, dimensions=8, width=8000):
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(width / 2, width / 4, (count, dimensions)), 0, width).astype(np.int16)


def distances(points, centroids):
    return ((points[:, None].astype(np.int64) - centroids[None].astype(np.int64)) ** 2).sum(axis=2)


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 200), width=st.sampled_from([2, 50, 8000]))
def test_nearest_is_the_first_of_the_nearest_wherever_the_search_starts(seed, k, width):
    centroids = kmeans.prepare(cloud(seed, k, 5, width))
    points = cloud(seed + 1, 20, 5, width).astype(np.int32)
    expected = distances(points, centroids.rows).argmin(axis=1)
    for point, row in zip(points, expected, strict=True):
        for start in (0, k // 2, k - 1):
            assert kmeans.nearest(point, centroids, start) == row
        assert kmeans.nearest_from_sum(point, centroids) == row


def test_the_largest_distance_does_not_overflow():
    centroids = kmeans.prepare(np.array([[0] * 32, [8000] * 32]))
    assert kmeans.nearest(np.zeros(32, np.int32), centroids, 1) == 0
    assert kmeans.nearest(np.full(32, 8000, np.int32), centroids, 0) == 1


def test_fit_finds_separate_clumps():
    centres = np.array([[100, 100], [100, 7000], [7000, 100], [7000, 7000]])
    points = (np.repeat(centres, 50, axis=0) + np.random.default_rng(0).integers(-9, 10, (200, 2))).astype(np.int16)
    found = kmeans.fit(points, 4, np.random.default_rng(1), threads=1)
    assert (np.sqrt(distances(centres, found).min(axis=1)) < 10).all()
    assert (np.diff(found.sum(axis=1)) >= 0).all()


def test_fit_depends_on_the_seed_and_not_on_threads():
    points = cloud(0, 2000)
    one, two = (kmeans.fit(points, 32, np.random.default_rng(5), threads) for threads in (1, 3))
    assert (one == two).all()
    assert not (one == kmeans.fit(points, 32, np.random.default_rng(6), 1)).all()


def test_fit_is_much_closer_than_centroids_drawn_from_the_points():
    points = cloud(0, 4000, 3)
    drawn = points[np.random.default_rng(0).choice(4000, 64, replace=False)]
    fitted = kmeans.fit(points, 64, np.random.default_rng(0), threads=1)
    assert distances(points, fitted).min(axis=1).mean() < 0.8 * distances(points, drawn).min(axis=1).mean()


@pytest.mark.parametrize("k", [1, 3, 50])
def test_more_clusters_than_different_points_leave_some_empty(k):
    points = np.repeat(np.array([[1, 2], [30, 40], [500, 600]], np.int16), 10, axis=0)
    found = kmeans.fit(points, k, np.random.default_rng(0), threads=1)
    assert found.shape == (k, 2)
    if k >= 3:
        assert distances(points, found).min(axis=1).max() == 0
