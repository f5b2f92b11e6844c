"""From the options of `modal_app/train.py` to the config that `recipes/train.py` reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from poker_env.errors import UserError

BONUSES = {
    "bluff_bonus": "bluff",
    "aggression_bonus": "aggression",
    "fold_equity_bonus": "fold_equity",
    "exploitative_sizing_bonus": "sizing",
}
"""Options named as in the earlier bot, and the reward function whose `bonus` they are."""

NAMES = {"model_name": "model_name_or_path"}
"""Options that the recipe knows by another name."""


def assemble(base: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A YAML with the options on top of it; those that are None leave it as it is.

    `reward` is NAME=WEIGHT, several with commas between them: each takes the place of the one of that name, or comes
    last. Raises `UserError` for what is no such YAML.
    """
    try:
        config = yaml.safe_load(base) or {}
    except yaml.YAMLError as error:
        raise UserError(f"the config is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise UserError("the config is no YAML of options: write NAME: VALUE lines")
    given = {name: value for name, value in options.items() if value is not None}
    added: dict[str, Any] = {
        name: reward
        for text in given.pop("reward", "").split(",")
        if (name := (reward := text.strip()).partition("=")[0])
    }
    for option, name in BONUSES.items():
        if option in given:
            added[name] = {"name": name, "args": {"bonus": given.pop(option)}}
    if added:
        rewards = {_name(reward): reward for reward in config.get("rewards") or ["chips", "illegal"]}
        config["rewards"] = list({**rewards, **added}.values())
    return {**config, **{NAMES.get(name, name): value for name, value in given.items()}}


def _name(reward: Any) -> str:
    return str(reward.get("name") if isinstance(reward, dict) else reward).partition("=")[0]
