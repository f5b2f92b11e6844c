"""How a model is loaded beside its name and dtype: what a training config and `poker_config.json` may say of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from poker_env.errors import UserError

ALLOWED = ("attn_implementation", "experts_implementation", "quantization_config", "revision", "variant")
"""Nothing that runs code: `poker_config.json` comes from whoever made the adapter."""

ATTENTION = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
"""None that is fetched from the Hub. Those that take no mask of their own forward each text by itself."""

ELSEWHERE = {
    "dtype": "set the option dtype",
    "torch_dtype": "set the option dtype",
    "trust_remote_code": "set the option trust_remote_code",
    "device_map": "the model is put on the GPU where there is one",
}


def trusts_remote_code() -> bool:
    """Whether `POKER_TRUST_REMOTE_CODE=1` lets models run Python code that they come with."""
    return os.environ.get("POKER_TRUST_REMOTE_CODE") == "1"


def check_init_kwargs(given: Mapping[str, Any], name: str) -> None:
    """Raise `UserError` for what isn't allowed in `given`, which is what `name` holds."""
    for key, value in given.items():
        if key in ELSEWHERE:
            raise UserError(f"{name} has {key} {value!r}: {ELSEWHERE[key]} instead")
        if key not in ALLOWED:
            raise UserError(f"{name} has {key} {value!r}: only {', '.join(ALLOWED)} can be set")
    attention = given.get("attn_implementation", ATTENTION[0])
    if attention not in ATTENTION:
        raise UserError(f"{name} has attn_implementation {attention!r}: choose one of {', '.join(ATTENTION)}")
    quantization = given.get("quantization_config", {})
    if not isinstance(quantization, Mapping):
        raise UserError(f"{name} has quantization_config {quantization!r}: give a mapping, as {{load_in_4bit: true}}")
    for key in ("revision", "variant", "experts_implementation"):
        if key in given and not isinstance(given[key], str):
            raise UserError(f"{name} has {key} {given[key]!r}: give text, in quotes")
