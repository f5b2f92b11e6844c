"""An adapter with what it takes to play it and no more, in half the bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from poker_env.errors import UserError, first_line
from poker_env.files import whole_folder
from poker_env.language_model.adapter import CONFIG, WEIGHTS, require_weights
from poker_env.players.hub import trained_folder
from poker_env.players.poker_config import FILE_NAME, PokerConfig
from recipes.publishing.merge import moved_between


def shrink(adapter: str, folder: Path) -> float:
    """Write an adapter's weights in bfloat16 and its configs; the tokenizer is left to the base model.

    Returns how far that moved the probability of any action, over some decisions. Raises `UserError` when the adapter
    can't be read, or the folder is in use.
    """
    source = trained_folder(adapter)
    poker = PokerConfig.load(source)
    try:
        weights = load_file(require_weights(source))
    except (SafetensorError, OSError) as error:
        raise UserError(f"adapter {adapter} can't be loaded: {first_line(error)}") from error
    with whole_folder(folder) as temporary:
        save_file(
            {name: own.to(torch.bfloat16) for name, own in weights.items()}, temporary / WEIGHTS, {"format": "pt"}
        )
        for name in (CONFIG, FILE_NAME):
            shutil.copyfile(source / name, temporary / name)
        return moved_between(source, temporary, poker.game)
