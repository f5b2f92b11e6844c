"""Critics: what hero can expect from a betting history in worlds where all cards are known.

They know what no player may know, so nothing they say is for a policy to see. As a baseline or control variate any
function of the state does, however wrong: it can only cost variance, never bias (see `credit.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numba import njit

from poker_env.cards.holdings import HOLDINGS, N_CARDS, hand_value
from poker_env.cfr.blueprint import SCALE, Blueprint
from poker_env.cfr.playing.translation import Translator
from poker_env.cfr.traverse import (
    ACTOR,
    FIRST_CHILD,
    MAX_ACTIONS,
    MAX_DEPTH,
    N_ACTIONS,
    OFFSET,
    STREET,
    compile_tree,
    random_float,
)
from poker_env.cfr.tree import SHOWDOWN
from poker_env.games import DEFAULTS
from poker_env.knowledge.beliefs import Knowledge
from poker_env.knowledge.public_tree import PublicState

_CACHED_STATES = 200_000
NEGLIGIBLE = 0.005
"""A branch less likely than that is valued as if checked down: a third less work, and as good."""
SAMPLES = 256
"""Worlds that stand for all that are possible before the flop, unless said otherwise. With 16 their noise is as large
as the differences between actions, with 256 a fourth of them, for 1 % of an epoch's time with SmolLM2-135M."""
_BOARD_CARDS = DEFAULTS["holdem"].board_cards

Details = TypeVar("Details")


@dataclass(frozen=True)
class Worlds(Generic[Details]):
    """Ways the cards may lie, each with a probability."""

    hero_seat: int
    holdings: np.ndarray
    """(n,): villain's, by number."""
    weights: np.ndarray
    """(n,): sum to 1."""
    details: Details
    """What else the critic that made them needs."""


class Critic(Protocol[Details]):
    """Values of public states."""

    def worlds(self, knowledge: Knowledge, random_state: np.ndarray) -> Worlds[Details]:
        """Worlds whose weighted mean stands for (or has as its expectation) the mean over all that are possible."""
        ...

    def values(self, state: PublicState, worlds: Worlds[Details]) -> np.ndarray:
        """(n,): chips hero wins from the whole hand, as estimated at a state, in each world."""
        ...


class CheckDownCritic:
    """Equity times pot, as if there were no more betting; exact over the run-out and the range."""

    def worlds(self, knowledge: Knowledge, random_state: np.ndarray) -> Worlds[np.ndarray]:
        """One for each holding that villain may have."""
        holdings = np.flatnonzero(knowledge.weights)
        equities = knowledge.cards.equities(knowledge.n_board)[holdings]
        return Worlds(knowledge.cards.hero_seat, holdings, knowledge.weights[holdings], equities)

    def values(self, state: PublicState, worlds: Worlds[np.ndarray]) -> np.ndarray:
        """See `Critic.values`."""
        own, other = state.contributions[worlds.hero_seat], state.contributions[1 - worlds.hero_seat]
        if state.folded_seat is not None:
            return np.full(len(worlds.holdings), float(-own if state.folded_seat == worlds.hero_seat else other))
        if state.done:
            return min(own, other) * (2 * worlds.details - 1)
        return worlds.details * (own + other) - own


class _Deals:
    """Hold'em worlds: every card dealt."""

    def __init__(self, decks: np.ndarray, shares: np.ndarray, street: int) -> None:
        self.decks = decks
        """(n, 9): card ids as in a `Deal`."""
        self.shares = shares
        """(n, 2): what hero wins of each chip at stake (-1 to 1), if the hand ends before another card is dealt, and
        with all the board dealt."""
        self.street = street
        """The last one whose cards are known."""
        self.buckets = np.zeros((len(decks), 2, 4), np.int32)
        """By seat and street, from the street `bucketed` on."""
        self.bucketed = 4
        self.values: dict[int, np.ndarray] = {}
        """Of nodes walked so far, (n,) each."""


