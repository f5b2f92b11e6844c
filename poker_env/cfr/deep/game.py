"""Games as Deep CFR sees them: a betting tree as tables, betting and cards as a network's input, and deals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

from poker_env.cards.holdings import N_CARDS, hand_value
from poker_env.cards.strengths import N_STRENGTHS, deal_strengths
from poker_env.cfr.dealers import shuffle_top
from poker_env.cfr.tree import FOLD, RAISE, BettingTree, TreeConfig, holdem_tree, kuhn_tree, leduc_tree
from poker_env.games import Game

NO_CARD = -1
RUNOUTS = 10
"""Boards that stand for all that may come when both are all-in: how it ends is most of the noise there is."""


@dataclass(frozen=True)
class Deck:
    """What the cards of a game are, to a network. Kuhn's and Leduc's are ranks alone: suits never matter there."""

    ranks: int
    suits: int
    groups: tuple[int, ...]
    """How many cards are seen together: a player's own, then each street's part of the board. A hand is their cards in
    that order, rank * suits + suit, `NO_CARD` where none is dealt yet, and then its strengths."""
    strengths: int = 0
    """Numbers that say how strong a hand is, 0 to 100 (`poker_env.cards.strengths`); small games need none."""

    @property
    def length(self) -> int:
        """Numbers of a hand."""
        return sum(self.groups) + self.strengths


DECKS = {"kuhn": Deck(3, 1, (1,)), "leduc": Deck(3, 1, (1, 1)), "holdem": Deck(13, 4, (2, 3, 1, 1), N_STRENGTHS)}


@dataclass(frozen=True)
class Deals:
    """Cards of both seats, to the end."""

    cards: np.ndarray
    """(2, deals * streets, `Deck.length`) int8: the hands that each seat sees, street by street."""
    results: np.ndarray
    """(deals, streets) float32: of each chip at stake what seat 0 wins (-1 to 1) at a showdown, by the street of the
    last bet; where cards are still to come, the mean over some ways they may lie."""


@dataclass(frozen=True)
class DeepGame:
    """A game with the bets of its tree.

    Actions have the same place at all nodes: fold, check or call, then raises by size; places that a node hasn't are
    illegal.
    """

    game: Game
    config: TreeConfig | None
    """Of hold'em's tree."""
    tree: BettingTree
    children: np.ndarray
    """(nodes, actions) int32: the node that each action leads to, -1 where it is illegal."""
    stakes: np.ndarray
    """(nodes,) float32: chips that a hand ending there costs its loser."""
    betting: np.ndarray
    """(nodes, features) float32: see `betting_features`."""
    depth: int
    """Decisions in the longest hand."""
    deal: Callable[[int, np.random.Generator], Deals]

    @staticmethod
    def of(game: Game, config: TreeConfig | None = None) -> DeepGame:
        """Kuhn or Leduc; or hold'em with the bets of `config`, whose tree may be too large: a `UserError`."""
        if config is not None:
            tree, deal = holdem_tree(game, config), deal_holdem
        else:
            tree, deal = (kuhn_tree(game), deal_kuhn) if game.name == "kuhn" else (leduc_tree(game), deal_leduc)
        return DeepGame(
            game,
            config,
            tree,
            _children(tree),
            tree.contributions.min(axis=1).astype(np.float32),
            betting_features(tree, game.stack),
            _depth(tree),
            deal,
        )

    @property
    def deck(self) -> Deck:
        """Its cards."""
        return DECKS[self.game.name]

    @property
    def n_actions(self) -> int:
        """Places of actions."""
        return self.children.shape[1]

    @property
    def n_streets(self) -> int:
        """Betting rounds."""
        return len(self.game.streets)

    @property
    def legal(self) -> np.ndarray:
        """(nodes, actions) bool."""
        return self.children >= 0


def _children(tree: BettingTree) -> np.ndarray:
    shift = (tree.edge[tree.first_child] != FOLD).astype(np.int64)  # where nothing is to be called, nobody folds
    children = np.full((len(tree), int((tree.n_actions + shift).max())), -1, np.int32)
    for node in np.flatnonzero(tree.n_actions).tolist():
        first, start, count = int(tree.first_child[node]), int(shift[node]), int(tree.n_actions[node])
        children[node, start : start + count] = np.arange(first, first + count)
    return children


def _depth(tree: BettingTree) -> int:
    node, depth = len(tree) - 1, 0  # breadth first: none is deeper than the last one
    while node:
        node, depth = int(tree.parent[node]), depth + 1
    return depth


