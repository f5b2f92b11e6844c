"""The river as a game of its own: a betting tree of real chips and a solver over all holdings, compiled.

Discounted CFR with regrets floored at 0 (Brown & Sandholm 2019, "Solving Imperfect-Information Games via Discounted
Regret Minimization", alpha 3/2; the floor is that of Tammelin's CFR+) on vectors of the 1,081 holdings that a board
leaves possible, players in turn. Nothing is sampled, so the same game always has the same solution. Showdowns cost one
sweep over the ranked holdings, less those that share a card (Johanson et al. 2011, "Accelerating Best Response
Calculation in Large Extensive Games", section 4); it is done for all ends of the hand at once.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from poker_env.cards.holdings import HOLDINGS, N_CARDS, N_HOLDINGS
from poker_env.cards.showdowns import N_LIVE, rank_holdings
from poker_env.cfr.tree import CALL, FOLD, RAISE, SHOWDOWN, BettingTree, StreetSizes
from poker_env.games import Game

SIZES = StreetSizes(bets=(0.5, 1.0, 2.0), raises=(1.0,), cap=2)
ALMOST_ALL_IN = 0.9  # a raise of more than that part of what is left isn't worth a branch beside all-in
ITERATIONS = 100
REGRET_POWER = 1.5
"""Regrets of iteration t are kept by t^1.5 / (t^1.5 + 1)."""
AVERAGE_POWER = 4.0
"""Iteration t counts t^4 in the average strategy."""

RIVER = 3
_LANES = 16  # float32 numbers in a vector register

Path = tuple[int, ...]
"""Actions on the river so far, by OpenSpiel's id."""


@dataclass(frozen=True)
class _State:
    """A betting state on the way down."""

    actor: int
    contributions: tuple[int, int]
    path: Path = ()
    last_raise: int = 0
    raises: int = 0
    over: bool = False


@functools.lru_cache(maxsize=10_000)
def river_tree(game: Game, matched: int, path: Path = ()) -> BettingTree:
    """The betting of the river, from where each player has put in `matched` chips, in real chips.

    `SIZES` and all-in, and beside them every bet and raise of `path`.
    """
    states, parents, first_children, counts, edges = [_State(0, (matched, matched))], [-1], [], [], [CALL]
    for node, state in enumerate(states):  # the list grows as it is read: breadth first
        children = [] if state.over else _children(game, state, path)
        first_children.append(len(states) if children else 0)
        counts.append(len(children))
        states += children
        parents += [node] * len(children)
        edges += [min(child.path[-1], RAISE) for child in children]
    return BettingTree(
        actor=np.array([state.actor for state in states], np.int8),
        street=np.full(len(states), RIVER, np.int8),
        n_actions=np.array(counts, np.int16),
        first_child=np.array(first_children, np.int32),
        contributions=np.array([state.contributions for state in states], np.int32),
        edge=np.array(edges, np.int8),
        parent=np.array(parents, np.int32),
    )


def _children(game: Game, state: _State, path: Path) -> list[_State]:
    seat, highest = state.actor, max(state.contributions)
    children = []
    if state.contributions[seat] < highest:
        children.append(replace(state, path=(*state.path, FOLD), over=True))
    over = bool(state.path)
    called = replace(state, contributions=(highest, highest), path=(*state.path, CALL), over=over)
    children.append(replace(called, actor=SHOWDOWN if over else 1 - seat))
    for total in _raise_totals(game, state, path):
        contributions = (total, state.contributions[1]) if seat == 0 else (state.contributions[0], total)
        raises = state.raises + (total < game.stack)
        children.append(_State(1 - seat, contributions, (*state.path, total), total - highest, raises))
    return children


def _raise_totals(game: Game, state: _State, path: Path) -> list[int]:
    highest = max(state.contributions)
    if highest >= game.stack:
        return []
    fractions = () if state.raises >= SIZES.cap else SIZES.raises if state.raises else SIZES.bets
    smallest = highest + max(state.last_raise, game.big_blind)
    totals = {max(smallest, highest + round(fraction * 2 * highest)) for fraction in fractions}
    totals = {total for total in totals if total - highest < ALMOST_ALL_IN * (game.stack - highest)} | {game.stack}
    if len(path) > len(state.path) and path[: len(state.path)] == state.path and path[len(state.path)] >= RAISE:
        totals.add(path[len(state.path)])
    return sorted(totals)


def actions_at(tree: BettingTree, node: int) -> list[int]:
    """OpenSpiel's id of each action of a decision node."""
    seat, first = tree.actor[node], tree.first_child[node]
    children = range(first, first + tree.n_actions[node])
    return [int(tree.contributions[c, seat]) if tree.edge[c] == RAISE else int(tree.edge[c]) for c in children]


