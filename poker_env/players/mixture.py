"""A mixture of players: each hand is played by one of them, as in `mix:cfr=0.8,lag=0.1,tag=0.1`."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from poker_env.errors import UserError
from poker_env.hand import Answer
from poker_env.players.base import Player
from poker_env.state import Observation

KIND = "mix"
FORM = f"{KIND}:PLAYER=WEIGHT,PLAYER=WEIGHT,…"
NO_PARTS = ("human", KIND)
"""Kinds of players that can't be part of a mixture."""


class MixturePlayer:
    """Draws one of its players for each hand, with `Observation.hand_coin`, and lets it play the hand to the end."""

    def __init__(self, name: str, components: Sequence[Player], weights: Sequence[float]) -> None:
        """How often each component is drawn is its weight's share of their sum."""
        self.name = name
        self.components = tuple(components)
        sums = list(accumulate(weights))
        self._bounds = [bound / sums[-1] for bound in sums]

    def act(self, observations: Sequence[Observation]) -> list[Answer]:
        """One answer per observation; each component is asked once."""
        drawn = [bisect_right(self._bounds, observation.hand_coin) for observation in observations]
        answers: dict[int, Answer] = {}
        for number, component in enumerate(self.components):
            places = [place for place, other in enumerate(drawn) if other == number]
            if places:
                given = component.act([observations[place] for place in places])
                answers.update(zip(places, given, strict=True))
        return [answers[place] for place in range(len(observations))]


def parse_mixture(spec: str) -> dict[str, float]:
    """Components' specs and their weights, as a mixture's spec has them; raises `UserError` for any other text."""
    weights: dict[str, float] = {}
    for part in filter(None, spec.removeprefix(f"{KIND}:").split(",")):
        component, _, weight = part.strip().rpartition("=")
        if not component:
            raise UserError(f"player {spec!r}: {part!r} has no weight, give {FORM}")
        if component.partition(":")[0] in NO_PARTS:
            raise UserError(f"player {spec!r}: {component!r} can't be part of a mixture, name another player")
        if component in weights:
            raise UserError(f"player {spec!r}: {component!r} is there twice, add its weights up")
        weights[component] = _positive(weight, spec)
    if not weights:
        raise UserError(f"player {spec!r} is a mixture of nothing: give {FORM}")
    return weights


def mixture_spec(weights: Mapping[Any, Any]) -> str:
    """The spec of a mapping such as `{cfr: 0.8, lag: 0.2}`, as YAML has it; raises `UserError` when it makes none."""
    spec = f"{KIND}:" + ",".join(f"{component}={weight}" for component, weight in weights.items())
    parse_mixture(spec)
    return spec


def _positive(weight: str, spec: str) -> float:
    try:
        number = float(weight)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise UserError(f"player {spec!r}: weight {weight!r} is not a number above 0")
    return number
