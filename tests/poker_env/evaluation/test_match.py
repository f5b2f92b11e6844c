"""Matches: which hands are played, what is counted, and what is saved."""

import csv
import json
from dataclasses import dataclass

import numpy as np
import pytest

from poker_env.errors import UserError
from poker_env.evaluation import match
from poker_env.evaluation.match import ACTIONS, evaluate
from poker_env.evaluation.results import comparison_table, results, summary_lines, summary_table, write_results
from poker_env.games import make_game
from poker_env.hand import Answer, read_hands
from poker_env.knowledge.exact_value import exact_policy, expected_payoff
from poker_env.player_specs import make_player

KUHN, LEDUC, HOLDEM = make_game("kuhn"), make_game("leduc"), make_game("holdem")


def compare(game, hero, villain, hands, seed=0):
    return evaluate(game, make_player(hero, game), make_player(villain, game), hands, seed, progress=False)


class Says:
    """Always gives the same answer, whatever it is asked; made, it claims, from a file."""

    name = "says"
    sha256 = "c0ffee"

    def __init__(self, action):
        self._action = action

    def act(self, observations):
        return [Answer(self._action) for _ in observations]


@dataclass
class AllIn:
    """Always raises to everything it has."""

    name: str = "all-in"

    def act(self, observations):
        return [
            Answer(1 if observation.min_raise_to is None else observation.game.stack) for observation in observations
        ]


def test_every_deck_is_played_in_both_seats():
    evaluation = compare(HOLDEM, "random", "call", hands=10)
    assert (len(evaluation.hands), evaluation.deals) == (10, 5)
    for first, second in zip(evaluation.hands[::2], evaluation.hands[1::2], strict=True):
        assert first.deal.swapped() == second.deal
    assert {hand.hero_seat for hand in evaluation.hands[::2]} == {0, 1}
    assert len({hand.deal.deck for hand in evaluation.hands}) == 5


def test_an_odd_number_of_hands_is_rounded_up():
    assert len(compare(KUHN, "random", "call", hands=7).hands) == 8


def test_the_same_seed_plays_the_same_hands_however_many_at_once(monkeypatch):
    hands = compare(HOLDEM, "random", "lag", hands=60, seed=3).hands
    monkeypatch.setattr(match, "DECKS_AT_ONCE", 7)
    assert compare(HOLDEM, "random", "lag", hands=60, seed=3).hands == hands
    assert compare(HOLDEM, "random", "lag", hands=60, seed=4).hands != hands


def test_a_player_against_itself_is_worth_nothing():
    """Its coin differs between hero and villain, so only the mean over both seats of many decks is 0."""
    duplicate = compare(KUHN, "random", "random", hands=4_000, seed=1).estimates["duplicate"]
    assert duplicate.ci95[0] < 0 < duplicate.ci95[1]


def test_rates_and_mix_of_known_players():
    folder = compare(HOLDEM, "fold", "call", hands=40)
    assert folder.win_rate < 0.5 and folder.legal_rate == 1
    assert folder.action_mix["fold"] + folder.action_mix["check"] == 1
    silent = evaluate(HOLDEM, Says(None), make_player("call", HOLDEM), 40, progress=False)
    assert (silent.legal_rate, silent.win_rate, silent.action_mix["illegal"]) == (0, 0, 1)
    shover = evaluate(HOLDEM, AllIn(), make_player("call", HOLDEM), 40, progress=False)
    assert shover.action_mix["all-in"] == 1
    bettor = evaluate(KUHN, Says(1), make_player("call", KUHN), 40, progress=False)
    assert bettor.action_mix["bet"] == 1 and tuple(bettor.action_mix) == ACTIONS


def test_folding_everything_loses_the_blinds():
    """A hero without a legal answer folds: the small blind on the button, the big blind after a call."""
    evaluation = evaluate(HOLDEM, Says(None), make_player("call", HOLDEM), 40, progress=False)
    payoffs = evaluation.values["payoff"]
    assert {hand.hero_seat: won for hand, won in zip(evaluation.hands, payoffs, strict=True)} == {0: -1000, 1: -500}
    assert np.array_equal(evaluation.values["all_in"], payoffs)
    assert np.array_equal(evaluation.values["chance_corrected"], payoffs)
    assert evaluation.estimates["duplicate"].mbb_per_hand == -750
    assert evaluation.estimates["duplicate"].ci95 is None  # all decks alike


