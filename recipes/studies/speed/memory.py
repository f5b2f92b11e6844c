"""How much memory an epoch takes, by config, and until when: `python recipes/bench.py memory`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from recipes.options.config import parse_config
from recipes.studies.speed import against
from recipes.studies.speed.epoch import train_options
from recipes.studies.speed.figures import Figure, Figures


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `python recipes/bench.py memory` takes, beside all that `recipes/train.py` does."""
    parser.add_argument(
        "--config", nargs="+", help="YAML files, or names of ours; default: quickstart's with 64 hands"
    )
    parser.add_argument("--adapter", type=Path, help="an adapter's folder to start from; without: an untrained one")


def check(options: argparse.Namespace) -> None:
    """Raise `UserError` for options that make no sense."""
    for config in options.config or [None]:
        parse_config([*train_options(options, config), "--output_dir", "unused"])


def measure(options: argparse.Namespace) -> Figures:
    """An epoch of each config. Raises `UserError` as training does."""
    found: Figures = {}
    for config in options.config or [None]:
        with tempfile.TemporaryDirectory() as folder:
            run = against.measure([*train_options(options, config), "--num_epochs", "1"], Path(folder))
        found["quickstart, 64 hands" if config is None else Path(config).stem] = Figure("MB at most", dict(run.peaks))
    return found
