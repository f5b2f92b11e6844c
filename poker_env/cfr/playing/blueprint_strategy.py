"""A blueprint at the real table: its policy for what a player sees, for one holding or for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from poker_env.cards.canonical import canonical_boards, canonical_row, holding_permutations, renaming_code
from poker_env.cards.holdings import HOLDINGS, N_HOLDINGS, PREFLOP_CLASSES
from poker_env.cfr.abstraction.card_abstraction import Abstraction
from poker_env.cfr.blueprint import SCALE, Blueprint
from poker_env.cfr.playing.spots import CARD_IDS, Spots
from poker_env.state import Observation

_CACHED_BUCKETS = 1_000_000

Buckets = Callable[[np.ndarray], np.ndarray]
"""Board (card ids) -> buckets (1326,) of all holdings; a blocked one's mean nothing."""

Lookup = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Hole cards (n, 2) and boards (n, m) -> buckets (n,)."""


class BlueprintStrategy:
    """Probabilities of real actions, from a blueprint and the translation of bets that it doesn't know."""

    def __init__(self, blueprint: Blueprint, buckets: Buckets | None = None, lookup: Lookup | None = None) -> None:
        """`buckets`, for whole ranges, defaults to computing a board's when it is first met, and `lookup`, for single
        hands, to computing them: `BucketTables` has faster ones."""
        self.blueprint = blueprint
        self._find_buckets = lookup or blueprint.abstraction.lookup
        self._range_buckets = buckets or BoardMemory(blueprint.abstraction).lookup_range
        self._spots = Spots(blueprint.game, blueprint.tree)
        self._offsets, self._n_actions = blueprint.offsets.tolist(), blueprint.tree.n_actions.tolist()
        self._strategy = memoryview(blueprint.strategy.data)
        self._buckets: dict[tuple[tuple[str, ...], tuple[str, ...]], int] = {}

    def policies(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        """For each observation, the probability of each action that has any, by OpenSpiel's id."""
        policies = []
        for observation, bucket in zip(observations, self._lookup(observations), strict=True):
            policy: dict[int, float] = {}
            for node, weight, actions in self._spots.of(observation):
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
        board = np.array([CARD_IDS[card] for card in observation.board], np.int64)
        blocked = np.isin(HOLDINGS, board).any(axis=1)
        buckets = np.where(blocked, 0, self._range_buckets(board)).astype(np.int64)
        spot = self._spots.of(observation)
        legal = sorted({action for _, _, actions in spot for action in actions})
        probabilities = np.zeros((N_HOLDINGS, len(legal)))
        for node, weight, actions in spot:
            for place, action in enumerate(actions):
                column = probabilities[:, legal.index(action)]
                if node < 0:
                    column += weight
                else:
                    entries = self._offsets[node] + buckets * len(actions) + place
                    column += weight / SCALE * self.blueprint.strategy[entries]
        probabilities[blocked] = 0
        return tuple(legal), probabilities

    def _lookup(self, observations: Sequence[Observation]) -> list[int]:
        """Each observation's bucket, from the cache or all at once by street."""
        keys = [(observation.hole, observation.board) for observation in observations]
        if len(self._buckets) >= _CACHED_BUCKETS:
            self._buckets.clear()
        unknown = {key for key in keys if key not in self._buckets}
        for n_board in {len(board) for _, board in unknown}:
            hands = [key for key in unknown if len(key[1]) == n_board]
            holes = np.array([[CARD_IDS[card] for card in hole] for hole, _ in hands], np.int64)
            boards = np.array([[CARD_IDS[card] for card in board] for _, board in hands], np.int64)
            buckets = self._find_buckets(holes, boards.reshape(len(hands), n_board))
            self._buckets.update(zip(hands, buckets.tolist(), strict=True))
        return [self._buckets[key] for key in keys]


class BoardMemory:
    """An abstraction's `lookup_range` that computes each board (up to suits) once: up to 400 MB, as they are met."""

    def __init__(self, abstraction: Abstraction) -> None:
        self._abstraction = abstraction
        self._tables: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def lookup_range(self, board: np.ndarray) -> np.ndarray:
        """Buckets (1326,) of all holdings; a blocked one's mean nothing."""
        n_board = len(board)
        if n_board == 0:
            return PREFLOP_CLASSES.astype(np.int32)
        if n_board not in self._tables:
            keys = canonical_boards(n_board).keys
            # Rows that are never written take no memory.
            self._tables[n_board] = keys, np.zeros((len(keys), N_HOLDINGS), np.uint16), np.zeros(len(keys), np.bool_)
        keys, table, known = self._tables[n_board]
        renamed = np.empty(4, np.int64)
        row = canonical_row(keys, board, n_board, renamed)
        if not known[row]:
            canonical = canonical_boards(n_board).cards[row].astype(np.int64)
            table[row] = np.maximum(self._abstraction.lookup_range(canonical), 0)
            known[row] = True
        return table[row][holding_permutations()[renaming_code(renamed)]].astype(np.int32)
