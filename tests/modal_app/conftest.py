"""A fake Modal, a small opponent and a small config."""

import signal
from pathlib import Path

import pytest
from fake_modal.cloud import running_cloud
from fake_modal.containers import unavailable
from tiny import CONFIG, MODEL

# A shell's background jobs have their processes ignore interrupts, which tests send to theirs.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def cloud(tmp_path):
    """A fake Modal with nothing in it; tests are skipped where its containers can't be."""
    reason = unavailable()
    if reason:
        pytest.skip(reason)
    with running_cloud(tmp_path / "cloud") as cloud:
        yield cloud


@pytest.fixture(scope="session")
def opponent(tmp_path_factory) -> Path:
    """A checkpoint that plays Kuhn poker."""
    from recipes.solve import main

    path = tmp_path_factory.mktemp("opponents") / "checkpoint_1000.npz"
    main(["--game", "kuhn", "--algorithm", "cfr", "--iterations", "5", "--output", str(path)])
    return path


@pytest.fixture
def tiny_config(tmp_path) -> Path:
    """The YAML of a run on Modal that takes seconds."""
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG.format(model=f"/mnt/cache/{MODEL}"))
    return path
