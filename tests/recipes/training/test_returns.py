"""Discounted returns and the leave-one-out baseline, against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poker_env.errors import UserError
from poker_env.games import Deal, make_game
from poker_env.hand import Answer
from poker_env.table import play
from recipes.training.returns import advantages, discounted_returns, leave_one_out_baseline, returns_from_start
from reward_fns import load_reward

KUHN = make_game("kuhn")
CHECK, BET, FOLD, CALL = 0, 1, 0, 1
finite = st.floats(-1e6, 1e6)


def test_returns_to_go_by_hand():
    assert discounted_returns([1.0, 0.0, 4.0], gamma=0.5).tolist() == [2.0, 2.0, 4.0]
    assert discounted_returns([[1.0, 0.0, 4.0], [0.0, 1.0, 0.0]], gamma=0.5).tolist() == [[2, 2, 4], [0.5, 1, 0]]
    assert discounted_returns([], gamma=0.5).tolist() == []


@given(rewards=st.lists(finite, min_size=1, max_size=8), gamma=st.floats(0, 1))
def test_returns_are_the_discounted_sums_of_what_follows(rewards, gamma):
    sums = [sum(gamma**k * reward for k, reward in enumerate(rewards[t:])) for t in range(len(rewards))]
    assert np.allclose(discounted_returns(rewards, gamma), sums, atol=1e-6)


@given(first=st.lists(finite, min_size=3, max_size=3), second=st.lists(finite, min_size=3, max_size=3))
def test_discounting_is_linear(first, second):
    together = discounted_returns(np.add(first, second), 0.9)
    apart = discounted_returns(first, 0.9) + discounted_returns(second, 0.9)
    assert np.allclose(together, apart, atol=1e-6)


def test_rewards_are_not_changed_in_place():
    rewards = np.ones(3)
    discounted_returns(rewards, 0.5)
    assert rewards.tolist() == [1, 1, 1]


class Hero:
    """Says the next action of a list, hand by hand and round by round."""

    name = "hero"

    def __init__(self, actions):
        self._actions = iter(actions)

    def act(self, observations):
        return [Answer(next(self._actions)) for _ in observations]


class Villain:
    """Second in Kuhn: bets when checked to, calls a bet."""

    name = "villain"

    def act(self, observations):
        return [Answer(CALL if observation.to_call else BET) for observation in observations]


def test_a_kuhn_deal_by_hand():
    """Hero holds the queen against the jack, gamma 0.5, aggression at weight 2 with 0.1 per bet.

    Replica 0 bets and is called: chips 2, one bet.           G = [2 + 2*0.1] = [2.2]
    Replica 1 checks, is bet into and calls: chips 0, then 2. G = [0.5*2, 2]  = [1, 2]
    Replica 2 checks, is bet into and folds: chips 0, then -1. G = [-0.5, -1]
    Baselines, from the other two hands' returns at their start, (2, 1, -0.5) and (0.1, 0, 0); weighted, those are
    (1 - 0.5)/2 = 0.25, (2.2 - 0.5)/2 = 0.85, (2.2 + 1)/2 = 1.6.
    """
    hero = Hero([BET, CHECK, CHECK, CALL, FOLD])
    hands = play(KUHN, [Deal((1, 0), 0, seed=0)], hero, Villain(), replicas=3)
    assert [hand.payoff for hand in hands] == [2, 2, -1]

    specs = [load_reward("chips"), load_reward("aggression", weight=2)]
    weights = [spec.weight for spec in specs]
    returns = [discounted_returns([spec(hand) for spec in specs], 0.5) for hand in hands]
    assert [per_function.tolist() for per_function in returns] == [
        [[2], [0.1]],
        [[1, 2], [0, 0]],
        [[-0.5, -1], [0, 0]],
    ]

    starts = returns_from_start(returns)
    assert starts.tolist() == [[2, 0.1], [1, 0], [-0.5, 0]]
    baselines = leave_one_out_baseline(starts.T)
    assert np.dot(weights, baselines) == pytest.approx([0.25, 0.85, 1.6])

    credit = [np.dot(weights, per_function - baselines[:, [i]]) for i, per_function in enumerate(returns)]
    assert [row.tolist() for row in credit] == [
        pytest.approx([1.95]),
        pytest.approx([0.15, 1.15]),
        pytest.approx([-2.1, -2.6]),
    ]


def test_a_hand_without_hero_decisions_has_no_return():
    assert returns_from_start([[[], []], [[3.0, 1.0], [2.0, 0.0]]]).tolist() == [[0.0, 0.0], [3.0, 2.0]]


@given(st.integers(2, 6).flatmap(lambda n: st.lists(st.lists(finite, min_size=n, max_size=n), min_size=1, max_size=4)))
def test_the_baseline_is_the_mean_of_the_others(hand_returns):
    baselines = leave_one_out_baseline(hand_returns)
    for deal, row in enumerate(hand_returns):
        for replica in range(len(row)):
            others = row[:replica] + row[replica + 1 :]
            assert baselines[deal, replica] == pytest.approx(np.mean(others), abs=1e-5)


def test_one_replica_has_no_others():
    with pytest.raises(UserError, match="2 replicas"):
        leave_one_out_baseline([[1.0], [2.0]])


credits = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=1, max_size=20)


@given(credits, st.floats(-1e3, 1e3))
def test_advantages_have_no_mean_and_do_not_mind_a_constant(credit, constant):
    found = advantages(credit, [1.0, 2.0])
    assert found.mean(axis=0) == pytest.approx(0, abs=1e-9)
    assert found == pytest.approx(advantages(np.array(credit) + constant, [1.0, 2.0]), abs=1e-9)
    assert np.subtract(found[0], found[-1]) == pytest.approx(np.subtract(credit[0], credit[-1]), abs=1e-9)


def test_scaled_advantages_have_a_weighted_sum_of_standard_deviation_one():
    credit = np.random.default_rng(0).normal(size=(50, 2)) * [3.0, 7.0]
    found = advantages(credit, [1.0, -2.0], scale=True)
    assert np.std(found @ [1.0, -2.0], ddof=1) == pytest.approx(1, rel=1e-4)
    assert found / advantages(credit, [1.0, -2.0]) == pytest.approx(
        np.full((50, 2), found[0, 0] / (credit - credit.mean(axis=0))[0, 0])
    )
    assert advantages([[4.0, 2.0]], [1.0, 1.0], scale=True).tolist() == [[0.0, 0.0]]
