"""Coverage: what is counted, with and without a known value, and the intervals of a real pair."""

import numpy as np
import pytest

from poker_env.evaluation.estimates import deck_estimate, estimate
from poker_env.evaluation.match import evaluate
from poker_env.games import make_game
from poker_env.player_specs import make_player
from recipes.studies.interval_coverage import coverage


def test_intervals_are_counted_by_the_side_they_miss_on():
    evaluations = [estimate(samples, 2) for samples in ([19, 21], [-6, -4], [15, 25], [10, 30], [100, 101])]
    found = coverage(evaluations, value=20.0)
    assert (found.share, found.too_high, found.too_low, found.evaluations) == (3 / 5, 1, 1, 5)
    assert found.long_run == 20.0
    assert found.ci95[0] < 0.6 < found.ci95[1]


@pytest.mark.parametrize("n", [4, 40])
def test_without_a_known_value_the_share_is_as_right(n):
    """Student's intervals of normal samples hold it in 95 %, and hold the mean of the others just as often."""
    rng = np.random.default_rng(n)
    repeats = 4_000 // n
    shares = {"known": [], "others": []}
    for _ in range(repeats):
        evaluations = [estimate(samples, 8) for samples in rng.normal(50, 300, (n, 8)).tolist()]
        shares["known"].append(coverage(evaluations, 50.0).share)
        shares["others"].append(coverage(evaluations).share)
    for name, found in shares.items():
        assert np.mean(found) == pytest.approx(0.95, abs=0.015), name


def test_a_biased_estimator_shows_where_the_value_is_known():
    rng = np.random.default_rng(1)
    evaluations = [estimate(samples, 50) for samples in rng.normal(100, 100, (200, 50)).tolist()]
    assert coverage(evaluations, 0.0).too_high > 190
    assert coverage(evaluations).share > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("game", ["kuhn", "leduc"])
def test_every_estimators_interval_holds_the_exact_value(game):
    """In 400 evaluations of 100 hands of `random` against `cfr`."""
    evaluations, game = 400, make_game(game)
    players = make_player("random", game), make_player("cfr", game)
    evaluation = evaluate(game, *players, 100 * evaluations, 6, progress=False)
    truth = evaluation.estimates["exact"].mbb_per_hand
    for name, values in evaluation.values.items():
        parts = [deck_estimate(part) for part in np.split(values, evaluations)]
        assert 0.925 <= coverage(parts, truth).share <= 0.975, name
    raws = [estimate(part[::2].tolist(), 50) for part in np.split(evaluation.values["payoff"], evaluations)]
    assert 0.925 <= coverage(raws, truth).share <= 0.975


@pytest.mark.slow
def test_every_estimators_interval_holds_the_long_run_value_in_holdem():
    """In 200 evaluations of 400 hands of `tag` against `call`, parts of a long one."""
    game, evaluations = make_game("holdem"), 200
    players = make_player("tag", game), make_player("call", game)
    values = evaluate(game, *players, 400 * evaluations, 8, progress=False).values
    for name in values:
        found = coverage([deck_estimate(part) for part in np.split(values[name], evaluations)])
        assert 0.91 <= found.share <= 0.985, name
