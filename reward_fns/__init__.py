"""Reward functions: a finished hand in, one float per hero decision out; found by name, dotted path or entry point.

A reward function is a plain callable `(hand: poker_env.hand.Hand, **args) -> list[float]`.
"""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from poker_env.errors import UserError
from poker_env.hand import Hand
from reward_fns.builtin import BUILT_IN

RewardFunction = Callable[..., list[float]]

ENTRY_POINT_GROUP = "poker_reward_fns"


@dataclass(frozen=True)
class RewardSpec:
    """A reward function as a config chooses it: under which name, how it counts and with which arguments."""

    name: str
    """The short name or dotted path it was asked for by."""
    function: RewardFunction
    weight: float = 1.0
    args: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, hand: Hand) -> list[float]:
        """The hand's rewards, unweighted: one per hero decision.

        Raises `UserError` when the function raises, returns the wrong length, or anything but finite numbers.
        """
        try:
            rewards = [float(reward) for reward in self.function(hand, **self.args)]
        except Exception as error:
            raise UserError(f"reward function {self.name!r} failed: {type(error).__name__}: {error}") from error
        expected = len(hand.hero_decisions)
        if len(rewards) != expected:
            raise UserError(
                f"reward function {self.name!r} returned {len(rewards)} rewards for a hand with {expected} hero "
                "decisions: return one per decision"
            )
        if not all(map(math.isfinite, rewards)):
            raise UserError(f"reward function {self.name!r} returned {rewards}: rewards must be finite numbers")
        return rewards


def load_reward(name_or_path: str, weight: float = 1.0, args: Mapping[str, Any] | None = None) -> RewardSpec:
    """The reward function of a built-in's short name, an entry point's name, or a path `package.module:function`.

    Modules in the current directory are found too. Raises `UserError` for an unknown name, a module that can't be
    imported, arguments the function doesn't take, and a weight that is no finite number.
    """
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
        raise UserError(f"weight of reward function {name_or_path!r} is {weight!r}: it must be a finite number")
    spec = RewardSpec(name_or_path, _find(name_or_path), float(weight), dict(args or {}))
    try:
        inspect.signature(spec.function).bind(None, **spec.args)
    except TypeError as error:
        raise UserError(f"reward function {name_or_path!r} can't be called so: {error}") from error
    return spec


def reward_names() -> list[str]:
    """Short names of all the reward functions there are: the built-in ones, then those of installed packages."""
    return [*BUILT_IN, *sorted(_plugins().keys() - BUILT_IN.keys())]


def _find(name: str) -> RewardFunction:
    if ":" in name:
        return _import(name)
    if name in BUILT_IN:
        return BUILT_IN[name]
    plugins = _plugins()
    if name not in plugins:
        raise UserError(
            f"unknown reward function {name!r}: choose one of {', '.join(reward_names())}, or give "
            "package.module:function"
        )
    return _import(plugins[name].value)


def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def _import(path: str) -> RewardFunction:
    module_name, _, function_name = path.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except Exception as error:  # the module is the user's own: its import may raise anything
        raise UserError(f"can't load reward function {path!r}: {type(error).__name__}: {error}") from error
    if not callable(function):
        raise UserError(f"can't load reward function {path!r}: {function_name} is not a function")
    return function