@pytest.mark.parametrize(("hands", "seed"), [(0, 0), (-5, 0), (10, -1)])
def test_nonsense_is_refused(hands, seed):
    with pytest.raises(UserError, match=str(min(hands, seed))):
        compare(KUHN, "random", "call", hands, seed)


def test_results_are_saved_as_they_are(tmp_path):
    evaluation = evaluate(HOLDEM, Says(None), make_player("tag", HOLDEM), 30, seed=2, progress=False)
    written = write_results(tmp_path, evaluation, command="python recipes/evaluate.py")
    record = json.loads((tmp_path / "results.json").read_text())
    assert record == json.loads(json.dumps(written))
    assert record == json.loads(json.dumps(results(evaluation, "python recipes/evaluate.py")))
    assert {key: record[key] for key in ("game", "hero", "villain", "seed", "hands", "deals", "command")} == {
        "game": str(HOLDEM),
        "hero": "says",
        "villain": "tag",
        "seed": 2,
        "hands": 30,
        "deals": 15,
        "command": "python recipes/evaluate.py",
    }
    assert set(record["estimates"]) == {"raw", "duplicate", "all_in", "chance_corrected"}
    assert (record["headline"], record["value_function"]) == ("duplicate", None)
    assert record["hud"] and record["capture"] == record["gains"] == {} and record["off_tree_hands"] is None
    assert {"mbb_per_hand", "sd", "ci95", "hands"} <= set(record["estimates"]["raw"])
    assert record["checkpoints"] == {"says": "c0ffee"}
    assert record["versions"]["open_spiel"]
    assert tuple(read_hands(tmp_path / "hands.jsonl")) == evaluation.hands


def test_estimators_are_compared_deck_by_deck():
    evaluation = compare(LEDUC, "tag", "cfr", hands=400, seed=3)
    differences, estimates = evaluation.differences, evaluation.estimates
    assert list(differences) == [
        *("raw - duplicate", "raw - chance_corrected", "raw - aivat"),
        *("duplicate - chance_corrected", "duplicate - aivat", "chance_corrected - aivat"),
    ]
    for name, difference in differences.items():
        first, second = (estimates[part] for part in name.split(" - "))
        assert difference.mbb_per_hand == pytest.approx(first.mbb_per_hand - second.mbb_per_hand)
        assert (difference.units, difference.hands) == (200, 400)
    payoffs = evaluation.values["payoff"].reshape(-1, 2)
    own = differences["raw - duplicate"]
    assert own.standard_error == pytest.approx(np.std(payoffs[:, 0] - payoffs.mean(axis=1), ddof=1) / 200**0.5)
    record = results(evaluation, "")["differences"]
    assert record["raw - aivat"]["standard_errors"] == pytest.approx(
        differences["raw - aivat"].mbb_per_hand / differences["raw - aivat"].standard_error, abs=0.005
    )
    same = results(compare(HOLDEM, "fold", "call", hands=8), "")["differences"]["duplicate - all_in"]
    assert (same["mbb_per_hand"], same["standard_errors"]) == (0, None)


