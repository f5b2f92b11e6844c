"""Models of a given shape with random weights, to be timed where the real ones aren't: speed doesn't ask for sense."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, Qwen2Config

from poker_env.errors import UserError
from poker_env.language_model.bundled import BUNDLED
from poker_env.language_model.loading import best_dtype, resolve_model

_QWEN = {"vocab": 151_936, "kv_heads": 2, "tied": 1}

SHAPES: dict[str, dict[str, int]] = {
    "qwen2.5-0.5b": {**_QWEN, "hidden": 896, "layers": 24, "heads": 14, "intermediate": 4_864},
    "qwen2.5-1.5b": {**_QWEN, "hidden": 1_536, "layers": 28, "heads": 12, "intermediate": 8_960},
    "qwen2.5-3b": {**_QWEN, "hidden": 2_048, "layers": 36, "heads": 16, "intermediate": 11_008},
    "qwen2.5-7b": {
        **{"hidden": 3_584, "layers": 28, "heads": 28, "kv_heads": 4, "intermediate": 18_944},
        **{"vocab": 152_064, "tied": 0},
    },
}
"""By name, as their configs on the Hub have them."""

KEYS = ("hidden", "layers", "heads", "kv_heads", "intermediate", "vocab", "tied")


def parse_shape(text: str) -> dict[str, int]:
    """`qwen2.5-3b`, or `hidden=2048,layers=36,…`; what is left out is as in qwen2.5-3b, the heads' 128 dimensions too.

    Raises `UserError` for anything else.
    """
    if text in SHAPES:
        return SHAPES[text]
    given: dict[str, int] = {}
    for pair in text.split(","):
        key, _, value = pair.partition("=")
        if key not in KEYS or not value.isdecimal() or (int(value) < 1 and key != "tied"):
            raise UserError(
                f"--shape {text!r}: {pair!r} is no name ({', '.join(SHAPES)}) and none of {', '.join(KEYS)} with a "
                "whole number above 0, as hidden=2048,layers=36"
            )
        given[key] = int(value)
    hidden = given.get("hidden", 2_048)
    heads = given.get("heads", max(1, hidden // 128))
    shape = {**SHAPES["qwen2.5-3b"], "intermediate": 11 * hidden // 2, "heads": heads, **given}
    shape["kv_heads"] = given.get("kv_heads", 2 if heads % 2 == 0 else 1)
    if hidden % heads or hidden // heads % 2 or heads % shape["kv_heads"]:
        raise UserError(
            f"--shape {text!r}: {heads} heads must divide hidden {hidden} into even parts, and kv_heads "
            f"{shape['kv_heads']} the heads"
        )
    return shape


def save_shape(text: str, folder: Path) -> None:
    """A model of that shape as a folder that `from_pretrained` loads, with the bundled model's tokenizer."""
    shape = parse_shape(text)
    tokenizer: Any = AutoTokenizer.from_pretrained(resolve_model(BUNDLED))
    config = _config_of(
        {**shape, "vocab": max(shape["vocab"], len(tokenizer))},
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype=best_dtype(),
    )
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(config, dtype=best_dtype())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def skeleton_of(shape: Mapping[str, int]) -> PreTrainedModel:
    """A model of a parsed shape, without weights."""
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(_config_of(shape))
    return model


def _config_of(shape: Mapping[str, int], **options: Any) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=shape["vocab"],
        hidden_size=shape["hidden"],
        intermediate_size=shape["intermediate"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kv_heads"],
        tie_word_embeddings=bool(shape["tied"]),
        **options,
    )
