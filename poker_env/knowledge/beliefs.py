"""What is known of the cards at a point of a hand: hero's, some of the board, how likely each holding of villain's is.

A *holding* is what a player is dealt: two cards in hold'em (numbered as in `poker_env.cards.holdings.HOLDINGS`), one
card in Kuhn and Leduc (its OpenSpiel id).
"""

from __future__ import annotations

import functools
from typing import Protocol

import numpy as np

from poker_env.cards.equity import equities_against
from poker_env.cards.holdings import HOLDINGS, N_CARDS, N_HOLDINGS, holding_index
from poker_env.games import Deal, Game
from poker_env.knowledge.public_tree import PublicState
from poker_env.state import HandState


class Holdings(Protocol):
    """What a player can be dealt in a game."""

    count: int
    cards_each: int

    def index(self, cards: np.ndarray) -> int:
        """The number of a holding."""
        ...

    def free_of(self, cards: np.ndarray) -> np.ndarray:
        """(count,): 1 for the holdings that hold none of the cards, else 0."""
        ...

    def equities(self, hole: np.ndarray, board: np.ndarray) -> np.ndarray:
        """(count,): equity of hole cards against each holding over all run-outs, ties half.

        That against a holding which these cards block means nothing. Before the flop it is the mean over the holdings
        of a class.
        """
        ...


class _HoldemHoldings:
    count, cards_each = N_HOLDINGS, 2
    _without = (HOLDINGS[None, :, :] != np.arange(N_CARDS)[:, None, None]).all(axis=2)

    def index(self, cards: np.ndarray) -> int:
        return holding_index(int(cards[0]), int(cards[1]))

    def free_of(self, cards: np.ndarray) -> np.ndarray:
        return self._without[cards].all(axis=0).astype(np.float64)

    def equities(self, hole: np.ndarray, board: np.ndarray) -> np.ndarray:
        return equities_against(hole, board)


class _CardHoldings:
    """Kuhn and Leduc; who wins is OpenSpiel's word on a hand that is checked down."""

    cards_each = 1

    def __init__(self, game: Game) -> None:
        self.count = len(game.cards)
        self._board_length = game.deck_length - 2
        self._wins = np.full((self.count,) * game.deck_length, np.nan)
        checks = {"kuhn": (0, 0), "leduc": (1, 1, 1, 1)}[game.name]
        for deck in all_decks(game):
            hand = HandState(game, Deal(deck, 0, 0))
            for action in checks:
                hand.apply(action)
            self._wins[deck] = (1 + np.sign(hand.payoffs[0])) / 2

    def index(self, cards: np.ndarray) -> int:
        return int(cards[0])

    def free_of(self, cards: np.ndarray) -> np.ndarray:
        free = np.ones(self.count)
        free[cards] = 0
        return free

    def equities(self, hole: np.ndarray, board: np.ndarray) -> np.ndarray:
        wins = self._wins[int(hole[0])]
        if len(board):
            wins = wins[:, int(board[0])]
        elif self._board_length:
            possible = ~np.isnan(wins)
            wins = np.where(possible, wins, 0).sum(axis=1) / np.maximum(possible.sum(axis=1), 1)
        return np.nan_to_num(wins)


@functools.cache
def holdings_of(game: Game) -> Holdings:
    """What a player can be dealt in a game."""
    return _HoldemHoldings() if game.name == "holdem" else _CardHoldings(game)


def all_decks(game: Game) -> list[tuple[int, ...]]:
    """Every deck order of Kuhn (6) or Leduc (120), as many cards as a hand can use."""
    decks: list[tuple[int, ...]] = [()]
    for _ in range(game.deck_length):
        decks = [(*deck, card) for deck in decks for card in range(len(game.cards)) if card not in deck]
    return decks


class DealtCards:
    """The cards of a deal from hero's side."""

    def __init__(self, game: Game, deal: Deal) -> None:
        self.holdings = holdings_of(game)
        self.hero_seat = deal.hero_seat
        deck, each = np.array(deal.deck, np.int64), self.holdings.cards_each
        self.hole = deck[each * deal.hero_seat :][:each]
        self.board = deck[2 * each :]
        """All of it, dealt yet or not."""
        self.villain = self.holdings.index(deck[each * (1 - deal.hero_seat) :][:each])
        """Number of villain's holding."""
        self._boards: dict[int, np.ndarray] = {}
        self._equities: dict[int, np.ndarray] = {}

    def board_of(self, n_board: int) -> np.ndarray:
        """The first cards of the board: the same array every time."""
        if n_board not in self._boards:
            self._boards[n_board] = self.board[:n_board]
        return self._boards[n_board]

    def equities(self, n_board: int) -> np.ndarray:
        """Hero's equity against each holding when so much of the board is known."""
        if n_board not in self._equities:
            self._equities[n_board] = self.holdings.equities(self.hole, self.board_of(n_board))
        return self._equities[n_board]


class Knowledge:
    """Hero's cards, the first `n_board` of the board, and the probability `weights` (holdings,) of villain's."""

    def __init__(self, cards: DealtCards, n_board: int, weights: np.ndarray) -> None:
        self.cards, self.n_board = cards, n_board
        self.weights = weights / weights.sum()

    @staticmethod
    def at_start(cards: DealtCards, whole_board: bool, villain: bool) -> Knowledge:
        """Before the first action; `whole_board` and `villain` say whether those cards are known."""
        n_board = len(cards.board) if whole_board else 0
        if villain:
            weights = np.zeros(cards.holdings.count)
            weights[cards.villain] = 1
        else:
            weights = cards.holdings.free_of(np.concatenate((cards.hole, cards.board_of(n_board))))
        return Knowledge(cards, n_board, weights)

    def after(self, probabilities: np.ndarray) -> Knowledge:
        """Once villain took an action that its holdings take with these probabilities (holdings,): Bayes."""
        if np.count_nonzero(self.weights) == 1:
            return self
        return Knowledge(self.cards, self.n_board, self.weights * probabilities)

    def dealt(self, n_board: int) -> Knowledge:
        """Once so much of the board is dealt."""
        new = self.cards.board_of(n_board)[self.n_board :]
        return Knowledge(self.cards, n_board, self.weights * self.cards.holdings.free_of(new))

    def payoff(self, state: PublicState) -> float:
        """Chips hero can expect at the end of a hand."""
        stake = min(state.contributions)
        if state.folded_seat is not None:
            return -stake if state.folded_seat == self.cards.hero_seat else stake
        return stake * float(2 * self.weights @ self.cards.equities(self.n_board) - 1)
