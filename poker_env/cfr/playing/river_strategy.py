"""Re-solving the river: a blueprint until the turn, on the river the solution of the very game that is left.

Both ranges at the start of the river follow from the public history: the blueprint says how its own player came there
with each holding, and is taken as the model of the opponent as well. From there the river is solved with real pot,
stacks and sizes. A bet that the tree lacks is answered by solving the river again from its start with the bet in the
tree (nested solving: Brown & Sandholm 2017, "Safe and Nested Subgame Solving for Imperfect-Information Games",
section 5), so the opponent's range for making it is part of the solution. What the player itself did before the bet it
did by an earlier solution: in the new one those decisions are fixed to what it played, and its range at the bet is its
true one.

The policy is a function of the public state and the holding: nothing is sampled, and solving an earlier state again
gives what was played there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poker_env.cards.holdings import HOLDINGS, N_HOLDINGS, holding_index
from poker_env.cfr.playing.blueprint_strategy import BlueprintStrategy
from poker_env.cfr.playing.river_game import RIVER, Path, actions_at, node_after, river_tree, solve_river
from poker_env.cfr.playing.spots import CARD_IDS
from poker_env.cfr.playing.translation import pseudo_harmonic
from poker_env.cfr.tree import CALL, RAISE, BettingTree
from poker_env.games import Deal, Game
from poker_env.state import HandState, Move, Observation

OWN_FLOOR = 1e-4
"""Part of the player's own range that is spread evenly: it never plays what the blueprint never does, but the opponent
in the solution needs an answer."""
OPPONENT_FLOOR = 0.2
"""Part of the opponent's range that is spread evenly, as opponents aren't the blueprint. The more, the less an
opponent with another range can win, and the more one with the blueprint's."""
_CACHED_SOLUTIONS = 500  # about 200 kB each


@dataclass(frozen=True)
class _Solution:
    tree: BettingTree
    strategy: np.ndarray
    """(nodes where the player has just acted, 1326): the probability of that action."""
    rows: np.ndarray
    """(nodes,): each node's row in it, -1 where the opponent has acted."""

    def at(self, path: Path) -> tuple[tuple[int, ...], np.ndarray]:
        """Actions and their probabilities (1326, actions) where a path leads and the player acts."""
        node = node_after(self.tree, path)
        assert node is not None
        row = self.rows[self.tree.first_child[node]]
        probabilities = self.strategy[row : row + self.tree.n_actions[node]].T.astype(np.float64)
        totals = probabilities.sum(axis=1, keepdims=True)
        return tuple(actions_at(self.tree, node)), probabilities / np.where(totals > 0, totals, 1)