def betting_features(tree: BettingTree, stack: int) -> np.ndarray:
    """(nodes, features) float32: what a network is told of the betting that leads to each node.

    Whose turn it is, the street, the pot as a share of all chips and what is to call as a share of the pot; and for
    each place in a street's sequence of actions whether there was one, whether it was a bet or raise, and the chips it
    added as a share of the pot (after Brown, Lerer, Gross & Sandholm 2019, "Deep Counterfactual Regret Minimization",
    section 5.1, which tells bets alone).
    """
    n_streets = int(tree.street.max()) + 1
    pots = tree.contributions.sum(axis=1).astype(np.float64)
    places = np.zeros(len(tree), np.int64)  # of the next action on its street
    for node in range(1, len(tree)):
        parent = tree.parent[node]
        places[node] = places[parent] + 1 if tree.street[node] == tree.street[parent] else 0
    longest = [1 + int(places[(tree.street == street) & (tree.n_actions > 0)].max()) for street in range(n_streets)]
    starts = np.concatenate(([0], np.cumsum(longest)))
    history = np.zeros((len(tree), int(starts[-1]), 3), np.float32)
    for node in range(1, len(tree)):
        parent = int(tree.parent[node])
        history[node] = history[parent]
        place = starts[tree.street[parent]] + places[parent]
        history[node, place] = (1, tree.edge[node] == RAISE, pots[node] / pots[parent] - 1)
    now = np.zeros((len(tree), 2 + n_streets + 2), np.float32)
    decides = tree.n_actions > 0
    now[decides, tree.actor[decides]] = 1
    now[np.arange(len(tree)), 2 + tree.street] = 1
    now[:, -2] = pots / (2 * stack)
    now[:, -1] = (tree.contributions.max(axis=1) - tree.contributions.min(axis=1)) / pots
    return np.concatenate((now, history.reshape(len(tree), -1)), axis=1)


def deal_kuhn(count: int, rng: np.random.Generator) -> Deals:
    """Deals of Kuhn poker."""
    return kuhn_deals(rng.permuted(np.tile(np.arange(3), (count, 1)), axis=1)[:, :2])


def kuhn_deals(ranks: np.ndarray) -> Deals:
    """Those with ranks (deals, 2) of the two seats."""
    return Deals(ranks.T[:, :, None].astype(np.int8), np.sign(ranks[:, :1] - ranks[:, 1:]).astype(np.float32))


def deal_leduc(count: int, rng: np.random.Generator) -> Deals:
    """Deals of Leduc hold'em."""
    ranks = rng.permuted(np.tile(np.arange(6), (count, 1)), axis=1)[:, :3] // 2
    first, second, board = ranks.T
    cards = np.full((2, count, 2, 2), NO_CARD, np.int8)
    cards[0, :, :, 0], cards[1, :, :, 0], cards[:, :, 1, 1] = first[:, None], second[:, None], board
    values = ranks[:, :2] + 3 * (ranks[:, :2] == board[:, None])
    results = np.sign(values[:, :1] - values[:, 1:]).astype(np.float32)
    return Deals(cards.reshape(2, 2 * count, 2), np.repeat(results, 2, axis=1))  # nobody gets all-in before the end


def deal_holdem(count: int, rng: np.random.Generator) -> Deals:
    """Deals of hold'em."""
    dealt, results = np.empty((count, 9), np.int64), np.empty((count, 4), np.float32)
    _deal_holdem(rng.integers(1, 2**63, 1, np.uint64), dealt, results)
    cards = np.full((2, count, 4, DECKS["holdem"].length), NO_CARD, np.int8)
    for seat in range(2):
        cards[seat, :, :, :2] = dealt[:, None, 2 * seat : 2 * seat + 2]
    for street, known in ((1, 3), (2, 4), (3, 5)):
        cards[:, :, street, 2 : 2 + known] = dealt[:, 4 : 4 + known]
    cards[:, :, :, 7:] = deal_strengths(dealt).swapaxes(0, 1)
    return Deals(cards.reshape(2, 4 * count, -1), results)


@njit(cache=True, nogil=True)
def _deal_holdem(random_state: np.ndarray, dealt: np.ndarray, results: np.ndarray) -> None:
    deck = np.arange(N_CARDS)
    for deal in range(len(results)):
        shuffle_top(deck, 9, random_state)
        dealt[deal] = deck[:9]
        results[deal, 3] = _showdown(deck)
        for street in range(2, -1, -1):  # the unknown cards are the last ones: what is dealt anew never comes back
            known = 4 + (street + 2 if street else 0)
            total = 0.0
            for _ in range(RUNOUTS):
                shuffle_top(deck[known:], 9 - known, random_state)
                total += _showdown(deck)
            results[deal, street] = total / RUNOUTS


@njit(cache=True)
def _showdown(deck: np.ndarray) -> int:
    """1 where the first two cards make a better hand with the last five than the next two do, -1 a worse, else 0."""
    hand = np.empty(7, np.int64)
    hand[:] = deck[2:9]
    second = hand_value(hand)
    hand[:2] = deck[:2]
    return np.sign(hand_value(hand) - second)
