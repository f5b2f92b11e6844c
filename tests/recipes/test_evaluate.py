"""The evaluation script: what it writes, and one clear line for what it can't do."""

import json
import subprocess
import sys

import pytest

from poker_env.errors import UserError
from poker_env.evaluation.estimates import with_interval
from poker_env.games import make_game
from poker_env.hand import read_hands
from poker_env.players.cfr import OPPONENTS
from poker_env.players.poker_config import PokerConfig
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


def test_two_evaluations_side_by_side(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    common = ["--game", "leduc", "--villain", "cfr", "--hands", "40"]
    evaluate.main([*common, "--hero", "tag", "--output", str(tmp_path / "tag")])
    evaluate.main([*common, "--hero", "call", "--compare", str(tmp_path / "tag"), "--output", str(tmp_path / "call")])
    comparison = json.loads((tmp_path / "call/results.json").read_text())["comparison"]
    assert (comparison["hero"], comparison["deals"]) == ("tag", 20)
    assert comparison["difference"]["aivat"]["mbb_per_hand"] == pytest.approx(
        comparison["own"]["aivat"]["mbb_per_hand"] - comparison["other"]["aivat"]["mbb_per_hand"], abs=1e-2
    )
    assert "20 decks that both played" in capsys.readouterr().out
    with pytest.raises(UserError, match="seed 0"):
        evaluate.main([*common, "--hero", "call", "--seed", "1", "--compare", str(tmp_path / "tag")])
    evaluate.main(["gains", str(tmp_path / "call"), "--over", str(tmp_path / "tag")])
    assert comparison_cell(comparison["difference"]["aivat"]) in " ".join(capsys.readouterr().out.split())


def comparison_cell(difference):
    return with_interval(difference["mbb_per_hand"], difference["ci95"], difference["hands"])


def test_capture_and_gains_against_a_blueprint(tmp_path, capsys):
    arguments = ["--hero", "tag", "--villain", "cfr", "--hands", "20", "--capture", "fc,late"]
    evaluate.main([*arguments, "--output", str(tmp_path)])
    record = json.loads((tmp_path / "results.json").read_text())
    assert set(record["capture"]) == {"lbr:fc", "lbr:late"} and set(record["gains"]) == {"on_tree", "off_tree"}
    assert record["headline"] == "aivat" and record["value_function"]["kind"] == "check down"
    assert set(record["capture"]["lbr:late"]) >= {"value", "ci95", "best_response_mbb", "on_tree", "off_tree"}
    assert "capture of lbr:late" in capsys.readouterr().out.replace("\n", " ")


def test_how_exploitable_hero_is(tmp_path, capsys):
    """By default where its policy is known; the local best response to `fold` wins 750 mbb/hand for sure."""
    arguments = ["--hero", "fold", "--villain", "tag", "--hands", "10", "--output", str(tmp_path)]
    for option, hands in (([], 10), (["--exploitability", "4"], 4), (["--exploitability", "0"], None)):
        evaluate.main([*arguments, *option])
        found = json.loads((tmp_path / "results.json").read_text())["exploitability"]
        assert {name: (bound["hands"], bound["mbb_per_hand"]) for name, bound in found.items()} == (
            {"lbr:fcpa": (hands, pytest.approx(750))} if hands else {}
        )
        assert ("a best response to hero wins +750" in capsys.readouterr().out) == bool(hands)
        assert ("Exploitability" in (tmp_path / "report.html").read_text()) == bool(hands)


def test_a_language_models_charts_are_its_probabilities_or_what_it_did(tiny_model_dir, tmp_path, monkeypatch, drawn):
    pytest.importorskip("torch")
    drawn(monkeypatch)
    arguments = ["--hero", f"llm:{tiny_model_dir}", "--villain", "call", "--hands", "4", "--capture", "none"]
    pictures = []
    for charts in ("asked", "asked", "played"):
        evaluate.main([*arguments, "--charts", charts, "--output", str(tmp_path)])
        pictures.append((tmp_path / "preflop_open.png").read_bytes())
        assert json.loads((tmp_path / "results.json").read_text())["exploitability"] == {}
    assert pictures[0] == pictures[1] != pictures[2]


def test_a_cold_language_model_gives_its_likeliest_answer(tiny_model_dir, tmp_path):
    pytest.importorskip("torch")
    arguments = ["--game", "kuhn", "--hero", f"llm:{tiny_model_dir}", "--hands", "40", "--output", str(tmp_path)]
    answers = {}
    for temperature in ("1e-6", "1"):
        evaluate.main([*arguments, "--temperature", temperature])
        record = json.loads((tmp_path / "results.json").read_text())
        assert [each["temperature"] for each in record["prompts"].values()] == [float(temperature)]
        answers[temperature] = {
            (each.answer.prompt, each.answer.completion)
            for hand in read_hands(tmp_path / "hands.jsonl")
            for each in hand.hero_decisions
        }
    prompts = {prompt for prompt, _ in answers["1e-6"]}
    assert len(prompts) == len(answers["1e-6"]) < len(answers["1"])


@pytest.mark.parametrize("answers", ["free", "scored", "menu"])
def test_a_language_model_tells_what_it_draws_from_when_asked(answers, tiny_model_dir, tmp_path):
    pytest.importorskip("torch")
    arguments = ["--game", "kuhn", "--hero", f"llm:{tiny_model_dir}", "--hands", "40", "--output", str(tmp_path)]
    evaluate.main([*arguments, "--answers", answers])
    value_function = json.loads((tmp_path / "results.json").read_text())["value_function"]
    assert value_function["both_decide"] == (answers != "free")
    given = [each.answer for hand in read_hands(tmp_path / "hands.jsonl") for each in hand.hero_decisions]
    assert all(len(answer.probabilities) == (0 if answers == "free" else 2) for answer in given)
    assert all((answer.completion in ("", "A0", "A1")) for answer in given) == (answers == "menu")


def test_capture_can_be_left_out(tmp_path):
    arguments = ["--hero", "tag", "--villain", "call", "--hands", "10"]
    for option, names in (([], {"lbr:fcpa"}), (["--capture", "none"], set())):
        evaluate.main([*arguments, *option, "--output", str(tmp_path)])
        assert set(json.loads((tmp_path / "results.json").read_text())["capture"]) == names


@pytest.mark.parametrize(("game", "hero"), [("holdem", "call"), ("leduc", "random")])
def test_the_same_seed_writes_the_same_bytes_but_for_times(tmp_path, game, hero):
    """Pictures, hand histories and pages as well."""
    arguments = ["--game", game, "--hero", hero, "--villain", "fold" if game == "holdem" else "cfr", "--hands", "20"]
    written = []
    for _ in range(2):
        evaluate.main([*arguments, "--seed", "5", "--output", str(tmp_path)])
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        seconds = json.loads(files["results.json"])["seconds"]
        files["results.json"] = files["results.json"].replace(b'"seconds": %s' % str(seconds).encode(), b"")
        files["report.html"] = files["report.html"].replace(b"<td>%s</td>" % f"{seconds:.4g}".encode(), b"")
        written.append(files)
    assert len(written[0]) == (11 if game == "holdem" else 7)
    assert written[0].keys() == written[1].keys()
    assert [name for name in written[0] if written[0][name] != written[1][name]] == []


@pytest.mark.parametrize("players", [["call,cfr,random"], ["call", "cfr", "random"]])
def test_a_tournament(tmp_path, capsys, players):
    arguments = ["tournament", "--game", "kuhn", "--players", *players, "--hands", "20", "--output", str(tmp_path)]
    evaluate.main(arguments)
    record = json.loads((tmp_path / "tournament.json").read_text())
    assert record["players"] == ["call", "cfr", "random"] and len(record["matches"]) == 3
    assert record["command"].startswith("python recipes/evaluate.py tournament --game kuhn")
    assert "overall" in capsys.readouterr().out


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
        (["--hero", "tag", "--villain", "call", "--capture", "everything"], "everything"),
        (["--hero", "tag", "--villain", "lag", "--capture", "fcpa"], "lag"),
        (["--hero", "tag", "--villain", "call", "--compare", "/no/such/folder"], "/no/such/folder"),
        (["--hero", "cfr:{opponents}/kuhn.npz", "--villain", "call"], "kuhn"),
        (["--hero", "llm:{folder}", "--villain", "call"], "llm|{folder}"),
        (["--hero", "llm:{folder}/kuhn_adapter", "--villain", "call"], "kuhn"),
        (["--hero", "llm:{folder}/nowhere", "--villain", "call"], "nowhere"),
        (["--hero", "tag", "--villain"], "--villain"),
        (["--hero", "tag", "--villain", ""], "unknown player ''"),
        (["--hero", "tag", "--hands", "-4", "--villain", "call"], "-4 hands"),
        (["--hero", "tag", "--compare", "{folder}"], "results.json"),
        (["--hero", "tag", "--villain", "call", "--exploitability", "8"], "tag"),
        (["--hero", "call", "--villain", "call", "--exploitability", "-8"], "-8"),
        (["--hero", "call", "--villain", "call", "--exploitability", "8", "--game", "leduc"], "leduc"),
        (["--hero", "call", "--villain", "call", "--charts", "guessed"], "guessed"),
        (["--hero", "tag", "--villain", "call", "--temperature", "0.5"], "tag"),
        (["--hero", "llm:{tiny}", "--villain", "call", "--temperature", "0"], "temperature 0.0"),
        (["--hero", "lbr", "--villain", "call", "--temperature", "0.5"], "--temperature"),
        (["--hero", "tag", "--villain", "call", "--answers", "menu"], "--answers is for language models"),
        (["--hero", "llm:{tiny}", "--villain", "call", "--answers", "loud"], "loud"),
        (["--hero", "lbr:loose", "--villain", "call"], "loose"),
        (["--hero", "lbr", "--villain", "call", "--hands", "0"], "0 hands"),
        (["--hero", "lbr", "--villain", "call", "--game", "kuhn"], "kuhn"),
        (["--hero", "lbr", "--villain", "call", "--capture", "fc"], "--capture"),
        (["--hero", "lbr", "--villain", "call", "--compare", "{folder}"], "--compare"),
        (["tournament", "--players", "call"], "1 players"),
        (["tournament", "--players", "call,tag,call"], "once"),
        (["tournament", "--players", "call,tag", "--output", "/proc/nowhere"], "/proc/nowhere"),
        (["tournament", "--players", "call,tag", "--no-such-option"], "--no-such-option"),
        (["tournament", "--players", "call,nobody"], "nobody"),
        (["tournament", "--players", "call,tag", "--hands", "0"], "0 hands"),
        (["tournament"], "--players"),
    ],
)
def test_mistakes_get_one_line_and_code_2(arguments, message, capsys, tmp_path, tiny_model_dir):
    (tmp_path / "kuhn_adapter").mkdir()
    PokerConfig(make_game("kuhn"), "a model").save(tmp_path / "kuhn_adapter")
    places = {"opponents": OPPONENTS, "folder": tmp_path, "tiny": tiny_model_dir}
    arguments, message = [part.format(**places) for part in arguments], message.format(**places)
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
