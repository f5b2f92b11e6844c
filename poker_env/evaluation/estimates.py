"""Win rates with 95 % intervals. The sampling unit is the deal, never the hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Estimate:
    """A win rate in thousandths of a big blind (Kuhn, Leduc: of an ante) per hand, from hero's side."""

    mbb_per_hand: float
    sd: float | None
    """Standard deviation per hand, mbb: the sampling units' times the square root of hands per unit, so that the
    interval is about 1.96 sd / sqrt(hands) either way, whatever the unit. None for a single unit."""
    ci95: tuple[float, float] | None
    """95 % interval by Student's t; None for a single unit."""
    hands: int
    units: int
    """Independent samples: deals, or pairs of hands on one deck."""

    @property
    def half_width(self) -> float | None:
        """Half the interval's width."""
        return (self.ci95[1] - self.ci95[0]) / 2 if self.ci95 else None

    def __str__(self) -> str:
        margin = "" if self.half_width is None else f" ± {self.half_width:,.0f}"
        return f"{self.mbb_per_hand:+,.0f}{margin}"


def estimate(samples: Sequence[float], hands: int) -> Estimate:
    """The mean of independent `samples` (mbb per hand of each unit) that took `hands` hands; at least one sample."""
    units = len(samples)
    mean = float(np.mean(samples))
    if units < 2:
        return Estimate(mean, None, None, hands, units)
    unit_sd = float(np.std(samples, ddof=1))
    half_width = float(stdtrit(units - 1, 0.975)) * unit_sd / units**0.5
    return Estimate(mean, unit_sd * (hands / units) ** 0.5, (mean - half_width, mean + half_width), hands, units)


def deck_estimate(values: np.ndarray) -> Estimate:
    """The mean of values (hands,) in mbb, two hands of each deck, one in either seat: the deck is the sample."""
    return estimate(by_deck(values).tolist(), len(values))


def by_deck(values: np.ndarray) -> np.ndarray:
    """Means (decks,) of values (hands,), two hands of each deck."""
    return values.reshape(-1, 2).mean(axis=1)
