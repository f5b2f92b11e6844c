"""An adapter added to its base model's weights, for those who load whole models alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from poker_env.errors import UserError, first_line
from poker_env.files import whole_folder
from poker_env.games import Game, make_deals
from poker_env.language_model.adapter import put_on, read_config, require_weights
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.language_model.skeleton import load_config
from poker_env.player_specs import make_llm_player, make_player
from poker_env.players.hub import trained_folder
from poker_env.players.llm import LLMPlayer, ModelPlayer
from poker_env.players.poker_config import PokerConfig
from poker_env.state import Observation
from poker_env.table import play

TIED = {"lm_head", "embed_tokens", "wte", "embed_out"}
"""Layers that may share their weights with each other."""

HANDS_TO_COMPARE = 16


def merge(adapter: str, folder: Path, dtype: str = "auto") -> float:
    """Write an adapter's base model with the adapter in its weights, its tokenizer and `poker_config.json`.

    The sum is done in float32 and rounded to `dtype`. Of a base model that was quantized when it was loaded, the
    weights as they were before that are taken. Returns how far the probability of any action moved by either, over
    some decisions and as the players `llm:…` load both.

    Raises `UserError` when there is nothing to merge, it can't be merged without loss, or the folder is in use.
    """
    source = trained_folder(adapter)
    require_weights(source)
    poker = PokerConfig.load(source)
    unquantized = {key: value for key, value in poker.model_init_kwargs.items() if key != "quantization_config"}
    with whole_folder(folder) as temporary:
        base = load_model(poker.base_model, torch.float32, init_kwargs=unquantized)
        _require_mergeable(adapter, read_config(source), base.config)
        adapted = put_on(base, source)
        try:
            merged: Any = adapted.merge_and_unload(safe_merge=True)
        except Exception as error:  # safetensors and peft raise many types
            raise UserError(f"adapter {adapter} can't be merged: {first_line(error)}") from error
        own = load_config(poker.base_model, unquantized).dtype or torch.float32
        merged.to(own if dtype == "auto" else getattr(torch, dtype)).save_pretrained(temporary)
        load_tokenizer(poker.base_model, revision=unquantized.get("revision")).save_pretrained(temporary)
        replace(poker, model_init_kwargs=_of_folder(unquantized)).save(temporary)
        del base, adapted, merged
        return moved_between(source, temporary, poker.game)


def moved_between(before: Path, after: Path, game: Game) -> float:
    """How far the probability of any action is from one player's to another's, over some decisions."""
    asked = _some_decisions(game)
    own, other = (_policy_of(make_llm_player(str(path), game), asked) for path in (before, after))
    return max(
        abs(other[place][action] - own[place][action]) for place in range(len(asked)) for action in other[place]
    )


def _policy_of(player: ModelPlayer, asked: Sequence[Observation]) -> list[dict[int, float]]:
    """Of a model that thinks first, what it would do if it didn't: that tells two weights apart, too."""
    if isinstance(player, LLMPlayer):
        return player.policy(asked)
    unthinking = replace(player.config, thinking=False)
    return LLMPlayer(player.model, player.tokenizer, unthinking, advise=player.advise).policy(asked)


def _of_folder(init_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """How a model is loaded once its weights are in a folder of its own."""
    return {key: value for key, value in init_kwargs.items() if key not in ("revision", "variant")}


def _require_mergeable(adapter: str, config: dict[str, Any], base: Any) -> None:
    kind, targets = config.get("peft_type"), config.get("target_modules") or []
    if kind != "LORA":
        raise UserError(f"adapter {adapter} is of type {kind}: only LoRA adapters can be merged")
    if getattr(base, "quantization_config", None) is not None:
        raise UserError(
            f"adapter {adapter} is on quantized weights, which can't hold the sum: use the adapter as it is"
        )
    shared = TIED.intersection(targets if isinstance(targets, list) else [targets])
    if shared and getattr(base, "tie_word_embeddings", False):
        raise UserError(
            f"adapter {adapter} is on {', '.join(sorted(shared))}, whose weights this model shares between input and "
            "output: use the adapter as it is"
        )


def _some_decisions(game: Game) -> list[Observation]:
    player = make_player("random", game)
    return [
        seen
        for hand in play(game, make_deals(game, HANDS_TO_COMPARE, 0), player, player)
        for seen in hand.observations()
    ]
