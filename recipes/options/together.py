"""Options that only make sense beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from poker_env.errors import UserError
from poker_env.language_model.chat import MAY_THINK
from recipes.options.trl_options import OF_CORRECTION, OF_MODE, WORKS, check_cispo
from recipes.options.values import shown

LEAST_THOUGHT = 32
"""Tokens of an answer that has a thought."""

RATIOS = ("epsilon", "epsilon_high", "delta")
"""What is done about how probable an answer is now, to how probable it was when it was given."""

NEED_PROBABILITIES = ("hero", "all_action")
"""What of `variance_reduction` takes to know how probable each action of the menu was."""


def check_together(values: Mapping[str, Any], defaults: Mapping[str, Any], world: int) -> None:
    """Raise `UserError` for the first option that doesn't go with another, or with so many processes."""
    if values["episodes_per_epoch"] % values["replicas"]:
        raise UserError(
            f"episodes_per_epoch {values['episodes_per_epoch']} is not a multiple of replicas {values['replicas']}"
        )
    if values["entropy_coef_end"] is not None and (values["entropy_coef"] <= 0 or values["entropy_coef_end"] < 0):
        raise UserError(
            f"entropy_coef_end {values['entropy_coef_end']} must not be negative, and needs an entropy_coef above 0 "
            "to start from"
        )
    if values["entropy_schedule"] == "geometric" and not values["entropy_coef_end"]:
        raise UserError("entropy_schedule geometric takes an entropy_coef_end above 0 to fall to")
    if values["baseline"] == "leave_one_out" and values["replicas"] < 2:
        raise UserError("baseline leave_one_out needs replicas of 2 or more")
    if values["variance_reduction"] and values["baseline"] == "leave_one_out":
        raise UserError("baseline leave_one_out adds the luck that variance_reduction takes off: leave one out")
    if "all_action" in values["variance_reduction"] and values["scale_rewards"] != "none":
        raise UserError("variance_reduction all_action has no returns to scale by: set scale_rewards to none")
    if "all_action" in values["variance_reduction"] and values["importance_sampling_level"] != "token":
        raise UserError(
            "variance_reduction all_action has answers that weigh less than one: they have no "
            f"importance_sampling_level {values['importance_sampling_level']}, leave one out"
        )
    check_lifted(values)
    if values["soft_after"] is not None:
        check_soft(values, defaults)
    if values["loss_type"] == "cispo":
        check_cispo(values)
    for name, schedules in (
        ("warmup_steps", ("constant",)),
        ("lr_scheduler_kwargs", ("constant", "constant_with_warmup")),
    ):
        if values[name] and values["lr_scheduler_type"] in schedules:
            raise UserError(
                f"{name} {shown(values[name])} does nothing with lr_scheduler_type "
                f"{values['lr_scheduler_type']}: leave it out, or set another lr_scheduler_type"
            )
    if values["thinking"]:
        check_thinking(values)
    else:
        refuse_vllm(values, defaults, "thinking")
    if values["use_vllm"]:
        check_vllm(values, defaults, world)
    else:
        refuse_vllm(values, defaults, "use_vllm")


def check_lifted(values: Mapping[str, Any]) -> None:
    """Raise `UserError` for what `probability_power` takes and doesn't have, or has no use for."""
    power, after = values["probability_power"], values["lifted_after"]
    if power == 1 and after:
        raise UserError(
            f"lifted_after {after} does nothing with probability_power 1.0: give a power below 1, or set it to 0"
        )
    if power < 1 and "all_action" not in values["variance_reduction"]:
        raise UserError(
            f"probability_power {power} takes what every action wins: add all_action to variance_reduction, or set "
            "probability_power to 1"
        )


def check_soft(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raise `UserError` for what `soft_after` takes and doesn't have, or has no use for."""
    after, epochs = values["soft_after"], values["num_epochs"]
    if "all_action" not in values["variance_reduction"]:
        raise UserError(
            f"soft_after {after} takes what every action wins: add all_action to variance_reduction, or set "
            "soft_after to none"
        )
    if values["probability_power"] < 1 and after <= values["lifted_after"]:
        raise UserError(
            f"probability_power {values['probability_power']} does nothing with soft_after {after}, whose steps are "
            "no gradients: leave one of them out"
        )
    if not 0 <= after < epochs:
        raise UserError(f"soft_after {after}: give one of the {epochs} epochs, counted from 0")
    for name in ("entropy_coef", "entropy_coef_end"):
        if values[name] is not None and values[name] <= 0:
            raise UserError(f"{name} {values[name]}: with soft_after it is a temperature, give a number above 0")
    for name in RATIOS:
        if after == 0 and values[name] != defaults[name]:
            raise UserError(
                f"{name} {shown(values[name])} is for ratios of probabilities, which soft_after 0 leaves none of: "
                "leave one of them out"
            )


def check_thinking(values: Mapping[str, Any]) -> None:
    """Raise `UserError` for what can't be had of a model that thinks first."""
    length = values["max_completion_length"]
    if length < LEAST_THOUGHT:
        raise UserError(
            f"max_completion_length {length} leaves no room to think: set it to {LEAST_THOUGHT} or more, say 512"
        )
    for name in MAY_THINK:
        if (values["chat_template_kwargs"] or {}).get(name) is False:
            raise UserError(f"thinking true and chat_template_kwargs {name} false: leave one of them out")
    for part in values["variance_reduction"]:
        if part in NEED_PROBABILITIES:
            raise UserError(
                f"variance_reduction {part} needs the probabilities of hero's menu, which nobody knows of a model "
                "that thinks first: leave it out with thinking"
            )
    if values["warm_start_player"]:
        raise UserError(
            f"warm_start_player {values['warm_start_player']} has no thoughts to imitate: leave it out with thinking"
        )
    if values["exact_eval_every"]:
        raise UserError(
            f"exact_eval_every {values['exact_eval_every']} needs hero's probabilities, which nobody knows of a model "
            "that thinks first: leave it out with thinking"
        )


def refuse_vllm(
    values: Mapping[str, Any],
    defaults: Mapping[str, Any],
    needed: str,
    names: Sequence[str] = WORKS["vLLM, with thinking"],
) -> None:
    """Raise `UserError` for an option of vLLM that does nothing without another one, `needed`."""
    for name in names:
        if name != needed and values[name] != defaults[name]:
            raise UserError(
                f"{name} {shown(values[name])} does nothing without {needed}: set {needed}, or leave it out"
            )


def check_vllm(values: Mapping[str, Any], defaults: Mapping[str, Any], world: int) -> None:
    """Raise `UserError` for what can't be had, or does nothing, where vLLM samples."""
    for mode, names in OF_MODE.items():
        if values["vllm_mode"] != mode:
            refuse_vllm(values, defaults, f"vllm_mode {mode}", names)
    if not values["vllm_importance_sampling_correction"]:
        refuse_vllm(values, defaults, "vllm_importance_sampling_correction", OF_CORRECTION)
    if values["vllm_mode"] == "server" and world > 1:
        raise UserError(
            f"vllm_mode server can't be had with {world} processes, which ask it at different times: set it to "
            "colocate"
        )
    for name in ("trained_share", "visits_power"):
        if values[name] < 1:
            raise UserError(
                f"{name} {values[name]} can't be had with use_vllm, whose correction takes rows of one decision each: "
                "leave one out"
            )
