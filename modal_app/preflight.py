"""What is checked on a CPU before a GPU is asked for. It runs in a container: the volumes are mounted."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from modal_app.common import MINUTES, OPPONENTS, OPPONENTS_VOLUME, RUNS, RUNS_VOLUME
from modal_app.cost import gpus_for
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
    weights = fetch_model(parsed.model_name_or_path)
    config |= {"game": str(parsed.make_game()), "model_name_or_path": parsed.model_name_or_path}
    gpus = [gpu] if gpu else gpus_for(weights)
    return {
        "config": yaml.safe_dump(config, sort_keys=False),
        "finished": len(read_epochs(folder)) >= parsed.num_epochs and (folder / "final").is_dir(),
        "match": f"{parsed.model_name_or_path} against {parsed.villain} at {config['game']}",
        "epochs": parsed.num_epochs,
        "done": newest_checkpoint(folder) // parsed.steps_per_epoch,
        "hands_per_epoch": parsed.episodes_per_epoch,
        "gpus": gpus,
        "spent": sum(attempt.dollars for attempt in read_attempts(folder)),
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
    from poker_env.games import make_game
    from poker_env.players import make_player
    from poker_env.players.mixture import mixture_spec

    villain = config.get("villain", "cfr")
    spec = mixture_spec(villain) if isinstance(villain, dict) else str(villain)
    if spec.startswith(("llm:", "human")):
        return  # which the config refuses
    make_player(spec, make_game(str(config.get("game", "holdem"))))


def check_config(config: Mapping[str, Any]) -> Any:
    """Parse a config as the recipe will; raises `UserError` for what it refuses."""
    from recipes.config import parse_config

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / CONFIG
        path.write_text(yaml.safe_dump(config))
        return parse_config(["--config", str(path)])


def fetch_model(name: str) -> int:
    """Have a model's files on the cache volume, and return the size of its weights in bytes.

    Raises `UserError` when the model can't be had or is not one to chat with.
    """
    from huggingface_hub import snapshot_download

    from poker_env.players.config import BUNDLED
    from poker_env.players.models import load_tokenizer, resolve_model

    if name == BUNDLED or Path(name).is_dir():
        folder = Path(resolve_model(name))
    elif Path(name).is_absolute():
        raise UserError(f"no model {name!r}: give a Hub id, or a folder on a volume such as {RUNS}/…")
    else:
        try:
            folder = Path(
                snapshot_download(name, allow_patterns=["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"])
            )
        except (OSError, ValueError) as error:  # what the Hub's client raises is one of these
            raise UserError(f"can't get model {name!r} from the Hub ({first_line(error)})") from error
    load_tokenizer(str(folder))
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if not weights:
        raise UserError(f"model {name!r} has no safetensors weights")
    return weights


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
    from poker_env.games import make_game
    from poker_env.players import make_player

    kind, _, argument = spec.partition(":")
    if kind == "llm":
        fetch_model(adapted_model(RUNS / argument) if (RUNS / argument).is_dir() else argument)
    elif kind != "lbr":
        make_player(resolve_player(spec), make_game(game))


def adapted_model(adapter: Path) -> str:
    """The model that an adapter on the volume is for. Raises `UserError` when it is no adapter of this project."""
    from poker_env.players.config import PokerConfig

    if not (adapter / "adapter_model.safetensors").is_file():
        raise UserError(f"{adapter.relative_to(RUNS)} holds no adapter: name a run's epoch_NNN, best or final")
    return PokerConfig.load(adapter).base_model
