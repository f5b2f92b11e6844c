"""A network of Deep CFR at the real table: its policy for what a player sees, for one holding or for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poker_env.cards.holdings import HOLDINGS, N_HOLDINGS
from poker_env.cards.strengths import hand_strength, range_strengths
from poker_env.cfr.deep.checkpoint import NetworkCheckpoint
from poker_env.cfr.deep.game import DECKS, NO_CARD, DeepGame
from poker_env.cfr.deep.network import NetworkStrategy
from poker_env.cfr.deep.small_games import tabulate
from poker_env.cfr.deep.traverse import Choose, Strategy
from poker_env.cfr.full_width import TabularStrategy
from poker_env.cfr.playing.spots import CARD_IDS, Spots
from poker_env.state import Observation


class TranslatedStrategy:
    """Probabilities of real actions of hold'em, from a strategy for a tree's nodes and the translation of bets that
    the tree doesn't know. A function of what is seen: nothing is drawn."""

    def __init__(self, game: DeepGame, strategy: Strategy) -> None:
        self._game, self._strategy = game, strategy
        self._spots = Spots(game.game, game.tree)
        self._board: tuple[str, ...] | None = None
        self._choose: Choose

    def policies(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        """For each observation, the probability of each action that has any, by OpenSpiel's id."""
        spots = [self._spots.of(observation) for observation in observations]
        asked = [(hand, node) for hand, spot in enumerate(spots) for node, _, _ in spot if node >= 0]
        if asked:
            hands, nodes = np.array(asked).T
            cards = np.stack([_hand(observation.hole, observation.board) for observation in observations])
            answers = iter(self._strategy(cards)(hands, nodes).astype(np.float64))
        policies = []
        for spot in spots:
            policy: dict[int, float] = {}
            for node, weight, actions in spot:
                chances = [1.0] if node < 0 else self._of_actions(next(answers)[None], node)[0].tolist()
                for action, chance in zip(actions, chances, strict=True):
                    if chance:
                        policy[action] = policy.get(action, 0.0) + weight * chance
            policies.append(policy)
        return policies

    def range_policy(self, observation: Observation) -> tuple[tuple[int, ...], np.ndarray]:
        """The policy for every holding the player could have: actions, and probabilities (1326, actions).

        Rows of holdings that the board blocks are 0. The observation's own cards aren't looked at.
        """
        spot = self._spots.of(observation)
        choose = self._with_board(observation.board)
        legal = sorted({action for _, _, actions in spot for action in actions})
        probabilities = np.zeros((N_HOLDINGS, len(legal)))
        for node, weight, actions in spot:
            if node < 0:
                chances = np.ones((N_HOLDINGS, 1))
            else:
                found = choose(np.arange(N_HOLDINGS), np.full(N_HOLDINGS, node)).astype(np.float64)
                chances = self._of_actions(found, node)
            for place, action in enumerate(actions):
                probabilities[:, legal.index(action)] += weight * chances[:, place]
        board = [CARD_IDS[card] for card in observation.board]
        probabilities[np.isin(HOLDINGS, board).any(axis=1)] = 0
        return tuple(legal), probabilities

    def _of_actions(self, chances: np.ndarray, node: int) -> np.ndarray:
        """Those (n, actions) of a node's own actions, summing to 1 in double precision, too."""
        legal = chances[:, self._game.children[node] >= 0]
        return legal / legal.sum(axis=1, keepdims=True)

    def _with_board(self, board: tuple[str, ...]) -> Choose:
        """For all holdings; a board is asked for many times in a row."""
        if board != self._board:
            dealt = np.array([CARD_IDS[card] for card in board], np.int64)
            cards = np.full((N_HOLDINGS, DECKS["holdem"].length), NO_CARD, np.int8)
            cards[:, :2], cards[:, 2 : 2 + len(board)], cards[:, 7:] = HOLDINGS, dealt, range_strengths(dealt)
            self._board, self._choose = board, self._strategy(cards)
        return self._choose


def strategy_of(checkpoint: NetworkCheckpoint) -> TranslatedStrategy | TabularStrategy:
    """What a network's player plays; in Kuhn and Leduc a table of it."""
    strategy = NetworkStrategy(checkpoint.deep, checkpoint.network, average=True, threshold=checkpoint.threshold)
    if checkpoint.deep.config is None:
        return tabulate(checkpoint.deep, strategy)
    return TranslatedStrategy(checkpoint.deep, strategy)


def _hand(hole: tuple[str, ...], board: tuple[str, ...]) -> np.ndarray:
    """(`Deck.length`,): as `Deck.groups` has hold'em's."""
    held, dealt = (np.array([CARD_IDS[card] for card in cards], np.int64) for cards in (hole, board))
    hand = np.full(DECKS["holdem"].length, NO_CARD, np.int8)
    hand[:2], hand[2 : 2 + len(dealt)], hand[7:] = held, dealt, hand_strength(held, dealt)
    return hand
