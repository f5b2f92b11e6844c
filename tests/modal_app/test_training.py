"""A run's containers, with a script in the place of the recipe: accounts, budgets, ends."""

import json
import sys

import pytest
from modal.exception import InputCancellation

from modal_app import training
from modal_app.cost import table
from modal_app.record import (
    Attempt,
    checkpoints,
    describe_status,
    newest_checkpoint,
    read_attempts,
    save_attempt,
    seconds_per_hand,
)
from poker_env.errors import UserError
from recipes.runs.checkpoints import mark_complete

ROW = {"hands": 16, "avg_return": -1.0, "bb_per_hand": -0.5, "win_rate": 0.25, "legal_rate": 0.5, "loss": 0.1}
CONFIG = "{game: kuhn, model_name_or_path: tiny}"


@pytest.fixture
def go_on(tmp_path, monkeypatch):
    """Go on with a run whose recipe is `code`, on these GPUs."""

    def go_on(code="", gpus=("NVIDIA L4",), max_cost=None, run="run", timeout=3600.0):
        monkeypatch.setattr(training, "gpus_here", lambda: list(gpus))
        monkeypatch.setattr(training, "accelerate", lambda *_: [sys.executable, "-c", code])
        commits = []
        report = training.go_on(
            tmp_path / run,
            CONFIG,
            table(),
            ["L4", "L40S"],
            max_cost,
            timeout,
            lambda: commits.append(read_attempts(tmp_path / run)),
        )
        assert commits  # nothing is lost with the container
        return report

    return go_on


def test_a_run_is_accounted_for(go_on, tmp_path):
    report = go_on()
    assert report["error"] == "" and report["cost"].startswith("about $0.00 so far") and "NVIDIA L4" in report["cost"]
    attempt = read_attempts(tmp_path / "run")[0]
    assert attempt.ended == "done" and attempt.dollars_per_second == pytest.approx(table().container("L4"))


def test_mistakes_are_reported_and_crashes_raised(go_on, tmp_path):
    assert go_on("import sys; print('error: no such game'); sys.exit(2)")["error"] == "no such game"
    with pytest.raises(RuntimeError, match="exit code 3"):
        go_on("import sys; sys.exit(3)")
    assert [attempt.ended for attempt in read_attempts(tmp_path / "run")] == ["failed", "crashed"]


def test_a_container_that_vanished_is_counted(go_on, tmp_path):
    rate = table().container("L4")
    save_attempt(tmp_path / "run", [], Attempt(["NVIDIA L4"], rate, started=0.0))  # still running, as far as it said
    go_on()
    assert [attempt.ended for attempt in read_attempts(tmp_path / "run")] == ["lost", "done"]


def test_max_cost_ends_a_run(go_on, tmp_path):
    rate = table().container("L4")
    report = go_on("import time; time.sleep(60)", max_cost=1.5 * rate)  # a second and a half
    assert "max-cost" in report["error"] and read_attempts(tmp_path / "run")[0].ended == "stopped"
    (tmp_path / "run" / "modal.json").write_text(json.dumps([vars(Attempt(["NVIDIA L4"], rate, 0.0, 7200.0, "done"))]))
    assert "max-cost" in go_on("raise SystemExit(3)", max_cost=7199 * rate)["error"]  # it doesn't even start


def test_before_modal_s_timeout_a_run_is_stopped_by_itself_to_be_tried_again(go_on, tmp_path):
    with pytest.raises(RuntimeError, match=r"the 0.000278 h of an attempt were up"):
        go_on("import time; time.sleep(60)", timeout=1.0, max_cost=100)
    assert read_attempts(tmp_path / "run")[0].ended == "timeout"


@pytest.mark.parametrize(("error", "ended"), [(KeyboardInterrupt, "interrupted"), (InputCancellation, "interrupted")])
def test_a_run_that_is_told_to_end_says_so(go_on, tmp_path, monkeypatch, error, ended):
    """Else its account says that it runs, and whoever goes on with it has to wait."""

    def supervise(*_):
        raise error

    monkeypatch.setattr(training, "supervise", supervise)
    with pytest.raises(error):
        go_on()
    assert read_attempts(tmp_path / "run")[0].ended == ended


def test_what_is_no_checkpoint_is_left_alone(tmp_path):
    for name in (
        "checkpoint-x",
        "checkpoint-",
        "checkpoint-10.tmp",
        "checkpoint--1",
        "checkpoint-1 (copy)",
        "checkpoint-²",
    ):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-7").touch()
    assert checkpoints(tmp_path) == {} and newest_checkpoint(tmp_path) == 0
    (tmp_path / "checkpoint-10").mkdir()
    mark_complete(tmp_path, 9)
    assert checkpoints(tmp_path) == {9: True, 10: False} and newest_checkpoint(tmp_path) == 9


@pytest.mark.parametrize(
    ("name", "content"),
    [("modal.json", "{"), ("modal.json", '[{"gpu": 1}]'), ("metrics.jsonl", "{\n"), ("config.yaml", "a: b: c")],
)
def test_damaged_files_of_a_run_are_named(go_on, tmp_path, name, content):
    go_on()
    (tmp_path / "run" / name).write_text(content)
    with pytest.raises(UserError, match=f"run/{name} on the volume is damaged") as caught:
        describe_status(tmp_path, "run")
    assert "\n" not in str(caught.value)
    assert seconds_per_hand(tmp_path, "L4", "tiny", "kuhn") is None  # another run's trouble stops nobody


def test_seconds_per_hand_come_from_runs_on_that_gpu_alone(go_on, tmp_path):
    for run, gpus, seconds in (("a", ["NVIDIA L4"], 8.0), ("b", ["NVIDIA L4"] * 2, 4.0), ("c", ["NVIDIA L40S"], 2.0)):
        go_on(gpus=gpus, run=run)
        rows = [{**ROW, "epoch": epoch, "seconds": seconds} for epoch in (1, 2)]
        (tmp_path / run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert seconds_per_hand(tmp_path, "L4", "tiny", "kuhn") == (0.5, "a")
    assert seconds_per_hand(tmp_path, "L4:2", "tiny", "kuhn") == (0.25, "b")
    assert seconds_per_hand(tmp_path, "H100", "tiny", "kuhn") is None
    assert seconds_per_hand(tmp_path, "L4", "other", "kuhn") is None
    assert "epoch 2  16 hands  return -1.00  bb/hand -0.5  won 25%" in describe_status(tmp_path, "a")
