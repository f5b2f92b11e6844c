"""Villains whose whole policy is known: for every holding they could have, at any public state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
from numba import njit

from poker_env.cards.holdings import HOLDINGS, N_HOLDINGS
from poker_env.cfr.abstraction.bucket_tables import BucketTables
from poker_env.cfr.blueprint import SCALE, Blueprint
from poker_env.cfr.playing.blueprint_strategy import BlueprintStrategy, BoardMemory, Buckets
from poker_env.cfr.playing.river_game import RIVER
from poker_env.cfr.playing.river_strategy import RiverStrategy
from poker_env.cfr.playing.translation import Translator
from poker_env.errors import UserError
from poker_env.games import HOLDEM_CARDS
from poker_env.knowledge.exact_value import KnowsItsPolicy
from poker_env.players.base import Player
from poker_env.players.cfr import CFRPlayer
from poker_env.state import CALL, FOLD, Move, Observation

Reply = Callable[[np.ndarray], tuple[tuple[int, ...], np.ndarray]]
"""Board (card ids) -> actions by OpenSpiel's id, and the probability of each for each holding, (1326, actions).
Holdings that the board blocks mean nothing."""

RangePolicy = Callable[[Observation], Reply]
"""What a player does when it sees that, its cards and the board aside: a public state."""


LONG_RUN = 1_000
"""Hands from which on tables of a blueprint's buckets pay, which take two minutes and 406 MB of disk to make once."""


@runtime_checkable
class _HasRangePolicy(Protocol):
    def range_policy(self, observation: Observation) -> tuple[tuple[int, ...], np.ndarray]: ...


def range_policy_of(villain: Player, long_run: bool = False, ask: bool = False) -> RangePolicy:
    """The whole policy of a player; raises `UserError` when it isn't known for every holding.

    For a long run a blueprint's buckets come from tables, see `LONG_RUN`. With `ask` a player that only knows its
    probabilities for one holding at a time will do, too: a language model, see `asked_ranges`.
    """
    if isinstance(villain, CFRPlayer) and villain.blueprint is not None:
        ranges = _blueprint_ranges(villain.blueprint, long_run)
        return _with_river(ranges) if villain.resolves_river else ranges
    if villain.name in ("fold", "call"):
        return _always_call if villain.name == "call" else _always_fold
    if isinstance(villain, _HasRangePolicy):
        return _asking(villain)
    if ask and isinstance(villain, KnowsItsPolicy):
        return asked_ranges(villain)
    models = ", a language model" if ask else ""
    raise UserError(
        f"{villain.name!r} can't say its policy for every holding: take fold, call{models}, a cfr player, or one with "
        "range_policy"
    )


def _blueprint_ranges(blueprint: Blueprint, long_run: bool) -> BlueprintRanges:
    tables = BucketTables.build(blueprint.abstraction, progress=True) if long_run else None
    return BlueprintRanges(blueprint, tables.lookup_range if tables else None)


def _with_river(blueprint: BlueprintRanges) -> RangePolicy:
    """A blueprint's policy until the turn, and on the river `RiverStrategy`'s."""
    river = _asking(RiverStrategy(BlueprintStrategy(blueprint.blueprint, blueprint.buckets)))
    return lambda observation: (river if observation.street == RIVER else blueprint)(observation)