Lookup = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Hole cards (n, 2) and boards (n, m) -> buckets (n,): `Abstraction.lookup`, or the faster `BucketTables.lookup`."""


class BlueprintCritic:
    """Both players go on as a blueprint does, from the nodes of its tree that stand for the state.

    A node's value is the expectation over both players' actions. Where real chips differ from the node's, the share of
    the pot that hero gets is carried over.
    """

    def __init__(self, blueprint: Blueprint, lookup: Lookup, samples: int = SAMPLES) -> None:
        """Where more than one world is possible, `samples` of them stand for all before the flop, and twice as many
        with each street, as there is less to walk."""
        self._lookup, self._samples = lookup, samples
        self._translator = Translator(blueprint.game, blueprint.tree)
        self._nodes, self._stakes = compile_tree(blueprint.tree, blueprint.offsets)
        self._strategy, self._contributions = blueprint.strategy, blueprint.tree.contributions
        self._located: dict[tuple[int, ...], tuple[float, list[tuple[int, float]]]] = {}

    def worlds(self, knowledge: Knowledge, random_state: np.ndarray) -> Worlds[_Deals]:
        """Sampled, holdings evenly spread over their probabilities; the one world where all cards are known."""
        cards, n_board = knowledge.cards, knowledge.n_board
        certain = n_board == 5 and np.count_nonzero(knowledge.weights) == 1
        count = 1 if certain else self._samples << _BOARD_CARDS.index(n_board)
        holdings, decks = np.empty(count, np.int64), np.empty((count, 9), np.int64)
        board = cards.board_of(n_board)
        _draw(knowledge.weights, cards.hole, board, cards.hero_seat, random_state, holdings, decks)
        shares = np.empty((count, 2))
        shares[:, 0] = 2 * cards.equities(n_board)[holdings] - 1
        _compare(decks, cards.hero_seat, shares[:, 1])
        deals = _Deals(decks, shares, _BOARD_CARDS.index(n_board))
        return Worlds(cards.hero_seat, holdings, np.full(count, 1 / count), deals)

    def values(self, state: PublicState, worlds: Worlds[_Deals]) -> np.ndarray:
        """See `Critic.values`."""
        hero = worlds.hero_seat
        if state.done:
            stake = min(state.contributions)
            if state.folded_seat is not None:
                return np.full(len(worlds.holdings), float(-stake if state.folded_seat == hero else stake))
            return stake * worlds.details.shares[:, 0]
        constant, nodes = self._locate(state, hero)
        values = np.full(len(worlds.holdings), constant)
        for node, factor in nodes:
            values += factor * self._node_values(node, worlds)
        return values

    def _locate(self, state: PublicState, hero: int) -> tuple[float, list[tuple[int, float]]]:
        """A state's value as a constant and factors of the values of nodes.

        Of the pot hero gets, in the tree, a node's value and what it has put in; in the real hand as much of the real
        pot, less what it has put in.
        """
        key = (hero, *state.actions)
        if key not in self._located:
            if len(self._located) >= _CACHED_STATES:
                self._located.clear()
            constant, nodes = 0.0, []
            for location, weight in self._translator.locate(state.observation):
                real = (max(state.contributions),) * 2 if location.calls else state.contributions
                tree = self._contributions[location.node].tolist()
                factor = weight * sum(real) / sum(tree)
                constant += factor * tree[hero] - weight * real[hero]
                nodes.append((location.node, factor))
            self._located[key] = constant, nodes
        return self._located[key]

    def _node_values(self, node: int, worlds: Worlds[_Deals]) -> np.ndarray:
        deals = worlds.details
        if node not in deals.values:
            self._fill_buckets(deals, int(self._nodes[node, STREET]))
            values = deals.values[node] = np.empty(len(worlds.holdings))
            arrays = (self._nodes, self._stakes, self._strategy, deals.buckets, deals.shares)
            _walk(*arrays, deals.street, node, worlds.hero_seat, values)
        return deals.values[node]

    def _fill_buckets(self, deals: _Deals, first_street: int) -> None:
        while deals.bucketed > first_street:
            deals.bucketed -= 1
            boards = deals.decks[:, 4 : 4 + _BOARD_CARDS[deals.bucketed]]
            for seat in range(2):
                holes = deals.decks[:, 2 * seat : 2 * seat + 2]
                deals.buckets[:, seat, deals.bucketed] = self._lookup(holes, boards)


@njit(cache=True, nogil=True)
def _walk(
    nodes: np.ndarray,
    stakes: np.ndarray,
    strategy: np.ndarray,
    buckets: np.ndarray,
    shares: np.ndarray,
    street: int,
    start: int,
    hero: int,
    values: np.ndarray,
) -> None:
    """What hero wins (n,) in the tree's chips from a node on, for each deal."""
    stack_node, stack_reach = np.empty(MAX_DEPTH * MAX_ACTIONS, np.int64), np.empty(MAX_DEPTH * MAX_ACTIONS)
    for deal in range(shares.shape[0]):
        value = 0.0
        stack_node[0], stack_reach[0] = start, 1.0
        top = 1
        while top:
            top -= 1
            node, reach = stack_node[top], stack_reach[top]
            count = nodes[node, N_ACTIONS]
            actor = nodes[node, ACTOR]
            if count == 0 or reach < NEGLIGIBLE:
                share = shares[deal, 0 if nodes[node, STREET] == street else 1]
                if not count and actor != SHOWDOWN:
                    share = -1.0 if actor == hero else 1.0
                value += reach * share * stakes[node]
                continue
            entry = nodes[node, OFFSET] + np.int64(buckets[deal, actor, nodes[node, STREET]]) * count
            for action in range(count):
                if strategy[entry + action]:
                    stack_node[top] = nodes[node, FIRST_CHILD] + action
                    stack_reach[top] = reach * (strategy[entry + action] / SCALE)
                    top += 1
        values[deal] = value


