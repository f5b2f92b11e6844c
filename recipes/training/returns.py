"""Returns, baselines and soft steps: what each decision is credited with. Pure functions of numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from poker_env.errors import UserError

FloatArray = NDArray[np.float64]


def discounted_returns(rewards: ArrayLike, gamma: float) -> FloatArray:
    """Returns-to-go of one hand: G_t = sum_k gamma^k r_(t+k) (Sutton and Barto 2018, equation 3.8).

    `rewards` has hero's decisions on the last axis, any number of reward functions before it; so has the result.
    """
    returns = np.array(rewards, dtype=np.float64)
    for t in range(returns.shape[-1] - 2, -1, -1):
        returns[..., t] += gamma * returns[..., t + 1]
    return returns


def returns_from_start(returns: Sequence[ArrayLike]) -> FloatArray:
    """(hands, reward functions): each hand's return from its start, 0 for a hand in which hero never acted.

    `returns` has one array (reward functions, hero's decisions) per hand: what `discounted_returns` gives.
    """
    arrays = [np.asarray(hand, dtype=np.float64) for hand in returns]
    return np.array([hand[:, 0] if hand.shape[1] else np.zeros(len(hand)) for hand in arrays])


def leave_one_out_baseline(hand_returns: ArrayLike) -> FloatArray:
    """For every play of a deal, the mean return of the deal's other replicas (RLOO, Kool et al. 2019).

    `hand_returns` has replicas on the last axis, any axes before it (reward functions, deals): each hand's return from
    its start, see `returns_from_start`. So has the result. Every decision of a hand is credited with its return-to-go
    minus its hand's baseline, which doesn't depend on what hero did in the hand itself, so the policy gradient stays
    unbiased.

    Raises `UserError` for fewer than two replicas.
    """
    returns = np.asarray(hand_returns, dtype=np.float64)
    replicas = returns.shape[-1]
    if replicas < 2:
        raise UserError(f"a leave-one-out baseline needs at least 2 replicas of every deal, not {replicas}")
    return (returns.sum(axis=-1, keepdims=True) - returns) / (replicas - 1)


def advantages(credit: ArrayLike, weights: ArrayLike, scale: bool = False) -> FloatArray:
    """(decisions, reward functions): credit minus its mean over decisions, per reward function.

    With `scale`, divided by the standard deviation of the weighted sum over reward functions, as TRL's
    `scale_rewards="batch"` does it.
    """
    centred = np.array(credit, dtype=np.float64)
    centred -= centred.mean(axis=0)
    if scale and len(centred) > 1:
        centred /= np.std(centred @ np.asarray(weights), ddof=1) + 1e-4
    return centred


def soft_step(probabilities: Sequence[float], shares: Sequence[float], temperature: float) -> list[float]:
    """The credit of a menu's actions that moves their probabilities to the soft optimum, chips.

    `shares` are what each action wins by its probability, chips; the sum of all by the gradients of their
    log-probabilities is the policy gradient, which hardly moves what is improbable, be it the best. The soft optimum
    is softmax(values / temperature), where the gradient with an entropy bonus of that `temperature` (chips) is 0, too.
    On the way there each logit moves by what the action's probability lacks, times what is at stake: max - min of the
    values, and the bonus. That is the gradient of the cross-entropy to a regularised greedy policy (Geist, Scherrer,
    Pietquin: A Theory of Regularized Markov Decision Processes, 2019, section 4; as a KL in Haarnoja et al.: Soft
    Actor-Critic, 2018, section 4.2).
    """
    chances = np.array(probabilities)
    known = chances > 0
    values = np.array(shares)[known] / chances[known]
    target = np.exp((values - values.max()) / temperature)
    step = np.zeros(len(chances))
    step[known] = (np.ptp(values) + temperature) * (target / target.sum() - chances[known] / chances.sum())
    return list(map(float, step))


def lifted(probabilities: Sequence[float], shares: Sequence[float], power: float) -> list[float]:
    """The credit of a menu's actions with the improbable ones moving sooner, chips.

    `shares` are as in `soft_step`. The policy gradient moves an action's logit by its advantage times its probability,
    so what was given up early comes back at a crawl. Here it is the probability to a `power` below 1, as under the
    escort transform (Mei et al.: Escaping the Gravitational Pull of Softmax, 2020, of order p: 1 - 1/p), scaled to the
    same sum; 0 moves all logits by their advantages alone (Hennes et al.: Neural Replicator Dynamics, 2019). The fixed
    points are the same. What the menu wins by itself, beside answers that name no action, stays as it is.
    """
    chances, given = np.array(probabilities), np.array(shares)
    known = chances > 0
    weights = np.zeros(len(chances))
    weights[known] = chances[known] ** power
    weights /= weights.sum()
    values = np.divide(given, chances, out=np.zeros(len(chances)), where=known)
    lifted_shares = chances.sum() * weights * (values - weights @ values) + given.sum() * chances / chances.sum()
    return list(map(float, lifted_shares))
