"""The ladder of villains: what is there isn't done again, and each figure is the one that was judged."""

import json
import shutil

import pytest

from poker_env.errors import UserError
from poker_env.evaluation.match import evaluate
from poker_env.evaluation.results import write_results
from poker_env.games import make_game
from poker_env.player_specs import make_player
from poker_env.players.cfr import OPPONENTS
from recipes.studies import ladder

GAME = make_game("holdem:stack=2000")
HEROES = {"evaluation_before": "random", "evaluation_warm_start": "call", "evaluation": "tag"}


@pytest.fixture
def asked(monkeypatch):
    """The recipes that were run: solving copies `cfr:weak`, training judges three bots."""
    commands = []

    def recipe(name, *arguments):
        words = list(map(str, arguments))
        commands.append((name, words))
        if name == "solve":
            shutil.copy(OPPONENTS / "holdem-weak.npz", words[-1])
            return
        folder = words[words.index("--output_dir") + 1]
        villain = make_player(words[words.index("--villain") + 1], GAME)
        for judged, hero in HEROES.items():
            played = evaluate(GAME, make_player(hero, GAME), villain, 20, 1, progress=False)
            path = ladder.Path(folder) / judged
            write_results(path, played, "")
            (path / "report.html").write_text("")

    monkeypatch.setattr(ladder, "recipe", recipe)
    return commands


def test_every_rung_is_solved_trained_and_judged_once(asked, tmp_path, capsys):
    command = ["--iterations", "10", "200", "--jobs", "2", "--lbr_hands", "40", "--output", str(tmp_path)]
    ladder.main(command)
    assert [name for name, _ in asked].count("solve") == 2 and len(asked) == 6
    advised = [words for name, words in asked if "--advisor" in words]
    assert len(advised) == 2 and all("lbr" in words and "--resume" not in words for words in advised)
    rows = json.loads((tmp_path / "ladder.json").read_text())["rows"]
    assert [row["iterations"] for row in rows] == [10, 200]
    for name, folder in ladder.JUDGED.items():
        record = json.loads((tmp_path / "200_plain" / folder / "results.json").read_text())
        assert rows[1][f"plain: {name}"] == record["estimates"]["aivat"]
    assert rows[0]["LBR fc"]["hands"] == 40
    assert (tmp_path / "ladder.png").read_bytes().startswith(b"\x89PNG")
    shutil.rmtree(tmp_path / "200_advised" / "evaluation")
    (tmp_path / "200_advised" / "run.json").write_text("{}")
    ladder.main(command)
    assert len(asked) == 7 and asked[-1][1][-1] == "--resume"


def test_one_kind_alone(asked, tmp_path, capsys):
    ladder.main(["--iterations", "10", "--kinds", "plain", "--lbr_hands", "40", "--output", str(tmp_path)])
    assert [name for name, words in asked] == ["solve", "train"] and "--advisor" not in asked[-1][1]
    (row,) = json.loads((tmp_path / "ladder.json").read_text())["rows"]
    assert "plain: trained" in row and not any(name.startswith("advised") for name in row)
    shutil.rmtree(tmp_path / "10_plain" / "evaluation_warm_start")  # as where a config starts with no imitation
    ladder.main(["--iterations", "10", "--kinds", "plain", "--lbr_hands", "40", "--output", str(tmp_path)])
    (without,) = json.loads((tmp_path / "ladder.json").read_text())["rows"]
    assert without == {name: value for name, value in row.items() if name != "plain: imitation"}


@pytest.mark.parametrize(
    ("options", "message"), [(["--iterations", "5", "3"], "--iterations 5 3"), (["--jobs", "0"], "--jobs 0")]
)
def test_what_makes_no_sense_is_one_line(options, message, tmp_path):
    command = ["--iterations", "1", "--output", str(tmp_path), *options]
    with pytest.raises(UserError, match=message):
        ladder.main(command)
