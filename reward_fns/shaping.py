"""Potential-based shaping: rewards on the way that leave the best play what it was.

A potential says how good a decision looks, by what hero knows there. It becomes the reward

    F_t = gamma * potential(decision t + 1) - potential(decision t),  the potential of a finished hand being 0

(Ng, Harada & Russell 1999, "Policy invariance under reward transformations", equation 2). From decision t on these
rewards, discounted by the same gamma, sum to -potential(decision t): a constant of the decision, whatever is answered
there and later. So every return moves by a baseline and no comparison between answers changes; neither do the best
responses to an opponent, nor the policy gradient's mean. With another gamma, or a potential that looks at what comes
later, that is lost: hence the run's gamma, and `Observation`s, which end where the decision is.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

from poker_env.hand import Hand


def potential_based(potential: Callable[..., float]) -> Callable[..., list[float]]:
    """Make a reward function of a potential `(observation: poker_env.state.Observation, **args) -> float`.

    To be used as a decorator. The reward function takes a hand, `gamma`, and the potential's arguments; `gamma` must
    be the one that returns are discounted by.
    """

    @functools.wraps(potential)
    def reward(hand: Hand, gamma: float, **args: object) -> list[float]:
        values = [float(potential(observation, **args)) for observation in hand.observations(hand.hero_seat)]
        return [gamma * later - now for now, later in zip(values, [*values[1:], 0.0], strict=False)]

    own = list(inspect.signature(reward, follow_wrapped=False).parameters.values())[:2]
    theirs = list(inspect.signature(potential).parameters.values())[1:]
    keywords = [
        parameter if parameter.kind is parameter.VAR_KEYWORD else parameter.replace(kind=parameter.KEYWORD_ONLY)
        for parameter in theirs
        if parameter.kind is not parameter.VAR_POSITIONAL
    ]
    reward.__signature__ = inspect.Signature([*own, *keywords])  # type: ignore[attr-defined]
    return reward
