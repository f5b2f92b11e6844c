"""What a good player would estimate at a decision, villain's policy being known.

Equity, pot odds, how often it folds, and what each action is worth if nobody bets after it.

It goes by what hero may know and nothing else: its own cards, the board so far, the betting, and villain's policy.
Villain's range is what Bayes' rule makes of the betting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np

from poker_env.games import Game
from poker_env.hand import Answer
from poker_env.knowledge.beliefs import holdings_of
from poker_env.knowledge.exact_value import SMALL_GAMES, exact_policy
from poker_env.knowledge.public_tree import PublicState, PublicTree
from poker_env.knowledge.ranges import RangePolicy, range_policy_of
from poker_env.knowledge.small_games import tabular_ranges
from poker_env.menu import MenuItem, make_menu
from poker_env.players.base import Player
from poker_env.prompts import Advice
from poker_env.state import CALL, FOLD, Observation

TREMBLE = 1e-6
"""How often villain is taken to do anything whatever it holds, so that what its policy never does leaves a range."""

_CACHED_RANGES = 4_096  # 11 kB each in hold'em
_CACHED_ADVICE = 20_000


class Advisor:
    """Knows a villain's policy, and what betting histories make of its range."""

    def __init__(self, game: Game, villain: RangePolicy) -> None:
        self._game, self._holdings = game, holdings_of(game)
        self.tree = PublicTree(game, villain)
        """Public states, with villain's policy in each."""
        self._ranges: dict[tuple[int, tuple[int, ...], tuple[int, ...]], np.ndarray] = {}
        self._given: dict[tuple[object, ...], Advice] = {}

    @staticmethod
    def about(villain: Player, game: Game) -> Advisor:
        """The advisor about a player. Raises `UserError` when its policy isn't known for every holding."""
        if game.name in SMALL_GAMES:
            return Advisor(game, tabular_ranges(game, exact_policy(game, villain)))
        return Advisor(game, range_policy_of(villain, long_run=True))

    def advise(self, observation: Observation, menu: Sequence[MenuItem]) -> Advice:
        """The advice for hero, who is to act with that menu."""
        actions = tuple(move.action for move in observation.moves)
        key = (actions, observation.hole, observation.board, tuple(item.action for item in menu))
        if key not in self._given:
            if len(self._given) >= _CACHED_ADVICE:
                self._given.clear()
            self._given[key] = self._work_out(observation, menu)
        return self._given[key]

    def values(self, observation: Observation, menu: Sequence[MenuItem]) -> np.ndarray:
        """(menu,): chips each action wins on top of folding now, were the hand checked and called down after it.

        Those a local best response goes by (Lisý & Bowling 2017, section 3).
        """
        worth = self.advise(observation, menu).worth
        return observation.pot * np.array([worth[item.action] for item in menu])

    def _work_out(self, observation: Observation, menu: Sequence[MenuItem]) -> Advice:
        state, board, weights = self.situation(observation)
        equities = self._holdings.equities(cards_of(observation)[0], board)
        pot, to_call = observation.pot, observation.to_call
        folds: dict[int, float] = {}
        worth: dict[int, float] = {}
        for item in menu:
            bet, staying = 0, weights
            if item.kind in ("bet", "raise"):
                bet = item.to - max(observation.contributions)
                folding = _folding(self.tree.child(state, item.action), board)
                folds[item.action], staying = float(weights @ folding), weights * (1 - folding)
            mass, wins = staying.sum(), staying @ equities
            won = (1 - mass) * pot + wins * (pot + bet) - (mass - wins) * (to_call + bet)
            worth[item.action] = 0.0 if item.kind == "fold" else float(won) / pot
        pot_odds = to_call / (pot + to_call) if to_call else None
        return Advice(float(weights @ equities), pot_odds, folds, worth)

    def situation(self, observation: Observation) -> tuple[PublicState, np.ndarray, np.ndarray]:
        """The betting, the board (card ids), and how likely each holding of villain's is, (holdings,)."""
        hole, board = cards_of(observation)
        actions = tuple(move.action for move in observation.moves)
        known = np.concatenate((hole, board))
        weights = self._range(1 - observation.seat, actions, board) * self._holdings.free_of(known)
        return self.tree.state(actions), board, weights / weights.sum()

    def _range(self, seat: int, actions: tuple[int, ...], board: np.ndarray) -> np.ndarray:
        """(holdings,): in proportion to how probable a seat's part in the actions is with each holding.

        Of the board, what is dealt when the last one was taken is looked at.
        """
        if not actions:
            return np.ones(self._holdings.count)
        state = self.tree.state(actions[:-1])
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


def _folding(state: PublicState, board: np.ndarray) -> np.ndarray:
    """(holdings,): how often villain folds each of them to a bet."""
    actions, policy = state.reply(board)
    return policy[:, actions.index(FOLD)] if FOLD in actions else np.zeros(len(policy))


SOFTNESS = 0.03
"""Share of the pot by which an action has to be better than another to be chosen e times as often."""


class KnowsValues(Protocol):
    """What an action is worth, as an `Advisor` or a `Lookahead` says it."""

    def values(self, observation: Observation, menu: Sequence[MenuItem]) -> np.ndarray:
        """(menu,): chips."""
        ...


class Follower:
    """A player who prefers actions on its menu by their values.

    Not the best one alone: whoever imitates it learns by how much an action is better, and not only that it is.
    """

    draws_from_policy: Literal[True] = True
    answers = "menu"
    """It says what it draws from, as a language model that answers so."""

    def __init__(
        self, source: KnowsValues, fractions: Sequence[float], softness: float = SOFTNESS, name: str = "lbr"
    ) -> None:
        """`fractions` of the pot it bets and raises, beside all-in; with a `softness` of 0 the best action alone."""
        self.name = name
        self._source, self._fractions, self._softness = source, tuple(fractions), softness

    def act(self, observations: Sequence[Observation]) -> list[Answer]:
        """One answer per observation, drawn from its policy with the observation's coin."""
        answers = []
        for observation, policy in zip(observations, self.policy(observations), strict=True):
            menu, chances = tuple(policy), tuple(policy.values())
            place = int(np.random.default_rng(observation.coin_seed).choice(len(menu), p=chances))
            answers.append(Answer(menu[place], menu=menu, probabilities=chances, place=place))
        return answers

    def policy(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        """For each observation, the probability of each action of the menu, by OpenSpiel's id."""
        return [self._policy(observation, make_menu(observation, self._fractions)) for observation in observations]

    def _policy(self, observation: Observation, menu: Sequence[MenuItem]) -> dict[int, float]:
        values = self._source.values(observation, menu) / observation.pot
        if self._softness:
            chances = np.exp((values - values.max()) / self._softness)
        else:
            chances = np.eye(len(menu))[values.argmax()]
        return {item.action: float(chance) for item, chance in zip(menu, chances / chances.sum(), strict=True)}


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


def cards_of(observation: Observation) -> tuple[np.ndarray, np.ndarray]:
    """Hole cards and board, by OpenSpiel's ids.

    Of Leduc's two cards of a name the first comes first: suits never matter.
    """
    ids: list[int] = []
    for card in (*observation.hole, *observation.board):
        first = observation.game.cards.index(card)
        ids.append(first + (first in ids))
    return np.array(ids[: len(observation.hole)]), np.array(ids[len(observation.hole) :], np.int64)