@njit(cache=True, nogil=True)
def _draw(
    weights: np.ndarray,
    hole: np.ndarray,
    board: np.ndarray,
    hero: int,
    random_state: np.ndarray,
    holdings: np.ndarray,
    decks: np.ndarray,
) -> None:
    """Fill in villain's holdings (n,), by systematic sampling of weights that sum to 1, and decks (n, 9) with them."""
    count = holdings.shape[0]
    point = random_float(random_state)
    passed = 0.0
    drawn = 0
    for holding in range(weights.shape[0]):
        passed += weights[holding] * count
        while drawn < count and point + drawn < passed:
            holdings[drawn] = holding
            drawn += 1
    while drawn < count:  # rounding
        holdings[drawn] = holdings[drawn - 1]
        drawn += 1
    known = board.shape[0]
    dead = np.empty(N_CARDS, np.bool_)
    for world in range(count):
        first, second = HOLDINGS[holdings[world], 0], HOLDINGS[holdings[world], 1]
        decks[world, 2 * hero], decks[world, 2 * hero + 1] = hole[0], hole[1]
        decks[world, 2 - 2 * hero], decks[world, 3 - 2 * hero] = first, second
        dead[:] = False
        dead[hole[0]] = dead[hole[1]] = dead[first] = dead[second] = True
        for place in range(5):
            if place < known:
                card = board[place]
            else:
                card = np.int64(random_float(random_state) * N_CARDS)
                while dead[card]:
                    card = np.int64(random_float(random_state) * N_CARDS)
            decks[world, 4 + place] = card
            dead[card] = True


@njit(cache=True, nogil=True)
def _compare(decks: np.ndarray, hero: int, wins: np.ndarray) -> None:
    """1 for decks (n, 9) in which hero has the better hand, -1 for villain, 0 for neither."""
    hand = np.empty(7, np.int64)
    for world in range(decks.shape[0]):
        hand[:2], hand[2:] = decks[world, 2 * hero : 2 * hero + 2], decks[world, 4:]
        own = hand_value(hand)
        hand[:2] = decks[world, 2 - 2 * hero : 4 - 2 * hero]
        wins[world] = np.sign(own - hand_value(hand))
