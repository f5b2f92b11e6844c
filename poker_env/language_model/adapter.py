"""An adapter's folder as peft writes it: its weights and its config, looked at without loading them."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poker_env.errors import UserError, first_line
from poker_env.files import write_atomically

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
BASE_MODEL = "base_model_name_or_path"
"""What `CONFIG` calls the model that the adapter is for."""

NOTHING_TO_LEAVE_OUT = "You have passed exclude_modules=.* but no modules were excluded"
"""What peft warns of where a model has none of the layers that an adapter isn't put on: nothing is wrong."""


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


def put_on(model: PreTrainedModel, folder: Path, *, trainable: bool = False) -> PeftModel:
    """The base model with the adapter of a folder, to be trained or only to be asked.

    Raises `UserError` when it is damaged or doesn't fit the model: peft itself leaves out what has no place there, and
    what the folder lacks as if it were untrained.
    """
    from peft import PeftConfig, PeftModelForCausalLM

    from poker_env.forwarding.lora import fuse

    require_weights(folder)
    try:
        with warnings.catch_warnings():  # on a model without weights, nothing is copied
            warnings.filterwarnings("ignore", message=".*meta parameter", category=UserWarning)
            warnings.filterwarnings("ignore", message=NOTHING_TO_LEAVE_OUT)
            config = PeftConfig.from_pretrained(str(folder))
            config.inference_mode = not trainable
            adapted = PeftModelForCausalLM(model, config)
            loaded = adapted.load_adapter(
                str(folder),
                "default",
                is_trainable=trainable,
                key_mapping=getattr(model, "_checkpoint_conversion_mapping", {}),
            )
    except Exception as error:  # a damaged file: safetensors and peft raise many types
        raise UserError(f"adapter {folder} can't be loaded: {first_line(error)}") from error
    misfits = [
        *_counted(loaded.unexpected_keys, "of its tensors have no place there"),
        *_counted(loaded.missing_keys, "that belong there are not in it"),
    ]
    if misfits:
        raise UserError(
            f"adapter {folder} doesn't fit its base model {model.name_or_path}: {', and '.join(misfits)}; use the "
            "model that it was trained on"
        )
    fuse(adapted)
    return adapted


def _counted(keys: Sequence[str], what: str) -> list[str]:
    return [f"{len(keys)} {what} ({keys[0]})"] if keys else []


def require_model(name: str, option: str, advice: str) -> None:
    """Raise `UserError` when the model `name`, which `option` says, is an adapter's folder instead."""
    if (Path(name) / CONFIG).is_file():
        raise UserError(f"{option} {name} is an adapter, not a model: {advice}")
