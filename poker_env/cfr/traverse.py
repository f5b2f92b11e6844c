"""External-sampling MCCFR over a flat tree, compiled: iterative, with an explicit stack."""

from __future__ import annotations

import numpy as np
from numba import njit

from poker_env.cfr.tree import SHOWDOWN, BettingTree

MAX_DEPTH = 64
MAX_ACTIONS = 12
ACTOR, STREET, N_ACTIONS, FIRST_CHILD, OFFSET = range(5)  # columns of `compile_tree`'s table


def compile_tree(tree: BettingTree, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tree as `traverse` reads it: an int32 row per node, and the chips a hand that ends there costs its loser."""
    columns = (tree.actor, tree.street, tree.n_actions, tree.first_child, offsets)
    return np.stack(columns, axis=1).astype(np.int32), tree.contributions.min(axis=1).astype(np.float32)


@njit(cache=True, inline="always")
def random_float(state: np.ndarray) -> float:
    """A number in [0, 1) from a xorshift64* generator; `state` is its one uint64, never 0."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return ((x * np.uint64(2685821657736338717)) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True, nogil=True, fastmath=True)
def traverse(
    nodes: np.ndarray,
    stakes: np.ndarray,
    buckets: np.ndarray,
    winners: np.ndarray,
    regrets: np.ndarray,
    sums: np.ndarray,
    tremble: float,
    random_state: np.ndarray,
) -> int:
    """Walk the tree twice for every deal, once updating each seat; returns how many decisions were visited.

    buckets: (deals, 2, streets) of each seat; winners: (deals,) int8, 1 where seat 0 has the better hand, -1 seat 1,
    0 none. `regrets` and `sums` (of the average strategy) are updated in place. The seat that isn't being updated
    plays a uniformly random action with probability `tremble`.

    External sampling: Lanctot et al. 2009, "Monte Carlo Sampling for Regret Minimization in Extensive Games",
    section 4; the average is the stochastically weighted one (the opponent's nodes are visited in proportion to its
    own reach).
    """
    stack_node = np.empty(MAX_DEPTH, np.int32)
    stack_action = np.empty(MAX_DEPTH, np.int32)
    stack_entry = np.empty(MAX_DEPTH, np.int64)
    stack_value = np.empty(MAX_DEPTH, np.float64)
    strategy = np.empty((MAX_DEPTH, MAX_ACTIONS), np.float64)
    values = np.empty((MAX_DEPTH, MAX_ACTIONS), np.float64)
    visited = 0
    for deal in range(len(winners)):
        for seat in range(2):
            sign = float(winners[deal]) if seat == 0 else -float(winners[deal])
            depth = 0
            node = 0
            while True:
                count = nodes[node, N_ACTIONS]
                if count:
                    visited += 1
                    actor = nodes[node, ACTOR]
                    entry = nodes[node, OFFSET] + np.int64(buckets[deal, actor, nodes[node, STREET]]) * count
                    total = 0.0
                    for action in range(count):
                        total += max(regrets[entry + action], 0.0)
                    row = strategy[depth]
                    if total > 0:
                        scale = 1.0 / total
                        for action in range(count):
                            row[action] = max(regrets[entry + action], 0.0) * scale
                    else:
                        for action in range(count):
                            row[action] = 1.0 / count
                    if actor == seat:
                        stack_node[depth] = node
                        stack_action[depth] = 0
                        stack_entry[depth] = entry
                        stack_value[depth] = 0.0
                        depth += 1
                        node = nodes[node, FIRST_CHILD]
                    else:
                        for action in range(count):
                            sums[entry + action] += row[action]
                        coin = random_float(random_state)
                        if coin < tremble:
                            chosen = int(coin / tremble * count)
                        else:
                            coin = (coin - tremble) / (1.0 - tremble)
                            chosen = 0
                            while chosen < count - 1 and coin >= row[chosen]:
                                coin -= row[chosen]
                                chosen += 1
                        node = nodes[node, FIRST_CHILD] + chosen
                    continue
                # The hand is over: hand its value upwards, until some node has an action left to try.
                actor = nodes[node, ACTOR]
                if actor == SHOWDOWN:
                    value = sign * stakes[node]
                elif actor == seat:
                    value = -stakes[node]
                else:
                    value = stakes[node]
                while depth > 0:
                    top = depth - 1
                    action = stack_action[top]
                    values[top, action] = value
                    stack_value[top] += strategy[top, action] * value
                    parent = stack_node[top]
                    action += 1
                    if action < nodes[parent, N_ACTIONS]:
                        stack_action[top] = action
                        node = nodes[parent, FIRST_CHILD] + action
                        break
                    value = stack_value[top]
                    entry = stack_entry[top]
                    for action in range(nodes[parent, N_ACTIONS]):
                        regrets[entry + action] += values[top, action] - value
                    depth = top
                if depth == 0:
                    break
    return visited
