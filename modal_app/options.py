"""From the options of `modal_app/train.py` to the config that `recipes/train.py` reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipes.options.values import parse_yaml
from reward_fns import reward_list

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
    config = parse_yaml(base, "the config")
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
        given_rewards = config.get("rewards") or ["chips", "illegal"]
        if isinstance(given_rewards, Mapping):
            given_rewards = reward_list(given_rewards)
        rewards = {_name(reward): reward for reward in given_rewards}
        config["rewards"] = list({**rewards, **added}.values())
    return {**config, **{NAMES.get(name, name): value for name, value in given.items()}}


def _name(reward: Any) -> str:
    return str(reward.get("name") if isinstance(reward, dict) else reward).partition("=")[0]
