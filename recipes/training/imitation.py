"""What a warm start learns from: a player's decisions in self-play, as distributions over hero's answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poker_env.hand import Answer
from poker_env.knowledge.exact_value import KnowsItsPolicy
from poker_env.menu import MenuItem, make_menu
from poker_env.players.base import Player
from poker_env.players.llm import LLMPlayer
from poker_env.state import Observation
from recipes.training.imitation_loss import Example

Demonstration = tuple[Observation, np.ndarray]
"""What was seen, and the probability of each item of the menu."""


class Imitated:
    """A player held to hero's menu, who now and then picks any item of it; it remembers its decisions.

    An action that is not on the menu becomes the raise nearest in chips that is. Of a player that knows its policy the
    whole distribution counts, of any other the actions it takes.
    """

    def __init__(self, player: Player, fractions: tuple[float, ...], floor: float) -> None:
        """`floor` is how often any item is picked, each with the same probability."""
        self.name = player.name
        self.decisions: list[Demonstration] = []
        """All decisions so far."""
        self._player = player
        self._fractions = fractions
        self._floor = floor

    def act(self, observations: Sequence[Observation]) -> list[Answer]:
        """One answer per observation."""
        answers = []
        for observation, policy in zip(observations, self._policies(observations), strict=True):
            menu = make_menu(observation, self._fractions)
            probabilities = np.full(len(menu), self._floor / len(menu))
            for action, probability in policy.items():
                probabilities[_nearest(menu, action)] += (1 - self._floor) * probability
            probabilities /= probabilities.sum()
            self.decisions.append((observation, probabilities))
            draw = np.random.default_rng(observation.coin_seed).choice(len(menu), p=probabilities)
            answers.append(Answer(menu[draw].action))
        return answers

    def _policies(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        if isinstance(self._player, KnowsItsPolicy):
            return self._player.policy(observations)
        actions = [answer.action for answer in self._player.act(observations)]
        return [{} if action is None else {action: 1.0} for action in actions]


def _nearest(menu: Sequence[MenuItem], action: int) -> int:
    """Place on the menu of an OpenSpiel action, or of the raise nearest to it; of the cheapest item where none is."""
    for place, item in enumerate(menu):
        if item.action == action:
            return place
    raises = [place for place, item in enumerate(menu) if item.kind in ("bet", "raise")]
    return min(raises, key=lambda place: abs(menu[place].to - action), default=0)


def examples_of(hero: LLMPlayer, decisions: Sequence[Demonstration]) -> list[Example]:
    """One example for each distinct prompt, in the order they first come; decisions with the same one are averaged."""
    answers: dict[tuple[int, ...], tuple[tuple[int, ...], ...]] = {}
    sums: dict[tuple[int, ...], np.ndarray] = {}
    questions = hero.ask([observation for observation, _ in decisions])
    for question, (_, probabilities) in zip(questions, decisions, strict=True):
        prompt = question.prompt_ids
        answers.setdefault(prompt, tuple(hero.answer_ids(item.token) for item in question.menu))
        sums[prompt] = sums.get(prompt, 0.0) + probabilities
    return [Example(prompt, answers[prompt], tuple((sums[prompt] / sums[prompt].sum()).tolist())) for prompt in sums]
