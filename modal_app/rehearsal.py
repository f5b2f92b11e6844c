"""A model is asked one question before a GPU is: what only shows when it answers would be tried again there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from poker_env.errors import UserError, first_line
from poker_env.games import make_deals
from poker_env.language_model.loading import best_dtype, load_tokenizer, resolve_model
from poker_env.players.llm import LLMPlayer, model_player
from poker_env.players.poker_config import PokerConfig
from poker_env.table import LiveHand

MOST_BYTES = 8e9
"""Of the weights of what is asked; the container's memory has to hold them."""

KINDS = ("layer_types", "layers_block_type")
"""What configs call the list of their layers' kinds; some work it out, so that it is no entry of theirs."""

GPU_ATTENTION = ("flash", "flex", "kernels")
"""How attention's implementations begin that no CPU has."""


def rehearse(
    poker: PokerConfig,
    lora: Callable[[PreTrainedModel], LoraConfig] | None = None,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Ask a model at the first decision of a hand: one answer, and how probable each one of the menu is.

    The tokenizer and the template are the model's own. The model is its architecture in full width with random weights
    and only as many layers as it has kinds of them: what goes wrong in an answer goes by architecture, vocabulary and
    template, not by what the weights say, and so it takes a minute and a few GB whatever the model's size, where the
    whole one would take a container as large as itself. The adapter that `lora` makes for it is put on it first;
    `options` are what `from_pretrained` is given beside the model's name.

    Raises `UserError`, in one line, for whatever goes wrong.
    """
    name, given = poker.base_model, dict(options or {})
    with _told(f"the tokenizer of {name!r} can't be loaded"):
        tokenizer = load_tokenizer(
            name, revision=given.get("revision"), trust_remote_code=bool(given.get("trust_remote_code"))
        )
    with _told(f"model {name!r} can't be made"):
        config = AutoConfig.from_pretrained(resolve_model(name), **_of_config(given))
        with torch.device("meta"):  # as it is, which takes no memory
            _make(config, given)
    try:
        _make_shallow(config)
        with torch.device("meta"):
            size = sum(weights.nbytes for weights in _make(config, given).parameters())
        if size > MOST_BYTES:
            raise MemoryError(f"{size / 1e9:.0f} GB")
        model = _make(config, given)
    except Exception as error:  # its layers depend on each other in a way that isn't known here
        print(f"preflight: {name} isn't asked a question, as no small copy of it can be made ({first_line(error)})")
        return
    model.generation_config = _generation_config(name, given) or model.generation_config
    if lora is not None:
        adapter = lora(model)
        with _told(f"no adapter on {adapter.target_modules} can be put on model {name!r}"):
            model = get_peft_model(model, adapter)
    observation = LiveHand(poker.game, make_deals(poker.game, 1, 0)[0]).observe()
    with _told(f"model {name!r} can't be asked a question"):
        player = model_player(model.eval(), tokenizer, replace(poker, advisor=None))  # advice may take minutes to make
        player.act([observation])
        if isinstance(player, LLMPlayer):
            player.policy([observation])


class _told:
    """Turns what goes wrong in it into a `UserError` of one line."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, UserError):
            raise UserError(f"preflight: {self.what} ({type(error).__name__}: {first_line(error)})") from error


def _make(config: Any, options: Mapping[str, Any]) -> PreTrainedModel:
    """A model with random weights."""
    kept = {name: value for name, value in options.items() if name in ("attn_implementation", "trust_remote_code")}
    if str(kept.get("attn_implementation", "")).startswith(GPU_ATTENTION):
        del kept["attn_implementation"]
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=best_dtype(), **kept)
    return model


def _make_shallow(config: Any) -> None:
    """Leave the first layers, up to where there is one of each kind; two at least."""
    text = config.get_text_config(decoder=True)
    layers = text.num_hidden_layers
    by_layer = {
        name: value for name, value in text.to_dict().items() if isinstance(value, list) and len(value) == layers
    }
    told = [*by_layer.values(), *(getattr(text, name, None) or [] for name in KINDS)]
    kinds = list(zip(*(value for value in told if value and isinstance(value[0], str)), strict=True))
    depth = min(layers, max([2, *(kinds.index(kind) + 1 for kind in set(kinds))]))
    text.num_hidden_layers = depth
    for name, value in by_layer.items():
        setattr(text, name, value[:depth])


def _of_config(options: Mapping[str, Any]) -> dict[str, Any]:
    names = ("revision", "trust_remote_code", "subfolder", "code_revision")
    return {name: options[name] for name in names if options.get(name) is not None}


def _generation_config(name: str, options: Mapping[str, Any]) -> GenerationConfig | None:
    """With the tokens that end an answer, which may be others than the tokenizer's; None where it has none."""
    try:
        return GenerationConfig.from_pretrained(resolve_model(name), **_of_config(options))
    except OSError:
        return None
