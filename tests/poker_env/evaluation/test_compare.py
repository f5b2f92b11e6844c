"""Comparisons: paired on the decks that both played, and one line for what can't be compared."""

import json

import pytest

from poker_env.errors import UserError
from poker_env.evaluation.compare import StoredEvaluation, compare, gains_table, paired_table
from poker_env.evaluation.estimates import estimate
from poker_env.evaluation.match import evaluate
from poker_env.evaluation.results import results, write_results
from poker_env.games import make_game
from poker_env.player_specs import make_player

LEDUC, KUHN = make_game("leduc"), make_game("kuhn")


def match(hero, villain, hands, seed=0, game=LEDUC):
    return evaluate(game, make_player(hero, game), make_player(villain, game), hands, seed, progress=False)


def stored(folder, *arguments, **options):
    write_results(folder, match(*arguments, **options), "")
    return StoredEvaluation.load(folder)


def test_the_difference_is_of_the_decks_that_both_played(tmp_path):
    evaluation = match("tag", "cfr", 60)
    comparison = compare(evaluation, stored(tmp_path, "call", "cfr", 100))
    other = match("call", "cfr", 60)
    assert (comparison.hero, comparison.villain, comparison.deals) == ("call", "cfr", 30)
    assert set(comparison.difference) == {"duplicate", "chance_corrected", "aivat"}
    for name, column in (("duplicate", "payoff"), ("aivat", "aivat")):
        pairs = (evaluation.values[column] - other.values[column]).reshape(-1, 2).mean(axis=1)
        difference = comparison.difference[name]
        assert difference.mbb_per_hand == pytest.approx(pairs.mean(), abs=1e-2)
        assert difference.ci95 == pytest.approx(estimate(pairs.tolist(), 60).ci95, rel=1e-3)
        assert comparison.own[name].mbb_per_hand == evaluation.estimates[name].mbb_per_hand
        assert comparison.other[name].mbb_per_hand == pytest.approx(other.estimates[name].mbb_per_hand, abs=1e-2)


def test_nothing_differs_from_itself(tmp_path):
    evaluation = match("tag", "random", 40)
    comparison = compare(evaluation, stored(tmp_path, "tag", "random", 40))
    assert all(abs(difference.mbb_per_hand) < 1e-2 for difference in comparison.difference.values())
    assert comparison.difference["duplicate"].ci95 is None  # no deck says how far others would be apart
    assert "tag against random" in str(paired_table(evaluation, comparison).columns[1].header)
    json.dumps(results(evaluation, "", comparison), allow_nan=False)


def test_estimators_that_only_one_has_are_left_out(tmp_path):
    comparison = compare(match("tag", "lag", 20), stored(tmp_path, "tag", "cfr", 20))
    assert set(comparison.difference) == {"duplicate", "chance_corrected"}


@pytest.mark.parametrize(("game", "seed"), [(LEDUC, 1), (KUHN, 0)])
def test_other_decks_are_refused(tmp_path, game, seed):
    with pytest.raises(UserError, match=r"other decks .leduc, seed 0.*--seed 0"):
        compare(match("tag", "cfr", 20, seed, game), stored(tmp_path, "tag", "cfr", 20))


def test_folders_without_an_evaluation_are_refused(tmp_path):
    with pytest.raises(UserError, match="holds no evaluation"):
        StoredEvaluation.load(tmp_path / "nowhere")
    stored(tmp_path, "tag", "cfr", 20)
    whole = (tmp_path / "values.csv").read_text()
    for broken in ("", "deck,seat\n0,1\n", whole + "10,0,nonsense,0,0\n", whole[: len(whole) // 2]):
        (tmp_path / "values.csv").write_text(broken)
        with pytest.raises(UserError, match="holds no whole evaluation"):
            StoredEvaluation.load(tmp_path)
    (tmp_path / "values.csv").unlink()
    with pytest.raises(UserError, match=r"can't read .*values\.csv"):
        StoredEvaluation.load(tmp_path)
    (tmp_path / "values.csv").write_text(whole)
    (tmp_path / "results.json").write_text("[]")
    with pytest.raises(UserError, match="holds no whole evaluation"):
        StoredEvaluation.load(tmp_path)


def cells(table):
    return [[column._cells[row] for column in table.columns] for row in range(table.row_count)]


def test_gains_of_saved_evaluations_are_those_of_their_decks(tmp_path):
    folders = [tmp_path / name for name in ("tag", "lag", "call", "random")]
    played = {folder: stored(folder, folder.name, "cfr", 80).values["aivat"] for folder in folders}
    ones, others = folders[:2], folders[2:]

    def written(values):
        return estimate(values.reshape(-1, 2).mean(axis=1), 80).with_interval

    alone = cells(gains_table(ones, []))
    assert alone[:2] == [[str(folder), written(played[folder])] for folder in ones]
    assert alone[2] == ["their mean", written((played[ones[0]] + played[ones[1]]) / 2)]
    assert "aivat: 80 hands each" in gains_table(ones, []).title
    paired = cells(gains_table(ones, others))
    for row, own, other in zip(paired, ones, others, strict=False):
        assert row[2:] == [str(other), written(played[own] - played[other])]
    assert paired[2][3] == written(
        sum(played[own] - played[other] for own, other in zip(ones, others, strict=True)) / 2
    )
    against_one = cells(gains_table(ones, others[:1]))
    assert [row[2] for row in against_one] == [str(others[0])] * 2 + [""]
    assert against_one[1][3] == written(played[ones[1]] - played[others[0]])
    assert len(cells(gains_table(ones[:1], []))) == 1


def test_gains_by_payoff_where_a_policy_is_not_known(tmp_path):
    stored(tmp_path / "tag", "tag", "lag", 20)
    stored(tmp_path / "call", "call", "cfr", 20)
    assert "by duplicate" in gains_table([tmp_path / "tag"], [tmp_path / "call"]).title


def test_gains_of_other_decks_or_in_other_numbers_are_refused(tmp_path):
    for name, seed, hands in (("one", 0, 20), ("two", 1, 20), ("more", 0, 40)):
        stored(tmp_path / name, "tag", "cfr", hands, seed)
    for other in ("two", "more"):
        with pytest.raises(UserError, match="other decks than each other"):
            gains_table([tmp_path / "one"], [tmp_path / other])
    with pytest.raises(UserError, match=r"--over names 2 folders: give one for each of 1"):
        gains_table([tmp_path / "one"], [tmp_path / "one", tmp_path / "one"])
    with pytest.raises(UserError, match="holds no evaluation"):
        gains_table([tmp_path / "nowhere"], [])
