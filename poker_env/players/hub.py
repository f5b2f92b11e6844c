"""Where trained models are: on the Hugging Face Hub, by repository, with the package, or in a run's folder."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import HFValidationError, HTTPError

from poker_env.errors import UserError, first_line
from poker_env.players.poker_config import FILE_NAME

SHIPPED = "shipped/"
"""What the names of adapters that come with the package begin with: `llm:shipped/holdem`."""
ADAPTERS = Path(__file__).parents[1] / "adapters"

LEFT_THERE = ["evaluation*", "*.png"]


def trained_folder(name: str) -> Path:
    """The folder of that name, of a shipped adapter's or, for `org/name`, the local copy of that repository, fetched
    where there is none.

    `org/name@revision` is another branch, tag or commit of it. Only repositories of this project's models are fetched:
    any other name is returned as a path. Raises `UserError` when the Hub gives only a part of the files.
    """
    if name.startswith(SHIPPED) and not Path(name).exists():
        folder = ADAPTERS / name.removeprefix(SHIPPED)
        if not folder.is_dir():
            known = ", ".join(sorted(f"{SHIPPED}{path.parent.name}" for path in ADAPTERS.glob(f"*/{FILE_NAME}")))
            raise UserError(f"no adapter {name} is shipped: choose one of {known}")
        return folder
    name = str(Path(name).expanduser()) if name.startswith("~") else name
    if Path(name).exists() or name.partition("@")[0].count("/") != 1:
        return Path(name)
    repo, _, revision = name.partition("@")
    try:
        config = Path(hf_hub_download(repo, FILE_NAME, revision=revision or None))
    except (HFValidationError, HTTPError, OSError):  # there is no such file; or no Hub, and no copy of it
        return Path(name)
    try:
        return Path(snapshot_download(repo, revision=config.parent.name, ignore_patterns=LEFT_THERE))
    except (HTTPError, OSError) as error:
        raise UserError(f"can't get {name} from the Hub: {first_line(error)}") from error


def epoch_folder(run: Path, epoch: int) -> Path:
    """Where a training run keeps the adapter after `epoch` epochs; epoch 0 is the start."""
    return run / f"epoch_{epoch:03d}"


def epochs_of(run: str) -> list[Path]:
    """The adapters that a training run saved, by epoch. Raises `UserError` when the folder holds none."""
    found = sorted(config.parent for config in Path(run).expanduser().glob(f"epoch_*/{FILE_NAME}"))
    if not found:
        raise UserError(f"{run} holds no epochs of a training run: give the --output_dir of one")
    return found
