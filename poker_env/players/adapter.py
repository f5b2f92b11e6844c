"""An adapter's folder as peft writes it: its weights and its config, looked at without loading them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from poker_env.errors import UserError, first_line
from poker_env.files import write_atomically

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
BASE_MODEL = "base_model_name_or_path"
"""What `CONFIG` calls the model that the adapter is for."""


def require_weights(folder: Path) -> Path:
    """The weights' file. Raises `UserError` when there is none: of a pickle instead of it nothing is read."""
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder} is no adapter: it has no {WEIGHTS}")
    return folder / WEIGHTS


def adapter_sha256(folder: Path) -> str:
    """SHA-256 of an adapter's weights, by which evaluations know it. Raises `UserError` when it has none."""
    return hashlib.sha256(require_weights(folder).read_bytes()).hexdigest()


def read_config(folder: Path) -> dict[str, Any]:
    """Peft's config of an adapter. Raises `UserError` when it can't be read, or names no base model."""
    path = folder / CONFIG
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        config[BASE_MODEL]
        return config
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"{path} is no adapter's config: it doesn't name a base model ({first_line(error)})"
        ) from error


def name_base_model(folder: Path, name: str) -> None:
    """Have an adapter's config say that its base model is `name`."""
    write_atomically(folder / CONFIG, json.dumps({**read_config(folder), BASE_MODEL: name}, indent=2) + "\n")


def require_model(name: str, option: str, advice: str) -> None:
    """Raise `UserError` when the model `name`, which `option` says, is an adapter's folder instead."""
    if (Path(name) / CONFIG).is_file():
        raise UserError(f"{option} {name} is an adapter, not a model: {advice}")
