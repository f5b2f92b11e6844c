"""The nodes of a betting tree that stand for what a player sees, with the real actions that theirs stand for."""

from __future__ import annotations

from poker_env.cfr.playing.translation import Location, Translator
from poker_env.cfr.tree import BettingTree
from poker_env.games import HOLDEM_CARDS, Game
from poker_env.state import Observation

CARD_IDS = {card: index for index, card in enumerate(HOLDEM_CARDS)}
_CACHED_SPOTS = 100_000

Spot = list[tuple[int, float, list[int]]]
"""(node, weight, real actions), for each node that stands for a public state; node -1 for one that just calls."""


class Spots:
    """Those of the public states met so far."""

    def __init__(self, game: Game, tree: BettingTree) -> None:
        self._translator = Translator(game, tree)
        self._spots: dict[tuple[int, ...], Spot] = {}

    def of(self, observation: Observation) -> Spot:
        """The nodes for a public state, which the actions so far identify."""
        key = tuple(move.action for move in observation.moves)
        spot = self._spots.get(key)
        if spot is None:
            if len(self._spots) >= _CACHED_SPOTS:
                self._spots.clear()
            spot = self._spots[key] = [
                self._real(location, weight, observation) for location, weight in self._translator.locate(observation)
            ]
        return spot

    def _real(self, location: Location, weight: float, observation: Observation) -> tuple[int, float, list[int]]:
        actions = self._translator.real_actions(location, observation)
        return (-1 if location.calls else location.node), weight, actions