def node_after(tree: BettingTree, path: Path) -> int | None:
    """The node that a path leads to; None where the tree lacks one of its actions."""
    node = 0
    for action in path:
        actions = actions_at(tree, node)
        if action not in actions:
            return None
        node = int(tree.first_child[node]) + actions.index(action)
    return node


def solve_river(
    tree: BettingTree,
    board: np.ndarray,
    ranges: np.ndarray,
    iterations: int = ITERATIONS,
    fixed: Mapping[int, np.ndarray] | None = None,
) -> np.ndarray:
    """An approximate equilibrium: (nodes, 1326) float32, the probability that each holding of the player who acts
    takes the action that leads to the node. Holdings that the board blocks are 0.

    board: five cards. ranges: (2, 1326) weights of the seats' holdings, all above 0 but for blocked ones. `fixed`
    gives the probabilities (actions, 1326) that are played at some decision nodes, whatever would be better.
    """
    order, strength = np.empty(N_LIVE, np.int64), np.empty(N_HOLDINGS, np.int64)
    n_values = rank_holdings(np.asarray(board, np.int64), order, strength)
    starts = np.searchsorted(strength[order], np.arange(n_values + 1))
    nodes = len(tree)
    latest = np.empty((2, nodes), np.int64)
    latest[:, 0] = nodes, nodes + 1
    for child in range(1, nodes):
        latest[:, child] = latest[:, tree.parent[child]]
        latest[tree.actor[tree.parent[child]], child] = child
    reach = np.zeros((nodes + 2, N_LIVE), np.float32)
    reach[nodes:] = ranges[:, order] / ranges[:, order].sum(axis=1, keepdims=True)
    regrets, sums = np.zeros((nodes, N_LIVE), np.float32), np.zeros((nodes, N_LIVE), np.float32)
    free = np.ones(nodes, np.bool_)
    for node, probabilities in (fixed or {}).items():
        free[node] = False
        first = tree.first_child[node]
        regrets[first : first + len(probabilities)] = probabilities[:, order]
    leaves = np.flatnonzero(tree.n_actions == 0)
    stakes = (tree.contributions[leaves].min(axis=1) / tree.contributions[0, 0]).astype(np.float32)
    _solve(
        iterations,
        tree.actor.astype(np.int64),
        tree.n_actions.astype(np.int64),
        tree.first_child.astype(np.int64),
        free,
        latest,
        leaves,
        stakes,
        HOLDINGS[order].astype(np.int64),
        starts,
        reach,
        regrets,
        sums,
    )
    strategy = np.zeros((nodes, N_HOLDINGS), np.float32)
    for node in np.flatnonzero(tree.n_actions).tolist():
        children = slice(tree.first_child[node], tree.first_child[node] + tree.n_actions[node])
        totals = sums[children].sum(axis=0)
        shares = np.where(totals > 0, sums[children] / np.where(totals > 0, totals, 1), 1 / tree.n_actions[node])
        strategy[children, order] = shares if free[node] else regrets[children]
    return strategy


