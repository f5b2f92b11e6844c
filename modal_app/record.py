"""What a run's folder on the volume says: epochs, checkpoints, and the containers it took."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from modal_app.cost import gpu_called, parse_gpu
from poker_env.errors import UserError, first_line
from poker_env.files import write_atomically

CONFIG = "config.yaml"
ATTEMPTS = "modal.json"
EVERY = 300.0
"""Seconds after which a container saves its account, even when there is no new checkpoint."""


@dataclass
class Attempt:
    """A container of a run."""

    gpus: list[str]
    """As `nvidia-smi` calls them."""
    dollars_per_second: float
    started: float
    """Unix time of the function's start; the container's own start-up is not in it."""
    seconds: float = 0.0
    """Until the last time it was saved."""
    ended: str = "running"
    """running, done, failed, crashed, interrupted, timeout, stopped (by max-cost) or lost."""

    def lost(self) -> Attempt:
        """Itself, as seen by a later container: if it still runs, then nobody was left to say how it ended."""
        return replace(self, ended="lost") if self.ended == "running" else self

    @property
    def dollars(self) -> float:
        """What it cost until then."""
        return self.seconds * self.dollars_per_second


def read_attempts(run: Path) -> list[Attempt]:
    """The containers a run has taken so far. Raises `UserError` when the file is damaged."""
    path = run / ATTEMPTS
    with _readable(path):
        return [Attempt(**attempt) for attempt in json.loads(path.read_text())] if path.exists() else []


def save_attempt(run: Path, earlier: Sequence[Attempt], attempt: Attempt) -> None:
    """Save a container's time so far behind those before it."""
    attempt.seconds = round(time.time() - attempt.started, 1)
    rows = [asdict(row) for row in (*earlier, attempt)]
    write_atomically(run / ATTEMPTS, json.dumps(rows, indent=2) + "\n")


def describe_cost(attempts: Sequence[Attempt]) -> str:
    """What a run cost, in words."""
    dollars, seconds = (sum(getattr(row, name) for row in attempts) for name in ("dollars", "seconds"))
    gpus = ", ".join(sorted({" + ".join(row.gpus) or "no GPU" for row in attempts}))
    count = f"{len(attempts)} container{'s' if len(attempts) != 1 else ''}"
    return f"about ${dollars:.2f} so far: {seconds / 3600:.2f} h in {count} on {gpus} (the bill: modal billing report)"


def read_epochs(run: Path) -> list[dict[str, Any]]:
    """The rows of `metrics.jsonl`. Raises `UserError` when the file is damaged."""
    path = run / "metrics.jsonl"
    with _readable(path):
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def read_config(run: Path) -> dict[str, Any]:
    """The run's config, with the model's and the game's names. Raises `UserError` when the file is damaged."""
    with _readable(run / CONFIG):
        config: dict[str, Any] = yaml.safe_load((run / CONFIG).read_text())
        config["model_name_or_path"], config["game"]
        return config


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError) as error:
        raise UserError(
            f"{path.parent.name}/{path.name} on the volume is damaged ({first_line(error)}): take another --run-name"
        ) from error


def checkpoints(run: Path) -> dict[int, bool]:
    """The trainer's checkpoints, and whether each is whole. Anything else of such a name is left alone."""
    names = [path.name for path in run.glob("checkpoint-*") if path.is_dir()]
    steps = sorted(int(name[11:]) for name in names if re.fullmatch(r"checkpoint-(0|[1-9][0-9]*)", name))
    return {step: (run / f"checkpoint-{step}" / "COMPLETE").exists() for step in steps}


def newest_checkpoint(run: Path) -> int:
    """The step of the newest whole one, 0 when there is none."""
    return max((step for step, whole in checkpoints(run).items() if whole), default=0)


def run_folder(runs: Path, name: str) -> Path:
    """A run's folder. Raises `UserError` for a name that is none."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UserError(f"run-name {name!r}: use letters, digits, '.', '_' and '-'")
    return runs / name


def require_run(runs: Path, name: str) -> Path:
    """A run's folder; raises `UserError` when there is none."""
    folder = run_folder(runs, name)
    if not (folder / CONFIG).exists():
        names = sorted((path.parent for path in runs.glob(f"*/{CONFIG}")), key=lambda path: path.stat().st_mtime)
        found = ", ".join(path.name for path in names[-8:]) or "none yet"
        raise UserError(f"no run {name!r} on the volume; the newest there are: {found}")
    return folder


def seconds_per_hand(runs: Path, gpu: str, model: str, game: str) -> tuple[float, str] | None:
    """Measured training time per hand on a GPU (as `--gpu` takes it), and in which run; None when there is none.

    Of the newest run with that model and game. What start-up and evaluations take is not in it.
    """
    kind, count = parse_gpu(gpu)
    for path in sorted(runs.glob(f"*/{ATTEMPTS}"), key=lambda path: -path.stat().st_mtime):
        run = path.parent
        try:
            config, epochs, attempts = read_config(run), read_epochs(run), read_attempts(run)
        except UserError:  # somebody else's trouble
            continue
        here = {tuple(map(gpu_called, row.gpus)) for row in attempts}
        if epochs and here == {(kind,) * count} and (config["model_name_or_path"], config["game"]) == (model, game):
            return sum(row["seconds"] for row in epochs) / sum(row["hands"] for row in epochs), run.name
    return None


def describe_status(runs: Path, name: str) -> str:
    """A run's epochs, checkpoints and costs in words. Raises `UserError` when there is no such run."""
    run = require_run(runs, name)
    config, epochs, attempts = read_config(run), read_epochs(run), read_attempts(run)
    lines = [f"run {name}: {config['model_name_or_path']} at {config['game']}, {len(epochs)} epochs"]
    lines += [
        f"epoch {row['epoch']}  {row['hands']} hands  return {row['avg_return']:+.2f}"
        f"  bb/hand {row['bb_per_hand']:+.1f}  won {row['win_rate']:.0%}  legal {row['legal_rate']:.0%}"
        f"  loss {row['loss']:.3f}  {row['seconds']:.0f} s"
        for row in epochs[-20:]
    ]
    found = checkpoints(run)
    half = [str(step) for step, whole in found.items() if not whole]
    whole = ", ".join(str(step) for step in found if str(step) not in half)
    lines.append(f"checkpoints: {whole or 'none'}" + (f"; half-written: {', '.join(half)}" if half else ""))
    lines.append(f"last container: {attempts[-1].ended if attempts else 'none yet'}; {describe_cost(attempts)}")
    return "\n".join(lines)
