"""What is checked on a CPU before a GPU is asked for. It runs in a container: the volumes are mounted."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open

from modal_app.common import MINUTES, OPPONENTS, OPPONENTS_VOLUME, RUNS, RUNS_VOLUME
from modal_app.cost import check_gpu, gpus_for
from modal_app.estimate import model_of_config, seconds_of_epoch
from modal_app.options import assemble
from modal_app.record import (
    CONFIG,
    EVERY,
    checkpoints,
    newest_checkpoint,
    read_attempts,
    read_epochs,
    require_run,
    run_folder,
    seconds_per_hand,
)
from poker_env.errors import UserError, first_line
from poker_env.games import make_game
from poker_env.language_model.adapter import WEIGHTS
from poker_env.language_model.bundled import BUNDLED
from poker_env.player_specs import make_player
from poker_env.players.mixture import mixture_spec
from poker_env.players.poker_config import FILE_NAME, PokerConfig

FLOATS = ("F64", "F32", "F16", "BF16")
MODEL_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.py"]
"""Of a model's repository: no weights in other formats."""


def prepare_run(
    name: str,
    resume: bool,
    base: str | None,
    opponent: str | None,
    options: Mapping[str, Any],
    gpu: str | None,
    push: bool,
) -> dict[str, Any]:
    """The config of a run and what is known about it, after every check that needs no GPU.

    `base` is the YAML to start from (None: the run's own on `resume`, none for a new run), `opponent` a checkpoint on
    the volume, `gpu` the one asked for; `push`: whether the adapter shall go to the Hub. Raises `UserError` for
    whatever would stop the run. What is quick to check comes first.
    """
    folder = require_run(RUNS, name) if resume else new_run(name)
    if resume:
        require_ended(folder)
        require_checkpoint(folder)
        base = (folder / CONFIG).read_text() if base is None else base
    chosen = dict(options)
    if opponent is not None:
        chosen["villain"] = f"cfr:{find_opponent(opponent)}"
    config = assemble(base or "", {**chosen, "output_dir": str(folder)})
    check_villain(config)
    parsed = check_config(config)
    if push and Path(parsed.model_name_or_path).is_dir():
        raise UserError(
            f"--push-to-hub is for adapters of models on the Hub, and {parsed.model_name_or_path} is a folder: leave "
            "it out, and push what 'modal volume get' gave you with recipes/push.py --base_model"
        )
    loading = {"trust_remote_code": parsed.trust_remote_code, **(parsed.model_init_kwargs or {})}
    itemsize = 4 if parsed.dtype == "float32" else 2
    weights = fetch_model(parsed.model_name_or_path, loading.get("revision"), itemsize)
    config |= {"game": str(parsed.make_game()), "model_name_or_path": parsed.model_name_or_path}
    gpus = [gpu] if gpu else gpus_for(weights)
    if gpu:
        check_gpu(gpu, weights, parsed.dtype)
    finished = len(read_epochs(folder)) >= parsed.num_epochs and (folder / "final").is_dir()
    estimated: dict[str, float] = {}
    if not finished:
        from modal_app.rehearsal import rehearse  # imports torch
        from recipes.options.early import check_early

        check_early(parsed, parsed.load_tokenizer())
        rehearse(parsed.poker(), parsed.lora, loading)
        model = model_of_config(parsed)
        estimated = {kind: seconds_of_epoch(parsed, model, kind) / parsed.episodes_per_epoch for kind in gpus}
    return {
        "config": yaml.safe_dump(config, sort_keys=False),
        "finished": finished,
        "match": f"{parsed.model_name_or_path} against {parsed.villain} at {config['game']}",
        "epochs": parsed.num_epochs,
        "done": newest_checkpoint(folder) // parsed.steps_per_epoch,
        "hands_per_epoch": parsed.episodes_per_epoch,
        "gpus": gpus,
        "spent": sum(attempt.dollars for attempt in read_attempts(folder)),
        "estimated": estimated,
        "measured": {
            kind: measured
            for kind in gpus
            if (measured := seconds_per_hand(RUNS, kind, config["model_name_or_path"], config["game"]))
        },
    }


def new_run(name: str) -> Path:
    """Where a new run goes; raises `UserError` when there is one of that name."""
    folder = run_folder(RUNS, name)
    if folder.exists():
        epochs = len(read_epochs(folder))
        raise UserError(
            f"run {name!r} is there already, with {epochs} epochs: add --resume, or take another --run-name"
        )
    return folder


def require_ended(folder: Path) -> None:
    """Raise `UserError` when a container of the run may still be at work: two would write over each other."""
    for attempt in read_attempts(folder)[-1:]:
        silent = time.time() - attempt.started - attempt.seconds
        if attempt.ended == "running" and silent < EVERY + MINUTES:
            raise UserError(
                f"run {folder.name!r} seems to be running: a container of it was heard {silent:.0f} s ago. Stop it "
                f"('modal app list', 'modal app stop'), or wait {EVERY + MINUTES - silent:.0f} s if it is gone"
            )


