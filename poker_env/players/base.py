"""What a player is: one batched `act`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

from poker_env.hand import Answer
from poker_env.state import Observation


class Player(Protocol):
    """Anything that plays: a heuristic, a CFR policy, a language model, a person."""

    @property
    def name(self) -> str:
        """The spec it was made from."""
        ...

    def act(self, observations: Sequence[Observation]) -> list[Answer]:
        """One answer for each observation, in order. Randomness comes from `Observation.coin`, or a seeded source."""
        ...


@runtime_checkable
class KnownPlayer(Player, Protocol):
    """A player that knows what it draws its actions from: no more and no less often than that it takes them."""

    draws_from_policy: Literal[True]

    def policy(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        """For each observation, the probability of each action that has any, by OpenSpiel's id."""
        ...


def draw(policy: Mapping[int, float], coin: float) -> int:
    """The action where the cumulative probability passes the coin, a number in [0, 1)."""
    cumulative = 0.0
    action = -1
    for action, probability in policy.items():
        cumulative += probability
        if coin < cumulative:
            return action
    return action
