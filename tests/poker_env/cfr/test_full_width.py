"""Kuhn and Leduc by OpenSpiel's solvers."""

from dataclasses import replace

import pytest

from poker_env.cfr.checkpoint import Provenance
from poker_env.cfr.full_width import TabularStrategy, exact_checkpoint, information_states, solve_exactly
from poker_env.errors import UserError
from poker_env.games import make_game

KUHN = make_game("kuhn")


def _solved(iterations, algorithm="cfr"):
    return solve_exactly(KUHN, algorithm, lambda done: done < iterations)[0]


@pytest.mark.parametrize("algorithm", ["cfr", "cfr+"])
def test_kuhn_converges_to_its_equilibria(algorithm):
    strategy = _solved(1000, algorithm)
    assert strategy.exploitability(KUHN) < 0.002
    alpha = strategy.table["0"][1]  # a jack bets with alpha in [0, 1/3], then a king with 3 alpha
    assert 0 <= alpha < 0.34
    assert strategy.table["2"][1] == pytest.approx(3 * alpha, abs=0.05)
    assert strategy.table["1b"][1] == pytest.approx(1 / 3, abs=0.05)  # a queen calls a bet one time in three


def test_fewer_iterations_make_a_weaker_opponent():
    assert _solved(3).exploitability(KUHN) > 10 * _solved(300).exploitability(KUHN)


def test_iterations_are_counted_and_one_is_always_done():
    assert solve_exactly(KUHN, "cfr+", lambda done: done < 7)[1] == 7
    assert solve_exactly(KUHN, "cfr+", lambda done: False)[1] == 1


def test_a_checkpoint_keeps_the_strategy():
    strategy = _solved(50)
    checkpoint = exact_checkpoint(KUHN, strategy, Provenance("cfr", 50, 0.1, 0, "", ""))
    loaded = TabularStrategy.from_checkpoint(checkpoint)
    assert loaded.table.keys() == strategy.table.keys() == {name for name, _ in information_states(KUHN)}
    for state, row in strategy.table.items():
        assert loaded.table[state] == pytest.approx(row, abs=1e-6)
    assert checkpoint.settings["exploitability"] == pytest.approx(loaded.exploitability(KUHN), abs=1e-5)


def test_a_strategy_for_part_of_the_game_is_refused():
    checkpoint = exact_checkpoint(KUHN, _solved(1), Provenance("cfr", 1, 0.1, 0, "", ""))
    arrays = {name: array[:-1] for name, array in checkpoint.arrays.items()}
    with pytest.raises(UserError, match="no strategy for all of kuhn"):
        TabularStrategy.from_checkpoint(replace(checkpoint, arrays=arrays))
    with pytest.raises(UserError, match="no strategy for all of leduc"):
        TabularStrategy.from_checkpoint(replace(checkpoint, game=make_game("leduc")))