def require_checkpoint(folder: Path) -> None:
    """Raise `UserError` when all that a run has saved is half-written; say so when some is."""
    half = [f"checkpoint-{step}" for step, whole in checkpoints(folder).items() if not whole]
    if half and not newest_checkpoint(folder):
        raise UserError(
            f"run {folder.name!r} has nothing whole to go on from ({', '.join(half)} is half-written): take another "
            f"--run-name, or delete it with 'modal volume rm -r {RUNS_VOLUME} {folder.name}'"
        )
    if half:
        print(f"{', '.join(half)} is half-written: going on from checkpoint-{newest_checkpoint(folder)}")


def find_opponent(name: str) -> Path:
    """An opponent's checkpoint on the volume. Raises `UserError` when there is none of that name."""
    for path in (OPPONENTS / name, OPPONENTS / f"{name}.npz", OPPONENTS / f"{name}.pt"):
        if path.is_file():
            return path
    there = sorted(str(path.relative_to(OPPONENTS)) for path in OPPONENTS.rglob("*") if path.is_file())
    raise UserError(
        f"no opponent {name!r} on the volume {OPPONENTS_VOLUME} (it holds {', '.join(there[:8]) or 'nothing'}): "
        f"modal volume put {OPPONENTS_VOLUME} {name if '.' in name else name + '.npz'}"
    )


def check_villain(config: Mapping[str, Any]) -> None:
    """Load villain; raises `UserError` when it can't be."""
    villain = config.get("villain", "cfr")
    spec = mixture_spec(villain) if isinstance(villain, dict) else str(villain)
    if spec.startswith(("llm:", "human")):
        return  # which the config refuses
    make_player(spec, make_game(str(config.get("game", "holdem"))))


def check_config(config: Mapping[str, Any]) -> Any:
    """Parse a config as the recipe will; raises `UserError` for what it refuses."""
    from recipes.options.config import parse_config

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / CONFIG
        path.write_text(yaml.safe_dump(config))
        return parse_config(["--config", str(path)])


def fetch_model(name: str, revision: str | None = None, itemsize: int = 2) -> int:
    """Have a model's files on the cache volume, and return the size of its weights when loaded, in bytes.

    `itemsize` is that of a weight then; quantized ones stay as they are.

    Raises `UserError` when the model can't be had, or a file of its weights is damaged.
    """
    from huggingface_hub import snapshot_download

    from poker_env.language_model.loading import resolve_model

    if name == BUNDLED or Path(name).is_dir():
        folder = Path(resolve_model(name))
    elif Path(name).is_absolute():
        raise UserError(f"no model {name!r}: give a Hub id, or a folder on a volume such as {RUNS}/…")
    else:
        try:
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=MODEL_FILES))
        except (OSError, ValueError) as error:  # what the Hub's client raises is one of these
            raise UserError(f"can't get model {name!r} from the Hub ({first_line(error)})") from error
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise UserError(f"model {name!r} has no safetensors weights")
    size = 0
    for path in weights:
        try:
            with safe_open(path, "pt") as tensors:
                parts = [tensors.get_slice(key) for key in tensors.keys()]  # noqa: SIM118 it is no dictionary
                size += sum(
                    math.prod(part.get_shape()) * (itemsize if part.get_dtype() in FLOATS else 1) for part in parts
                )
        except (SafetensorError, OSError) as error:
            raise UserError(f"model {name!r}: {path.name} is damaged ({first_line(error)})") from error
    return size


def resolve_player(spec: str) -> str:
    """A player's spec with the names of opponents and runs on the volumes as paths; others stay as they are."""
    kind, _, argument = spec.partition(":")
    if kind == "cfr" and argument:
        name, river, _ = argument.partition("+river")
        for path in (OPPONENTS / name, OPPONENTS / f"{name}.npz"):
            if path.is_file():
                return f"cfr:{path}{river}"
    if kind == "llm" and (RUNS / argument).is_dir():
        return f"llm:{RUNS / argument}"
    return spec


def check_player(spec: str, game: str) -> None:
    """Load a player, or have its model on the cache volume; raises `UserError` when it can't be had."""
    kind, _, argument = spec.partition(":")
    if kind == "llm":
        from modal_app.rehearsal import rehearse  # imports torch

        poker = asked_as(argument, game)
        fetch_model(poker.base_model)
        rehearse(poker)
    elif kind != "lbr":
        make_player(resolve_player(spec), make_game(game))


def asked_as(name: str, game: str) -> PokerConfig:
    """How a language model is asked, by a player's name for it, and on which model it stands.

    Raises `UserError` for a folder on the runs' volume that is no adapter of this project.
    """
    from poker_env.players.hub import trained_folder

    folder = RUNS / name if (RUNS / name).is_dir() else trained_folder(name)
    whole = (folder / "config.json").is_file()  # a model; one that an adapter was merged into is asked as that was
    if folder.is_dir() and not whole and not (folder / WEIGHTS).is_file():
        raise UserError(f"{name} holds no adapter: name a run's epoch_NNN, best or final")
    if not (folder / FILE_NAME).is_file() and not (folder / WEIGHTS).is_file():
        return PokerConfig(make_game(game), str(folder) if whole else name)
    poker = PokerConfig.load(folder)
    return replace(poker, base_model=str(folder)) if whole else poker
