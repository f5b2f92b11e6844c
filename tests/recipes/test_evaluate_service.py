"""`evaluate.py --villain slumbot` and `--villain gtowizard`: the command, killed and gone on with, and its errors."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_gtowizard import KEY, FakeGTOWizard
from fake_slumbot import FakeSlumbot
from faulty_server import running

from poker_env.errors import UserError
from poker_env.hand import read_hands
from recipes import evaluate
from recipes.evaluate_service import service_of

HERO = ["--hero", "random", "--villain", "slumbot"]
TOLD = ("hole_cards", "bot_hole_cards", "board", "action", "winnings")


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("SLUMBOT_USERNAME", "SLUMBOT_PASSWORD", "GTOWIZARD_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        unreachable = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    for name in ("SLUMBOT_URL", "GTOWIZARD_URL"):
        monkeypatch.setenv(name, unreachable)


def test_a_match_and_more_of_it(monkeypatch, tmp_path, capsys):
    fake, folder = FakeSlumbot(1), tmp_path / "match"
    with running(fake.server):
        monkeypatch.setenv("SLUMBOT_URL", fake.url)
        for hands in (20, 30, 10):
            evaluate.main([*HERO, "--hands", str(hands), "--tables", "3", "--output", str(folder)])
    record = json.loads((folder / "results.json").read_text())
    assert (record["hero"], record["villain"], record["hands"]) == ("random", "slumbot", 30) and fake.dealt == 30
    assert record["headline"] == "chance_corrected" and record["service"]["url"] == fake.url
    assert sum(hand.payoff for hand in read_hands(folder / "hands.jsonl")) == sum(
        each["winnings"] for each in fake.book
    )
    assert "random against slumbot" in capsys.readouterr().out
    with (
        running(FakeSlumbot(1).server),
        pytest.raises(UserError, match=r"of another match \(hero 'random', not 'call'\)"),
    ):
        evaluate.main(["--hero", "call", "--villain", "slumbot", "--output", str(folder)])


def test_gto_wizard(monkeypatch, tmp_path):
    fake = FakeGTOWizard(1)
    monkeypatch.setenv("GTOWIZARD_API_KEY", KEY)
    with running(fake.server):
        monkeypatch.setenv("GTOWIZARD_URL", fake.server.url)
        evaluate.main(["--hero", "tag", "--villain=gtowizard", "--hands", "20", "--output", str(tmp_path)])
    record = json.loads((tmp_path / "results.json").read_text())
    assert (record["hands"], record["headline"]) == (20, "aivat")
    assert KEY not in "".join(path.read_text() for path in tmp_path.glob("*.json*"))


def test_a_language_model_plays(tiny_model_dir, monkeypatch, tmp_path):
    """What it was asked and said is kept, also over a stop; its options are those of every evaluation."""
    pytest.importorskip("torch")
    fake = FakeSlumbot(2)
    with running(fake.server):
        monkeypatch.setenv("SLUMBOT_URL", fake.url)
        hero = ["--hero", f"llm:{tiny_model_dir}", "--villain", "slumbot", "--output", str(tmp_path)]
        evaluate.main([*hero, "--hands", "4", "--answers", "menu", "--temperature", "0.5"])
        evaluate.main([*hero, "--hands", "6", "--answers", "menu", "--temperature", "0.5"])
        with pytest.raises(UserError, match=r"of another match \(prompts"):
            evaluate.main([*hero, "--hands", "8"])
    record = json.loads((tmp_path / "results.json").read_text())
    assert record["prompts"][f"llm:{tiny_model_dir}"]["temperature"] == 0.5
    decisions = [decision for hand in read_hands(tmp_path / "hands.jsonl") for decision in hand.hero_decisions]
    assert decisions and all(decision.answer.prompt and decision.answer.probabilities for decision in decisions)


def processes_killed(fake, folder, hands, every, kills):
    """Run the command, and kill it each time so many more hands are over; then let it end."""
    command = [
        sys.executable,
        evaluate.__file__,
        *HERO,
        "--hands",
        str(hands),
        "--tables",
        "4",
        "--output",
        str(folder),
    ]
    environment = os.environ | {"SLUMBOT_URL": fake.url, "OMP_NUM_THREADS": "1"}
    for kill in range(kills):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        while len(fake.book) < every * (kill + 1) and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


@pytest.mark.parametrize(("hands", "kills"), [(100, 1), pytest.param(1000, 2, marks=pytest.mark.slow)])
def test_a_bad_network_and_kills(hands, kills, tmp_path):
    """Of what the service dealt everything is counted once, with its payoff, or said not to count."""
    rng = random.Random(3)
    kinds = ("unheard", "mute", "half", "garbage", "html", "slow", "busy")
    fake = FakeSlumbot(4, lambda number: rng.choice(kinds) if rng.random() < 0.02 else None)
    with running(fake.server):
        processes_killed(fake, tmp_path, hands, hands // 3, kills)
    record = json.loads((tmp_path / "results.json").read_text())
    journal = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()[1:]]
    counted = {event["hand"]: event["answer"] for event in journal if event.get("over")}
    book, found = (
        {(each["token"], each["session_num_hands"]): [each[name] for name in TOLD] for each in hands_told}
        for hands_told in (fake.book, counted.values())
    )
    voided = [json.loads(line) for line in (tmp_path / "voided.jsonl").read_text().splitlines()]
    assert record["hands"] == hands == len(found) and found.items() <= book.items() and len(book) == len(fake.book)
    won = sum(each["winnings"] for each in counted.values())
    assert sum(hand.payoff for hand in read_hands(tmp_path / "hands.jsonl")) == won
    assert record["service"] == {"url": fake.url, "voided": len(voided), "disagreements": 0}
    assert fake.dealt - hands <= len(voided) and {each["hand"] for each in voided}.isdisjoint(counted)
    assert fake.complaints == [] and voided and len(fake.server.faults) > 3


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--hands", "2"], "can't reach http://127.0.0.1:.*check the network, or SLUMBOT_URL"),
        (["--hands", "0"], "--hands 0: play at least 1"),
        (["--tables", "9"], "--tables 9: slumbot is asked for 1 to 8 hands at once"),
        (["--game", "leduc"], "slumbot plays holdem:.*alone, not leduc"),
        (["--game", "holdem:stack=10000"], "slumbot plays holdem:.*alone, not holdem:.*stack=10000"),
        (["--seed", "0"], "--seed doesn't go with --villain slumbot, as the service deals its own cards"),
        (["--capture", "none"], "--capture doesn't go with --villain slumbot"),
        (["--exploitability", "5"], "--exploitability doesn't go with"),
        (["--compare", "runs/a"], "--compare doesn't go with"),
        (["--charts", "asked"], "--charts doesn't go with"),
        (["--temperature", "1"], "--temperature is for language models: leave it out where hero is random"),
        (["--no_such_option"], "no_such_option"),
        (["--hero", "lbr:fcpa"], "unknown player 'lbr:fcpa'"),
        (["--hero", "slumbot"], "player 'slumbot' deals its own hands"),
        (["--villain", "gtowizard"], "set GTOWIZARD_API_KEY"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments, reason, tmp_path):
    with pytest.raises(UserError, match=reason) as error:
        evaluate.main([*HERO, *arguments, "--output", str(tmp_path / "out")])
    assert "\n" not in str(error.value)


def test_hands_of_others_are_not_thrown_away():
    with pytest.raises(UserError, match="--output"):
        evaluate.main(HERO)


@pytest.mark.parametrize(
    "arguments", [["tournament", "--players", "tag,slumbot"], ["--hero", "slumbot", "--villain", "cfr"]]
)
def test_services_sit_at_no_other_table(arguments):
    with pytest.raises(UserError, match="player 'slumbot' deals its own hands and sits at no other table"):
        evaluate.main(arguments)


def test_who_is_a_service():
    assert service_of(["--villain", "slumbot"]) == service_of(["--vil=slumbot", "--hero", "cfr"]) == "slumbot"
    assert service_of(["--hero", "slumbot"]) is service_of(["--villain", "cfr", "--output", "slumbot"]) is None
    assert Path(evaluate.__file__).exists()
