"""What a warm start learns from: a player's decisions, as distributions over hero's answers.

They are taken in self-play, or read from hands that somebody has played.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from poker_env.errors import UserError
from poker_env.games import Game
from poker_env.hand import Answer, Hand, read_hands
from poker_env.knowledge.exact_value import KnowsItsPolicy
from poker_env.menu import MenuItem, make_menu
from poker_env.players.base import Player
from poker_env.players.llm import LLMPlayer
from poker_env.state import Observation
from recipes.training.imitation_loss import Example

Demonstration = tuple[Observation, np.ndarray]
"""What was seen, and the probability of each item of the menu."""

JUDGED_DECISIONS = 128
"""How many decisions the rate of legal answers is taken over, at most."""


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
            probabilities = _on_menu(menu, policy, self._floor)
            self.decisions.append((observation, probabilities))
            draw = np.random.default_rng(observation.coin_seed).choice(len(menu), p=probabilities)
            answers.append(Answer(menu[draw].action))
        return answers

    def _policies(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        if isinstance(self._player, KnowsItsPolicy):
            return self._player.policy(observations)
        actions = [answer.action for answer in self._player.act(observations)]
        return [{} if action is None else {action: 1.0} for action in actions]


@dataclass(frozen=True)
class Imitable:
    """What hero did in hands that were played."""

    decisions: list[Demonstration]
    moved: int
    """Bets and raises of a size that isn't on the menu: the nearest one's demonstration."""
    illegal: int
    """Decisions left out, as they named no legal action (a fold where checking was free)."""


def imitable(hands: Sequence[Hand], fractions: tuple[float, ...], floor: float) -> Imitable:
    """Hero's decisions on its menu, in the game of each hand; see `Imitated`."""
    decisions: list[Demonstration] = []
    moved = illegal = 0
    for hand in hands:
        for observation, decision in zip(hand.observations(hand.hero_seat), hand.hero_decisions, strict=True):
            if decision.move is None:
                illegal += 1
                continue
            menu, action = make_menu(observation, fractions), decision.move.action
            moved += action not in [item.action for item in menu]
            decisions.append((observation, _on_menu(menu, {action: 1.0}, floor)))
    return Imitable(decisions, moved, illegal)


def hands_played(path: Path, game: Game) -> list[Hand]:
    """The hands of a file of records, or of a folder with `hands.jsonl`.

    Raises `UserError` where there are none, and for those of another game; stakes and stacks may differ.
    """
    file = path / "hands.jsonl" if path.is_dir() else path
    if file.suffix != ".jsonl":
        raise UserError(
            f"{path} is no hands.jsonl and no folder with one: python recipes/convert.py hands {path} --output NEW"
            " makes one of hand histories"
        )
    hands = list(read_hands(file))
    if not hands:
        raise UserError(f"{file} has no hands to imitate")
    other = next((hand.game.name for hand in hands if hand.game.name != game.name), None)
    if other is not None:
        raise UserError(f"{file} has hands of {other}, and the run's game is {game.name}: set game to {other}")
    return hands


def _on_menu(menu: Sequence[MenuItem], policy: Mapping[int, float], floor: float) -> np.ndarray:
    """The probability of each item; each of them is picked with the same one `floor` of the time."""
    probabilities = np.full(len(menu), floor / len(menu))
    for action, probability in policy.items():
        probabilities[_nearest(menu, action)] += (1 - floor) * probability
    return probabilities / probabilities.sum()


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


def batches_of(count: int, size: int, steps: int, seed: int) -> list[list[int]]:
    """Places among `count` examples, `size` at a step: all of them in random order, and again in another one."""
    batches: list[list[int]] = []
    while len(batches) < steps:
        lap = len(batches) // -(-count // size)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed + lap)).tolist()
        batches += [order[start : start + size] for start in range(0, count, size)]
    return batches[:steps]


def legal_rate(hero: LLMPlayer, observations: Sequence[Observation]) -> float:
    """How often hero's answer is a legal token, at a sample of the decisions given."""
    step = -(-len(observations) // JUDGED_DECISIONS)
    return float(np.mean([sum(policy.values()) for policy in hero.policy(observations[::step])]))
