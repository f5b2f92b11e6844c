"""What all scripts share."""

from pathlib import Path

import pytest

from poker_env.errors import UserError
from poker_env.games import make_game
from poker_env.player_specs import expand_home, make_player
from recipes.cli import Parser


def test_paths_may_begin_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    parser = Parser("")
    parser.add_argument("--one", type=Path)
    parser.add_argument("--many", type=Path, nargs="+")
    parser.add_argument("--text")
    given = parser.parse_args(["--one", "~/a", "--many", "~/b", "c", "--text", "~"])
    assert (given.one, given.many, given.text) == (tmp_path / "a", [tmp_path / "b", Path("c")], "~")


@pytest.mark.parametrize(
    ("spec", "expanded"),
    [
        ("~/x", "HOME/x"),
        ("llm:~/x", "llm:HOME/x"),
        ("cfr:~/y.npz+river", "cfr:HOME/y.npz+river"),
        ("mix:cfr:~/y.npz=1,cfr:~/z.npz=2", "mix:cfr:HOME/y.npz=1,cfr:HOME/z.npz=2"),
        ("runs/a~b", "runs/a~b"),
        ("cfr:a/~/b", "cfr:a/~/b"),
        ("org/name", "org/name"),
    ],
)
def test_players_specs_may_too(spec, expanded, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_home(spec) == expanded.replace("HOME", str(tmp_path))


@pytest.mark.parametrize("spec", ["cfr:~/none.npz", "llm:~/none", "mix:cfr:~/none.npz=1,lag=1"])
def test_a_player_that_is_not_there_is_told_by_its_whole_path(spec, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match=str(tmp_path / "none")):
        make_player(spec, make_game("kuhn"))