def test_every_hand_and_its_values_are_in_a_table(tmp_path):
    """From which anybody can work out the estimates."""
    evaluation = compare(LEDUC, "tag", "cfr", hands=40)
    write_results(tmp_path, evaluation, "")
    with (tmp_path / "values.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [(int(row["deck"]), int(row["seat"])) for row in rows] == [
        (index // 2, hand.hero_seat) for index, hand in enumerate(evaluation.hands)
    ]
    for name, values in evaluation.values.items():
        column = np.array([float(row[name]) for row in rows])
        assert column == pytest.approx(values, abs=1e-3)
        label = {"payoff": "duplicate"}.get(name, name)
        assert column.mean() == pytest.approx(evaluation.estimates[label].mbb_per_hand, abs=1e-3)


def test_the_same_seed_gives_the_same_results_byte_for_byte(tmp_path):
    for folder in (tmp_path / "a", tmp_path / "b"):
        write_results(folder, compare(LEDUC, "cfr", "random", hands=60, seed=5), "command")
    for name in ("values.csv", "hands.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    first, second = (json.loads((tmp_path / name / "results.json").read_text()) for name in "ab")
    assert first.pop("seconds") >= 0 and second.pop("seconds") >= 0
    assert first == second


def test_by_seat_is_the_headlines_in_two_parts():
    for hero, villain in (("tag", "cfr"), ("tag", "lag")):
        evaluation = compare(KUHN, hero, villain, hands=100)
        headline = evaluation.estimates[evaluation.headline]
        seats = evaluation.by_seat.values()
        assert np.mean([seat.mbb_per_hand for seat in seats]) == pytest.approx(headline.mbb_per_hand)
        assert {seat.units for seat in seats} == {50}


def test_kuhn_and_leduc_say_what_is_known_without_sampling():
    evaluation = compare(KUHN, "cfr:weak", "call", hands=10)
    value = evaluation.exact.value
    assert evaluation.estimates["exact"].mbb_per_hand == 1000 * value.value
    assert evaluation.captures["exact"].value == pytest.approx(value.capture)
    assert evaluation.captures["exact"].best_response_mbb == 1000 * evaluation.exact.best_response
    assert evaluation.exact.exploitability == pytest.approx(0.1214, abs=1e-4)
    unknown = compare(KUHN, "tag", "call", hands=200)
    assert (unknown.exact.value, unknown.exact.exploitability) == (None, None)
    won = unknown.estimates[unknown.headline]
    assert unknown.captures["exact"].value == pytest.approx(won.mbb_per_hand / (1000 * unknown.exact.best_response))
    neither = compare(KUHN, "tag", "lag", hands=10)
    assert neither.captures == {} and neither.exact.best_response is None
    assert any("best response to hero wins 121.4" in line for line in summary_lines(evaluation))


def test_a_language_models_whole_policy_is_scored(tiny_model_dir):
    """Its probabilities and that of answering nothing legal sum to 1 at every information state."""
    pytest.importorskip("torch")
    hero, villain = make_player(f"llm:{tiny_model_dir}", KUHN), make_player("cfr", KUHN)
    evaluation = evaluate(KUHN, hero, villain, 20, progress=False)
    policy, own = exact_policy(KUHN, hero), exact_policy(KUHN, villain)
    assert len(policy) == 12
    assert all(min(row.values()) > 0 and sum(row.values()) < 1 for row in policy.values())
    value = (expected_payoff(KUHN, policy, own) - expected_payoff(KUHN, own, policy)) / 2
    assert evaluation.exact.value.value == pytest.approx(value)
    assert evaluation.exact.exploitability >= -value > 0.5  # it mostly answers nothing legal, which loses the ante
    assert evaluation.headline == "aivat" and not evaluation.value_function.both_decide


def test_one_deal_gives_results_without_an_interval():
    record = results(compare(KUHN, "random", "call", hands=2), "")
    assert record["estimates"]["duplicate"]["ci95"] is None
    json.dumps(record, allow_nan=False)


def test_tables_show_the_headline():
    evaluation = evaluate(HOLDEM, Says(None), make_player("call", HOLDEM), 40, progress=False)
    record = json.loads(json.dumps(results(evaluation, "")))
    row = [list(column.cells) for column in comparison_table({"before": record, "after": record}).columns]
    headline = evaluation.estimates["aivat"]
    win_rate = f"{headline.mbb_per_hand:+,.0f} [{headline.ci95[0]:+,.0f}, {headline.ci95[1]:+,.0f}]"
    assert row == [["before", "after"], [win_rate] * 2, ["", ""], ["0.0%"] * 2]
    assert "hero's play: illegal 100.0%" in summary_lines(evaluation)
    rates = summary_table(evaluation).columns
    assert f"{headline.mbb_per_hand:+,.0f}" == dict(zip(rates[0].cells, rates[1].cells, strict=True))["aivat *"]
