"""A blueprint at the real table: its policy for what a player sees, for one holding or for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poker_env.cfr.blueprint import SCALE, Blueprint
from poker_env.cfr.cards import N_HOLDINGS
from poker_env.cfr.translation import Location, Translator
from poker_env.games import HOLDEM_CARDS
from poker_env.state import Observation

_CARD_IDS = {card: index for index, card in enumerate(HOLDEM_CARDS)}
_CACHED_SPOTS = 100_000
_CACHED_BUCKETS = 1_000_000

Spot = list[tuple[int, float, list[int]]]
"""(node, weight, real actions), for each node that stands for a public state; node -1 for one that just calls."""


class BlueprintStrategy:
    """Probabilities of real actions, from a blueprint and the translation of bets that it doesn't know."""

    def __init__(self, blueprint: Blueprint) -> None:
        self.blueprint = blueprint
        self._translator = Translator(blueprint.game, blueprint.tree)
        self._offsets, self._n_actions = blueprint.offsets.tolist(), blueprint.tree.n_actions.tolist()
        self._strategy = memoryview(blueprint.strategy.data)
        self._spots: dict[tuple[int, ...], Spot] = {}
        self._buckets: dict[tuple[tuple[str, ...], tuple[str, ...]], int] = {}

    def policies(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        """For each observation, the probability of each action that has any, by OpenSpiel's id."""
        policies = []
        for observation, bucket in zip(observations, self._lookup(observations), strict=True):
            policy: dict[int, float] = {}
            for node, weight, actions in self._spot(observation):
                if node < 0:
                    policy[actions[0]] = policy.get(actions[0], 0.0) + weight
                    continue
                count = len(actions)
                entry = self._offsets[node] + bucket * count
                for action, share in zip(actions, self._strategy[entry : entry + count], strict=True):
                    if share:
                        policy[action] = policy.get(action, 0.0) + weight * share / SCALE
            policies.append(policy)
        return policies

    def range_policy(self, observation: Observation) -> tuple[tuple[int, ...], np.ndarray]:
        """The policy for every holding the player could have: actions, and probabilities (1326, actions).

        Rows of holdings that the board blocks are 0. The observation's own cards aren't looked at.
        """
        board = np.array([_CARD_IDS[card] for card in observation.board], np.int64)
        buckets = self.blueprint.abstraction.lookup_range(board)
        spot = self._spot(observation)
        legal = sorted({action for _, _, actions in spot for action in actions})
        probabilities = np.zeros((N_HOLDINGS, len(legal)))
        for node, weight, actions in spot:
            for place, action in enumerate(actions):
                column = probabilities[:, legal.index(action)]
                if node < 0:
                    column += weight
                else:
                    entries = self._offsets[node] + np.maximum(buckets, 0) * len(actions) + place
                    column += weight / SCALE * self.blueprint.strategy[entries]
        probabilities[buckets < 0] = 0
        return tuple(legal), probabilities

    def _spot(self, observation: Observation) -> Spot:
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

    def _lookup(self, observations: Sequence[Observation]) -> list[int]:
        """Each observation's bucket, from the cache or all at once by street."""
        keys = [(observation.hole, observation.board) for observation in observations]
        if len(self._buckets) >= _CACHED_BUCKETS:
            self._buckets.clear()
        unknown = {key for key in keys if key not in self._buckets}
        for n_board in {len(board) for _, board in unknown}:
            hands = [key for key in unknown if len(key[1]) == n_board]
            holes = np.array([[_CARD_IDS[card] for card in hole] for hole, _ in hands], np.int64)
            boards = np.array([[_CARD_IDS[card] for card in board] for _, board in hands], np.int64)
            buckets = self.blueprint.abstraction.lookup(holes, boards.reshape(len(hands), n_board))
            self._buckets.update(zip(hands, buckets.tolist(), strict=True))
        return [self._buckets[key] for key in keys]
