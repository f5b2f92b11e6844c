"""From the real hand to nodes of an abstract betting tree and back: bets that the tree doesn't know.

A history of real bets stands for several nodes, each with a weight: every raise is split between its two neighbours
in the tree by the pseudo-harmonic mapping (Ganzfried & Sandholm 2013, "Action Translation in Extensive-Form Games with
Large Action Spaces", section 4), as fractions of the real pot. Its randomisation is thus integrated out: the player's
policy is the mixture, a function of what it sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poker_env.cfr.tree import CALL, FOLD, RAISE, BettingTree
from poker_env.games import Game
from poker_env.state import Move, Observation

MAX_NODES = 8
"""Of a history's nodes only the likeliest count."""
MAX_DRIFT = 2.0
"""Where the tree's pot (before the last bet) is off by more than this factor, the nearest node takes over."""


@dataclass(frozen=True)
class Location:
    """A node that stands for the real state."""

    node: int
    calls: bool = False
    """The bet to answer was so small that it counts as a check or call, after which the tree has already gone on to
    `node`: the answer is a call."""


class Translator:
    """Finds the nodes that stand for real states, and the real actions that a node's actions stand for."""

    def __init__(self, game: Game, tree: BettingTree) -> None:
        self._stack, self._big_blind = game.stack, game.big_blind
        self._actor, self._street = tree.actor.tolist(), tree.street.tolist()
        self._n_actions, self._first_child = tree.n_actions.tolist(), tree.first_child.tolist()
        self._edge = tree.edge.tolist()
        self._highest, self._matched = tree.contributions.max(axis=1).tolist(), tree.contributions.min(axis=1).tolist()
        self._groups = _group_nodes(tree)
        self._nearest_cache: dict[tuple[int, int, tuple[int, int]], int] = {}

    def locate(self, observation: Observation) -> list[tuple[Location, float]]:
        """The nodes that stand for an observation, where its player acts, and their weights, which sum to 1.

        Weight that leaves the tree (raises beyond its caps, pots it doesn't know) goes to the nearest of the nodes
        where the same seat acts on the same street: nearest by pot and by the bet to call.
        """
        weights = {Location(0): 1.0}
        street, highest, last_raise = 0, self._big_blind, self._big_blind
        for move in observation.moves:
            if move.street != street:
                street, last_raise = move.street, self._big_blind
            moved: dict[Location, float] = {}
            for location, weight in weights.items():
                for target, share in self._follow(location, move, highest, highest + last_raise):
                    moved[target] = moved.get(target, 0.0) + weight * share
            weights = moved
            if move.kind in ("bet", "raise"):
                last_raise = max(last_raise, move.to - highest)
                highest = move.to
            if len(weights) > MAX_NODES:
                weights = dict(sorted(weights.items(), key=lambda item: -item[1])[:MAX_NODES])
        found = {location: weight for location, weight in weights.items() if self._fits(location, observation)}
        lost = 1.0 - sum(found.values())
        if lost > 1e-9:
            nearest = Location(self._nearest(observation))
            found[nearest] = found.get(nearest, 0.0) + lost
        return list(found.items())

    def real_actions(self, location: Location, observation: Observation) -> list[int]:
        """OpenSpiel's id of the real action for each action of a node: the same fraction of the real pot."""
        if location.calls:
            return [CALL]
        highest = max(observation.contributions)
        first, count = self._first_child[location.node], self._n_actions[location.node]
        actions = []
        for child in range(first, first + count):
            if self._edge[child] == RAISE and observation.min_raise_to is not None:
                actions.append(self._real_total(location.node, child, highest, observation.min_raise_to))
            elif self._edge[child] == FOLD and observation.to_call > 0:
                actions.append(FOLD)
            else:
                actions.append(CALL)
        return actions

    def _follow(self, location: Location, move: Move, highest: int, min_raise_to: int) -> list[tuple[Location, float]]:
        """Where a real move leads in the tree; nowhere when the tree can't follow."""
        node = location.node
        if location.calls:
            return [(Location(node), 1.0)] if move.kind == "call" else []
        if self._actor[node] != move.seat or self._street[node] != move.street or not self._n_actions[node]:
            return []
        first = self._first_child[node]
        passive = first + (self._edge[first] == FOLD)
        if move.kind not in ("bet", "raise"):
            return [(Location(passive), 1.0)]
        raises = range(passive + 1, first + self._n_actions[node])
        for child in raises:
            if self._real_total(node, child, highest, min_raise_to) == move.to:
                return [(Location(child), 1.0)]
        if not raises or self._highest[raises[0]] == self._stack:
            return []  # beyond the cap: only all-in is left, and this isn't
        size = (move.to - highest) / (2 * highest)
        lower, lower_size = passive, 0.0
        for child in raises:
            upper_size = self._fraction(node, child, highest)
            if size <= upper_size:
                share = pseudo_harmonic(lower_size, upper_size, size)
                # A call that closes the street leaves the tree on the next one, with the real bet still to answer.
                closes = lower == passive and self._actor[passive] != 1 - move.seat
                closes = closes or (lower == passive and self._street[passive] != move.street)
                return [(Location(lower, closes), share), (Location(child), 1 - share)]
            lower, lower_size = child, upper_size
        return [(Location(lower), 1.0)]

    def _fraction(self, node: int, child: int, highest: int) -> float:
        """A raise as a fraction of the pot after calling; all-in by the real stacks, `highest` being the real bet."""
        if self._highest[child] == self._stack:
            return (self._stack - highest) / (2 * highest)
        return (self._highest[child] - self._highest[node]) / (2 * self._highest[node])

    def _real_total(self, node: int, child: int, highest: int, min_raise_to: int) -> int:
        total = highest + round(self._fraction(node, child, highest) * 2 * highest)
        return min(max(total, min_raise_to), self._stack)

    def _fits(self, location: Location, observation: Observation) -> bool:
        node = location.node
        if location.calls:
            return True
        if self._actor[node] != observation.seat or self._street[node] != observation.street:
            return False
        drift = self._matched[node] / min(observation.contributions)
        return bool(self._n_actions[node]) and 1 / MAX_DRIFT <= drift <= MAX_DRIFT

    def _nearest(self, observation: Observation) -> int:
        seat, contributions = observation.seat, observation.contributions
        key = (observation.street, seat, contributions)
        if key not in self._nearest_cache:
            all_in = max(contributions) >= self._stack
            group = (observation.street, seat, observation.to_call > 0)
            nodes, pots, calls = self._groups.get((*group, all_in)) or self._groups[(*group, not all_in)]
            distances = np.abs(np.log(pots / sum(contributions)))
            distances += 2 * np.abs(calls - observation.to_call / sum(contributions))
            self._nearest_cache[key] = int(nodes[np.argmin(distances)])
        return self._nearest_cache[key]


