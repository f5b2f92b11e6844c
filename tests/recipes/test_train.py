"""Training from the command line: what a run leaves behind, that it learns, and that it survives being killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from poker_env.errors import UserError
from poker_env.hand import read_hands
from poker_env.players.llm import PokerLLMAgent
from recipes.train import main

ROOT = Path(__file__).parents[2]


def arguments(model_dir, output_dir, *more):
    return [
        *("--game", "kuhn", "--villain", "cfr", "--model_name_or_path", str(model_dir), "--dtype", "float32"),
        *("--num_epochs", "3", "--episodes_per_epoch", "16", "--per_device_train_batch_size", "16"),
        *("--learning_rate", "1e-3", "--eval_hands", "20", "--output_dir", str(output_dir), *more),
    ]


def adapter(folder):
    return load_file(folder / "adapter_model.safetensors")


@pytest.fixture(scope="module")
def finished_run(tiny_model_dir, tmp_path_factory):
    output_dir = tmp_path_factory.mktemp("run")
    main(arguments(tiny_model_dir, output_dir))
    return output_dir


def test_a_run_leaves_everything_it_promises(finished_run, tiny_model_dir):
    epochs = [json.loads(line) for line in (finished_run / "metrics.jsonl").read_text().splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    promised = "epoch hands seconds avg_return bb_per_hand bb_ci95 win_rate legal_rate loss entropy hands_per_second"
    assert all(set(promised.split()) <= epoch.keys() for epoch in epochs)
    assert all(epoch["hands"] == 16 and 0 <= epoch["legal_rate"] <= 1 for epoch in epochs)
    for folder in ("epoch_000", "epoch_003", "best", "final"):
        names = {path.name for path in (finished_run / folder).iterdir()}
        assert {"adapter_model.safetensors", "adapter_config.json", "poker_config.json", "tokenizer.json"} <= names
    adapter_config = json.loads((finished_run / "final" / "adapter_config.json").read_text())
    assert adapter_config["base_model_name_or_path"] == str(tiny_model_dir)
    for folder in ("evaluation_before", "evaluation"):
        results = json.loads((finished_run / folder / "results.json").read_text())
        assert (results["game"], results["villain"], results["hands"]) == ("kuhn", "cfr", 20)
    assert (finished_run / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert not list(finished_run.rglob("*.tmp*"))


def test_the_same_deals_are_judged_before_and_after(finished_run):
    before, after = (
        list(read_hands(finished_run / name / "hands.jsonl")) for name in ("evaluation_before", "evaluation")
    )
    assert [hand.deal for hand in before] == [hand.deal for hand in after]


def test_saved_hands_show_what_the_model_really_saw_and_said(finished_run):
    hands = list(read_hands(finished_run / "hands" / "epoch_001.jsonl"))
    decisions = [decision for hand in hands for decision in hand.hero_decisions]
    assert decisions and all(decision.answer.prompt.startswith("Kuhn poker") for decision in decisions)
    assert any(decision.answer.completion.startswith("A") for decision in decisions)


def test_best_is_the_adapter_that_played_the_best_epoch(finished_run):
    epochs = [json.loads(line) for line in (finished_run / "metrics.jsonl").read_text().splitlines()]
    best = max(epochs, key=lambda epoch: epoch["avg_return"])["epoch"]
    expected, found = adapter(finished_run / f"epoch_{best - 1:03d}"), adapter(finished_run / "best")
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_the_adapter_plays_a_prompt(finished_run):
    agent = PokerLLMAgent.load(str(finished_run / "final"))
    prompt = "Hand K\n- A0: Check (no chips added).\n- A1: Bet 1 into the pot."
    tokens = [agent.get_action_token(prompt, seed=seed) for seed in range(5)]
    assert set(tokens) <= {"A0", "A1"}
    assert tokens == [agent.get_action_token(prompt, seed=seed) for seed in range(5)]


def test_a_new_run_does_not_overwrite_an_old_one(finished_run, tiny_model_dir):
    with pytest.raises(UserError, match="--resume"):
        main(arguments(tiny_model_dir, finished_run))


def test_a_run_killed_at_any_moment_ends_as_if_it_had_not_been(finished_run, tiny_model_dir, tmp_path):
    """SIGKILL as soon as something new is on disk, again and again; `--resume` must give the same adapter."""
    command = [sys.executable, "recipes/train.py", *arguments(tiny_model_dir, tmp_path, "--eval_hands", "0")]
    command += ["--show_hands", "0"]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    kills = 0
    for landmark in ("epoch_000", "checkpoint-1", "checkpoint-2/COMPLETE"):
        process = subprocess.Popen([*command, "--resume"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        while process.poll() is None and not (tmp_path / landmark).exists():
            time.sleep(0.005)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kills == 3
    subprocess.run([*command, "--resume"], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    expected, found = adapter(finished_run / "final"), adapter(tmp_path / "final")
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-6)
    same = ("epoch", "hands", "avg_return", "bb_per_hand", "win_rate", "decisions")
    for ours, theirs in zip(
        (tmp_path / "metrics.jsonl").read_text().splitlines(),
        (finished_run / "metrics.jsonl").read_text().splitlines(),
        strict=True,
    ):
        assert [json.loads(ours)[key] for key in same] == [json.loads(theirs)[key] for key in same]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--game", "omaha"], "unknown game 'omaha'"),
        (["--num_epochs", "0"], "num_epochs 0"),
        (["--villain", "cfr:/no/such/file.npz"], "/no/such/file.npz"),
        (["--villain", "shark"], "unknown player 'shark'"),
        (["--model_name_or_path", "/no/such/model"], "/no/such/model"),
    ],
)
def test_mistakes_end_in_one_line(options, message, tiny_model_dir, tmp_path):
    with pytest.raises(UserError) as caught:
        main(arguments(tiny_model_dir, tmp_path / "run", *options))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_script_exits_with_2_and_one_line(tmp_path):
    command = [sys.executable, "recipes/train.py", "--game", "omaha", "--output_dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == ["error: unknown game 'omaha': choose one of kuhn, leduc, holdem"]


def test_training_raises_what_is_rewarded(tiny_model_dir, tmp_path):
    """The whole chain, seeded: a reward for betting makes a tiny random model bet."""
    options = ["--num_epochs", "24", "--learning_rate", "1e-2", "--episodes_per_epoch", "32", "--eval_hands", "60"]
    main(arguments(tiny_model_dir, tmp_path, *options, "--rewards", "aggression=10", "illegal", "--villain", "call"))
    mixes = [
        json.loads((tmp_path / name / "results.json").read_text())["action_mix"]
        for name in ("evaluation_before", "evaluation")
    ]
    assert mixes[0]["bet"] < 0.3 < 0.7 < mixes[1]["bet"]
