"""Options that only make sense beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from poker_env.errors import UserError
from recipes.options.trl_options import check_cispo
from recipes.options.values import shown


def check_together(values: Mapping[str, Any]) -> None:
    """Raise `UserError` for the first option that doesn't go with another."""
    if values["episodes_per_epoch"] % values["replicas"]:
        raise UserError(
            f"episodes_per_epoch {values['episodes_per_epoch']} is not a multiple of replicas {values['replicas']}"
        )
    if values["entropy_coef_end"] is not None and (values["entropy_coef"] <= 0 or values["entropy_coef_end"] < 0):
        raise UserError(
            f"entropy_coef_end {values['entropy_coef_end']} must not be negative, and needs an entropy_coef above 0 "
            "to start from"
        )
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
