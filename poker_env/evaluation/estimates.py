"""Win rates with 95 % intervals. The sampling unit is the deal, never the hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Estimate:
    """A win rate in thousandths of a big blind (Kuhn, Leduc: of an ante) per hand, from hero's side."""

    mbb_per_hand: float
    sd: float | None
    """Standard deviation per hand, mbb: the sampling units' times the square root of hands per unit, so that the
    interval is about 1.96 sd / sqrt(hands) either way, whatever the unit. None where nothing is known of it."""
    ci95: tuple[float, float] | None
    """95 % interval, see `margins`; None for a single unit, and where all are the same: how far others would be from
    them the samples don't tell."""
    hands: int
    units: int
    """Independent samples: deals, or pairs of hands on one deck."""

    @property
    def half_width(self) -> float | None:
        """Half the interval's width."""
        return (self.ci95[1] - self.ci95[0]) / 2 if self.ci95 else None

    @property
    def margin(self) -> float | None:
        """What to write behind a ±: how far the interval reaches from the mean, on its longer side."""
        return max(self.mbb_per_hand - self.ci95[0], self.ci95[1] - self.mbb_per_hand) if self.ci95 else None

    @property
    def standard_error(self) -> float | None:
        """Of the mean, mbb/hand; None where nothing is known of it."""
        return None if self.sd is None else self.sd / max(1, self.hands) ** 0.5

    @property
    def with_interval(self) -> str:
        """See the function of that name."""
        return with_interval(self.mbb_per_hand, self.ci95, self.hands)

    def __str__(self) -> str:
        margin = "" if self.margin is None else f" ± {self.margin:,.0f}"
        return f"{self.mbb_per_hand:+,.0f}{margin}"


def with_interval(mbb_per_hand: float, ci95: Sequence[float] | None, hands: int) -> str:
    """`+12 [-3, +27]`, without the interval where nothing is known of it; an exact value, of no hands, to a tenth."""
    if not hands:
        return f"{mbb_per_hand:+,.1f}"
    return f"{mbb_per_hand:+,.0f}" + ("" if ci95 is None else f" [{ci95[0]:+,.0f}, {ci95[1]:+,.0f}]")


def estimate(samples: ArrayLike, hands: int) -> Estimate:
    """The mean of independent `samples` (mbb per hand of each unit) that took `hands` hands; at least one sample."""
    samples = np.asarray(samples, np.float64)
    units, mean = len(samples), float(samples.mean())
    if not vary(samples):
        return Estimate(mean, None, None, hands, units)
    deviations = samples - mean
    variance = float((deviations**2).mean())
    skewness = float((deviations**3).mean()) / variance**1.5
    unit_sd = (variance * units / (units - 1)) ** 0.5
    below, above = margins(unit_sd, skewness, units)
    interval = mean - float(below), mean + float(above)
    return Estimate(mean, unit_sd * (hands / units) ** 0.5, interval, hands, units)


def vary(samples: ArrayLike) -> bool:
    """Whether two of the samples differ by more than rounding: without that they don't say how sure their mean is."""
    samples = np.asarray(samples, np.float64)
    return len(samples) > 1 and float(np.ptp(samples)) > 1e-9 * max(1.0, float(np.abs(samples).max()))


def margins(sd: ArrayLike, skewness: ArrayLike, n: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """How far the 95 % interval of a mean reaches below and above it, for n samples (2 or more) of such a kind.

    Student's interval, made longer on the side of the samples' longer tail: what happens seldom may not have happened
    yet. How much longer is what takes the skewness out of Student's t (Hall 1992, "On the Removal of Skewness by
    Transformation", the cubic one). That would shorten the other side, too, which is left alone: with tails as heavy
    as poker's, intervals that give and take cover less than 95 %.
    """
    root, quantile = np.sqrt(n), stdtrit(np.asarray(n) - 1, 0.975)
    slant = np.asarray(skewness) / root
    no_slant = np.abs(slant) < 1e-6
    slant = np.where(no_slant, 1.0, slant)

    def unskewed(value: np.ndarray) -> np.ndarray:
        """The t that Hall's transformation turns into a value."""
        return np.where(no_slant, value, 3 / slant * (np.cbrt(1 + slant * (value - slant / 6)) - 1))

    error = np.asarray(sd) / root
    return error * np.maximum(quantile, unskewed(quantile)), error * np.maximum(quantile, -unskewed(-quantile))


def deck_estimate(values: np.ndarray) -> Estimate:
    """The mean of values (hands,) in mbb, two hands of each deck, one in either seat: the deck is the sample."""
    return estimate(by_deck(values), len(values))


def by_deck(values: np.ndarray) -> np.ndarray:
    """Means (decks,) of values (hands,), two hands of each deck."""
    return values.reshape(-1, 2).mean(axis=1)
