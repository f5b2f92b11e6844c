"""External sampling in lockstep: all walks of a tree advance together, with one question to each player's strategy a
step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

from poker_env.cfr.deep.game import Deals, DeepGame
from poker_env.cfr.tree import SHOWDOWN

Choose = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Hands (n,), by their row in the cards it was made for, and nodes (n,) -> probabilities (n, actions)."""

Strategy = Callable[[np.ndarray], Choose]
"""A seat's strategy of the moment: cards (hands, cards), as `Deck.groups` says -> what it does with them."""


@dataclass(frozen=True)
class Samples:
    """Decisions that were met, with something for each action of theirs."""

    walks: np.ndarray
    """(n,): by which walk, the number of its deal."""
    nodes: np.ndarray
    """(n,) int32: of the tree."""
    cards: np.ndarray
    """(n, cards) int8: what the player to act held and saw."""
    targets: np.ndarray
    """(n, actions); 0 where the action is illegal."""

    def where(self, chosen: np.ndarray) -> Samples:
        """Those that are `chosen` (n,) bool."""
        return Samples(self.walks[chosen], self.nodes[chosen], self.cards[chosen], self.targets[chosen])

    @staticmethod
    def join(parts: list[Samples]) -> Samples:
        """All of them, in order."""
        walks, nodes, cards, targets = (
            np.concatenate(column)
            for column in zip(*((part.walks, part.nodes, part.cards, part.targets) for part in parts), strict=True)
        )
        return Samples(walks, nodes, cards, targets)


@dataclass(frozen=True)
class Walked:
    """What came of some walks."""

    regrets: Samples
    """Of the seat that tried every action, in chips: sampled counterfactual regrets."""
    played: Samples
    """Of the other seat: its strategy, in proportion to how often it gets there itself."""
    decisions: int
    """How many were visited."""


def draw_coins(game: DeepGame, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, depth): the other seat's luck at each step of so many walks."""
    return rng.random((count, game.depth))


def walk(game: DeepGame, deals: Deals, coins: np.ndarray, seat: int, strategies: tuple[Strategy, Strategy]) -> Walked:
    """Walk the tree once for every deal: `seat` tries all its actions, the other one takes the action where the
    cumulative probability passes its coin (deals, depth).

    External sampling (Lanctot et al. 2009, "Monte Carlo Sampling for Regret Minimization in Extensive Games",
    section 4). A walk's steps of the same depth share a coin: each path has the probability it should have. Where the
    other seat's action ends the hand, the mean of all its actions that would do so stands for it: whether an all-in
    is called is most of the noise that is left.
    """
    tree, streets = game.tree, game.n_streets
    choose = [strategy(deals.cards[player]) for player, strategy in enumerate(strategies)]
    numbers, nodes = np.arange(len(deals.results)), np.zeros(len(deals.results), np.int32)
    levels: list[tuple[np.ndarray, ...]] = []
    played: list[Samples] = []
    decisions = 0
    while len(nodes):
        probabilities = np.zeros((len(nodes), game.n_actions))
        hands = numbers * streets + tree.street[nodes]
        for player in range(2):
            rows = np.flatnonzero((tree.actor[nodes] == player) & (tree.n_actions[nodes] > 0))
            decisions += len(rows)
            if len(rows):
                probabilities[rows] = choose[player](hands[rows], nodes[rows])
            if player != seat:
                cards = deals.cards[player][hands[rows]]
                played.append(Samples(numbers[rows], nodes[rows], cards, probabilities[rows]))
        depth = min(len(levels), coins.shape[1] - 1)  # after the last step all hands are over
        first, next_numbers, next_nodes = _expand(
            numbers,
            nodes,
            probabilities,
            np.ascontiguousarray(coins[:, depth]),
            game.children,
            tree.actor,
            tree.n_actions,
            seat,
        )
        levels.append((numbers, nodes, hands, probabilities, first, next_nodes))
        numbers, nodes = next_numbers, next_nodes
    values = np.empty(0)
    regrets: list[Samples] = []
    for numbers, nodes, hands, probabilities, first, next_nodes in reversed(levels):
        values, found = _collect(
            numbers,
            nodes,
            probabilities,
            first,
            values,
            next_nodes,
            game.children,
            tree.actor,
            game.stakes,
            deals.results,
            tree.street,
            seat,
        )
        rows = np.flatnonzero((tree.actor[nodes] == seat) & (tree.n_actions[nodes] > 0))
        regrets.append(Samples(numbers[rows], nodes[rows], deals.cards[seat][hands[rows]], found[rows]))
    return Walked(Samples.join(regrets), Samples.join(played), decisions)


