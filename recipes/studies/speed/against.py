"""Epochs measured here and at another commit, in turns: `--against COMMIT`, and the run of one of them by `probe`.

An older checkout has other modules under other names. What it has in common with this one is its `recipes/train.py`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from poker_env.errors import UserError, note
from poker_env.players.poker_config import FILE_NAME
from recipes.options.config import option_types
from recipes.options.values import read_yaml, suggestion
from recipes.studies.speed import probe
from recipes.studies.speed.children import run_command

HERE = Path(__file__).resolve().parents[3]

SHORT = ("--eval_hands", "0", "--show_hands", "0", "--exact_eval_every", "0", "--report_to", "none")
"""A run that does nothing but its epochs."""

FEW_HANDS = 16
"""Hands of a run that only compiles what a new checkout hasn't yet."""

BESIDE_OPTIONS = ("config", "env")
"""What a command line and a config have that is no option."""


@dataclass(frozen=True)
class Epochs:
    """What a run's epochs took, see `probe`."""

    epochs: Sequence[Mapping[str, float]]
    peaks: Mapping[str, float]
    processor_seconds: float
    """Of the whole run, its start included."""

    def mean(self, name: str) -> float:
        """Over the epochs."""
        return sum(epoch.get(name, 0.0) for epoch in self.epochs) / len(self.epochs)

    @property
    def credit(self) -> float:
        """Seconds until hands were rows."""
        return self.mean("generation") - self.mean("hands")

    @property
    def update(self) -> float:
        """Seconds until rows were a step."""
        return self.mean("steps") + self.mean("optimizer")

    @property
    def whole(self) -> float:
        """Seconds of an epoch."""
        return self.mean("generation") + self.update


def add_options(parser: argparse.ArgumentParser) -> None:
    """What a benchmark takes that can be compared with another commit's."""
    parser.add_argument("--against", metavar="COMMIT", help="measure that commit too, in turns with this checkout")
    for side, who in (("ours", "this checkout"), ("theirs", "that commit")):
        parser.add_argument(
            f"--{side}",
            nargs="+",
            action="append",
            default=[],
            metavar=("OPTION", "VALUE"),
            help=f"an option for {who} alone: --{side} trained_share 0.3; can be given again",
        )
    parser.add_argument("--epochs", type=int, default=1, help="epochs of a run; of several the first isn't counted")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each side; the fastest one counts")


def check(options: argparse.Namespace) -> None:
    """Raise `UserError` for options that make no sense."""
    for name in ("epochs", "repeats"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name} {getattr(options, name)}: give at least 1")
    if options.against is not None:
        commit_of(options.against)
    for side in ("ours", "theirs"):
        if getattr(options, side) and options.against is None:
            raise UserError(
                f"--{side} {' '.join(getattr(options, side)[0])} needs --against COMMIT: without it there is one side"
            )
        refuse_given(words_of(getattr(options, side)))
    _require_known("--ours", options.ours, option_types(), "this checkout")


def refuse_given(words: Sequence[str]) -> None:
    """Raise `UserError` where options of `recipes/train.py` are among them that a benchmark sets."""
    for name in ("num_epochs", "output_dir", "warm_start_player", "resume"):
        if any(word.startswith("--") and _named(word) == name for word in words):
            raise UserError(
                f"--{name} is no option of a benchmark: an epoch starts from --adapter, --epochs is how many"
            )


def words_of(own: Sequence[Sequence[str]]) -> list[str]:
    """One side's own options, as `recipes/train.py` takes them."""
    return [word for name, *values in own for word in (f"--{name}", *values)]


def _require_known(side: str, own: Sequence[Sequence[str]], known: Collection[str], whose: str) -> None:
    for name, *_ in own:
        option = _named(name)
        if option not in known:
            raise UserError(f"{side} {name}: {whose} has no option {option}{suggestion(option, known)}")


def commit_of(name: str) -> str:
    """The commit of a name, in short. Raises `UserError` when there is none."""
    if not (HERE / ".git").exists():
        raise UserError(f"--against {name} needs a clone: {HERE} has no history")
    found = _git("rev-parse", "--verify", "--quiet", "--short", "--end-of-options", f"{name}^{{commit}}")
    if found.returncode:
        raise UserError(f"--against {name!r} is no commit of {HERE}: give a hash, a branch or a tag that it has")
    return found.stdout.strip()


def measure(options: Sequence[str], folder: Path, checkout: Path = HERE) -> Epochs:
    """A run of `recipes/train.py` with these options, in a new process, that leaves nothing behind in `folder`.

    Of several epochs the first isn't counted: there it is still found out what the model can take.

    Raises `UserError` with what the run complained of.
    """
    record, output = folder / "record.json", folder / "run"
    command = [sys.executable, str(Path(probe.__file__).resolve()), str(record), *options, *SHORT]
    try:
        command += ["--output_dir", str(output)]
        usage = run_command(command, Path.cwd(), {"PYTHONPATH": str(checkout)}, folder / "log.txt")
        found = json.loads(record.read_text(encoding="utf-8"))
    finally:
        shutil.rmtree(output, ignore_errors=True)
        record.unlink(missing_ok=True)
    return Epochs(
        found["epochs"][1:] or found["epochs"],
        {**found["peaks_mb"], "whole run": usage.peak_mb},
        usage.processor_seconds,
    )


