"""Train a language model against a bot, with TRL's GRPO on whole hands.

    accelerate launch recipes/train.py --config recipes/configs/quickstart.yaml --output_dir runs/quickstart

Every option of the YAML can be given on the command line; `--resume` continues an interrupted run.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from datasets import Dataset
from peft import PeftModel
from rich.console import Console
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, TrainerCallback, set_seed
from transformers.utils import logging as transformers_logging

from poker_env.files import alone_in, output_folder
from poker_env.forwarding.forward import keep_lower_layers
from poker_env.forwarding.lora import fuse
from poker_env.language_model.adapter import adapter_sha256
from poker_env.player_specs import load_advisor
from poker_env.players.hub import epoch_folder
from poker_env.players.llm import model_player
from recipes.cli import run
from recipes.options.config import ExploitConfig, parse_config
from recipes.options.early import check_early, check_machine
from recipes.push import Destination, push
from recipes.runs.checkpoints import (
    check_run_folder,
    last_complete_checkpoint,
    load_adapter,
    save_adapter,
)
from recipes.runs.metrics import read_metrics
from recipes.runs.record import WARM_START, command_line, require_same_run, write_run_record
from recipes.runs.trackers import trackers_of
from recipes.runs.watcher import Watcher
from recipes.training.exact_watch import ExactWatch
from recipes.training.judgement import AFTER, AFTER_WARM_START, BEFORE, Judgement, judged
from recipes.training.processes import (
    expect_gradients,
    is_main,
    on_main,
    part,
    use_all_cores,
)
from recipes.training.rollout import Rollout, trl_reward_functions
from recipes.training.trainer import TreeTrainer
from recipes.warm_start import warm_start


def main(argv: Sequence[str] | None = None) -> None:
    """Train as the command line says. Raises `UserError` for what a user got wrong."""
    config = parse_config(argv)
    with ExitStack() as open_folders:
        folder = on_main(lambda: open_run(config, open_folders))
        if config.resume and on_main(lambda: is_finished(folder, config)):
            if is_main():
                final = folder / "final"
                print(f"{folder} is finished: its adapter is {final}. For a new run give another --output_dir.")
            leave(folder, Destination.of(config))
        else:
            train(config, command_line(sys.argv[1:] if argv is None else argv))


def leave(folder: Path, destination: Destination | None) -> None:
    """The processes of a finished run part, and the main one pushes its adapter if it is to go anywhere."""
    part()
    if destination is not None and is_main():
        push(folder / "final", destination)


def open_run(config: ExploitConfig, open_folders: ExitStack) -> Path:
    """A run's folder, made ready and kept from other processes until it is closed.

    Raises `UserError` where it can't be written, holds another run, or another process trains in it.
    """
    folder = output_folder(Path(str(config.output_dir)))
    open_folders.enter_context(alone_in(folder))
    check_run_folder(folder, config.resume)
    if config.resume:
        require_same_run(folder, config)
    return folder


def is_finished(folder: Path, config: ExploitConfig) -> bool:
    """Whether a run's folder holds all that a run of that many epochs leaves: its last adapter, and that judged."""
    last, final = epoch_folder(folder, config.num_epochs), folder / "final"
    if len(read_metrics(folder)) < config.num_epochs or not final.is_dir():
        return False
    if last.is_dir() and adapter_sha256(last) != adapter_sha256(final):
        return False
    return config.eval_hands == 0 or judged(folder / AFTER, final) is not None


