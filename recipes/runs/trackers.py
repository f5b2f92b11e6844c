"""Trackers (`report_to`): TensorBoard, Trackio, Weights & Biases, through the callbacks transformers has for them.

Those send what the trainer logs. What a run has beyond that goes to the same callbacks here: exact values, and a few
hands as text. Without `report_to` nothing is told to anybody.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import huggingface_hub.constants
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import integration_utils
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    TensorBoardCallback,
    TrackioCallback,
    WandbCallback,
)

from poker_env.errors import UserError

if TYPE_CHECKING:
    from trl import GRPOTrainer

PREFIX = "poker/"
"""Before our names; the callbacks put `train/` before that."""

REPLAYS = f"{PREFIX}replays"
"""The name that hands in words go by."""


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


def trackers_of(trainer: GRPOTrainer, run: Path) -> list[TrainerCallback]:
    """The trainer's callbacks that report to trackers. TensorBoard's files are in `run`, in one folder if resumed."""
    kinds = tuple(INTEGRATION_TO_CALLBACK[name] for name in trainer.args.report_to)
    callbacks: list[TrainerCallback] = trainer.callback_handler.callbacks
    found = [callback for callback in callbacks if isinstance(callback, kinds)]
    for callback in found:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(run / "tensorboard")
        elif isinstance(callback, WandbCallback):  # which takes the project from there alone
            os.environ.setdefault("WANDB_PROJECT", trainer.args.project)
    return found


def track(
    trackers: Sequence[TrainerCallback],
    metrics: Mapping[str, float],
    hands: Sequence[str],
    args: TrainingArguments,
    state: TrainerState,
    control: TrainerControl,
) -> None:
    """Send metrics, by names without `PREFIX`, and hands in words."""
    logs = {f"{PREFIX}{name}": value for name, value in metrics.items()}
    text = "\n\n".join(f"```\n{hand}\n```" for hand in hands)
    for callback in trackers:
        callback.on_log(args, state, control, logs=dict(logs))
        if isinstance(callback, TensorBoardCallback):
            callback.tb_writer.add_text(f"train/{REPLAYS}", text, state.global_step)
        elif isinstance(callback, TrackioCallback):
            import trackio

            trackio.log({f"train/{REPLAYS}": trackio.Markdown(text), "train/global_step": state.global_step})
        elif isinstance(callback, WandbCallback):
            import wandb

            table = wandb.Table(columns=["hand"], data=[[hand] for hand in hands])
            wandb.log({f"train/{REPLAYS}": table, "train/global_step": state.global_step})
