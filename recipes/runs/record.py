"""`run.json` in a run's folder: how it was started, with which settings and against which villain."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poker_env.errors import UserError, first_line
from poker_env.evaluation.results import checkpoints, versions
from poker_env.files import write_atomically
from poker_env.players.base import Player
from recipes.options.trl_options import REFUSED, SET, WORKS, default_of
from recipes.options.values import shown

if TYPE_CHECKING:
    from recipes.options.config import ExploitConfig

RUN_FILE = "run.json"
WARM_START = "warm_start"
"""The folder of the adapter that a run's warm start made."""
SECRET = "--hub_t"
"""What `--hub_token` and its abbreviations begin with."""

RunRecord = Mapping[str, Any]
"""`commands`, the first and those that went on with the run; `config`; `villain`; `checkpoints`; `versions`."""


def command_line(argv: Sequence[str]) -> str:
    """The command that trains with these arguments, to be shown to anybody: the Hub's token isn't in it."""
    shown, hidden = [], False
    for argument in argv:
        name, equals, _ = argument.partition("=")
        secret = name.startswith(SECRET)
        shown.append("TOKEN" if hidden else f"{name}=TOKEN" if secret and equals else argument)
        hidden = secret and not equals
    return shlex.join(["accelerate", "launch", "recipes/train.py", *shown])


def write_run_record(run: Path, config: ExploitConfig, villain: Player, command: str) -> None:
    """Write it, or add to it the command that a run goes on by. Raises `UserError` when it can't be written."""
    earlier = read_run_record(run) if config.resume else None
    commands = [*(earlier["commands"] if earlier else []), command]
    record = {
        "commands": list(dict.fromkeys(commands)),
        "config": _settings(config),
        "villain": villain.name,
        "checkpoints": checkpoints(villain),
        "versions": versions(),
    }
    write_atomically(run / RUN_FILE, json.dumps(record, indent=2, default=str) + "\n")


MAY_CHANGE = {
    *("output_dir", "resume", "num_epochs", "eval_hands", "exact_eval_every", "show_hands"),
    *("report_to", "project", "run_name", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"),
    *("log_level", "log_level_replica", "log_on_each_node", "trust_remote_code", *WORKS["Hub"]),
    *("gradient_checkpointing", "gradient_checkpointing_kwargs", "torch_empty_cache_steps", "tf32"),
    *(name for name in WORKS["hardware"] if name.startswith("ddp_")),
}
"""Options that don't change what a run is: for how long, what is watched, where it is told, how it is computed."""


def require_same_run(run: Path, config: ExploitConfig) -> None:
    """Raise `UserError` where a resumed run's settings would make another run of it, in one line.

    Of a run without `run.json` nothing is known. An option that the run didn't know may be anything.
    """
    earlier = read_run_record(run)
    if earlier is None:
        return
    then: dict[str, Any] = earlier["config"]
    now = json.loads(json.dumps(_settings(config), default=str))
    own = type(config).__annotations__
    changed = []
    for option in fields(config):
        name = option.name
        if name in MAY_CHANGE or name in SET or name in REFUSED or (name in own and name not in then):
            continue
        default = json.loads(json.dumps(default_of(option), default=str))
        before, after = then.get(name, default), now.get(name, default)
        if before != after:
            changed.append(f"{name} {shown(before)} to {shown(after)}")
    if changed:
        raise UserError(
            f"--resume can't go on in {run} with other settings than it was started with: {', '.join(changed)}; give "
            "those it had, or another --output_dir for a new run"
        )


def _settings(config: ExploitConfig) -> dict[str, Any]:
    """This project's options, and of TRL's those that aren't at their default; no secrets."""
    own, found = type(config).__annotations__, {}
    for option in fields(config):
        value = getattr(config, option.name)
        if option.name in own or (value != option.default and "hub_token" not in option.name):
            found[option.name] = value
    return found


def read_run_record(run: Path) -> RunRecord | None:
    """What a run's folder says of it; None where it says nothing. Raises `UserError` when the file is damaged."""
    path = run / RUN_FILE
    if not path.exists():
        return None
    try:
        record: RunRecord = json.loads(path.read_text(encoding="utf-8"))
        missing = {"commands", "config", "villain", "checkpoints", "versions"} - set(record)
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        return record
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is not what training writes: {first_line(error)}") from error
