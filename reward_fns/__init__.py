"""Reward functions: a finished hand in, one float per hero decision out; found by name, dotted path or entry point.

A reward function is a plain callable `(hand: poker_env.hand.Hand, **args) -> list[float]`. One that has a parameter
`gamma` is given the run's discount, see `reward_fns.shaping`.
"""

from __future__ import annotations

import inspect
import math
import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

from poker_env.errors import UserError
from poker_env.hand import Hand
from poker_env.plugins import Offer, failure, import_callable, line_of, offers
from reward_fns.builtin import BUILT_IN, check

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
            returned: Any = self.function(hand, **self.args)
            if isinstance(returned, Iterator):
                returned = list(returned)  # a generator fails here, if it does
        except (Exception, SystemExit) as error:
            raise UserError(f"reward function {self.name!r} failed {line_of(error)}: {failure(error)}") from error
        expected = len(hand.hero_decisions)
        try:
            if isinstance(returned, str | bytes | Mapping):
                raise TypeError("can be gone through, but holds no rewards")
            rewards = [float(reward) for reward in returned]
        except Exception as error:
            raise UserError(
                f"reward function {self.name!r} returned {reprlib.repr(returned)}: return a list of {expected} "
                "numbers, one per hero decision"
            ) from error
        if len(rewards) != expected:
            raise UserError(
                f"reward function {self.name!r} returned {len(rewards)} rewards for a hand with {expected} hero "
                "decisions: return one per decision"
            )
        if not all(map(math.isfinite, rewards)):
            raise UserError(f"reward function {self.name!r} returned {rewards}: rewards must be finite numbers")
        return rewards


def reward_offers() -> list[Offer]:
    """The built-in reward functions, then those of installed packages, see `poker_env.plugins.offers`."""
    own = [Offer(name, "built in", f"{function.__module__}:{name}") for name, function in BUILT_IN.items()]
    return [*own, *offers(ENTRY_POINT_GROUP, BUILT_IN)]


def reward_names() -> list[str]:
    """Names of all the reward functions there are."""
    return [offer.name for offer in reward_offers()]


def load_reward(
    name_or_path: str, weight: float = 1.0, args: Mapping[str, Any] | None = None, gamma: float | None = None
) -> RewardSpec:
    """The reward function of a built-in's short name, an entry point's name, or a path `package.module:function`.

    Modules in the current directory are found too. `gamma` is the run's discount, for functions that have a parameter
    of that name. Raises `UserError` for an unknown name, a module that can't be imported, arguments the function
    doesn't take, another `gamma` among them than the run's, and a weight that is no finite number.
    """
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
        raise UserError(f"weight of reward function {name_or_path!r} is {weight!r}: it must be a finite number")
    function = _find(name_or_path)
    given = dict(args or {})
    try:
        signature = inspect.signature(function)
        if gamma is not None and "gamma" in signature.parameters and given.setdefault("gamma", gamma) != gamma:
            raise UserError(
                f"reward function {name_or_path!r} has gamma {given['gamma']}, the run {gamma}: leave it out of args"
            )
        signature.bind(None, **given)
    except (TypeError, ValueError) as error:
        raise UserError(f"reward function {name_or_path!r} can't be called so: {error}") from error
    given = {key: _number(name_or_path, function, key, value) for key, value in given.items()}
    try:
        check(function, weight, given)
    except ValueError as error:
        raise UserError(f"reward function {name_or_path!r} has {error}") from error
    return RewardSpec(name_or_path, function, float(weight), given)


def _number(name: str, function: RewardFunction, key: str, value: Any) -> Any:
    """An argument, as a number where the function says that it takes one; `inspect` has found that it takes `key`."""
    try:
        kind = get_type_hints(function).get(key)
    except Exception:  # of another package: names that aren't there
        return value
    kinds = get_args(kind) or (kind,)
    if not {int, float} & set(kinds) or not {*kinds} <= {int, float, type(None)}:
        return value
    if value is None and type(None) in kinds:
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"reward function {name!r} has {key} {value!r}: it must be a finite number")
    return number if isinstance(value, str) else value


def reward_list(rewards: Mapping[Any, Any]) -> list[str | dict[str, Any]]:
    """The rewards of one mapping: `{chips: 1, bluff: 0.25}`, names and weights, or a single `{name: …, …}`."""
    if isinstance(rewards.get("name"), str):
        return [dict(rewards)]
    return [{"name": name, "weight": weight} for name, weight in rewards.items()]


def read_reward(reward: str | Mapping[str, Any], gamma: float | None = None) -> RewardSpec:
    """The reward function as configs write it: `NAME`, `NAME=WEIGHT`, `{name: …, weight: …, args: {…}}`.

    In a list of them YAML makes `{NAME: WEIGHT}` of `- NAME: WEIGHT`, which is taken, too.

    Raises `UserError` as `load_reward` does, or for another form.
    """
    if isinstance(reward, str):
        short, equals, weight = reward.partition("=")
        return load_reward(short.strip(), _weight(reward, weight) if equals else 1.0, gamma=gamma)
    form = UserError(f"reward {reward!r} is not of the form {{name: …, weight: …, args: {{…}}}}")
    if isinstance(reward, Mapping) and len(reward) == 1 and not {"name", "weight", "args"} & set(reward):
        reward = {"name": next(iter(reward)), "weight": next(iter(reward.values()))}
    if not isinstance(reward, Mapping) or set(reward) - {"name", "weight", "args"}:
        raise form
    name, args = reward.get("name"), reward.get("args")
    if not isinstance(name, str) or not isinstance(args, Mapping | None):
        raise form
    strange = [key for key in args or () if not isinstance(key, str)]
    if strange:
        raise UserError(f"reward {reward!r}: the argument {strange[0]!r} is no name")
    weight = reward.get("weight", 1.0)
    return load_reward(name, _weight(reward, weight) if isinstance(weight, str) else weight, args, gamma)


def _weight(reward: Any, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UserError(f"reward {reward!r}: the weight {text!r} is not a number") from error


def _find(name: str) -> RewardFunction:
    if name in BUILT_IN:  # looking for packages takes a while
        return BUILT_IN[name]
    paths = {offer.name: offer.path for offer in reward_offers()}
    if name in paths or ":" in name:
        return import_function(paths.get(name, name))
    raise UserError(
        f"unknown reward function {name!r}: choose one of {', '.join(paths)}, or give package.module:function"
    )


def import_function(path: str) -> RewardFunction:
    """The function `package.module:function`, see `poker_env.plugins.import_callable`."""
    function: RewardFunction = import_callable(path, "reward function")
    return function
