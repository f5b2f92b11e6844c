"""What all scripts share."""

import subprocess
import sys
from pathlib import Path

import pytest

from poker_env.errors import UserError
from poker_env.games import make_game
from poker_env.player_specs import expand_home, game_of, make_player
from poker_env.players.poker_config import PokerConfig
from recipes.cli import Parser

ROOT = Path(__file__).parents[2]


def test_paths_may_begin_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    parser = Parser("")
    parser.add_argument("--one", type=Path)
    parser.add_argument("--many", type=Path, nargs="+")
    parser.add_argument("--text")
    given = parser.parse_args(["--one", "~/a", "--many", "~/b", "c", "--text", "~"])
    assert (given.one, given.many, given.text) == (tmp_path / "a", [tmp_path / "b", Path("c")], "~")


def test_help_has_the_lines_of_the_docstring_and_the_defaults(capsys):
    parser = Parser("Does it.\n\n    python recipes/one.py --hands 3\n    python recipes/one.py list")
    parser.add_argument("--hands", type=int, default=7, help="to play")
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert "\nDoes it.\n\n    python recipes/one.py --hands 3\n    python recipes/one.py list\n" in said
    assert "to play (default: 7)" in said


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


def test_where_no_game_is_named_it_is_the_one_that_an_adapter_was_trained_on(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    short = make_game("holdem:stack=2000")
    PokerConfig(short, "base").save(tmp_path)
    for specs in (["llm:~/"], ["cfr", f"llm:{tmp_path}"], [f"llm:{tmp_path}", "llm:org/name"]):
        assert make_game(game_of(specs)) == short
    for specs in ([], ["cfr", "tag"], ["llm:/nowhere/to/be/found"], ["mix:cfr=1,call=1", "cfr:a~b@c"]):
        assert make_game(game_of(specs)) == make_game("holdem")
    (tmp_path / "poker_config.json").write_text("{")
    with pytest.raises(UserError, match="not a usable poker config"):
        game_of(["tag", f"llm:{tmp_path}"])


def test_a_script_whose_output_nobody_reads_on_ends_without_a_word():
    script = (
        "import itertools\nfrom recipes.cli import run\nrun(lambda: [print('x' * 1000) for _ in itertools.count()])"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (141, b"")
