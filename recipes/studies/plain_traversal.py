"""The solver's traversal as one writes it down first: what `bench.py solver` compares it with."""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit

from poker_env.cfr.traverse import random_float
from poker_env.cfr.tree import SHOWDOWN, BettingTree


class Recursion:
    """A function that calls itself, with the tree's arrays as arguments."""

    def __init__(self, tree: BettingTree, offsets: np.ndarray, stakes: np.ndarray) -> None:
        arrays = (tree.actor, tree.street, tree.n_actions, tree.first_child, offsets, stakes)
        self.traverse = partial(_walk_deals, arrays)
        """The same walks as `poker_env.cfr.traverse.traverse`, with the same coins."""


@njit(nogil=True)
def _walk_deals(
    tree: tuple[np.ndarray, ...],
    buckets: np.ndarray,
    winners: np.ndarray,
    regrets: np.ndarray,
    sums: np.ndarray,
    tremble: float,
    random_state: np.ndarray,
) -> None:
    for deal in range(len(winners)):
        for seat in range(2):
            _walk(0, deal, seat, *tree, buckets, winners, regrets, sums, tremble, random_state)


@njit(nogil=True)
def _walk(
    node: int,
    deal: int,
    seat: int,
    actors: np.ndarray,
    streets: np.ndarray,
    n_actions: np.ndarray,
    first_child: np.ndarray,
    offsets: np.ndarray,
    stakes: np.ndarray,
    buckets: np.ndarray,
    winners: np.ndarray,
    regrets: np.ndarray,
    sums: np.ndarray,
    tremble: float,
    random_state: np.ndarray,
) -> float:
    actor, count = actors[node], n_actions[node]
    if count == 0:
        if actor == SHOWDOWN:
            return float(winners[deal] * stakes[node] if seat == 0 else -winners[deal] * stakes[node])
        return float(-stakes[node] if actor == seat else stakes[node])
    tree = (actors, streets, n_actions, first_child, offsets, stakes)
    entry = offsets[node] + np.int64(buckets[deal, actor, streets[node]]) * count
    strategy = np.empty(count)
    total = 0.0
    for action in range(count):
        strategy[action] = max(regrets[entry + action], 0.0)
        total += strategy[action]
    for action in range(count):
        strategy[action] = strategy[action] / total if total > 0 else 1.0 / count
    if actor == seat:
        values = np.empty(count)
        value = 0.0
        for action in range(count):
            child = first_child[node] + action
            values[action] = _walk(child, deal, seat, *tree, buckets, winners, regrets, sums, tremble, random_state)
            value += strategy[action] * values[action]
        for action in range(count):
            regrets[entry + action] += values[action] - value
        return value
    for action in range(count):
        sums[entry + action] += strategy[action]
    coin = random_float(random_state)
    if coin < tremble:
        chosen = int(coin / tremble * count)
    else:
        coin = (coin - tremble) / (1.0 - tremble)
        chosen = 0
        while chosen < count - 1 and coin >= strategy[chosen]:
            coin -= strategy[chosen]
            chosen += 1
    child = first_child[node] + chosen
    return _walk(child, deal, seat, *tree, buckets, winners, regrets, sums, tremble, random_state)
