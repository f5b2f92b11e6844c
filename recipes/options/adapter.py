"""The adapter that a run puts on a model, as peft is told it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

from peft import LoraConfig
from transformers import PreTrainedModel

from poker_env.language_model.adapter import NOTHING_TO_LEAVE_OUT

ALL_LINEAR = "all-linear"

NO_ADAPTERS = r".*\.((mamba|mixer)\.out_proj|router)"
"""Linear layers that an adapter can't go on: a state space's kernels read that one's weights past it, and routers give
more than one tensor."""

OUTSIDE = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
"""A module's name up to the first number in it, which is its layer's: later ones are experts'."""


def lora_config(
    model: PreTrainedModel, r: int, alpha: int, dropout: float, target_modules: Sequence[str], depth: float
) -> LoraConfig:
    """A LoRA adapter of rank `r`, its output multiplied by `alpha / r`, on modules by name or on all linear ones.

    Of the model's layers the upper ones get it, a share `depth` of them, at least one; with less than all of them
    nothing outside of layers does.
    """
    all_linear = list(target_modules) == [ALL_LINEAR]
    excluded = [NO_ADAPTERS] * all_linear
    if bare := layers_without(model, depth):
        excluded.append(rf"{OUTSIDE}(?:\.(?:{'|'.join(map(str, range(bare)))})\..*)?")
    warnings.filterwarnings("ignore", message=NOTHING_TO_LEAVE_OUT)
    return LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=ALL_LINEAR if all_linear else list(target_modules),
        exclude_modules="|".join(excluded) or None,
        task_type="CAUSAL_LM",
    )


def layers_without(model: PreTrainedModel, depth: float) -> int:
    """How many layers, from the lowest up, have no adapter of that depth."""
    layers = int(model.config.get_text_config().num_hidden_layers)
    return layers - max(1, round(depth * layers))


def layer_of(name: str) -> int | None:
    """The layer that a module or weight is in, by its name; None outside of layers."""
    found = re.fullmatch(rf"{OUTSIDE}\.(\d+)\..*", name)
    return int(found[1]) if found else None
