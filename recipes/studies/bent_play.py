"""How far rewards bend play, exactly: what the best play under them wins in Kuhn poker, in chips."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from poker_env.errors import UserError
from poker_env.games import Deal, make_game
from poker_env.hand import Answer, Hand
from poker_env.knowledge.exact_value import Policy, exact_policy
from poker_env.players.base import Player
from poker_env.state import Observation
from poker_env.table import play
from recipes.training.returns import discounted_returns
from reward_fns import RewardSpec

KUHN = make_game("kuhn")
HISTORIES = ((0, 0), (0, 1, 0), (0, 1, 1), (1, 0), (1, 1))
"""All ways the betting can go, by OpenSpiel's ids: 0 checks or folds, 1 bets or calls."""


@dataclass(frozen=True)
class Optimum:
    """What hero's best play under some rewards wins, in mbb/hand averaged over seats (Kuhn: thousandths of an ante).

    Play that the rewards rank alike can win different amounts: `least` to `most`.
    """

    least: float
    most: float


@dataclass(frozen=True)
class _Outcome:
    """One way a hand can go."""

    chance: float
    """Of the cards and villain's answers."""
    choices: dict[str, int]
    """What hero did, by information state."""
    chips: float
    score: float
    """The weighted return from the hand's start."""


def optimum(villain: Player, rewards: Sequence[RewardSpec], gamma: float) -> Optimum:
    """The best of all of hero's pure strategies under the rewards, their returns discounted by gamma.

    Raises `UserError` for a villain whose policy is unknown, and a reward function that fails or is boundless.
    """
    policy = exact_policy(KUHN, villain)
    with np.errstate(over="ignore", invalid="ignore"):  # told below
        seats = [_seat_optimum(_outcomes(seat, policy, rewards, gamma)) for seat in (0, 1)]
    return Optimum(*(1000 * float(np.mean(chips)) for chips in zip(*seats, strict=True)))


def bending_table(villain: Player, chips: RewardSpec, extra: Sequence[RewardSpec], gamma: float) -> Table:
    """What is won under chips alone, and under chips and each of the other rewards, for the terminal."""
    table = Table(
        title=f"Kuhn against {villain.name}: what the best play under rewards wins, exactly (gamma {gamma:g})"
    )
    table.add_column("rewards")
    for column in ("mbb/hand", "lost by them"):
        table.add_column(column, justify="right")
    best = optimum(villain, [chips], gamma).most
    for name, rewards in (("chips", [chips]), *((f"chips + {spec.name}", [chips, spec]) for spec in extra)):
        found = optimum(villain, rewards, gamma)
        won = f"{found.most:+.1f}" if found.most - found.least < 0.05 else f"{found.least:+.1f} to {found.most:+.1f}"
        table.add_row(name, won, f"{best - found.least:.1f}")
    table.caption = "weights and arguments as given; an ante is 1,000 mbb"
    return table


def _outcomes(seat: int, villain: Policy, rewards: Sequence[RewardSpec], gamma: float) -> list[_Outcome]:
    """Every way a hand can go with hero in a seat."""
    found = []
    decks = list(itertools.permutations(range(len(KUHN.cards)), KUHN.deck_length))
    for deck, history in itertools.product(decks, HISTORIES):
        hand = _play(Deal(deck, seat, 0), history)
        chance, choices = 1 / len(decks), {}
        for seen, action in zip(hand.observations(), history, strict=True):
            if seen.seat == seat:
                choices[seen.infoset] = action
            else:
                chance *= villain[seen.infoset][action]
        score = sum(spec.weight * discounted_returns(spec(hand), gamma)[0] for spec in rewards)
        found.append(_Outcome(chance, choices, hand.payoff, score))
    return found


def _seat_optimum(outcomes: Sequence[_Outcome]) -> tuple[float, float]:
    """The least and the most chips per hand among the pure strategies with the best score.

    Raises `UserError` when a score is no finite number.
    """
    infosets = sorted({infoset for outcome in outcomes for infoset in outcome.choices})
    results = []
    for actions in itertools.product((0, 1), repeat=len(infosets)):
        strategy = dict(zip(infosets, actions, strict=True)).items()
        reached = [outcome for outcome in outcomes if outcome.choices.items() <= strategy]
        results.append([sum(getattr(o, what) * o.chance for o in reached) for what in ("score", "chips")])
    scores, chips = np.array(results).T
    if not np.isfinite(scores).all():
        raise UserError("these rewards add up to more than a number can hold: give smaller weights or arguments")
    among_best = chips[scores > scores.max() - 1e-9]
    return float(among_best.min()), float(among_best.max())


def _play(deal: Deal, history: Sequence[int]) -> Hand:
    return play(KUHN, [deal], _Script(history), _Script(history))[0]


class _Script:
    """Plays a given history, whoever asks."""

    name = "script"

    def __init__(self, history: Sequence[int]) -> None:
        self._history = history

    def act(self, observations: Sequence[Observation]) -> list[Answer]:
        return [Answer(self._history[len(seen.moves)]) for seen in observations]
