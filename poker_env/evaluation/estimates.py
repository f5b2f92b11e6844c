"""Win rates with 95 % intervals. The sampling unit is the deal, never the hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]

from poker_env.hand import Hand


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


def estimate(samples: Sequence[float], hands: int) -> Estimate:
    """The mean of independent `samples` (mbb per hand of each unit) that took `hands` hands; at least one sample."""
    units = len(samples)
    mean = float(np.mean(samples))
    if units < 2:
        return Estimate(mean, None, None, hands, units)
    unit_sd = float(np.std(samples, ddof=1))
    half_width = float(stdtrit(units - 1, 0.975)) * unit_sd / units**0.5
    return Estimate(mean, unit_sd * (hands / units) ** 0.5, (mean - half_width, mean + half_width), hands, units)


def raw_estimate(hands: Sequence[Hand]) -> Estimate:
    """From chips won, each deal (with hero in its seat) a sample; replicas of a deal are averaged."""
    return estimate(_means_by((hand.deal for hand in hands), hands), len(hands))


def duplicate_estimate(hands: Sequence[Hand]) -> Estimate:
    """From chips won, with every deck played in both seats: the pair is the sample, so the cards' luck cancels."""
    return estimate(_means_by(((hand.deal.deck, hand.deal.seed) for hand in hands), hands), len(hands))


def _means_by(units: Iterable[Hashable], hands: Sequence[Hand]) -> list[float]:
    won: dict[Hashable, list[float]] = defaultdict(list)
    for unit, hand in zip(units, hands, strict=True):
        won[unit].append(1000 * hand.payoff_bb)
    return [float(np.mean(payoffs)) for payoffs in won.values()]
