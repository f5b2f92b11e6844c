"""What a good player would estimate at a decision, villain's policy being known: equity, pot odds, how often it folds.

It goes by what hero may know and nothing else: its own cards, the board so far, the betting, and villain's policy.
Villain's range is what Bayes' rule makes of the betting.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from poker_env.evaluation.exact_value import SMALL_GAMES, exact_policy
from poker_env.evaluation.knowledge import holdings_of
from poker_env.evaluation.public import PublicState, PublicTree
from poker_env.evaluation.ranges import RangePolicy, range_policy_of
from poker_env.evaluation.small_games import tabular_ranges
from poker_env.games import Game
from poker_env.menu import MenuItem
from poker_env.players import make_player
from poker_env.prompts import Advice
from poker_env.state import CALL, FOLD, Observation

TREMBLE = 1e-6
"""How often villain is taken to do anything whatever it holds, so that what its policy never does leaves a range."""

_CACHED_RANGES = 4_096  # 11 kB each in hold'em
_CACHED_ADVICE = 20_000


@functools.lru_cache(maxsize=4)
def load_advisor(villain: str, game: Game) -> Advisor:
    """The advisor about the player of a spec, kept for the process.

    Raises `UserError` when there is no such player, or its policy isn't known for every holding. In hold'em a
    blueprint's buckets come from tables, which take two minutes and 406 MB of disk to make once.
    """
    player = make_player(villain, game)
    if game.name in SMALL_GAMES:
        return Advisor(game, tabular_ranges(game, exact_policy(game, player)))
    return Advisor(game, range_policy_of(player, long_run=True))


class Advisor:
    """Knows a villain's policy, and what betting histories make of its range."""

    def __init__(self, game: Game, villain: RangePolicy) -> None:
        self._game, self._holdings = game, holdings_of(game)
        self._tree = PublicTree(game, villain)
        self._ranges: dict[tuple[int, tuple[int, ...], tuple[int, ...]], np.ndarray] = {}
        self._given: dict[tuple[object, ...], Advice] = {}

    def advise(self, observation: Observation, menu: Sequence[MenuItem]) -> Advice:
        """The advice for hero, who is to act with that menu."""
        actions = tuple(move.action for move in observation.moves)
        key = (actions, observation.hole, observation.board, tuple(item.action for item in menu))
        if key not in self._given:
            if len(self._given) >= _CACHED_ADVICE:
                self._given.clear()
            self._given[key] = self._work_out(observation, actions, menu)
        return self._given[key]

    def _work_out(self, observation: Observation, actions: tuple[int, ...], menu: Sequence[MenuItem]) -> Advice:
        known = np.array(_card_ids(self._game, (*observation.hole, *observation.board)))
        hole, board = known[: len(observation.hole)], known[len(observation.hole) :]
        weights = self._range(1 - observation.seat, actions, board) * self._holdings.free_of(known)
        weights /= weights.sum()
        state, to_call = self._tree.state(actions), observation.to_call
        raises = [item.action for item in menu if item.kind in ("bet", "raise")]
        return Advice(
            equity=float(weights @ self._holdings.equities(hole, board)),
            pot_odds=to_call / (observation.pot + to_call) if to_call else None,
            folds={action: _folds(self._tree.child(state, action), board, weights) for action in raises},
        )

    def _range(self, seat: int, actions: tuple[int, ...], board: np.ndarray) -> np.ndarray:
        """(holdings,): in proportion to how probable a seat's part in the actions is with each holding.

        Of the board, what is dealt when the last one was taken is looked at.
        """
        if not actions:
            return np.ones(self._holdings.count)
        state = self._tree.state(actions[:-1])
        seen = board[: state.n_board]
        key = (seat, actions, tuple(seen.tolist()))
        if key not in self._ranges:
            weights = self._range(seat, actions[:-1], seen)
            if state.seat == seat:
                weights = weights * (_likelihood(state, actions[-1], seen) + TREMBLE)
            if len(self._ranges) >= _CACHED_RANGES:
                self._ranges.clear()
            self._ranges[key] = weights
        return self._ranges[key]


def _folds(state: PublicState, board: np.ndarray, weights: np.ndarray) -> float:
    """How often a villain with a range folds to a bet."""
    actions, policy = state.reply(board)
    return float(weights @ policy[:, actions.index(FOLD)]) if FOLD in actions else 0.0


def _likelihood(state: PublicState, action: int, board: np.ndarray) -> np.ndarray | float:
    """(holdings,): how probable villain's action is with each.

    A raise that villain never makes counts as the one of its own that is nearest by ratio; any other action that it
    never takes says nothing.
    """
    actions, policy = state.reply(board)
    if action not in actions:
        raises = [other for other in actions if other not in (FOLD, CALL)]
        if action in (FOLD, CALL) or not raises:
            return 1.0
        action = min(raises, key=lambda other: abs(math.log(other / action)))
    return policy[:, actions.index(action)]


def _card_ids(game: Game, cards: Sequence[str]) -> list[int]:
    """OpenSpiel's ids. Of Leduc's two cards of a name the first comes first: suits never matter."""
    ids: list[int] = []
    for card in cards:
        first = game.cards.index(card)
        ids.append(first + (first in ids))
    return ids