class RiverStrategy:
    """A blueprint that re-solves the river: hold'em, at the blueprint's stakes."""

    def __init__(self, blueprint: BlueprintStrategy) -> None:
        self.blueprint = blueprint
        self._solutions: OrderedDict[tuple[object, ...], _Solution] = OrderedDict()

    def policies(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        """For each observation, the probability of each action that has any, by OpenSpiel's id."""
        earlier = iter(self.blueprint.policies([o for o in observations if o.street != RIVER]))
        return [self._policy(o) if o.street == RIVER else next(earlier) for o in observations]

    def range_policy(self, observation: Observation) -> tuple[tuple[int, ...], np.ndarray]:
        """The policy for every holding, see `BlueprintStrategy.range_policy`."""
        if observation.street != RIVER:
            return self.blueprint.range_policy(observation)
        path = tuple(move.action for move in observation.moves if move.street == RIVER)
        return self._at(observation, path)

    def _policy(self, observation: Observation) -> dict[int, float]:
        first, second = (CARD_IDS[card] for card in observation.hole)
        actions, probabilities = self.range_policy(observation)
        row = probabilities[holding_index(first, second)].tolist()
        return {action: probability for action, probability in zip(actions, row, strict=True) if probability}

    def _at(self, observation: Observation, path: Path) -> tuple[tuple[int, ...], np.ndarray]:
        """What the observation's player does where a path on the river leads."""
        matched = max(move.to for move in observation.moves if move.street < RIVER)
        known: Path = ()  # up to its last bet, each that isn't in the tree by itself is added
        for length in range(1, len(path) + 1):
            if node_after(river_tree(observation.game, matched, known), path[:length]) is None:
                known = path[:length]
        earlier = tuple(move.action for move in observation.moves if move.street < RIVER)
        key = (earlier, observation.board, observation.seat, known)
        if key in self._solutions:
            self._solutions.move_to_end(key)
        else:
            self._solutions[key] = self._solve(observation, matched, known)
            if len(self._solutions) > _CACHED_SOLUTIONS:
                self._solutions.popitem(last=False)
        return self._solutions[key].at(path)

    def _solve(self, observation: Observation, matched: int, known: Path) -> _Solution:
        tree = river_tree(observation.game, matched, known)
        fixed: dict[int, np.ndarray] = {}
        for length in range(len(known)):
            node = node_after(tree, known[:length])
            assert node is not None
            if tree.actor[node] == observation.seat:
                played, probabilities = self._at(observation, known[:length])
                if known[length] in played:
                    columns = [played.index(a) if a in played else None for a in actions_at(tree, node)]
                    nothing = np.zeros(N_HOLDINGS)
                    fixed[node] = np.array([nothing if c is None else probabilities[:, c] for c in columns])
        board = np.array([CARD_IDS[card] for card in observation.board])
        floors = [OWN_FLOOR if seat == observation.seat else OPPONENT_FLOOR for seat in (0, 1)]
        ranges = floored(ranges_before_river(self.blueprint, observation), board, np.array(floors))
        strategy = solve_river(tree, board, ranges, fixed=fixed)
        own = np.append(False, tree.actor[tree.parent[1:]] == observation.seat)
        return _Solution(tree, strategy[own], np.where(own, np.cumsum(own) - 1, -1))


def ranges_before_river(blueprint: BlueprintStrategy, observation: Observation) -> np.ndarray:
    """Weights (2, 1326) of each seat's holdings at the start of the river, by Bayes' rule over all that was done, both
    seats' policies being the blueprint's: the largest is 1, all are 0 after what the blueprint never does.
    """
    weights = np.ones((2, N_HOLDINGS))
    hand = _replay(observation.game, observation.board)
    for move in observation.moves:
        if move.street == RIVER:
            break
        weights[move.seat] *= likelihoods(*blueprint.range_policy(hand.observe()), move)
        weights[move.seat] /= max(weights[move.seat].max(), 1e-300)
        hand.apply(move.action)
    return weights


def _replay(game: Game, board: tuple[str, ...]) -> HandState:
    """A hand with that board, whatever the players hold."""
    cards = [CARD_IDS[card] for card in board]
    others = [card for card in range(52) if card not in cards]
    return HandState(game, Deal((*others[:4], *cards), 0, 0))


def likelihoods(actions: tuple[int, ...], probabilities: np.ndarray, move: Move) -> np.ndarray:
    """The probability (1326,) that each holding makes a move, by a policy over actions.

    A raise that the policy lacks is made by those who make its two neighbours (a call being a raise by nothing), in
    the proportions of the pseudo-harmonic mapping; beyond all of them it says nothing: 1 for every holding.
    """
    if move.action in actions:
        return probabilities[:, actions.index(move.action)]
    highest = (move.pot_before + move.to_call) // 2
    sizes = {0.0: CALL} | {(action - highest) / (2 * highest): action for action in actions if action >= RAISE}
    size = (move.to - highest) / (2 * highest)
    upper = min((other for other in sizes if other > size), default=None)
    if upper is None:
        return np.ones(len(probabilities))
    lower = max(other for other in sizes if other < size)
    share = pseudo_harmonic(lower, upper, size)
    below, above = (probabilities[:, actions.index(sizes[other])] for other in (lower, upper))
    return share * below + (1 - share) * above


def floored(weights: np.ndarray, board: np.ndarray, floors: np.ndarray) -> np.ndarray:
    """Ranges (2, 1326) on a board that each sum to 1, a part (2,) of it spread evenly over all holdings."""
    live = ~np.isin(HOLDINGS, board).any(axis=1)
    weights = np.where(live, weights, 0)
    sums = weights.sum(axis=1, keepdims=True)
    even = live / live.sum()
    weights = np.where(sums > 0, weights / np.where(sums > 0, sums, 1), even)
    return (1 - floors[:, None]) * weights + floors[:, None] * even
