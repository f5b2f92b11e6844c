"""Reports without their charts drawn, which takes seconds of each."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from poker_env.report import page

BLANK = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""
CHARTS = ("winnings_chart", "pot_size_chart", "action_mix_chart", "preflop_chart")


@contextmanager
def undrawn_charts() -> Iterator[Callable[[pytest.MonkeyPatch], None]]:
    """Within it charts are blank; what it gives has them drawn as long as a test's own patches last."""
    drawn = {name: getattr(page, name) for name in CHARTS}

    def draw(patch: pytest.MonkeyPatch) -> None:
        for name in CHARTS:
            patch.setattr(page, name, drawn[name])

    with pytest.MonkeyPatch.context() as patch:
        for name in CHARTS:
            patch.setattr(page, name, lambda *args: BLANK)
        yield draw
