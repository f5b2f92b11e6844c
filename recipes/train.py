"""Train a language model against a bot, with TRL's GRPO on whole hands.

    accelerate launch recipes/train.py --config recipes/configs/quickstart.yaml --output_dir runs/quickstart

Every option of the YAML can be given on the command line; `--resume` continues an interrupted run.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import PeftModel
from rich.console import Console
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, TrainerCallback, set_seed
from transformers.utils import logging as transformers_logging
from trl import GRPOTrainer

from poker_env.evaluation.capture import usual_settings
from poker_env.evaluation.match import Match, PlayedDeck
from poker_env.evaluation.results import comparison_table, judged_sha256, write_results
from poker_env.files import output_folder
from poker_env.language_model.adapter import adapter_sha256
from poker_env.language_model.lora import fuse
from poker_env.player_specs import advice_for, load_advisor
from poker_env.players.llm import LLMPlayer
from poker_env.report.page import write_report
from recipes.cli import run
from recipes.options.config import ExploitConfig, parse_config
from recipes.options.early import check_early, check_machine
from recipes.push import Destination, push
from recipes.runs.checkpoints import (
    check_run_folder,
    epoch_folder,
    last_complete_checkpoint,
    load_adapter,
    save_adapter,
)
from recipes.runs.metrics import read_metrics
from recipes.runs.record import WARM_START, command_line, require_same_run, write_run_record
from recipes.runs.trackers import trackers_of
from recipes.runs.watcher import Watcher
from recipes.training.exact_watch import ExactWatch
from recipes.training.processes import (
    expect_gradients,
    gather_to_main,
    is_main,
    on_main,
    part,
    share_of,
    use_all_cores,
)
from recipes.training.rollout import Rollout, trl_reward_functions
from recipes.training.trainer import TreeTrainer
from recipes.warm_start import warm_start

EVALUATION_SEED_OFFSET = 1_000_003
"""Evaluation decks are never those of training."""


def main(argv: Sequence[str] | None = None) -> None:
    """Train as the command line says. Raises `UserError` for what a user got wrong."""
    config = parse_config(argv)
    folder = on_main(lambda: open_run(config))
    if config.resume and on_main(lambda: is_finished(folder, config)):
        if is_main():
            print(f"{folder} is finished: its adapter is {folder / 'final'}. For a new run give another --output_dir.")
        destination = Destination.of(config)
        part()
        if destination is not None and is_main():
            push(folder / "final", destination)
        return
    train(config, command_line(sys.argv[1:] if argv is None else argv))


def open_run(config: ExploitConfig) -> Path:
    """A run's folder, made ready. Raises `UserError` where it can't be written, or holds another run."""
    folder = output_folder(Path(str(config.output_dir)))
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
    return config.eval_hands == 0 or judged(folder / "evaluation", final) is not None


def judged(folder: Path, adapter: Path | None) -> dict[str, Any] | None:
    """What a whole evaluation of that adapter found, or of a model without one; None where the folder holds none."""
    if not (folder / "report.html").exists():  # it is written last
        return None
    found: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    expected = None if adapter is None else adapter_sha256(adapter)
    return found if judged_sha256(found) == expected else None


def train(config: ExploitConfig, command: str) -> None:
    """Train, then judge the adapter against what it was made from (the model, or `config.adapter`), on the same deals.

    A warm start is part of the training.
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
    before = judge(trainer, rollout, folder / "evaluation_before", command, start, again=not config.resume)
    checkpoint = on_main(lambda: last_complete_checkpoint(folder)) if config.resume else None
    if checkpoint is not None:
        console.print(f"resuming from {checkpoint}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    model = trainer.accelerator.unwrap_model(trainer.model)
    on_main(lambda: save_adapter(folder / "final", model, tokenizer, config.poker()))
    after = judge(trainer, rollout, folder / "evaluation", command, folder / "final", again=True)
    if before is not None and after is not None:
        console.print(comparison_table({"before training": before, "after training": after}))
    console.print(f"adapter: {folder / 'final'}   learning curve: {folder / 'learning_curve.png'}")
    part()
    if destination is not None and is_main():
        push(folder / "final", destination)


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
        peft_config=None if isinstance(model, PeftModel) else config.lora(),
        rollout_func=rollout,
        callbacks=list(callbacks),
        end_ids=LLMPlayer(model, tokenizer, config.poker()).end_ids,
    )
    fuse(trainer.model)
    expect_gradients(trainer)
    trainer.remove_callback(PrinterCallback)
    return trainer


def judge(
    trainer: GRPOTrainer, rollout: Rollout, folder: Path, command: str, adapter: Path | None, *, again: bool
) -> dict[str, Any] | None:
    """Evaluate the model as it is, which is called after its `adapter`, or without one, on the run's evaluation deals.

    Returns what is in the folder's `results.json`, which is not worked out `again` if those deals were played already;
    None for `eval_hands: 0`. All processes call it together, and each plays a share of the decks.
    """
    config = rollout.config
    if config.eval_hands == 0:
        return None
    game, villain, seed = rollout.game, rollout.villain, config.seed + EVALUATION_SEED_OFFSET
    found, asked = None if again else on_main(lambda: judged(folder, adapter)), (config.eval_hands + 1) // 2
    if found is not None and (found["villain"], found["seed"], found["deals"]) == (villain.name, seed, asked):
        return found
    model = trainer.accelerator.unwrap_model(trainer.model)
    poker = config.poker()
    hero = LLMPlayer(model, trainer.processing_class, poker, config.model_name_or_path, advise=advice_for(poker))
    with nullcontext() if adapter else model.disable_adapter():
        if adapter:
            hero.name, hero.sha256 = f"llm:{adapter}", on_main(lambda: adapter_sha256(adapter))
        match = Match(game, hero, villain, config.eval_hands, seed, lbr=usual_settings(game, villain))
        played = gather_to_main(match.play(share_of(match.decks), progress=is_main()))
        return on_main(lambda: write_judgement(folder, match, played, command))


def write_judgement(folder: Path, match: Match, played: Sequence[PlayedDeck], command: str) -> dict[str, Any]:
    """Save what all decks say of hero, the report last; returns what is in `results.json`."""
    evaluation = match.judged(played)
    record = write_results(folder, evaluation, command)
    write_report(folder, evaluation, record)
    return record


if __name__ == "__main__":
    use_all_cores()
    run(main)
