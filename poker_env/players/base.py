"""What a player is: one batched `act`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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
