"""Win rates and their intervals: exact small cases, and coverage of a value worked out by enumeration."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq

from poker_env.evaluation.estimates import Estimate, by_deck, deck_estimate, estimate, margins
from poker_env.games import Deal, make_deals, make_game
from poker_env.player_specs import make_player
from poker_env.table import play

KUHN, HOLDEM = make_game("kuhn"), make_game("holdem")


def both_seats(deals):
    return [seated for deal in deals for seated in (deal, deal.swapped())]


def payoffs(hands):
    """mbb."""
    return np.array([1000 * hand.payoff_bb for hand in hands])


def test_mean_sd_and_student_interval():
    result = estimate([1.0, 2.0, 3.0], hands=3)
    assert (result.mbb_per_hand, result.sd, result.hands, result.units) == (2.0, 1.0, 3, 3)
    assert result.ci95 == pytest.approx((2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)))
    assert result.half_width == pytest.approx(4.302653 / math.sqrt(3))


def test_sd_is_per_hand_when_a_sample_takes_several():
    assert estimate([1.0, 2.0, 3.0], hands=6).sd == pytest.approx(math.sqrt(2))


def test_one_sample_has_no_interval():
    result = estimate([5.0], hands=2)
    assert (result.mbb_per_hand, result.sd, result.ci95, result.half_width) == (5.0, None, None, None)


def test_an_estimate_in_words():
    assert str(estimate([1000.0, 3000.0, 2000.0], hands=3)) == "+2,000 ± 2,484"
    lopsided = Estimate(-100.0, 50.0, (-190.0, -20.0), 100, 50)
    assert str(lopsided) == "-100 ± 90" and (lopsided.margin, lopsided.half_width) == (90, 85)
    assert str(estimate([-5.0], hands=2)) == "-5"


def test_big_samples_have_the_normal_interval():
    samples = np.random.default_rng(0).normal(10, 100, 20_000)
    assert estimate(samples, len(samples)).half_width == pytest.approx(
        1.96 * samples.std() / math.sqrt(20_000), rel=1e-3
    )


def by_root_finding(skewness, n, value):
    """The t that Hall's transformation turns into a value."""

    def transformed(t):
        return t + skewness * (t**2 / 3 + 1 / 6) / n**0.5 + skewness**2 * t**3 / 27 / n

    return brentq(lambda t: transformed(t) - value, -1e4, 1e4)


@given(st.floats(-20, 20), st.integers(2, 5_000), st.floats(0.1, 1e5))
@settings(max_examples=200, deadline=None)
def test_intervals_are_students_but_longer_on_the_side_of_the_tail(skewness, n, sd):
    below, above = margins(sd, skewness, n)
    quantile = stats.t.ppf(0.975, n - 1)
    error = sd / n**0.5
    assert below >= error * quantile * (1 - 1e-9) and above >= error * quantile * (1 - 1e-9)
    for own, hall in (
        (below, by_root_finding(skewness, n, quantile)),
        (above, -by_root_finding(skewness, n, -quantile)),
    ):
        assert own == pytest.approx(error * max(quantile, hall), rel=1e-4)
    mirrored = margins(sd, -skewness, n)
    assert mirrored == pytest.approx((above, below), rel=1e-6)


def test_a_sample_with_a_long_tail_below_reaches_further_down():
    samples = [0.0] * 95 + [-100.0] * 5
    found = estimate(samples, 100)
    student = stats.t.ppf(0.975, 99) * np.std(samples, ddof=1) / 10
    assert found.ci95[1] - found.mbb_per_hand == pytest.approx(student)
    assert found.mbb_per_hand - found.ci95[0] > 1.3 * student
    assert found.margin == found.mbb_per_hand - found.ci95[0]


@pytest.mark.parametrize(("n", "student_covers"), [(250, 0.88), (1_000, 0.935)])
def test_seldom_large_losses_are_covered(n, student_covers):
    """Four hands in a hundred lose 30 times what the others win or lose, as when a stack goes in."""
    rng = np.random.default_rng(n)
    seldom = rng.random((2_000, n)) < 0.04
    samples = rng.normal(0, 1, (2_000, n)) - 30 * rng.exponential(1, (2_000, n)) * seldom
    found = [estimate(row, n).ci95 for row in samples]
    student = stats.t.ppf(0.975, n - 1) * samples.std(axis=1, ddof=1) / n**0.5
    assert np.mean(np.abs(samples.mean(axis=1) + 1.2) <= student) < student_covers
    assert 0.955 <= np.mean([low <= -1.2 <= high for low, high in found]) <= 0.98


