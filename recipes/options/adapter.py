"""The adapter that a run puts on a model, as peft is told it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from peft import LoraConfig

from poker_env.language_model.adapter import NOTHING_TO_LEAVE_OUT

ALL_LINEAR = "all-linear"

NO_ADAPTERS = r".*\.((mamba|mixer)\.out_proj|router)"
"""Linear layers that an adapter can't go on: a state space's kernels read that one's weights past it, and routers give
more than one tensor."""


def lora_config(r: int, alpha: int, dropout: float, target_modules: Sequence[str]) -> LoraConfig:
    """A LoRA adapter of rank `r`, its output multiplied by `alpha / r`, on layers by name or on all linear ones."""
    all_linear = list(target_modules) == [ALL_LINEAR]
    warnings.filterwarnings("ignore", message=NOTHING_TO_LEAVE_OUT)
    return LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=ALL_LINEAR if all_linear else list(target_modules),
        exclude_modules=NO_ADAPTERS if all_linear else None,
        task_type="CAUSAL_LM",
    )