def train(config: ExploitConfig, command: str) -> None:
    """Train, and judge what there is before it, after a warm start and after the hands, on the same decks.

    Before it there is the model, or `config.adapter`.
    """
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # rollout_func: pinned, and under a contract test
    # The model is loaded by its kwargs before TRL has it.
    logging.getLogger("trl.trainer.grpo_trainer").addFilter(
        lambda record: "`model_init_kwargs`" not in record.getMessage()
    )
    transformers_logging.set_verbosity_error()
    console = Console(quiet=not is_main())
    destination, config.push_to_hub = Destination.of(config), False  # the trainer would push every checkpoint
    config.hub_token = None  # the trainer would save it
    folder = Path(str(config.output_dir))
    tokenizer = config.load_tokenizer()
    check_machine(config)
    check_early(config, tokenizer)
    rollout = Rollout(config, tokenizer)
    if config.advisor:
        load_advisor(config.villain, rollout.game)  # complains now, not after a warm start
    exact = ExactWatch.of(config, rollout.villain)
    trainer = make_trainer(config, starting_model(config, rollout, console), tokenizer, rollout)
    trainer.add_callback(Watcher(config, rollout, tokenizer, console, exact, trackers_of(trainer, folder)))
    console.print(
        f"[bold]{config.model_name_or_path}[/] against [bold]{rollout.villain.name}[/] at {config.make_game()}: "
        f"{config.num_epochs} epochs of {config.episodes_per_epoch} hands, {config.rows_per_epoch} rows each, "
        f"on {trainer.accelerator.device}"
    )
    console.print(str(trainer.memory), soft_wrap=True)
    start = Path(config.adapter) if config.adapter else None
    on_main(lambda: write_run_record(folder, config, rollout.villain, command))
    judgement = Judgement(trainer, rollout, command)
    judgement.of("before", folder / BEFORE, start, again=not config.resume)
    if start is None and config.warm_start_player is not None:
        judgement.of("after imitation", folder / AFTER_WARM_START, folder / WARM_START, again=not config.resume)
    checkpoint = on_main(lambda: last_complete_checkpoint(folder)) if config.resume else None
    if checkpoint is not None:
        console.print(f"resuming from {checkpoint}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    model = trainer.accelerator.unwrap_model(trainer.model)
    on_main(lambda: save_adapter(folder / "final", model, tokenizer, config.poker()))
    judgement.of("after training", folder / AFTER, folder / "final")
    if config.eval_hands:
        on_main(lambda: console.print(judgement.table()))
    console.print(f"adapter: {folder / 'final'}   learning curve: {folder / 'learning_curve.png'}")
    leave(folder, destination)


def starting_model(config: ExploitConfig, rollout: Rollout, console: Console) -> PreTrainedModel | PeftModel:
    """The model, with the adapter it starts with where it has one: `config.adapter`, or the warm start's."""
    folder = Path(config.adapter) if config.adapter else None
    if folder is None and config.warm_start_player is not None:
        folder = Path(str(config.output_dir)) / WARM_START
        if not (config.resume and on_main(folder.exists)):
            warm_start(config, rollout.villain, folder, console)
    set_seed(config.seed)  # a new adapter's weights are random
    model = config.load_model()
    return model if folder is None else load_adapter(model, folder, config.poker())


def make_trainer(
    config: ExploitConfig,
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    rollout: Rollout,
    callbacks: Sequence[TrainerCallback] = (),
) -> TreeTrainer:
    """A `GRPOTrainer` around the rollout: it goes on with the model's adapter, or puts a new one on it.

    Where `beta` is above 0, KL is measured to where it starts: to a copy of the adapter, or to the model.
    """
    trainer = TreeTrainer(
        model=model,
        args=config,
        reward_funcs=trl_reward_functions(config),
        # Dummies: the deals come from the rollout, which goes by the trainer's step.
        train_dataset=Dataset.from_dict({"prompt": [f"epoch {epoch}" for epoch in range(1, config.num_epochs + 1)]}),
        processing_class=tokenizer,
        peft_config=None if isinstance(model, PeftModel) else config.lora(model),
        rollout_func=rollout,
        callbacks=list(callbacks),
        end_ids=model_player(model, tokenizer, config.poker()).end_ids,
    )
    fuse(trainer.model)
    keep_lower_layers(trainer.model)
    expect_gradients(trainer)
    trainer.remove_callback(PrinterCallback)
    return trainer


if __name__ == "__main__":
    use_all_cores()
    run(main)