def test_a_pair_of_hands_is_one_sample():
    result = deck_estimate(np.array([1.0, 3.0, 5.0, 9.0, -2.0, 0.0]))
    assert by_deck(np.array([1.0, 3.0, 5.0, 9.0, -2.0, 0.0])).tolist() == [2.0, 7.0, -1.0]
    assert (result.mbb_per_hand, result.hands, result.units) == (pytest.approx(8 / 3), 6, 3)
    assert result.sd == pytest.approx(math.sqrt(2) * np.std([2, 7, -1], ddof=1))
    assert result.ci95 == estimate([2.0, 7.0, -1.0], hands=6).ci95


def test_a_pair_of_hands_cancels_the_cards():
    """Checked down, the queen wins 1 from the jack from whichever seat: the pair is worth nothing."""
    call, deal = make_player("call", KUHN), Deal((1, 0), 0, seed=3)
    assert payoffs(play(KUHN, both_seats([deal]), call, call)).tolist() == [1000, -1000]
    many = payoffs(play(KUHN, both_seats(make_deals(KUHN, 50, seed=1)), call, call))
    assert (deck_estimate(many).mbb_per_hand, deck_estimate(many).ci95) == (0, None)
    assert estimate(many.tolist(), 100).sd > 900


@pytest.mark.parametrize("samples", [[5.0, 5.0], [0.0] * 1000, [0.1 + 0.2, 0.3], [1e9, 1e9 + 1e-3], [-750.0] * 20])
def test_samples_that_are_all_alike_do_not_say_how_sure_their_mean_is(samples):
    found = estimate(samples, hands=2 * len(samples))
    assert found.mbb_per_hand == pytest.approx(samples[0])
    assert (found.ci95, found.sd, found.half_width, found.margin, found.standard_error) == (None,) * 5
    assert "±" not in str(found)


def test_samples_that_hardly_differ_still_have_an_interval():
    found = estimate([5.0, 5.001], hands=2)
    assert found.ci95[0] < 5.0 and found.ci95[1] > 5.001


class FoldingJack:
    """Checks, and calls a bet with all but the jack."""

    name = "folding jack"

    def __init__(self):
        self._call, self._fold = make_player("call", KUHN), make_player("fold", KUHN)

    def act(self, observations):
        return [
            (self._fold if observation.hole == ("J",) else self._call).act([observation])[0]
            for observation in observations
        ]


def test_intervals_cover_the_true_value_in_95_percent():
    """`random` bets half the time; folding the jack to that bet costs 1 where calling would cost 2.

    Each of the six deals is as likely. Villain checks: 1 chip to the better card, 0 on average over the deals. It
    bets: the jack loses 1 (two deals), the queen and the king win or lose 2: queen -2, +2, king +2, +2. Sum 2 over
    six deals, half of the time: 1/6 chip.
    """
    value, evaluations, pairs = 1000 / 6, 300, 60
    hero, villain = FoldingJack(), make_player("random", KUHN)
    won = payoffs(play(KUHN, both_seats(make_deals(KUHN, evaluations * pairs, seed=4)), hero, villain))
    covered = {"raw": 0, "duplicate": 0}
    for start in range(0, len(won), 2 * pairs):
        match = won[start : start + 2 * pairs]
        for name, result in (("raw", estimate(match[::2].tolist(), pairs)), ("duplicate", deck_estimate(match))):
            covered[name] += result.ci95[0] <= value <= result.ci95[1]
    for name, count in covered.items():
        assert 0.915 <= count / evaluations <= 0.98, name


def test_raw_and_duplicate_agree_and_duplicates_are_sharper():
    hero, villain = make_player("tag", HOLDEM), make_player("call", HOLDEM)
    won = payoffs(play(HOLDEM, both_seats(make_deals(HOLDEM, 1_500, seed=5)), hero, villain))
    raw, duplicate = estimate(won[::2].tolist(), 1_500), deck_estimate(won)
    assert abs(raw.mbb_per_hand - duplicate.mbb_per_hand) < raw.half_width
    assert duplicate.sd < 0.9 * raw.sd
    assert duplicate.ci95[0] > 0
