"""Estimates of matches against services."""

import csv
import json

import numpy as np
import pytest
from fake_slumbot import FakeSlumbot
from faulty_server import running
from service_matches import play, slumbot

from poker_env.evaluation.estimates import Estimate
from poker_env.games import DEFAULTS
from poker_env.hand import read_hands
from poker_env.player_specs import make_player
from poker_env.services.judgement import (
    less_covariates,
    results,
    seat_weights,
    summary_lines,
    summary_table,
    write_results,
)

GAME = DEFAULTS["holdem"]


def test_both_seats_count_alike():
    seats = [0, 0, 0, 1]
    weights = seat_weights(seats)
    assert weights.tolist() == pytest.approx([2 / 3] * 3 + [2])
    assert np.mean(weights * [3, 6, 0, 11]) == pytest.approx((3 + 11) / 2)
    assert seat_weights([0, 0]) is None


def test_covariates_bias_nothing_and_take_variance_away():
    """Their means are 0 over both seats together, not in each; values depend on the seat, too."""
    rng = np.random.default_rng(0)
    plain, controlled = [], []
    for _ in range(3000):
        seats = np.arange(24) % 2
        luck = rng.exponential(size=24) - 1 + np.where(seats == 0, 0.7, -0.7)
        values = 1.5 + 2 * luck + 3 * seats + rng.normal(size=24) + 0.3 * luck**2 * rng.normal(size=24)
        less = less_covariates(values, luck[:, None], seats)
        weights = seat_weights(seats)
        plain.append((weights * values).mean())
        controlled.append((weights * less).mean())
    error = np.std(np.array(plain) - controlled) / len(plain) ** 0.5
    assert abs(np.mean(plain) - np.mean(controlled)) < 4 * error
    assert np.std(controlled) < 0.8 * np.std(plain)


def test_covariates_that_say_nothing_change_nothing():
    values = np.arange(20.0)
    assert less_covariates(values, np.zeros((20, 1)), [0, 1] * 10).tolist() == values.tolist()
    assert less_covariates(values[:4], np.ones((4, 1)), [0, 1] * 2).tolist() == values[:4].tolist()


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A known hero, odd hands, on a network that loses some."""
    fake = FakeSlumbot(1, lambda number: "mute" if number in (20, 50) else None)
    with running(fake.server):
        service = slumbot(fake)
        _, evaluation = play(
            tmp_path_factory.mktemp("match") / "journal.jsonl", service, 81, make_player("call", GAME)
        )
    return service, evaluation


def test_a_known_hero_is_scored_by_aivat(judged):
    """Whoever villain is: it is hero's probabilities that are known."""
    _, evaluation = judged
    assert evaluation.headline == "aivat" and evaluation.value_function["known_player"] == "call"
    estimates = evaluation.estimates
    assert estimates["aivat"].sd < estimates["raw"].sd
    difference = evaluation.values["aivat"] - evaluation.values["raw"]
    assert abs(difference.mean()) < 4 * difference.std() / len(difference) ** 0.5


def test_what_is_written(judged, tmp_path):
    service, evaluation = judged
    record = results(evaluation, service, "python recipes/evaluate.py …", 1.5)
    write_results(tmp_path, evaluation, record)
    read = json.loads((tmp_path / "results.json").read_text())
    assert (read["hero"], read["villain"], read["hands"], read["deals"]) == ("call", "slumbot", 81, 81)
    assert read["service"] == {"url": service.web.url, "voided": 2, "disagreements": 0}
    assert Estimate(**read["estimates"][read["headline"]]).with_interval
    assert read["action_mix"]["call"] + read["action_mix"]["check"] == pytest.approx(1)
    assert list(read_hands(tmp_path / "hands.jsonl")) == list(evaluation.hands)
    with (tmp_path / "values.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    for name, found in evaluation.estimates.items():
        assert np.mean([float(row[name]) for row in rows]) == pytest.approx(found.mbb_per_hand, abs=0.01)
    voided = [json.loads(line) for line in (tmp_path / "voided.jsonl").read_text().splitlines()]
    assert len(voided) == 2 and all(each["reason"].startswith("lost: ") for each in voided)
    assert (tmp_path / "disagreements.jsonl").read_text() == ""
    assert summary_table(evaluation).row_count == len(evaluation.estimates) + 2
    assert any(line.startswith("2 hands don't count") for line in summary_lines(evaluation))
