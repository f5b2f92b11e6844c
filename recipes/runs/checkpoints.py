"""A run folder's files: adapters by epoch, `best` and `final`, and the trainer's checkpoints to resume from."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel

from poker_env.errors import UserError
from poker_env.files import write_atomically
from poker_env.language_model.adapter import name_base_model, put_on, require_weights
from poker_env.language_model.base_weights import own_sha256, tell_other_weights
from poker_env.players.poker_config import PokerConfig

COMPLETE = "COMPLETE"
"""Marks a trainer checkpoint that was written to its end."""


def save_adapter(folder: Path, model: Any, tokenizer: Any, poker: PokerConfig) -> None:
    """Save a PEFT model's adapter, its tokenizer and `poker_config.json` as `folder`, all at once or not at all."""
    temporary = _temporary(folder)
    model.save_pretrained(str(temporary), selected_adapters=["default"])  # not the copy that KL is measured to
    name_base_model(temporary, poker.base_model)  # peft's is the bundled model's folder, which means nothing elsewhere
    (temporary / "README.md").unlink(missing_ok=True)  # peft's, with nothing filled in
    tokenizer.save_pretrained(str(temporary))
    replace(poker, base_sha256=own_sha256(poker.base_model)).save(temporary)
    _replace(temporary, folder)


def load_adapter(model: PreTrainedModel, folder: Path, poker: PokerConfig) -> PeftModel:
    """The model with a saved adapter to train on.

    Raises `UserError` when it is damaged, or was trained on another game, model, prompt style or menu than `poker`.
    """
    require_weights(folder)
    saved = PokerConfig.load(folder)
    for option, theirs, ours in (
        ("game", saved.game.name, poker.game.name),
        ("model_name_or_path", saved.base_model, poker.base_model),
        ("prompt_style", saved.style, poker.style),
        ("thinking", saved.thinking, poker.thinking),
        ("menu_fractions", saved.fractions, poker.fractions),
        ("advisor", saved.advisor is not None, poker.advisor is not None),  # about whom may change
        *([("advice", list(saved.advice), list(poker.advice))] if poker.advisor is not None else []),
        ("chat_template_kwargs", saved.chat_template_kwargs, poker.chat_template_kwargs),
    ):
        if theirs != ours:
            raise UserError(f"adapter {folder} was trained with {option} {theirs}, not {ours}: set it to the same")
    adapted = put_on(model, folder, trainable=True)
    tell_other_weights(poker.base_model, saved.base_sha256, str(folder))
    adapted.peft_config["default"].base_model_name_or_path = model.name_or_path  # or saving would ask the Hub
    return adapted


def copy_adapter(source: Path, folder: Path) -> None:
    """Copy a saved adapter, all at once or not at all."""
    temporary = _temporary(folder)
    shutil.copytree(source, temporary, dirs_exist_ok=True)
    _replace(temporary, folder)


def mark_complete(run: Path, step: int) -> None:
    """Say that the trainer's checkpoint of a step is whole."""
    write_atomically(run / f"checkpoint-{step}" / COMPLETE, "")


def last_complete_checkpoint(run: Path) -> Path | None:
    """The newest whole checkpoint of a run, None when there is none."""
    marked = [mark.parent for mark in run.glob(f"checkpoint-*/{COMPLETE}") if mark.parent.name[11:].isdecimal()]
    return max(marked, key=lambda folder: int(folder.name.removeprefix("checkpoint-")), default=None)


def check_run_folder(run: Path, resume: bool) -> None:
    """Put right what a killed run left half done; raises `UserError` when a new run would overwrite an older one."""
    for old in run.glob(".*.old"):
        folder = run / old.name.removeprefix(".").removesuffix(".old").rpartition(".")[0]
        if not folder.exists():  # killed between the two renames of `_replace`
            old.rename(folder)
    if not resume and (run / "metrics.jsonl").exists():
        raise UserError(f"{run} holds a run already: add --resume to continue it, or choose another --output_dir")


def _temporary(folder: Path) -> Path:
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"can't write {folder}: {error.strerror}") from error
    return temporary


def _replace(temporary: Path, folder: Path) -> None:
    """A folder can't be renamed over a full one: the old one steps aside first."""
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
