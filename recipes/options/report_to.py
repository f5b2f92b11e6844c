"""Who is told of a run: the trackers that `report_to` names, and without it nobody."""

from __future__ import annotations

import os
from collections.abc import Sequence

import huggingface_hub.constants
from transformers.integrations import integration_utils
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from poker_env.errors import UserError


def tell_nobody() -> None:
    """Switch off what TRL's trainers tell the Hub of every run, unless `HF_HUB_DISABLE_TELEMETRY` is set to decide."""
    if "HF_HUB_DISABLE_TELEMETRY" not in os.environ:
        huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True


def check_trackers(report_to: str | Sequence[str] | None) -> None:
    """Raise `UserError` for a tracker that isn't known, or whose package isn't installed."""
    names = [report_to] if isinstance(report_to, str) else list(report_to or ())
    if len(names) > 1 and "none" in names:
        raise UserError(f"report_to {', '.join(names)}: none goes without others")
    for name in names:
        if name in ("none", "all"):  # all: those that are installed
            continue
        if name not in INTEGRATION_TO_CALLBACK:
            raise UserError(f"unknown report_to {name!r}: choose none, tensorboard, trackio or wandb")
        stems = (name, name.replace("_", ""), name.removesuffix("_ml"))  # azureml, comet
        checks = (getattr(integration_utils, f"is_{stem}_available", None) for stem in stems)
        available = next(filter(None, checks), None)
        if available is not None and not available():
            raise UserError(f"report_to {name}: its package is not installed (pip install {name})")