@njit(cache=True, nogil=True, fastmath=True)
def _solve(
    iterations: int,
    actors: np.ndarray,
    counts: np.ndarray,
    first_child: np.ndarray,
    free: np.ndarray,
    latest: np.ndarray,
    leaves: np.ndarray,
    stakes: np.ndarray,
    holdings: np.ndarray,
    starts: np.ndarray,
    reach: np.ndarray,
    regrets: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Run the iterations; `sums` receives the average strategy's weights, of each node's children.

    A node's row of `reach` is the weight with which the player who acted last brings each of its holdings there, the
    other player aside; `latest` (2, nodes) says which row holds for a seat. The ranges are in the last two rows.
    """
    values = np.empty((actors.shape[0], N_LIVE), np.float32)
    totals = np.empty(N_LIVE, np.float32)
    for seat in range(2):
        _spread(seat, actors, counts, first_child, latest, regrets, reach, sums, np.float32(0), totals)
    for iteration in range(1, iterations + 1):
        kept = iteration**REGRET_POWER
        kept = kept / (kept + 1)
        old = ((iteration - 1) / iteration) ** AVERAGE_POWER
        for seat in range(2):
            _end(seat, actors, latest, leaves, stakes, holdings, starts, reach, values)
            _back_up(seat, actors, counts, first_child, free, regrets, values, np.float32(kept), totals)
            _spread(seat, actors, counts, first_child, latest, regrets, reach, sums, np.float32(old), totals)


@njit(cache=True, nogil=True, fastmath=True)
def _spread(
    seat: int,
    actors: np.ndarray,
    counts: np.ndarray,
    first_child: np.ndarray,
    latest: np.ndarray,
    regrets: np.ndarray,
    reach: np.ndarray,
    sums: np.ndarray,
    old: float,
    totals: np.ndarray,
) -> None:
    """Regret matching for a seat: its reach of all nodes, which also joins the average."""
    for node in range(actors.shape[0]):
        count = counts[node]
        if count == 0 or actors[node] != seat:
            continue
        before = reach[latest[seat, node]]
        totals[:] = 0
        for child in range(first_child[node], first_child[node] + count):
            for i in range(N_LIVE):
                totals[i] += regrets[child, i]
        even = np.float32(1) / np.float32(count)
        for child in range(first_child[node], first_child[node] + count):
            for i in range(N_LIVE):
                share = regrets[child, i] / totals[i] if totals[i] > 0 else even
                reach[child, i] = before[i] * share
                sums[child, i] = old * sums[child, i] + reach[child, i]


@njit(cache=True, nogil=True, fastmath=True)
def _back_up(
    seat: int,
    actors: np.ndarray,
    counts: np.ndarray,
    first_child: np.ndarray,
    free: np.ndarray,
    regrets: np.ndarray,
    values: np.ndarray,
    kept: float,
    totals: np.ndarray,
) -> None:
    """From the values of the ends to those of all nodes, and to a seat's regrets."""
    for node in range(actors.shape[0] - 1, -1, -1):
        count = counts[node]
        if count == 0:
            continue
        first = first_child[node]
        value = values[node]
        value[:] = 0
        if actors[node] != seat:
            for child in range(first, first + count):
                for i in range(N_LIVE):
                    value[i] += values[child, i]
            continue
        totals[:] = 0
        for child in range(first, first + count):
            for i in range(N_LIVE):
                totals[i] += regrets[child, i]
        even = np.float32(1) / np.float32(count)
        for child in range(first, first + count):
            for i in range(N_LIVE):
                value[i] += (regrets[child, i] / totals[i] if totals[i] > 0 else even) * values[child, i]
        if free[node]:
            for child in range(first, first + count):
                for i in range(N_LIVE):
                    regrets[child, i] = max(regrets[child, i] + values[child, i] - value[i], np.float32(0)) * kept


@njit(cache=True, nogil=True, fastmath=True)
def _end(
    seat: int,
    actors: np.ndarray,
    latest: np.ndarray,
    leaves: np.ndarray,
    stakes: np.ndarray,
    holdings: np.ndarray,
    starts: np.ndarray,
    reach: np.ndarray,
    values: np.ndarray,
) -> None:
    """What a seat's holdings win at the ends of the hand, times the weight of the opponent's that they can meet.

    The lanes of a vector are ends of the hand.
    """
    n_leaves = leaves.shape[0]
    lanes = (n_leaves + _LANES - 1) // _LANES * _LANES
    weights = np.zeros((N_LIVE, lanes), np.float32)
    for i in range(N_LIVE):
        for leaf in range(n_leaves):
            weights[i, leaf] = reach[latest[1 - seat, leaves[leaf]], i]
    # Twice what a holding beats plus what it ties with, and then all it can meet.
    beaten = np.empty((N_LIVE, lanes), np.float32)
    total = np.zeros(lanes, np.float32)
    with_card = np.zeros((N_CARDS, lanes), np.float32)
    for value in range(starts.shape[0] - 1):
        for i in range(starts[value], starts[value + 1]):
            a, b = holdings[i, 0], holdings[i, 1]
            for lane in range(lanes):
                beaten[i, lane] = total[lane] - with_card[a, lane] - with_card[b, lane]
        for i in range(starts[value], starts[value + 1]):
            a, b = holdings[i, 0], holdings[i, 1]
            for lane in range(lanes):
                weight = weights[i, lane]
                total[lane] += weight
                with_card[a, lane] += weight
                with_card[b, lane] += weight
        for i in range(starts[value], starts[value + 1]):
            a, b = holdings[i, 0], holdings[i, 1]
            for lane in range(lanes):
                beaten[i, lane] += total[lane] - with_card[a, lane] - with_card[b, lane] + weights[i, lane]
    win = np.zeros(lanes, np.float32)  # per holding met, and per holding beaten: a fold counts only the first
    show = np.zeros(lanes, np.float32)
    for leaf in range(n_leaves):
        folder = actors[leaves[leaf]]
        if folder == SHOWDOWN:
            win[leaf], show[leaf] = -stakes[leaf], stakes[leaf]
        else:
            win[leaf] = -stakes[leaf] if folder == seat else stakes[leaf]
    for i in range(N_LIVE):
        a, b = holdings[i, 0], holdings[i, 1]
        for lane in range(lanes):
            met = total[lane] - with_card[a, lane] - with_card[b, lane] + weights[i, lane]
            beaten[i, lane] = show[lane] * beaten[i, lane] + win[lane] * met
        for leaf in range(n_leaves):
            values[leaves[leaf], i] = beaten[i, leaf]
