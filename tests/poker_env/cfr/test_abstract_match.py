"""Matches between strategies of one abstract game, against exact values in Leduc."""

import numpy as np
import pyspiel
import pytest

from poker_env.cfr.abstract_match import duel
from poker_env.cfr.dealers import LEDUC_BUCKETS, deal_leduc
from poker_env.cfr.leduc import leduc_strategy
from poker_env.cfr.mccfr import Solver
from poker_env.cfr.tree import leduc_tree
from poker_env.games import make_game

LEDUC = make_game("leduc")
TREE = leduc_tree(LEDUC)


def _solved(iterations):
    solver = Solver(TREE, LEDUC_BUCKETS, deal_leduc, 1.0, seed=0)
    solver.run(lambda done: True, iterations)
    return solver


def _policy(solver):
    table = leduc_strategy(LEDUC, TREE, solver).table
    return pyspiel.TabularPolicy({state: list(row.items()) for state, row in table.items()})


def test_it_finds_the_exact_value_of_leduc():
    weak, strong = _solved(0), _solved(100_000)
    won = duel(TREE, LEDUC_BUCKETS, deal_leduc, strong.average_strategy(), weak.average_strategy(), 200_000)
    root, policies = LEDUC.spiel.new_initial_state(), [_policy(strong), _policy(weak)]
    as_first = pyspiel.expected_returns(root, policies, -1, True)[0]
    as_second = pyspiel.expected_returns(root, policies[::-1], -1, True)[1]
    assert as_first + as_second > 1
    assert won.mean() == pytest.approx((as_first + as_second) / 2, abs=4 * won.std() / len(won) ** 0.5)


def test_equal_strategies_draw_every_deal():
    strategy = _solved(2_000).average_strategy()
    assert not duel(TREE, LEDUC_BUCKETS, deal_leduc, strategy, strategy.copy(), 5_000).any()


def test_what_one_wins_the_other_loses():
    first, second = _solved(2_000).average_strategy(), _solved(20_000).average_strategy()
    won = duel(TREE, LEDUC_BUCKETS, deal_leduc, first, second, 5_000, seed=3)
    lost = duel(TREE, LEDUC_BUCKETS, deal_leduc, second, first, 5_000, seed=3)
    assert won.any()
    assert np.array_equal(won, -lost)
