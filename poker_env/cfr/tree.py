"""Public betting trees as flat arrays: the actions an abstraction allows, without the cards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from poker_env.errors import UserError
from poker_env.games import BUTTON_SEAT, Game

FOLD, CALL, RAISE = 0, 1, 2  # an edge's kind; CALL is a check where nothing is to be called
SHOWDOWN = 2  # what `actor` says at the end of a hand that nobody folded

MAX_NODES = 5_000_000
ALMOST_ALL_IN = 0.9  # a raise to more of the stack than that isn't worth a branch beside all-in


@dataclass(frozen=True)
class StreetSizes:
    """The bets and raises of one street, as fractions of the pot (after calling). All-in is always one more."""

    bets: tuple[float, ...]
    """Sizes of the street's first bet (before the flop: of the first raise of the blinds)."""
    raises: tuple[float, ...]
    """Sizes of every later raise."""
    cap: int
    """Bets and raises on the street, all-in not counted: after so many only fold, call and all-in are left."""


@dataclass(frozen=True)
class TreeConfig:
    """Sizes of a no-limit hold'em betting tree, street by street."""

    streets: tuple[StreetSizes, StreetSizes, StreetSizes, StreetSizes]

    def to_json(self) -> dict[str, Any]:
        """JSON values that `from_json` reads."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> TreeConfig:
        """The config that `to_json` wrote."""
        first, second, third, fourth = (
            StreetSizes(tuple(street["bets"]), tuple(street["raises"]), street["cap"]) for street in value["streets"]
        )
        return TreeConfig((first, second, third, fourth))


NO_CAP = 99
# Before the flop half the pot is the button's open to 2 big blinds. The raises to four times the pot answer real ones
# that would else count as half all-in: at 200 big blinds that gap is the widest of all.
_PREFLOP = StreetSizes((0.5, 1.0, 4.0), (1.0, 4.0), 4)
_POT = StreetSizes((1.0,), (1.0,), NO_CAP)
_HALF = StreetSizes((0.5, 1.0), (1.0,), 2)
_RICH = StreetSizes((0.5, 1.0, 2.0), (1.0,), 2)
PRESETS = {
    "fcpa": TreeConfig((StreetSizes((0.5, 1.0), (1.0,), NO_CAP), _POT, _POT, _POT)),
    "half": TreeConfig((_PREFLOP, _HALF, _HALF, _HALF)),
    "rich": TreeConfig((_PREFLOP, _RICH, _RICH, _RICH)),
}


def tree_config(preset: str) -> TreeConfig:
    """The tree sizes of that name; raises `UserError` for an unknown one."""
    if preset not in PRESETS:
        raise UserError(f"unknown tree preset {preset!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[preset]


@dataclass(frozen=True)
class BettingTree:
    """A public tree in breadth-first order, so that the children of a node lie side by side; node 0 is the root.

    All arrays have one item per node.
    """

    actor: np.ndarray
    """int8: the seat to act; at the end of a hand the seat that folded, or SHOWDOWN."""
    street: np.ndarray
    """int8."""
    n_actions: np.ndarray
    """int16: number of children, 0 at the end of a hand."""
    first_child: np.ndarray
    """int32: node of action 0; action a leads to `first_child + a`."""
    contributions: np.ndarray
    """(n, 2) int32: chips each seat has put in over the whole hand."""
    edge: np.ndarray
    """int8: kind of the action that led here, FOLD, CALL or RAISE. Siblings come in that order, raises by size."""
    parent: np.ndarray
    """int32, -1 at the root."""

    def __len__(self) -> int:
        return len(self.actor)

    @property
    def n_decisions(self) -> int:
        """Nodes where somebody acts."""
        return int(np.count_nonzero(self.n_actions))

    def offsets(self, buckets: tuple[int, ...]) -> tuple[np.ndarray, int]:
        """Where each node's entries start, and how many there are: an entry per node, bucket and action.

        The entry of (node, bucket, action) is `offsets[node] + bucket * n_actions[node] + action`. `buckets` counts
        them by street.
        """
        sizes = self.n_actions.astype(np.int64) * np.array(buckets, np.int64)[self.street]
        offsets = np.concatenate(([0], np.cumsum(sizes)))
        return offsets[:-1], int(offsets[-1])


@dataclass(frozen=True)
class _State:
    """A betting state on the way down."""

    actor: int
    street: int
    contributions: tuple[int, int]
    last_raise: int = 0
    raises: int = 0
    acted: bool = False
    """Whether somebody has acted on this street, so that a call ends it."""
    edge: int = CALL
    over: bool = False


def holdem_tree(game: Game, config: TreeConfig) -> BettingTree:
    """The tree of no-limit hold'em at a game's blinds and stack; raises `UserError` when it is out of hand."""

    def raise_totals(state: _State) -> list[int]:
        highest = max(state.contributions)
        if highest >= game.stack:
            return []
        sizes = config.streets[state.street]
        fractions = () if state.raises >= sizes.cap else sizes.raises if state.raises else sizes.bets
        smallest = highest + max(state.last_raise, game.big_blind)
        totals = {max(smallest, highest + round(fraction * 2 * highest)) for fraction in fractions}
        return [*sorted(total for total in totals if total < ALMOST_ALL_IN * game.stack), game.stack]

    root = _State(BUTTON_SEAT, 0, (game.big_blind, game.small_blind))
    return _build(root, raise_totals, last_street=3, stack=game.stack)


def kuhn_tree(game: Game) -> BettingTree:
    """The tree of Kuhn poker: antes of 1, one round, one bet of 1. Its actions are in the order of OpenSpiel's ids."""
    return _build(_State(0, 0, (1, 1)), lambda state: [2] if not state.raises else [], 0, stack=game.stack + 1)