class BlueprintRanges:
    """`BlueprintStrategy.range_policy`, fast enough for thousands of hands a second."""

    def __init__(self, blueprint: Blueprint, buckets: Buckets | None = None) -> None:
        """`buckets` defaults to computing a board's when it is first met."""
        self.blueprint = blueprint
        self.buckets = buckets or BoardMemory(blueprint.abstraction).lookup_range
        self._translator = Translator(blueprint.game, blueprint.tree)
        self._board, self._board_buckets = np.empty(0), np.empty(0, np.int32)

    def __call__(self, observation: Observation) -> Reply:
        """See `RangePolicy`."""
        located = self._translator.locate(observation)
        meanings = [self._translator.real_actions(location, observation) for location, _ in located]
        actions = tuple(sorted({action for meaning in meanings for action in meaning}))
        # For each node that stands for the state: where its entries start (-1: it just calls), how many there are,
        # its weight, and which of the actions each one means.
        starts = np.array([-1 if at.calls else self.blueprint.offsets[at.node] for at, _ in located], np.int64)
        counts = np.array([len(meaning) for meaning in meanings], np.int64)
        weights = np.array([weight for _, weight in located])
        columns = np.zeros((len(located), counts.max()), np.int64)
        for row, meaning in enumerate(meanings):
            columns[row, : len(meaning)] = [actions.index(action) for action in meaning]

        def reply(board: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
            probabilities = np.zeros((N_HOLDINGS, len(actions)))
            strategy = self.blueprint.strategy
            _mix(strategy, starts, counts, weights, columns, self._buckets_on(board), probabilities)
            return actions, probabilities

        return reply

    def _buckets_on(self, board: np.ndarray) -> np.ndarray:
        """Of all holdings; a board is asked for many times in a row."""
        if board is not self._board:
            self._board, self._board_buckets = board, self.buckets(board)
        return self._board_buckets


@njit(cache=True)
def _mix(
    strategy: np.ndarray,
    starts: np.ndarray,
    counts: np.ndarray,
    weights: np.ndarray,
    columns: np.ndarray,
    buckets: np.ndarray,
    out: np.ndarray,
) -> None:
    """Add up the strategies of the nodes that stand for a state in `out` (1326, n)."""
    for row in range(starts.shape[0]):
        weight = weights[row] / SCALE
        if starts[row] < 0:
            for holding in range(out.shape[0]):
                out[holding, columns[row, 0]] += weights[row]
            continue
        for holding in range(out.shape[0]):
            # A blocked holding has no bucket; what it gets doesn't matter.
            entry = starts[row] + max(np.int64(buckets[holding]), 0) * counts[row]
            for action in range(counts[row]):
                out[holding, columns[row, action]] += weight * strategy[entry + action]


def _always_call(observation: Observation) -> Reply:
    return lambda board: ((CALL,), np.ones((N_HOLDINGS, 1)))


def _always_fold(observation: Observation) -> Reply:
    """Folds to any bet, checks where that is free."""
    action = FOLD if observation.to_call else CALL
    return lambda board: ((action,), np.ones((N_HOLDINGS, 1)))


def _asking(villain: _HasRangePolicy) -> RangePolicy:
    """The policy of a player that has to be asked every time."""

    def policy(observation: Observation) -> Reply:
        return lambda board: villain.range_policy(
            replace(observation, board=tuple(HOLDEM_CARDS[card] for card in board))
        )

    return policy


def asked_ranges(player: KnowsItsPolicy) -> RangePolicy:
    """The policy of a player that is asked about every holding by itself: 1,326 questions in each situation, or 1,176
    to 1,081 on a board.

    Answers that name no action count as folds, where checking is free, too. What it says before the flop is kept.
    """
    kept: dict[tuple[Move, ...], tuple[tuple[int, ...], np.ndarray]] = {}

    def policy(observation: Observation) -> Reply:
        def reply(board: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
            if len(board):
                return ask(observation, board)
            if observation.moves not in kept:
                kept[observation.moves] = ask(observation, board)
            return kept[observation.moves]

        return reply

    def ask(observation: Observation, board: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
        seen = replace(observation, board=tuple(HOLDEM_CARDS[card] for card in board))
        live = np.flatnonzero(~np.isin(HOLDINGS, board).any(axis=1)).tolist()
        rows = player.policy([replace(seen, hole=hole_cards(holding)) for holding in live])
        actions = tuple(sorted({FOLD}.union(*rows)))
        probabilities = np.zeros((N_HOLDINGS, len(actions)))
        for holding, row in zip(live, rows, strict=True):
            for action, probability in row.items():
                probabilities[holding, actions.index(action)] = probability
        probabilities[live, actions.index(FOLD)] += np.maximum(0, 1 - probabilities[live].sum(axis=1))
        return actions, probabilities

    return policy


def hole_cards(holding: int) -> tuple[str, str]:
    """A holding's cards, the higher one first, as an `Observation` has them."""
    low, high = HOLDINGS[holding]
    return HOLDEM_CARDS[high], HOLDEM_CARDS[low]
