"""Kuhn and Leduc, where all can be known: villain's whole policy, and what hero's own is worth in every world."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from poker_env.games import Deal, Game
from poker_env.knowledge.beliefs import Knowledge, all_decks, holdings_of
from poker_env.knowledge.critic import Worlds
from poker_env.knowledge.public_tree import PublicState, PublicTree
from poker_env.knowledge.ranges import RangePolicy, Reply
from poker_env.state import HandState, Observation

Table = Mapping[str, Mapping[int, float]]
"""A policy, as `exact_value.exact_policy` gives it: OpenSpiel's information-state string -> probability by action."""


def tabular_ranges(game: Game, table: Table) -> RangePolicy:
    """The whole policy of a player of Kuhn or Leduc: a row for each card that it may hold."""

    def policy(observation: Observation) -> Reply:
        seat, actions = observation.seat, tuple(move.action for move in observation.moves)

        def reply(board: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
            probabilities = np.zeros((len(game.cards), len(observation.legal)))
            for card in range(len(game.cards)):
                if card not in board:
                    other = next(c for c in range(len(game.cards)) if c != card and c not in board)
                    holes = (card, other) if seat == 0 else (other, card)
                    row = table[_infoset(game, (*holes, *_padded(game, board, holes)), actions)]
                    probabilities[card] = [row.get(action, 0.0) for action in observation.legal]
            return observation.legal, probabilities

        return reply

    return policy


class ExactCritic:
    """What hero's policy wins from villain's: exact, so that nothing is left to luck if it is the hero that played."""

    def __init__(self, game: Game, hero: Table, villain: Table) -> None:
        """For Kuhn and Leduc. `hero` may be any guess at hero's policy, say villain's own."""
        self._tree = PublicTree(game, tabular_ranges(game, villain))
        self._game, self._tables = game, (hero, villain)
        self._decks = np.array(all_decks(game))
        self._values: dict[tuple[int, tuple[int, ...]], np.ndarray] = {}

    def worlds(self, knowledge: Knowledge, random_state: np.ndarray) -> Worlds[np.ndarray]:
        """All that are possible; the details are places among `all_decks`."""
        cards = knowledge.cards
        hero, villain = self._decks[:, cards.hero_seat], self._decks[:, 1 - cards.hero_seat]
        possible = hero == cards.hole[0]
        for place, card in enumerate(cards.board_of(knowledge.n_board)):
            possible &= self._decks[:, 2 + place] == card
        weights = np.where(possible, knowledge.weights[villain], 0)
        decks = np.flatnonzero(weights)
        return Worlds(cards.hero_seat, villain[decks], weights[decks] / weights.sum(), decks)

    def values(self, state: PublicState, worlds: Worlds[np.ndarray]) -> np.ndarray:
        """See `Critic.values`."""
        return self._of_all_decks(state, worlds.hero_seat)[worlds.details]

    def _of_all_decks(self, state: PublicState, hero_seat: int) -> np.ndarray:
        key = (hero_seat, state.actions)
        if key not in self._values:
            self._values[key] = self._compute(state, hero_seat)
        return self._values[key]

    def _compute(self, state: PublicState, hero_seat: int) -> np.ndarray:
        stake = float(min(state.contributions))
        if state.folded_seat is not None:
            return np.full(len(self._decks), -stake if state.folded_seat == hero_seat else stake)
        if state.done:
            return stake * np.array([self._sign(deck, hero_seat) for deck in self._decks])
        table = self._tables[0 if state.seat == hero_seat else 1]
        rows = [table[name] for name in _infosets(self._game, state.actions)]
        forfeited = float(state.contributions[state.seat]) * (-1 if state.seat == hero_seat else 1)
        values = forfeited * np.array([1 - sum(row.values()) for row in rows])  # answers that name no action
        for action in state.observation.legal:
            probabilities = np.array([row.get(action, 0.0) for row in rows])
            values += probabilities * self._of_all_decks(self._tree.child(state, action), hero_seat)
        return values

    def _sign(self, deck: np.ndarray, hero_seat: int) -> float:
        equities = holdings_of(self._game).equities(deck[hero_seat : hero_seat + 1], deck[2:])
        return 2 * float(equities[deck[1 - hero_seat]]) - 1


@functools.cache
def _infosets(game: Game, actions: tuple[int, ...]) -> list[str]:
    """Of the player to act after some actions, for each of `all_decks`."""
    return [_infoset(game, deck, actions) for deck in all_decks(game)]


@functools.cache
def _infoset(game: Game, deck: tuple[int, ...], actions: tuple[int, ...]) -> str:
    hand = HandState(game, Deal(deck, 0, 0))
    for action in actions:
        hand.apply(action)
    return hand.observe().infoset


def _padded(game: Game, board: np.ndarray, holes: tuple[int, int]) -> tuple[int, ...]:
    """The board, with any card in the place of one that isn't dealt."""
    if game.deck_length - 2 == len(board):
        return tuple(int(card) for card in board)
    return (next(card for card in range(len(game.cards)) if card not in holes),)
