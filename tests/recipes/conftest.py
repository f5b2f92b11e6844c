"""What tests of several recipes need."""

from collections.abc import Iterator

import pytest
from fake_hub import FakeHub, running_hub


@pytest.fixture
def fake_hub() -> Iterator[FakeHub]:
    """A running Hub without repositories."""
    with running_hub() as hub:
        yield hub