@njit(cache=True, nogil=True)
def _expand(
    numbers: np.ndarray,
    nodes: np.ndarray,
    probabilities: np.ndarray,
    coins: np.ndarray,
    children: np.ndarray,
    actor: np.ndarray,
    n_actions: np.ndarray,
    seat: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each row's children begin in the next level (n,), and the next level: walks and nodes."""
    n, most = probabilities.shape
    followed = np.zeros((n, most), np.bool_)
    for row in range(n):
        node = nodes[row]
        if n_actions[node] == 0:
            continue
        if actor[node] == seat:
            followed[row] = children[node] >= 0
            continue
        taken, coin = -1, coins[numbers[row]]
        for action in range(most):
            if probabilities[row, action] > 0:
                taken = action
                coin -= probabilities[row, action]
                if coin < 0:
                    break
        if n_actions[children[node, taken]] > 0:
            followed[row, taken] = True
            continue
        for action in range(most):
            if probabilities[row, action] > 0 and n_actions[children[node, action]] == 0:
                followed[row, action] = True
    first = np.zeros(n + 1, np.int64)
    for row in range(n):
        first[row + 1] = first[row] + followed[row].sum()
    next_numbers, next_nodes = np.empty(first[n], np.int64), np.empty(first[n], np.int32)
    for row in range(n):
        place = first[row]
        for action in range(most):
            if followed[row, action]:
                next_numbers[place], next_nodes[place] = numbers[row], children[nodes[row], action]
                place += 1
    return first, next_numbers, next_nodes


@njit(cache=True, nogil=True)
def _collect(
    numbers: np.ndarray,
    nodes: np.ndarray,
    probabilities: np.ndarray,
    first: np.ndarray,
    below: np.ndarray,
    next_nodes: np.ndarray,
    children: np.ndarray,
    actor: np.ndarray,
    stakes: np.ndarray,
    results: np.ndarray,
    street: np.ndarray,
    seat: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Values (n,) of a level's rows to `seat` in chips, from those of the level `below`; its regrets (n, actions)."""
    n, n_actions = probabilities.shape
    values, regrets = np.zeros(n), np.zeros((n, n_actions))
    for row in range(n):
        node = nodes[row]
        if first[row] == first[row + 1]:
            if actor[node] == SHOWDOWN:
                share = results[numbers[row], street[node]] * (1.0 if seat == 0 else -1.0)
            else:
                share = -1.0 if actor[node] == seat else 1.0
            values[row] = share * stakes[node]
            continue
        place, total = first[row], 0.0
        for action in range(n_actions):
            if place < first[row + 1] and children[node, action] == next_nodes[place]:
                values[row] += probabilities[row, action] * below[place]
                total += probabilities[row, action]
                place += 1
        values[row] /= total
        if actor[node] == seat:
            place = first[row]
            for action in range(n_actions):
                if children[node, action] >= 0:
                    regrets[row, action] = below[place] - values[row]
                    place += 1
    return values, regrets


@njit(cache=True, nogil=True)
def match_regrets(advantages: np.ndarray, nodes: np.ndarray, children: np.ndarray) -> np.ndarray:
    """Probabilities (n, actions) in proportion to positive advantages (n, actions); where none is, the best action's
    alone, ties shared (Brown et al. 2019, section 4: better than playing at random where all look bad)."""
    n, n_actions = advantages.shape
    probabilities = np.zeros((n, n_actions), np.float32)
    for row in range(n):
        total, best, ties = 0.0, -np.inf, 0
        for action in range(n_actions):
            if children[nodes[row], action] >= 0:
                advantage = advantages[row, action]
                total += max(advantage, 0.0)
                if advantage > best:
                    best, ties = advantage, 0
                ties += advantage == best
        for action in range(n_actions):
            if children[nodes[row], action] >= 0:
                advantage = advantages[row, action]
                if total > 0:
                    probabilities[row, action] = max(advantage, 0.0) / total
                elif advantage == best:
                    probabilities[row, action] = 1.0 / ties
    return probabilities


def uniform(game: DeepGame) -> Strategy:
    """Plays every legal action with the same probability."""
    chances = (game.legal / np.maximum(game.legal.sum(axis=1, keepdims=True), 1)).astype(np.float32)
    return lambda cards: lambda hands, nodes: chances[nodes]
