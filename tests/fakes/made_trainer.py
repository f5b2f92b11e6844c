"""Trainers on rows that are known beforehand, and what records their gradients."""

import numpy as np
import torch
from transformers import TrainerCallback

from poker_env.language_model.loading import load_model, load_tokenizer
from recipes.options.config import parse_config
from recipes.train import make_trainer
from recipes.training.rows import Row, to_trl, training_rows

WEIGHTS = [1.0, 2.0]
"""Of the two reward functions."""


class FixedRows:
    """A rollout of rows that are known beforehand."""

    def __init__(self, rows):
        self.rows = rows
        self.prompts = []

    def __call__(self, prompts, trainer):
        self.prompts.append(prompts)
        return to_trl(self.rows)

    def metrics(self):
        return {"bb_per_hand": 1.25}


class Gradients(TrainerCallback):
    """Every update's gradient, by parameter."""

    def __init__(self):
        self.updates = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.updates.append(
            {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}
        )


def make_config(tiny_model_dir, tmp_path, **overrides):
    """Plain gradient steps of size one, in float32."""
    options = {
        "game": "kuhn",
        "dtype": "float32",
        "num_epochs": 1,
        "rows_per_epoch": 4,
        "per_device_train_batch_size": 2,
        "learning_rate": 1.0,
        "max_grad_norm": 0,
        "weight_decay": 0,
        "optim": "sgd",
        "rewards": "chips bluff=2.0",
        "model_name_or_path": tiny_model_dir,
        "output_dir": tmp_path,
        **overrides,
    }
    return parse_config([word for key, value in options.items() for word in (f"--{key}", *str(value).split())])


def make(tiny_model_dir, tmp_path, rollout, **overrides):
    """A trainer on what a rollout hands out (or on rows), and what records its gradients."""
    config = make_config(tiny_model_dir, tmp_path, **overrides)
    rollout = FixedRows(rollout) if isinstance(rollout, list) else rollout
    gradients = Gradients()
    model = load_model(str(tiny_model_dir), torch.float32)
    trainer = make_trainer(config, model, load_tokenizer(str(tiny_model_dir)), rollout, [gradients])
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # a new adapter's second half is zero: its first half would have no gradient
        for name, weight in trainer.model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) / 10)
    return trainer, gradients


def rows_of(decisions, count, weights=WEIGHTS, **options):
    """Training rows of the decisions."""
    defaults = {"scale": False, "pad_token_id": 0, "rng": np.random.default_rng(0)}
    decisions = [[row] if isinstance(row, Row) else row for row in decisions]
    return training_rows(decisions, count, weights=weights, **{**defaults, **options})[0]
