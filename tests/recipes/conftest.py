"""What tests of several recipes need."""

from collections.abc import Callable, Iterator

import pytest
from blank_pictures import undrawn_charts
from fake_hub import FakeHub, running_hub


@pytest.fixture(scope="module", autouse=True)
def drawn() -> Iterator[Callable[[pytest.MonkeyPatch], None]]:
    """Charts are blank, as drawing takes seconds; what it yields has them drawn in a test after all."""
    with undrawn_charts() as draw:
        yield draw


@pytest.fixture
def fake_hub() -> Iterator[FakeHub]:
    """A running Hub without repositories."""
    with running_hub() as hub:
        yield hub
