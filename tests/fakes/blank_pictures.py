"""Reports and runs without their charts drawn, which takes seconds of each."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from poker_env.report import page
from recipes.runs import watcher

BLANK = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""


def blank_curve(run: Path, *args: object) -> None:
    """In place of a run's learning curve."""
    (run / "learning_curve.png").write_bytes(BLANK)


BLANKS = {
    (watcher, "plot_learning_curve"): blank_curve,
    **{
        (page, name): lambda *args: BLANK
        for name in ("winnings_chart", "pot_size_chart", "action_mix_chart", "preflop_chart")
    },
}
"""What is called instead, by the module that calls it and the name."""


@contextmanager
def undrawn_charts() -> Iterator[Callable[[pytest.MonkeyPatch], None]]:
    """Within it charts are blank; what it gives has them drawn as long as a test's own patches last."""
    drawn = {(module, name): getattr(module, name) for module, name in BLANKS}

    def draw(patch: pytest.MonkeyPatch) -> None:
        for place, function in drawn.items():
            patch.setattr(*place, function)

    with pytest.MonkeyPatch.context() as patch:
        for place, blank in BLANKS.items():
            patch.setattr(*place, blank)
        yield draw
