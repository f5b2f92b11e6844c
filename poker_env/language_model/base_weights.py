"""Which weights an adapter stands on. A name alone doesn't say: the bundled model has others than the Hub has."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, HTTPError

from poker_env.errors import note
from poker_env.language_model.bundled import BUNDLED, bundled_gguf


@cache
def base_sha256(name: str) -> str | None:
    """SHA-256 of a base model's weights: of the bundled model's GGUF, else of its safetensors, one after the other.

    `name` is a folder, a Hub id or the bundled model's. None where its weights are not on this machine.
    """
    files = _weights(name)
    if not files:
        return None
    found = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 24):
                found.update(block)
    return found.hexdigest()


def own_sha256(name: str) -> str | None:
    """`base_sha256` of a model that others may have by this name with other weights: the bundled one, or a folder."""
    return base_sha256(name) if name == BUNDLED or Path(name).is_dir() else None


def tell_other_weights(base_model: str, sha256: str | None, adapter: str) -> None:
    """Print one line when a base model's weights are not those (by `sha256`) that an adapter was trained on."""
    found = base_sha256(base_model) if sha256 is not None else None
    if sha256 is not None and found is not None and found != sha256:
        note(
            f"{adapter} was trained on other weights than those of {base_model} here (SHA-256 {sha256[:12]}, not "
            f"{found[:12]}): it plays differently, judge it again"
        )


def _weights(name: str) -> list[Path]:
    if name == BUNDLED:
        return [weights] if (weights := bundled_gguf()) else []
    folder = Path(name)
    if not folder.is_dir():
        try:
            folder = Path(snapshot_download(name, local_files_only=True, allow_patterns="*.safetensors"))
        except (HFValidationError, HTTPError, OSError):  # no name on the Hub, or no copy of it here
            return []
    return sorted(folder.glob("*.safetensors"))
