"""Round robins: who plays whom, what the cross table says, and what is saved."""

import itertools
import json

import pytest

from poker_env.errors import UserError
from poker_env.evaluation.estimates import estimate
from poker_env.evaluation.match import evaluate
from poker_env.evaluation.tournament import cross_table, play_tournament, write_tournament
from poker_env.games import make_game
from poker_env.player_specs import make_player

KUHN = make_game("kuhn")
NAMES = ("call", "cfr", "random")


@pytest.fixture(scope="module")
def tournament():
    return play_tournament(KUHN, [make_player(name, KUHN) for name in NAMES], hands=60, seed=2, progress=False)


def test_everybody_plays_everybody_on_the_same_decks(tournament):
    assert set(tournament.matches) == {(0, 1), (0, 2), (1, 2)}
    for (first, second), match in tournament.matches.items():
        assert (match.hero.name, match.villain.name) == (NAMES[first], NAMES[second])
        alone = evaluate(KUHN, match.hero, match.villain, 60, 2, progress=False)
        assert alone.hands == match.hands
        assert tournament.won(first, second) == alone.estimates[alone.headline]


def test_what_one_wins_the_other_loses(tournament):
    for first, second in itertools.permutations(range(3), 2):
        one, other = tournament.won(first, second), tournament.won(second, first)
        assert one.mbb_per_hand == pytest.approx(-other.mbb_per_hand)
        assert one.half_width == pytest.approx(other.half_width)
    assert sum(tournament.overall(place).mbb_per_hand for place in range(3)) == pytest.approx(0)


def test_the_overall_interval_counts_decks_not_matches(tournament):
    """Matches on one deck are no independent samples."""
    overall = tournament.overall(2)
    values = -(tournament.matches[0, 2].headline_values + tournament.matches[1, 2].headline_values) / 2
    decks = values.reshape(-1, 2).mean(axis=1)
    assert (overall.units, overall.hands) == (30, 120)
    assert overall.mbb_per_hand == pytest.approx(decks.mean())
    assert overall.ci95 == pytest.approx(estimate(decks.tolist(), 120).ci95)


def test_it_is_saved_and_shown(tournament, tmp_path):
    write_tournament(tmp_path, tournament, "the command")
    record = json.loads((tmp_path / "tournament.json").read_text())
    assert (record["players"], record["seed"], record["command"]) == (list(NAMES), 2, "the command")
    assert record["cross_table"]["cfr"]["call"]["mbb_per_hand"] == tournament.won(1, 0).mbb_per_hand
    assert set(record["cross_table"]["cfr"]) == {"call", "random"}
    assert record["overall"]["random"]["ci95"] == list(tournament.overall(2).ci95)
    assert [(match["hero"], match["hands"]) for match in record["matches"]] == [
        ("call", 60),
        ("call", 60),
        ("cfr", 60),
    ]
    table = cross_table(tournament)
    ranking = [str(column.header) for column in table.columns[1:-1]]
    assert ranking == sorted(NAMES, key=lambda name: -tournament.overall(NAMES.index(name)).mbb_per_hand)
    assert list(table.columns[0].cells) == ranking


@pytest.mark.parametrize("names", [["call"], ["call", "cfr", "call"]])
def test_too_few_or_the_same_twice(names):
    with pytest.raises(UserError, match="name"):
        play_tournament(KUHN, [make_player(name, KUHN) for name in names], 10, 0, progress=False)
