"""Villains of training runs: what can be asked of whom is settled before anything is played."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from poker_env.errors import UserError
from poker_env.players.mixture import KIND, parse_mixture

SELF = "self"
"""The villain that is hero as it was some epochs ago."""
MODELS = ("llm", "pool", SELF)
"""Kinds of villains that are language models: how they would play other cards nobody knows without asking."""
NEED_KNOWN = ("variance_reduction", "advisor")


def parts_of(villain: str) -> list[str]:
    """The specs of the players that a villain is, or is a mixture of."""
    return list(parse_mixture(villain)) if villain.startswith(f"{KIND}:") else [villain]


def kind_of(spec: str) -> str:
    """What stands in front of a spec's colon."""
    return spec.partition(":")[0]


def check_villain(values: Mapping[str, Any]) -> None:
    """Raise `UserError` for a villain that can't be trained against, and for what can't be had with it."""
    villain, parts = values["villain"], parts_of(values["villain"])
    if any(kind_of(part) == "human" for part in parts):
        raise UserError(f"villain {villain!r} can't be trained against: name another player")
    models = [part for part in parts if kind_of(part) in MODELS]
    for option in NEED_KNOWN if models else ():
        if values[option]:
            raise UserError(
                f"{option} needs a villain whose policy is known, and that of {models[0]!r} isn't: leave {option} "
                "out, or take another villain"
            )
    if SELF not in parts:
        if values["self_every"] != 1:
            raise UserError(f"self_every {values['self_every']} is for villain self, not {villain!r}: leave it out")
        return
    if values["warm_start_player"] == "villain":
        raise UserError("warm_start_player villain: villain is hero itself, name the player to imitate")
    if values["eval_villain"] is None:
        raise UserError("villain self says nothing about how good hero is: name an eval_villain, cfr for example")
