"""Returns and baselines: what each decision of a hand is credited with. Pure functions of numpy arrays."""

from __future__ import annotations

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


def hand_return(rewards: ArrayLike, weights: ArrayLike, gamma: float) -> float:
    """The weighted return of one hand from its start; 0 for a hand in which hero never acted.

    `rewards` is [reward functions, hero's decisions], `weights` is [reward functions].
    """
    returns = discounted_returns(rewards, gamma)
    return float(np.asarray(weights) @ returns[:, 0]) if returns.shape[-1] else 0.0


def leave_one_out_baseline(hand_returns: ArrayLike) -> FloatArray:
    """For every play of a deal, the mean return of the deal's other replicas (RLOO, Kool et al. 2019).

    `hand_returns` is [deals, replicas]: each hand's weighted return from its start (`hand_return`); so is the result.
    Every decision of a hand is credited with its return-to-go minus its hand's baseline. The baseline doesn't depend
    on what hero did in the hand itself, so the policy gradient stays unbiased.

    Raises `UserError` for fewer than two replicas.
    """
    returns = np.asarray(hand_returns, dtype=np.float64)
    replicas = returns.shape[-1]
    if replicas < 2:
        raise UserError(f"a leave-one-out baseline needs at least 2 replicas of every deal, not {replicas}")
    return (returns.sum(axis=-1, keepdims=True) - returns) / (replicas - 1)
