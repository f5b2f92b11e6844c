"""What options may be: each by itself, and all together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from poker_env.errors import UserError, first_line
from poker_env.knowledge.control_variates import Switches
from poker_env.language_model.adapter import require_model
from poker_env.language_model.init_kwargs import check_init_kwargs
from recipes.options.report_to import check_trackers
from recipes.options.together import check_together
from recipes.options.trl_options import check_bounds, check_choices
from recipes.options.values import chosen
from recipes.options.villains import check_villain

SWITCHES = tuple(switch.name for switch in fields(Switches))


def check(values: Mapping[str, Any], defaults: Mapping[str, Any], world: int) -> None:
    """Raise `UserError` for the first option that can't be had, alone or beside others, with so many processes."""
    check_choices(values)
    check_bounds(values, world)
    for name in ("lora_target_modules", "rewards", "menu_fractions"):
        if not values[name]:
            raise UserError(f"{name} is empty: name at least one")
    if min(values["menu_fractions"]) <= 0:
        raise UserError(f"menu_fractions {values['menu_fractions']} must be above 0")
    for name in ("model_init_kwargs", "chat_template_kwargs"):
        try:
            json.dumps(values[name])
        except (TypeError, ValueError) as error:
            raise UserError(f"{name} can't be kept beside the adapter: {first_line(error)}") from error
    check_init_kwargs(values["model_init_kwargs"] or {}, "model_init_kwargs")
    require_model(
        values["model_name_or_path"], "model_name_or_path", "give its base model, and the folder as --adapter"
    )
    for switch in values["variance_reduction"]:
        chosen("variance_reduction", switch, SWITCHES)
    check_together(values, defaults, world)
    check_trackers(values["report_to"])
    check_villain(values)
