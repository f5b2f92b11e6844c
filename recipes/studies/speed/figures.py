"""What a benchmark has measured: figures, as a table on the terminal and as records in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measurement: `ratio` is the first side over the second."""

    unit: str
    sides: dict[str, float]

    @property
    def ratio(self) -> float | None:
        """None where there is nothing to compare with."""
        values = list(self.sides.values())
        return values[0] / values[1] if len(values) == 2 and values[1] else None


Figures = dict[str, Figure]


def records(figures: Mapping[str, Figure]) -> dict[str, dict[str, Any]]:
    """As they are written to a file."""
    return {name: {"unit": f.unit, "ratio": f.ratio, "sides": f.sides} for name, f in figures.items()}


def lines(figures: Mapping[str, Figure]) -> list[str]:
    """One line each."""
    found = []
    for name, figure in figures.items():
        ratio = f"  ratio {figure.ratio:.2f}" if figure.ratio is not None else ""
        sides = ", ".join(f"{side} {value:,.3f}" for side, value in figure.sides.items())
        found.append(f"{name}: {sides} {figure.unit}{ratio}")
    return found


def table(figures: Mapping[str, Figure]) -> Table:
    """A line for each side, figures apart from each other."""
    drawn = Table(box=None, pad_edge=False)
    for heading, justify in (
        ("figure", "left"),
        ("side", "left"),
        ("", "right"),
        ("unit", "left"),
        ("ratio", "right"),
    ):
        drawn.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for name, figure in figures.items():
        ratio = "" if figure.ratio is None else f"{figure.ratio:.3g}"
        for place, (side, value) in enumerate(figure.sides.items()):
            first = (name, figure.unit, ratio) if place == 0 else ("", "", "")
            drawn.add_row(first[0], side, _readable(value), first[1], first[2])
    return drawn


def _readable(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
