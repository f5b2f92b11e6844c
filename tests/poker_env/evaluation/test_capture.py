"""Capture: ratios with Fieller's interval, local best responses on the match's decks, and bets off villain's tree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.errors import UserError
from poker_env.evaluation.capture import Reference, TreeWatcher, exact_capture, local_capture, ratio
from poker_env.evaluation.estimates import Estimate
from poker_env.evaluation.lbr import local_best_response
from poker_env.evaluation.match import evaluate
from poker_env.games import Deal, make_deals, make_game
from poker_env.hand import Answer
from poker_env.knowledge.ranges import range_policy_of
from poker_env.player_specs import make_player
from poker_env.table import play

KUHN, HOLDEM = make_game("kuhn"), make_game("holdem")


@pytest.fixture(scope="module")
def cfr():
    return make_player("cfr", HOLDEM)


# Ratios


def test_a_constant_denominator_leaves_students_interval():
    found = ratio(np.array([1.0, 2.0, 3.0]), np.array([4.0, 4.0, 4.0]))
    half_width = 4.302653 / 3**0.5 / 4
    assert found.value == 0.5
    assert found.ci95 == pytest.approx((0.5 - half_width, 0.5 + half_width))


@given(st.integers(0, 10**6), st.floats(0.1, 1000))
@settings(max_examples=50, deadline=None)
def test_units_do_not_matter_and_the_interval_holds_the_ratio(seed, unit):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(2, 3, 40), rng.normal(9, 2, 40)
    found, scaled = ratio(x, y), ratio(unit * x, unit * y)
    assert found.ci95[0] < found.value < found.ci95[1]
    assert scaled.ci95 == pytest.approx(found.ci95)
    assert found.value == pytest.approx(x.mean() / y.mean())


def test_fiellers_interval_covers_the_ratio_in_95_percent():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(1_000):
        y = rng.normal(5, 10, 60)
        x = 0.4 * y + rng.normal(0, 8, 60)  # the same decks: correlated
        found = ratio(x, y)
        covered += found.ci95 is None or found.ci95[0] <= 0.4 <= found.ci95[1]
    assert 0.93 <= covered / 1_000 <= 0.97


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 10.0), (-5.0, 1.0), (0.5, 10.0)])
def test_there_is_no_share_of_what_may_be_nothing(mean, sd):
    rng = np.random.default_rng(2)
    found = ratio(rng.normal(5, 1, 50), rng.normal(mean, sd, 50))
    assert (found.value, found.ci95) == (None, None)
    assert ratio(np.array([1.0]), np.array([2.0])).value is None


def test_exact_capture():
    capture = exact_capture(Estimate(30.0, 1.0, (20.0, 40.0), 10, 5), 120.0)
    assert (capture.value, capture.ci95, capture.best_response_mbb) == (0.25, (20 / 120, 40 / 120), 120.0)
    assert exact_capture(Estimate(30.0, 1.0, (20.0, 40.0), 10, 5), 0.1) is None


# Local best responses


def test_the_reference_is_the_local_best_response_of_the_same_decks():
    villain = make_player("call", HOLDEM)
    evaluation = evaluate(HOLDEM, make_player("tag", HOLDEM), villain, 60, 3, progress=False, lbr=("fc", "fcpa"))
    for setting in ("fc", "fcpa"):
        expected = local_best_response(HOLDEM, range_policy_of(villain), setting, 60, 3).estimate
        capture = evaluation.captures[f"lbr:{setting}"]
        assert evaluation.references[setting].mean() == pytest.approx(expected.mbb_per_hand)
        assert capture.best_response_mbb == pytest.approx(expected.mbb_per_hand)
        assert capture.best_response_ci95 == pytest.approx(expected.ci95)
    assert evaluation.captures["lbr:fc"].value is None  # who only calls and folds wins nothing from who calls
    won = evaluation.estimates["aivat"].mbb_per_hand
    fcpa = evaluation.captures["lbr:fcpa"]
    assert fcpa.value == pytest.approx(won / fcpa.best_response_mbb)
    assert fcpa.on_tree is None and evaluation.gains == {}


@pytest.mark.parametrize(
    ("game", "villain", "settings", "message"),
    [
        (HOLDEM, "call", ["fcpa", "loose"], "'loose'"),
        (HOLDEM, "tag", ["fcpa"], "tag"),
        (KUHN, "cfr", ["fcpa"], "kuhn"),
    ],
)
def test_what_it_cant_do_is_said(game, villain, settings, message):
    with pytest.raises(UserError, match=message):
        Reference(game, make_player(villain, game), settings, tables=False)


# On and off the tree


class Bets:
    """Bets or raises to a total at its first chance, then calls."""

    name = "bets"

    def __init__(self, total):
        self._total = total

    def act(self, observations):
        return [Answer(1 if seen.moves and self._moved(seen) else self._total) for seen in observations]

    def _moved(self, seen):
        return any(move.seat == seen.seat for move in seen.moves)


@pytest.mark.parametrize(("total", "leaves"), [(200, False), (300, False), (275, True), (900, False), (20_000, False)])
def test_opens_that_the_tree_knows(cfr, total, leaves):
    watcher = TreeWatcher.of(HOLDEM, cfr)
    deals = [Deal(deal.deck, 1, deal.seed) for deal in make_deals(HOLDEM, 6, 1)]
    hands = play(HOLDEM, deals, Bets(total), make_player("call", HOLDEM))
    assert [watcher.leaves(hand) for hand in hands] == [leaves] * 6


def test_calling_and_answers_that_name_nothing_stay_on_the_tree(cfr):
    watcher = TreeWatcher.of(HOLDEM, cfr)

    class Silent:
        name = "silent"

        def act(self, observations):
            return [Answer(None) for _ in observations]

    for hero in (make_player("call", HOLDEM), Silent()):
        for hand in play(HOLDEM, make_deals(HOLDEM, 4, 2), hero, Bets(777)):
            assert not watcher.leaves(hand)


def test_villains_bets_are_not_heros(cfr):
    watcher = TreeWatcher.of(HOLDEM, cfr)
    hands = play(HOLDEM, make_deals(HOLDEM, 200, 5), cfr, cfr)
    assert not any(watcher.leaves(hand) for hand in hands)


def test_only_a_blueprint_has_a_tree(cfr):
    assert TreeWatcher.of(HOLDEM, make_player("tag", HOLDEM)) is None
    assert TreeWatcher.of(KUHN, make_player("cfr", KUHN)) is None
    assert TreeWatcher.of(HOLDEM, make_player("cfr+river", HOLDEM)) is not None


def test_both_gains_make_the_whole(cfr):
    evaluation = evaluate(HOLDEM, make_player("tag", HOLDEM), cfr, 60, 4, progress=False)
    gains = evaluation.gains
    assert 0.1 < evaluation.off_tree.mean() < 0.9
    total = gains["on_tree"].mbb_per_hand + gains["off_tree"].mbb_per_hand
    assert total == pytest.approx(evaluation.estimates[evaluation.headline].mbb_per_hand)


def test_both_captures_make_the_whole():
    rng = np.random.default_rng(0)
    values, reference, off_tree = rng.normal(1, 3, 400), rng.normal(5, 3, 400), rng.random(400) < 0.3
    capture = local_capture(values, reference, off_tree)
    assert capture.on_tree.value + capture.off_tree.value == pytest.approx(capture.value)
    assert local_capture(values, reference, np.zeros(400, bool)).off_tree.value == 0


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_a_ratio_that_is_the_same_on_every_deck_has_no_interval(scale):
    reference = np.array([1.0, 3.0, 2.5, 4.0] * 5)
    assert ratio(scale * reference, reference).value == pytest.approx(scale)
    assert ratio(scale * reference, reference).ci95 is None