def leduc_tree(game: Game) -> BettingTree:
    """The tree of Leduc hold'em: antes of 1, two rounds, bets of 2 and 4, at most two a round."""

    def raise_totals(state: _State) -> list[int]:
        return [max(state.contributions) + (2, 4)[state.street]] if state.raises < 2 else []

    return _build(_State(0, 0, (1, 1)), raise_totals, last_street=1, stack=game.stack + 1)  # nobody gets all-in


def _build(root: _State, raise_totals: Callable[[_State], list[int]], last_street: int, stack: int) -> BettingTree:
    states, parents, first_children, counts = [root], [-1], [], []
    for node, state in enumerate(states):  # the list grows as it is read: breadth first
        children = [] if state.over else _children(state, raise_totals(state), last_street, stack)
        first_children.append(len(states) if children else 0)
        counts.append(len(children))
        states += children
        parents += [node] * len(children)
        if len(states) > MAX_NODES:
            raise UserError(f"the betting tree has over {MAX_NODES:,} nodes: take fewer sizes, lower caps or stacks")
    return BettingTree(
        actor=np.array([state.actor for state in states], np.int8),
        street=np.array([state.street for state in states], np.int8),
        n_actions=np.array(counts, np.int16),
        first_child=np.array(first_children, np.int32),
        contributions=np.array([state.contributions for state in states], np.int32),
        edge=np.array([state.edge for state in states], np.int8),
        parent=np.array(parents, np.int32),
    )


def _children(state: _State, raise_totals: list[int], last_street: int, stack: int) -> list[_State]:
    """What can follow: fold (when there is something to call), call or check, and raises to these totals."""
    seat, highest = state.actor, max(state.contributions)
    children = []
    if state.contributions[seat] < highest:
        children.append(replace(state, edge=FOLD, over=True))
    called = replace(state, actor=1 - seat, contributions=(highest, highest), acted=True, edge=CALL)
    if state.acted and (highest >= stack or state.street == last_street):
        called = replace(called, actor=SHOWDOWN, over=True)
    elif state.acted:
        called = _State(0, state.street + 1, (highest, highest))
    children.append(called)
    for total in raise_totals:
        contributions = (total, state.contributions[1]) if seat == 0 else (state.contributions[0], total)
        children.append(
            replace(
                state,
                actor=1 - seat,
                contributions=contributions,
                last_raise=total - highest,
                raises=state.raises + (total < stack),
                acted=True,
                edge=RAISE,
            )
        )
    return children
