"""A model without its weights: what can be told of it before they are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from poker_env.errors import UserError, first_line
from poker_env.language_model.init_kwargs import trusts_remote_code
from poker_env.language_model.loading import resolve_model


def load_config(
    name: str,
    init_kwargs: Mapping[str, Any] | None = None,
    *,
    trust_remote_code: bool = False,
    local_files_only: bool = False,
) -> PretrainedConfig:
    """A model's config. Raises `UserError` when there is none, with `local_files_only` none on this machine."""
    revision = (init_kwargs or {}).get("revision")
    try:
        return AutoConfig.from_pretrained(
            resolve_model(name),
            trust_remote_code=trust_remote_code or trusts_remote_code(),
            local_files_only=local_files_only,
            **({"revision": revision} if revision else {}),
        )
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"can't load the config of model {name!r}: {first_line(error)}") from error


def skeleton(
    name: str,
    init_kwargs: Mapping[str, Any] | None = None,
    *,
    trust_remote_code: bool = False,
    local_files_only: bool = False,
) -> PreTrainedModel:
    """The layers of a causal language model by their shapes. Raises `UserError` as `load_config` does."""
    config = load_config(name, init_kwargs, trust_remote_code=trust_remote_code, local_files_only=local_files_only)
    try:
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(
                config, trust_remote_code=trust_remote_code or trusts_remote_code()
            )
    except (ValueError, ImportError) as error:
        raise UserError(f"can't make model {name!r} of its config: {first_line(error)}") from error
    model.name_or_path = name
    return model
