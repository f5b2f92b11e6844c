"""Matches between two strategies of one abstract game, at a million hands a second: for comparing solutions."""

from __future__ import annotations

import numpy as np
from numba import njit

from poker_env.cfr.mccfr import DEALS_PER_CALL, Dealer
from poker_env.cfr.traverse import ACTOR, FIRST_CHILD, MAX_DEPTH, N_ACTIONS, OFFSET, STREET, compile_tree, random_float
from poker_env.cfr.tree import SHOWDOWN, BettingTree


def duel(
    tree: BettingTree,
    buckets: tuple[int, ...],
    deal: Dealer,
    first: np.ndarray,
    second: np.ndarray,
    deals: int,
    seed: int = 0,
) -> np.ndarray:
    """What `first` wins from `second`, (deals,) float64 in chips per hand.

    Both are probabilities (entries,), laid out by `tree.offsets(buckets)`. Every deal is played in both seats with the
    same coins, and the two results are averaged: equal strategies draw every deal.
    """
    offsets, _ = tree.offsets(buckets)
    nodes, stakes = compile_tree(tree, offsets)
    random_state = np.random.SeedSequence(seed).generate_state(1, np.uint64) | np.uint64(1)
    won = np.empty(deals)
    for start in range(0, deals, DEALS_PER_CALL):
        part = won[start : start + DEALS_PER_CALL]
        dealt, winners = deal(len(part), random_state)
        _play(nodes, stakes, dealt, winners, first, second, random_state, part)
    return won


@njit(cache=True, nogil=True)
def _play(
    nodes: np.ndarray,
    stakes: np.ndarray,
    buckets: np.ndarray,
    winners: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    random_state: np.ndarray,
    won: np.ndarray,
) -> None:
    coins = np.empty(MAX_DEPTH)
    for deal in range(len(winners)):
        for depth in range(MAX_DEPTH):
            coins[depth] = random_float(random_state)
        won[deal] = 0.0
        for seat in range(2):
            node, depth = 0, 0
            while nodes[node, N_ACTIONS]:
                actor, count = nodes[node, ACTOR], nodes[node, N_ACTIONS]
                entry = nodes[node, OFFSET] + np.int64(buckets[deal, actor, nodes[node, STREET]]) * count
                coin = coins[depth]
                chosen = 0
                while chosen < count - 1:
                    coin -= first[entry + chosen] if actor == seat else second[entry + chosen]
                    if coin < 0:
                        break
                    chosen += 1
                node = nodes[node, FIRST_CHILD] + chosen
                depth += 1
            if nodes[node, ACTOR] == SHOWDOWN:
                sign = winners[deal] if seat == 0 else -winners[deal]
            else:
                sign = -1 if nodes[node, ACTOR] == seat else 1
            won[deal] += sign * stakes[node] / 2
