"""What would stop a run later is found before anything long begins: of the libraries' refusals one line is made."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, get_scheduler
from trl.import_utils import is_vllm_available

from poker_env.errors import UserError, first_line, note
from poker_env.language_model.adapter import put_on
from poker_env.language_model.skeleton import skeleton
from poker_env.menu import longest_menu
from poker_env.players.llm import LLMPlayer, model_player
from recipes.options.adapter import ALL_LINEAR, layer_of, layers_without
from recipes.options.config import ExploitConfig


def check_early(config: ExploitConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise `UserError` for options that can't be had together, or not with this model or tokenizer."""
    model = skeleton(config.model_name_or_path, config.model_init_kwargs, trust_remote_code=config.trust_remote_code)
    hero = model_player(model, tokenizer, config.poker())
    if isinstance(hero, LLMPlayer):
        _check_length(config, hero)
    _check_optimizer(config)
    _check_adapter(config, model)


def check_machine(config: ExploitConfig) -> None:
    """Raise `UserError` for options that can't be had on this machine."""
    if config.fp16 and not torch.cuda.is_available():
        raise UserError("dtype float16 is for GPUs, where the loss can be scaled: set dtype to float32 or bfloat16")
    if config.use_vllm and not is_vllm_available():
        raise UserError("use_vllm true: vLLM isn't installed here; pip install 'trl[vllm]', or leave it out")


def _check_length(config: ExploitConfig, hero: LLMPlayer) -> None:
    """Every action of the longest menu has to fit into an answer, with the token that ends it."""
    places = range(longest_menu(config.make_game(), config.menu_fractions))
    answers = {f"A{place}": hero.answer_ids(f"A{place}") for place in places}
    longest = max(answers, key=lambda token: len(answers[token]))
    needed = len(answers[longest])
    if needed > config.max_completion_length:
        raise UserError(
            f"max_completion_length {config.max_completion_length} is too short for the answer "
            f"{longest}{hero.tokenizer.decode(answers[longest][-1])} ({needed} tokens): set it to {needed} or more"
        )


def _check_optimizer(config: ExploitConfig) -> None:
    """Make the optimizer and the schedule of one number."""
    with _refusals(f"optim {_text(config.optim)}{f', optim_args {config.optim_args!r}' if config.optim_args else ''}"):
        kind, options = Trainer.get_optimizer_cls_and_kwargs(config)
        without = copy.copy(config)
        without.optim_args = None
        if config.optim_args and Trainer.get_optimizer_cls_and_kwargs(without) == (kind, options):
            raise ValueError("this optimizer takes none of these optim_args")
        optimizer = kind([torch.nn.Parameter(torch.zeros(1))], **options)
    with _refusals(f"lr_scheduler_type {_text(config.lr_scheduler_type)} with {config.lr_scheduler_kwargs or {}}"):
        get_scheduler(
            config.lr_scheduler_type,
            optimizer,
            num_warmup_steps=config.get_warmup_steps(config.max_steps),
            num_training_steps=config.max_steps,
            scheduler_specific_kwargs=config.lr_scheduler_kwargs,
        )


def _check_adapter(config: ExploitConfig, model: PreTrainedModel) -> None:
    """Put the adapter on the model's layers, without weights."""
    bare = layers_without(model, config.lora_depth)
    if config.adapter is not None:
        _tell_what_stays(config, put_on(model, Path(config.adapter)), bare)
        return
    modules = f"lora_target_modules {', '.join(config.lora_target_modules)}"
    with _refusals(f"{modules} with lora_depth {config.lora_depth}" if bare else modules):
        adapted = get_peft_model(model, config.lora(model))
    for name, weight in adapted.named_parameters():
        # Experts that are parameters and no modules get one by their model's kind, wherever they are.
        if weight.requires_grad and (layer := layer_of(name)) is not None and layer < bare:
            raise UserError(
                f"lora_depth {config.lora_depth} can't be had with {config.model_name_or_path}: peft puts the adapter "
                f"on {name.partition('.lora_')[0]}, too; set it to 1"
            )


def _tell_what_stays(config: ExploitConfig, adapted: PeftModel, bare: int) -> None:
    """Say which options the adapter that training goes on from is otherwise than."""
    own = adapted.peft_config[adapted.active_adapter]
    layers = {layer_of(name) for name, _ in adapted.named_parameters() if ".lora_" in name}
    modules = config.lora_target_modules  # which ones "all-linear" stood for isn't kept
    other = {
        "lora_target_modules": modules != [ALL_LINEAR] and set(own.target_modules) != set(modules),
        "lora_r": own.r != config.lora_r,
        "lora_alpha": own.lora_alpha != config.lora_alpha,
        "lora_dropout": own.lora_dropout != config.lora_dropout,
        "lora_depth": min((layer for layer in layers if layer is not None), default=bare) != bare,
    }
    if options := [f"{name} {getattr(config, name)}" for name, differs in other.items() if differs]:
        note(f"the adapter {config.adapter} was made otherwise and stays so, whatever {', '.join(options)} say")


def _text(option: Any) -> str:
    return str(getattr(option, "value", option))


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    """What a library says of options, in one line."""
    try:
        yield
    except Exception as error:  # theirs are of many types
        raise UserError(f"{what} can't be had: {first_line(error)}") from error
