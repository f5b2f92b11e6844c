"""Trackers (`report_to`): TensorBoard, Trackio, Weights & Biases, through the callbacks transformers has for them.

Those send what the trainer logs. What a run has beyond that goes to the same callbacks here: exact values, and a few
hands as text.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    TensorBoardCallback,
    TrackioCallback,
    WandbCallback,
)

if TYPE_CHECKING:
    from trl import GRPOTrainer

PREFIX = "poker/"
"""Before our names; the callbacks put `train/` before that."""

REPLAYS = f"{PREFIX}replays"
"""The name that hands in words go by."""


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