def options_known(checkout: Path, folder: Path) -> frozenset[str]:
    """The names of the options that a checkout's `recipes/train.py` takes."""
    record = folder / "options.json"
    command = [sys.executable, str(Path(probe.__file__).resolve()), str(record)]
    run_command(command, Path.cwd(), {"PYTHONPATH": str(checkout)}, folder / "log.txt")
    return frozenset(json.loads(record.read_text(encoding="utf-8")))


def fastest(runs: Sequence[Epochs]) -> Epochs:
    """The run whose epochs took least."""
    return min(runs, key=lambda run: run.whole)


def compare(options: argparse.Namespace, train_options: Sequence[str]) -> dict[str, Epochs]:
    """The fastest runs here and at the commit, by name. Raises `UserError` for what either of them can't do."""
    commit = commit_of(options.against)
    epochs = ["--num_epochs", str(options.epochs)]
    ours = [*train_options, *words_of(options.ours), *epochs]
    with tempfile.TemporaryDirectory() as name, checked_out(commit) as other:
        folder = Path(name)
        known = options_known(other, folder)
        _require_known("--theirs", options.theirs, known, f"commit {commit}")
        theirs = _without_unknown(commit, known, train_options, folder)
        theirs = _fit_for(commit, other, [*theirs, *words_of(options.theirs), *epochs], folder)
        runs: dict[str, list[Epochs]] = {"ours": [], commit: []}
        for _ in range(options.repeats):
            runs["ours"].append(measure(ours, folder))
            runs[commit].append(measure(theirs, folder, other))
    return {side: fastest(found) for side, found in runs.items()}


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A commit's files in a folder of their own, for as long as it takes."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / commit
        added = _git("worktree", "add", "--detach", str(checkout), commit)
        if added.returncode:
            raise UserError(f"can't check out {commit}: {added.stderr.strip().splitlines()[-1]}")
        try:
            yield checkout
        finally:
            _git("worktree", "remove", "--force", str(checkout))


def _without_unknown(commit: str, known: Collection[str], options: Sequence[str], folder: Path) -> list[str]:
    """The options without those that a commit doesn't know, be they in the config or behind it; a note names them."""
    left_out: list[str] = []

    def keeps(name: str) -> bool:
        if name in known or name in BESIDE_OPTIONS:
            return True
        left_out.append(name)
        return False

    kept: list[str] = []
    keeping = True
    for word in options:
        if word.startswith("--"):
            keeping = keeps(_named(word))
        if keeping:
            kept.append(word)
    if "--config" in kept:
        place = kept.index("--config") + 1
        written = read_yaml(Path(kept[place]))
        fitting = {name: value for name, value in written.items() if keeps(name)}
        if fitting != written:
            kept[place] = str(folder / Path(kept[place]).name)
            Path(kept[place]).write_text(yaml.safe_dump(fitting), encoding="utf-8")
    if left_out:
        note(f"commit {commit} doesn't know {', '.join(dict.fromkeys(left_out))}: left out for it")
    return kept


def _named(word: str) -> str:
    """The option of a word of the command line: `--trained-share=0.3` is `trained_share`, `--no_bf16` is `bf16`."""
    name = word.removeprefix("--").partition("=")[0].replace("-", "_")
    for meant in (name, name.removeprefix("no_")):
        fits = [option for option in option_types() if option.startswith(meant)]  # it may be cut short
        if meant in fits or len(fits) == 1:
            return meant if meant in fits else fits[0]
    return name


def _fit_for(commit: str, checkout: Path, options: Sequence[str], folder: Path) -> list[str]:
    """The options as that commit takes them, after a short run of it that compiles what it needs."""
    few = ["--num_epochs", "1", "--episodes_per_epoch", str(FEW_HANDS), "--replicas", "1", "--baseline", "batch_mean"]
    given = list(options)
    try:
        try:
            measure([*given, *few], folder, checkout)
        except UserError as error:
            unknown = re.search(r"has unknown keys \[(.*?)\]", str(error))
            if unknown is None or "--adapter" not in given:
                raise
            place = given.index("--adapter") + 1
            given[place] = str(_without(Path(given[place]), re.findall(r"'(\w+)'", unknown[1]), folder / "adapter"))
            note(f"commit {commit} doesn't know {unknown[1]} of the adapter's {FILE_NAME}, which is left out for it")
            measure([*given, *few], folder, checkout)
    except UserError as error:
        raise UserError(f"commit {commit}: {error}") from error
    return given


def _without(adapter: Path, keys: Sequence[str], copy: Path) -> Path:
    """A copy of an adapter whose `poker_config.json` lacks some keys."""
    shutil.copytree(adapter, copy)
    record = json.loads((copy / FILE_NAME).read_text(encoding="utf-8"))
    kept = {name: value for name, value in record.items() if name not in keys}
    (copy / FILE_NAME).write_text(json.dumps(kept), encoding="utf-8")
    return copy


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(HERE), *arguments], capture_output=True, text=True, check=False)
