"""The earlier bot's strategy at our tables: by its policy network, or by its memory of situations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from poker_env.cards.holdings import HOLDINGS, N_HOLDINGS
from poker_env.games import HOLDEM_CARDS
from poker_env.pokerbot.features import encode
from poker_env.pokerbot.layouts import Layout
from poker_env.pokerbot.network import PolicyNetwork
from poker_env.pokerbot.spots import Spot, memory_keys, offers, our_actions, spot_of
from poker_env.state import Move, Observation

_KEPT = 1_000
"""Ranges before the flop, some 40 kB each."""


class Question(NamedTuple):
    """A spot, and hole cards (n, 2) that the player may have there."""

    spot: Spot
    holes: np.ndarray
    n_offers: int
    """How many actions there are on its list."""


class Chooser(Protocol):
    """How that program came to its probabilities."""

    def choose(self, questions: Sequence[Question]) -> list[np.ndarray]:
        """For each question the probabilities (n, offers); rows sum to 1."""
        ...


class NetworkChooser:
    """By the policy network, as `NNAgent` of `scripts/tinker_vs_checkpoint.py` and that program's evaluations did.

    The softmax goes over all 20 logits. What the first of them get, as many as there are actions on the list, is
    scaled to a sum of 1; where that is no number above 0, all actions are equally likely. It samples.
    """

    def __init__(self, layout: Layout, network: PolicyNetwork) -> None:
        self._layout = layout
        self._network = network

    def choose(self, questions: Sequence[Question]) -> list[np.ndarray]:
        """See `Chooser`; one forward for all of them."""
        features = [encode(question.spot, question.holes, self._layout) for question in questions]
        bounds = np.cumsum([len(rows) for rows in features])[:-1]
        split = np.split(self._network.probabilities(np.concatenate(features)), bounds)
        return [_scaled(rows[:, : question.n_offers]) for rows, question in zip(split, questions, strict=True)]


def _scaled(rows: np.ndarray) -> np.ndarray:
    masses = rows.astype(np.float64)
    totals = masses.sum(axis=1, keepdims=True)
    known = totals > 0  # False for NaN, too
    return np.where(known, masses / np.where(known, totals, 1), 1 / masses.shape[1])


class MemoryChooser:
    """By `strategy_memory`, as `GTOAgent` of `llm_poker/gto_opponent.py` did, the opponent of its language model.

    That is: by the sums of past strategies where exactly these cards, bets and stacks were met in training, and with
    the same probability for each action on the list elsewhere. The networks were loaded and never asked.
    """

    def __init__(self, memory: Mapping[str, Mapping[int, float]]) -> None:
        """`memory` has a weight for each place on the list, by that program's name of the situation."""
        self._memory = memory

    def choose(self, questions: Sequence[Question]) -> list[np.ndarray]:
        """See `Chooser`."""
        return [self._rows(question) for question in questions]

    def _rows(self, question: Question) -> np.ndarray:
        rows = np.zeros((len(question.holes), question.n_offers))
        keys = memory_keys(question.spot, map(tuple, question.holes.tolist()))
        for row, key in zip(rows, keys, strict=True):
            for place, weight in self._memory.get(key, {}).items():
                if place < question.n_offers:
                    row[place] = weight
        return _scaled(rows)


class PokerbotStrategy:
    """Probabilities of our game's actions, by OpenSpiel's ids."""

    def __init__(self, layout: Layout, chooser: Chooser) -> None:
        self._layout = layout
        self._chooser = chooser
        self._preflop: dict[tuple[Move, ...], tuple[tuple[int, ...], np.ndarray]] = {}

    def policies(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        """For each observation, the probability of each action that has any."""
        asked = [self._ask(observation, _own_hole(observation)) for observation in observations]
        answers = self._chooser.choose([question for question, _ in asked])
        policies = []
        for (_, actions), rows in zip(asked, answers, strict=True):
            policy: dict[int, float] = {}
            for action, probability in zip(actions, rows[0].tolist(), strict=True):
                if probability:
                    policy[action] = policy.get(action, 0.0) + probability
            policies.append(policy)
        return policies

    def range_policy(self, observation: Observation) -> tuple[tuple[int, ...], np.ndarray]:
        """The policy for every holding the player could have: actions, and probabilities (1326, actions).

        Rows of holdings that the board blocks are 0. The observation's own cards aren't looked at. What it does before
        the flop is kept.
        """
        if observation.street:
            return self._range(observation)
        if observation.moves not in self._preflop:
            if len(self._preflop) >= _KEPT:
                self._preflop.clear()
            self._preflop[observation.moves] = self._range(observation)
        return self._preflop[observation.moves]

    def _range(self, observation: Observation) -> tuple[tuple[int, ...], np.ndarray]:
        board = [HOLDEM_CARDS.index(card) for card in observation.board]
        live = np.flatnonzero(~np.isin(HOLDINGS, board).any(axis=1))
        question, actions = self._ask(observation, HOLDINGS[live])
        (rows,) = self._chooser.choose([question])
        legal = tuple(sorted(set(actions)))
        probabilities = np.zeros((N_HOLDINGS, len(legal)))
        for place, action in enumerate(actions):
            probabilities[live, legal.index(action)] += rows[:, place]
        return legal, probabilities

    def _ask(self, observation: Observation, holes: np.ndarray) -> tuple[Question, list[int]]:
        """What the chooser is asked, and what each place on its list is in our game."""
        spot = spot_of(observation)
        listed = offers(spot, self._layout.sizes)
        return Question(spot, holes, len(listed)), our_actions(observation, listed)


def _own_hole(observation: Observation) -> np.ndarray:
    return np.array([[HOLDEM_CARDS.index(card) for card in observation.hole]])