def pseudo_harmonic(lower: float, upper: float, size: float) -> float:
    """The weight of the lower of two neighbouring sizes (fractions of the pot) for a real one between them."""
    return (upper - size) * (1 + lower) / ((upper - lower) * (1 + size))


Group = tuple[np.ndarray, np.ndarray, np.ndarray]


def _group_nodes(tree: BettingTree) -> dict[tuple[int, int, bool, bool], Group]:
    """Decision nodes by (street, seat to act, faces a bet, faces all-in): nodes, pots, bets to call / pot."""
    highest, pots = tree.contributions.max(axis=1), tree.contributions.sum(axis=1)
    calls = highest - tree.contributions[np.arange(len(tree)), np.minimum(tree.actor, 1)]
    facing, all_in = calls > 0, highest == highest.max()
    groups = {}
    for street in range(4):
        for seat in range(2):
            here = (tree.n_actions > 0) & (tree.street == street) & (tree.actor == seat)
            for faces in (False, True):
                for against_all_in in (False, True):
                    nodes = np.flatnonzero(here & (facing == faces) & (all_in == against_all_in))
                    if len(nodes):
                        group = (nodes, pots[nodes].astype(float), calls[nodes] / pots[nodes])
                        groups[street, seat, faces, against_all_in] = group
    return groups
