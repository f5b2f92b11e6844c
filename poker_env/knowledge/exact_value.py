"""Kuhn and Leduc without sampling: what a policy wins against another, and how much of what could be won that is."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from poker_env.errors import UserError
from poker_env.games import Deal, Game
from poker_env.menu import make_menu
from poker_env.players.base import Player
from poker_env.players.simple import SimplePlayer
from poker_env.state import HandState, Observation

SMALL_GAMES = ("kuhn", "leduc")

LEAST_ROOM = 1e-3
"""Chips per hand between a villain's self-play and the best response to it: a share of less says nothing."""

Policy = Mapping[str, Mapping[int, float]]
"""For each information state, by OpenSpiel's string, the probability of each legal action. What lacks to a sum of 1 is
the probability of an answer that names no legal action, which ends the hand as a fold."""


@runtime_checkable
class KnowsItsPolicy(Protocol):
    """A player that can say how probable each of its actions is."""

    def policy(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        """For each observation, the probability of each action that has any, by OpenSpiel's id."""
        ...


@dataclass(frozen=True)
class ExactValue:
    """What hero wins against villain, in chips per hand, averaged over both seats."""

    value: float
    by_seat: tuple[float, float]
    """Hero's value in seat 0 and in seat 1."""
    self_play: float
    """Villain's value against itself."""
    best_response: float
    """The most that anybody can win against villain."""

    @property
    def capture(self) -> float | None:
        """(value - self play) / (best response - self play); None where villain leaves less than `LEAST_ROOM`."""
        room = self.best_response - self.self_play
        return (self.value - self.self_play) / room if room >= LEAST_ROOM else None


@dataclass(frozen=True)
class ExactReport:
    """What is known of a match without sampling, in chips per hand; None for what needs an unknown policy."""

    value: ExactValue | None
    """What hero wins; None where its policy or villain's is unknown."""
    best_response: float | None
    """The most that anybody can win against villain."""
    exploitability: float | None
    """The most that anybody can win against hero."""


class ExactJudge:
    """Values against one villain; its self-play and the best response to it are worked out once.

    Raises `UserError` for a game too large, or a villain whose policy is unknown.
    """

    def __init__(self, game: Game, villain: Player) -> None:
        self.game = game
        self.villain = exact_policy(game, villain)
        self.self_play = float(np.mean(self._by_seat(self.villain)))
        self.best_response = float(np.mean([best_response_value(game, self.villain, seat) for seat in (0, 1)]))

    def judge(self, hero: Policy) -> ExactValue:
        """What hero wins."""
        by_seat = self._by_seat(hero)
        return ExactValue(float(np.mean(by_seat)), by_seat, self.self_play, self.best_response)

    def _by_seat(self, hero: Policy) -> tuple[float, float]:
        return expected_payoff(self.game, hero, self.villain), -expected_payoff(self.game, self.villain, hero)


def exact_report(game: Game, hero: Policy | None, villain: Player) -> ExactReport:
    """What can be said of a match in a small game; `hero` is its policy, None where it is unknown."""
    try:
        judge = ExactJudge(game, villain)
    except UserError:  # villain's policy is unknown
        judge = None
    return ExactReport(
        value=judge.judge(hero) if judge and hero else None,
        best_response=judge.best_response if judge else None,
        exploitability=exploitability(game, hero) if hero else None,
    )


def exact_policy(game: Game, player: Player) -> dict[str, dict[int, float]]:
    """A player's probability of every legal action at every information state of a small game.

    Raises `UserError` for a game too large, or a player that can't tell them.
    """
    observations = information_sets(game)
    asked = list(observations.values())
    if isinstance(player, KnowsItsPolicy):
        answers = player.policy(asked)
    elif isinstance(player, SimplePlayer) and player.name == "random":
        menus = [make_menu(observation) for observation in asked]
        answers = [{item.action: 1 / len(menu) for item in menu} for menu in menus]
    elif isinstance(player, SimplePlayer) and player.name in ("call", "fold"):
        answers = [{item.action: 1.0} for item in map(player.choose, asked, map(make_menu, asked))]
    else:
        raise UserError(f"the exact policy of {player.name} is not known: name a cfr player, random, call or fold")
    return {
        infoset: {action: answer.get(action, 0.0) for action in seen.legal}
        for (infoset, seen), answer in zip(observations.items(), answers, strict=True)
    }


def known_policy(game: Game, player: Player) -> Policy | None:
    """`exact_policy`, None where it can't be had."""
    try:
        return exact_policy(game, player)
    except UserError:
        return None


def information_sets(game: Game) -> dict[str, Observation]:
    """What the player to act sees at each information state, by OpenSpiel's string: 12 in Kuhn, 936 in Leduc.

    Raises `UserError` for a game too large.
    """
    found: dict[str, Observation] = {}
    for node in _decisions(_hands(game)):
        found.setdefault(node.observation.infoset, node.observation)
    return found


def expected_payoff(game: Game, first: Policy, second: Policy) -> float:
    """Chips per hand that seat 0 wins when it plays `first` and seat 1 plays `second`."""
    return float(np.mean([_payoff(hand, (first, second)) for hand in _hands(game)]))


def best_response_value(game: Game, villain: Policy, seat: int) -> float:
    """Chips per hand that the best response to villain wins in a seat."""
    response = _BestResponse(villain, seat)
    hands = _hands(game)
    for hand in hands:
        response.reach(hand, 1.0)
    return float(np.mean([response.value(hand) for hand in hands]))


def exploitability(game: Game, policy: Policy) -> float:
    """Chips per hand that the best response to a policy wins, averaged over seats.

    In a game that is worth 0 over both seats that is what playing an equilibrium would save: NashConv / 2 for a policy
    of both seats (Johanson et al. 2011, "Accelerating Best Response Calculation in Large Extensive Games", section 2).
    """
    return float(np.mean([best_response_value(game, policy, seat) for seat in (0, 1)]))


def legal_entropy(policy: Policy) -> float:
    """Mean over information states of the entropy of the legal actions' distribution (renormalised), in nats."""
    return float(np.mean([_entropy(list(row.values())) for row in policy.values()]))


def _entropy(masses: Sequence[float]) -> float:
    total = sum(masses)
    return -sum(mass / total * math.log(mass / total) for mass in masses if mass > 0)


@dataclass(frozen=True)
class _End:
    """A finished hand."""

    payoff: float
    """Chips seat 0 won."""


@dataclass(frozen=True)
class _DecisionNode:
    """A point of a hand, all cards known, where somebody acts."""

    observation: Observation
    children: Mapping[int, _Node]
    """By OpenSpiel's action id."""


_Node = _DecisionNode | _End


@functools.cache
def _hands(game: Game) -> tuple[_Node, ...]:
    """The tree of every deal; all deals are equally likely."""
    if game.name not in SMALL_GAMES:
        raise UserError(f"{game} is too large for exact values: they are for {' and '.join(SMALL_GAMES)}")
    decks = itertools.permutations(range(len(game.cards)), game.deck_length)
    return tuple(_grow(Deal(deck, 0, 0), game, ()) for deck in decks)


def _grow(deal: Deal, game: Game, actions: tuple[int, ...]) -> _Node:
    state = HandState(game, deal)
    for action in actions:
        state.apply(action)
    if state.done:
        return _End(state.payoffs[0])
    observation = state.observe()
    return _DecisionNode(observation, {action: _grow(deal, game, (*actions, action)) for action in observation.legal})


def _decisions(nodes: Sequence[_Node]) -> Iterator[_DecisionNode]:
    for node in nodes:
        if isinstance(node, _DecisionNode):
            yield node
            yield from _decisions(list(node.children.values()))


def _payoff(node: _Node, policies: tuple[Policy, Policy]) -> float:
    """Chips that seat 0 wins on average from a point on."""
    if isinstance(node, _End):
        return node.payoff
    seen = node.observation
    row = policies[seen.seat][seen.infoset]
    forfeit = 1 - sum(row.values())
    lost = -seen.contributions[0] if seen.seat == 0 else seen.contributions[1]
    return forfeit * lost + sum(
        probability * _payoff(node.children[action], policies) for action, probability in row.items() if probability
    )


class _BestResponse:
    """The best response of a seat: at each information state the action that wins most, all that may be there weighed
    by chance and villain."""

    def __init__(self, villain: Policy, seat: int) -> None:
        self._villain, self._seat = villain, seat
        self._met: dict[str, list[tuple[_DecisionNode, float]]] = {}
        self._choices: dict[str, int] = {}
        self._values: dict[int, float] = {}

    def reach(self, node: _Node, probability: float) -> None:
        """Note all that can come after a point that chance and villain reach with a probability."""
        if isinstance(node, _End):
            return
        seen = node.observation
        if seen.seat == self._seat:
            self._met.setdefault(seen.infoset, []).append((node, probability))
        for action, child in node.children.items():
            share = 1.0 if seen.seat == self._seat else self._villain[seen.infoset].get(action, 0.0)
            self.reach(child, probability * share)

    def value(self, node: _Node) -> float:
        """Chips the responder wins from a point on."""
        if isinstance(node, _End):
            return node.payoff if self._seat == 0 else -node.payoff
        if id(node) not in self._values:
            self._values[id(node)] = self._decision_value(node)
        return self._values[id(node)]

    def _decision_value(self, node: _DecisionNode) -> float:
        seen = node.observation
        if seen.seat == self._seat:
            return self.value(node.children[self._choice(seen.infoset)])
        row = self._villain[seen.infoset]
        forfeit = 1 - sum(row.values())
        return forfeit * seen.contributions[seen.seat] + sum(
            probability * self.value(node.children[action]) for action, probability in row.items() if probability
        )

    def _choice(self, infoset: str) -> int:
        if infoset not in self._choices:
            met = self._met[infoset]
            self._choices[infoset] = max(
                met[0][0].observation.legal,
                key=lambda action: sum(reach * self.value(node.children[action]) for node, reach in met if reach),
            )
        return self._choices[infoset]
