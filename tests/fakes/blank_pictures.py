"""Reports and runs without their charts drawn, which takes seconds of each."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from poker_env.report import page
from recipes.runs import watcher

BLANK = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""
CHARTS = ("winnings_chart", "pot_size_chart", "action_mix_chart", "preflop_chart")


@contextmanager
def undrawn_charts() -> Iterator[Callable[[pytest.MonkeyPatch], None]]:
    """Within it charts are blank; what it gives has them drawn as long as a test's own patches last."""
    drawn = {name: getattr(page, name) for name in CHARTS}
    plot = watcher.plot_learning_curve

    def draw(patch: pytest.MonkeyPatch) -> None:
        for name in CHARTS:
            patch.setattr(page, name, drawn[name])
        patch.setattr(watcher, "plot_learning_curve", plot)

    with pytest.MonkeyPatch.context() as patch:
        for name in CHARTS:
            patch.setattr(page, name, lambda *args: BLANK)
        patch.setattr(
            watcher, "plot_learning_curve", lambda run, *args: (run / "learning_curve.png").write_bytes(BLANK)
        )
        yield draw
