"""Whether 95 % intervals keep their word: in how many of many evaluations of one pair they hold the pair's value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poker_env.evaluation.estimates import Estimate
from poker_env.evaluation.hud import rate


@dataclass(frozen=True)
class Coverage:
    """How often the 95 % interval of an estimator holds the value."""

    share: float
    ci95: tuple[float, float]
    """95 % interval of the share (Wilson 1927), evaluations being the independent samples."""
    too_high: int
    """Intervals that lie above the value."""
    too_low: int
    evaluations: int
    long_run: float
    """The value, mbb/hand: the mean of all evaluations, or what was known."""


def coverage(evaluations: Sequence[Estimate], value: float | None = None) -> Coverage:
    """Of the intervals of independent evaluations of the same size, at least two hands or decks each.

    `value` is what they estimate, mbb/hand. Where it is unknown, the yardstick of each evaluation is the mean of the
    n - 1 others. That has an error of its own, and an evaluation's distance to it has n / (n - 1) times the variance
    of the evaluation: so much wider are the intervals taken.
    """
    means = np.array([found.mbb_per_hand for found in evaluations])
    lows, highs = np.array([found.ci95 for found in evaluations]).T
    n = len(means)
    values, widening = np.full(n, value), 1.0
    if value is None:
        values, widening = (means.sum() - means) / (n - 1), (n / (n - 1)) ** 0.5
    too_high = int((means - widening * (means - lows) > values).sum())
    too_low = int((means + widening * (highs - means) < values).sum())
    held = rate(n - too_high - too_low, n)
    low, high = held["ci95"]
    return Coverage(held["share"], (low, high), too_high, too_low, n, float(means.mean()) if value is None else value)
