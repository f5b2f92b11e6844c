"""The evaluation script: what it writes, and one clear line for what it can't do."""

import json
import subprocess
import sys

import pytest

from poker_env.errors import UserError
from recipes import cli, evaluate


def test_it_prints_a_table_and_writes_results(tmp_path, capsys):
    evaluate.main(
        ["--game", "kuhn", "--hero", "call", "--villain", "random", "--hands", "50", "--output", str(tmp_path / "a/b")]
    )
    record = json.loads((tmp_path / "a/b/results.json").read_text())
    assert (record["game"], record["hero"], record["villain"], record["hands"]) == ("kuhn", "call", "random", 50)
    assert record["command"].startswith("python recipes/evaluate.py --game kuhn --hero call")
    assert len((tmp_path / "a/b/hands.jsonl").read_text().splitlines()) == 50
    assert "duplicate" in capsys.readouterr().out


def test_stakes_are_part_of_the_game(tmp_path):
    arguments = ["--game", "holdem:stack=1000,big_blind=20,small_blind=10", "--hero", "tag", "--villain", "call"]
    evaluate.main([*arguments, "--hands", "4", "--output", str(tmp_path)])
    assert json.loads((tmp_path / "results.json").read_text())["game"].endswith("big_blind=20,stack=1000")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--hero"),
        (["--hero", "tag", "--hands", "many"], "many"),
        (["--hero", "tag", "--villain", "call", "--hands", "0"], "0 hands"),
        (["--hero", "tag", "--villain", "call", "--seed", "-1"], "-1"),
        (["--hero", "tagg", "--villain", "call"], "tagg"),
        (["--hero", "tag", "--villain", "cfr:/no/such/file"], "/no/such/file"),
        (["--hero", "tag", "--villain", "call", "--game", "chess"], "chess"),
        (["--hero", "tag", "--villain", "call", "--game", "holdem:stack=60"], "60"),
        (["--hero", "tag", "--villain", "call", "--output", "/proc/nowhere"], "/proc/nowhere"),
        (["--hero", "tag", "--no-such-option"], "--hero|--no-such-option"),
    ],
)
def test_mistakes_get_one_line_and_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run(lambda: evaluate.main(arguments))
    output = capsys.readouterr()
    assert stop.value.code == 2
    assert output.out == ""
    assert output.err.startswith("error: ") and output.err.count("\n") == 1
    assert any(part in output.err for part in message.split("|"))


def test_a_file_where_the_output_folder_should_be(tmp_path, capsys):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(SystemExit) as stop:
        cli.run(lambda: evaluate.main(["--hero", "tag", "--villain", "call", "--output", str(tmp_path / "file")]))
    assert stop.value.code == 2 and "file" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "kept"


def test_a_message_of_many_lines_becomes_one(capsys):
    def complaining():
        raise UserError("first\nsecond")

    with pytest.raises(SystemExit):
        cli.run(complaining)
    assert capsys.readouterr().err == "error: first second\n"


def test_interrupting_is_no_traceback(capsys):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        cli.run(interrupted)
    assert stop.value.code == 130 and capsys.readouterr().err == "interrupted\n"


def test_as_a_script():
    process = subprocess.run(
        [sys.executable, evaluate.__file__, "--hero", "nobody"], capture_output=True, text=True, check=False
    )
    assert process.returncode == 2 and process.stdout == ""
    assert process.stderr.startswith("error: unknown player 'nobody'") and process.stderr.count("\n") == 1
