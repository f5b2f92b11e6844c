"""Train a language model against a bot, with TRL's GRPO on whole hands.

    accelerate launch recipes/train.py --config recipes/configs/quickstart.yaml --output_dir runs/quickstart

Every option of the YAML can be given on the command line; `--resume` continues an interrupted run.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from rich.console import Console
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, TrainerCallback
from transformers.utils import logging as transformers_logging
from trl import GRPOTrainer

from poker_env.cfr.parallel import available_cores
from poker_env.evaluation.match import Evaluation, evaluate
from poker_env.evaluation.results import comparison_table, write_results
from poker_env.players.llm import LLMPlayer
from poker_env.players.models import load_model, load_tokenizer
from recipes.checkpoints import check_run_folder, last_complete_checkpoint, save_adapter
from recipes.cli import output_folder, run
from recipes.config import ExploitConfig, parse_config
from recipes.rollout import Rollout, trl_reward_functions
from recipes.watch import Watcher

EVALUATION_SEED_OFFSET = 1_000_003
"""Evaluation decks are never those of training."""


def main(argv: Sequence[str] | None = None) -> None:
    """Train as the command line says. Raises `UserError` for what a user got wrong."""
    config = parse_config(argv)
    command = shlex.join(["accelerate", "launch", "recipes/train.py", *(sys.argv[1:] if argv is None else argv)])
    folder = output_folder(Path(str(config.output_dir)))
    check_run_folder(folder, config.resume)
    train(config, command)


def train(config: ExploitConfig, command: str) -> None:
    """Train, then judge the adapter against the model it started from, on the same deals."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # rollout_func: pinned, and under a contract test
    # Rows that fill an epoch up have no reward on purpose.
    logging.getLogger("trl.trainer.grpo_trainer").addFilter(lambda record: "returned None" not in record.getMessage())
    transformers_logging.set_verbosity_error()
    console = Console(quiet=int(os.environ.get("RANK", "0")) > 0)
    folder = Path(str(config.output_dir))
    tokenizer = load_tokenizer(config.model_name_or_path)
    rollout = Rollout(config, tokenizer)
    model = load_model(config.model_name_or_path, config.model_dtype())
    trainer = make_trainer(config, model, tokenizer, rollout, [Watcher(config, rollout, tokenizer, console)])
    console.print(
        f"[bold]{config.model_name_or_path}[/] against [bold]{rollout.villain.name}[/] at {config.make_game()}: "
        f"{config.num_epochs} epochs of {config.episodes_per_epoch} hands, {config.rows_per_epoch} rows each, "
        f"on {trainer.accelerator.device}"
    )
    before = judge(trainer, rollout, folder / "evaluation_before", command, adapter=False)
    checkpoint = last_complete_checkpoint(folder) if config.resume else None
    if checkpoint is not None:
        console.print(f"resuming from {checkpoint}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.is_world_process_zero():
        model = trainer.accelerator.unwrap_model(trainer.model)
        save_adapter(folder / "final", model, tokenizer, config.poker())
    after = judge(trainer, rollout, folder / "evaluation", command, adapter=True)
    if before is not None and after is not None:
        console.print(comparison_table({"before training": before, "after training": after}))
    console.print(f"adapter: {folder / 'final'}   learning curve: {folder / 'learning_curve.png'}")
    trainer.accelerator.wait_for_everyone()


def make_trainer(
    config: ExploitConfig,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rollout: Rollout,
    callbacks: Sequence[TrainerCallback],
) -> GRPOTrainer:
    """A stock `GRPOTrainer` around the rollout, with a new LoRA adapter on the model."""
    all_linear = config.lora_target_modules == ["all-linear"]
    trainer = GRPOTrainer(
        model=model,
        args=config,
        reward_funcs=trl_reward_functions(config, rollout),
        # Dummies: the deals come from the rollout, which goes by the trainer's step.
        train_dataset=Dataset.from_dict({"prompt": [f"epoch {epoch}" for epoch in range(1, config.num_epochs + 1)]}),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=config.lora_r,
            lora_alpha=config.lora_alpha,
            lora_dropout=config.lora_dropout,
            target_modules="all-linear" if all_linear else config.lora_target_modules,
            task_type="CAUSAL_LM",
        ),
        rollout_func=rollout,
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def judge(trainer: GRPOTrainer, rollout: Rollout, folder: Path, command: str, *, adapter: bool) -> Evaluation | None:
    """Evaluate the model with or without its adapter on the run's evaluation deals; main process only."""
    config = rollout.config
    if not trainer.is_world_process_zero() or config.eval_hands == 0:
        return None
    model = trainer.accelerator.unwrap_model(trainer.model)
    hero = LLMPlayer(model, trainer.processing_class, config.poker(), config.model_name_or_path)
    arguments = (rollout.game, hero, rollout.villain, config.eval_hands, config.seed + EVALUATION_SEED_OFFSET)
    if adapter:
        hero.name = f"llm:{Path(str(config.output_dir)) / 'final'}"
        evaluation = evaluate(*arguments)
    else:
        with model.disable_adapter():
            evaluation = evaluate(*arguments)
    write_results(folder, evaluation, command)
    return evaluation


def use_all_cores() -> None:
    """On a CPU, share the cores among the machine's processes: `accelerate launch` leaves each with one thread."""
    if not torch.cuda.is_available():
        torch.set_num_threads(max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


if __name__ == "__main__":
    use_all_cores()
    run(main)
