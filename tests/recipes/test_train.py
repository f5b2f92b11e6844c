"""Training from the command line: what a run leaves behind, that it learns, and that it survives being killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from poker_env.errors import UserError
from poker_env.evaluation.compare import StoredEvaluation, gain
from poker_env.evaluation.match import Match
from poker_env.files import alone_in
from poker_env.games import make_game
from poker_env.hand import read_hands
from poker_env.knowledge.exact_value import ExactJudge, exact_policy, legal_entropy
from poker_env.player_specs import make_player
from poker_env.players.hub import epoch_folder
from poker_env.players.llm import PokerLLMAgent
from recipes import train
from recipes.options.config import parse_config
from recipes.runs.checkpoints import check_run_folder, last_complete_checkpoint
from recipes.runs.record import command_line, require_same_run
from recipes.runs.watcher import best_adapter, untrained
from recipes.solve import main as solve
from recipes.train import main
from recipes.training import judgement
from recipes.training.exact_watch import ExactWatch

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
def finished_run(tiny_model_dir, tmp_path_factory, drawn):
    output_dir = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        drawn(patch)
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
    picture = (finished_run / "learning_curve.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000
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


def test_best_is_the_adapter_worth_most(finished_run):
    epochs = [json.loads(line) for line in (finished_run / "metrics.jsonl").read_text().splitlines()]
    best = max(epochs, key=lambda epoch: epoch["value"])["epoch"]
    expected, found = adapter(finished_run / f"epoch_{best:03d}"), adapter(finished_run / "best")
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def aivat(epoch, mean, width):
    return {"epoch": epoch, "avg_return": 1.0, "bb_aivat": mean, "bb_aivat_ci95": width}


@pytest.mark.parametrize(
    ("row", "earlier", "expected"),
    [
        ({"epoch": 1, "avg_return": -9.0}, [], 0),  # the adapter before the epoch's updates played its hands
        ({"epoch": 3, "avg_return": 2.0}, [{"avg_return": 1.0}, {"avg_return": 1.5}], 2),
        ({"epoch": 3, "avg_return": 1.2}, [{"avg_return": 1.0}, {"avg_return": 1.5}], None),
        ({"epoch": 2, "avg_return": 1.0, "value": 0.2}, [{"avg_return": 3.0, "value": 0.1}], 2),
        ({"epoch": 2, "avg_return": 4.0, "value": 0.0}, [{"avg_return": 3.0, "value": 0.1}], None),
        ({"epoch": 2, "avg_return": 4.0}, [{"avg_return": 3.0, "value": 0.1}], None),  # no exact value of this one
        ({"epoch": 2, "avg_return": 4.0, "value": 0.0}, [{"avg_return": 5.0}], 2),
        (aivat(3, 0.2, 0.5), [aivat(2, 0.1, 0.5)], 2),
        (aivat(3, 0.0, 0.5) | {"avg_return": 9.0}, [aivat(2, 0.1, 0.5)], None),
        (aivat(3, 1.0, 2.3), [aivat(2, 0.1, 0.5)], None),  # a wide interval is no merit
        (aivat(3, 1.0, None), [], None),
    ],
)
def test_which_adapter_an_epoch_shows_to_be_the_best(row, earlier, expected):
    assert best_adapter(row, earlier) == expected


def test_the_adapter_plays_a_prompt(finished_run):
    agent = PokerLLMAgent.load(str(finished_run / "final"))
    prompt = "Hand K\n- A0: Check (no chips added).\n- A1: Bet 1 into the pot."
    tokens = [agent.get_action_token(prompt, seed=seed) for seed in range(5)]
    assert set(tokens) <= {"A0", "A1"}
    assert tokens == [agent.get_action_token(prompt, seed=seed) for seed in range(5)]


def test_resuming_a_finished_run_says_so_and_changes_nothing(finished_run, tiny_model_dir, capsys):
    before = {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")}
    main(arguments(tiny_model_dir, finished_run, "--resume"))
    assert "is finished" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in finished_run.rglob("*") if path.is_file()} == {
        path: time for path, time in before.items() if path.is_file()
    }


def test_a_run_with_more_epochs_is_not_finished_by_what_fewer_left(finished_run, tiny_model_dir, tmp_path):
    """Killed after its last epoch's line was written, before `final` and its evaluation were."""
    run = shutil.copytree(finished_run, tmp_path / "run")
    shutil.rmtree(run / "final")
    shutil.copytree(run / "epoch_001", run / "final")
    assert not train.is_finished(run, parse_config(arguments(tiny_model_dir, run)))
    shutil.rmtree(run / "final")
    shutil.copytree(run / "epoch_003", run / "final")
    assert train.is_finished(run, parse_config(arguments(tiny_model_dir, run)))
    record = json.loads((run / "evaluation" / "results.json").read_text())
    record["checkpoints"][record["hero"]] = "of another adapter"
    (run / "evaluation" / "results.json").write_text(json.dumps(record))
    assert not train.is_finished(run, parse_config(arguments(tiny_model_dir, run)))
    (run / "metrics.jsonl").write_text("{\n")
    with pytest.raises(UserError, match=r"metrics.jsonl is damaged"):
        train.is_finished(run, parse_config(arguments(tiny_model_dir, run)))


def test_somebody_s_copy_of_a_checkpoint_is_none_of_ours(tmp_path):
    for name in ("checkpoint-2", "checkpoint-1.bak", "checkpoint-10"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "COMPLETE").touch()
    assert last_complete_checkpoint(tmp_path) == tmp_path / "checkpoint-10"


def test_what_a_run_was_started_with_is_kept(finished_run, tiny_model_dir):
    record = json.loads((finished_run / "run.json").read_text())
    assert record["commands"] == [command_line(arguments(tiny_model_dir, finished_run))]
    settings = record["config"]
    assert (settings["game"], settings["num_epochs"], settings["per_device_train_batch_size"]) == ("kuhn", 3, 16)
    assert record["villain"] == "cfr" and len(record["checkpoints"]["cfr"]) == 64


def test_a_folder_whose_replacement_was_killed_halfway_comes_back(tmp_path):
    (tmp_path / ".best.123.old").mkdir()
    (tmp_path / ".best.123.old" / "weights").write_text("kept")
    check_run_folder(tmp_path, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
    assert (tmp_path / "best" / "weights").read_text() == "kept"


def test_two_processes_do_not_train_in_one_folder(tiny_model_dir, tmp_path):
    with alone_in(tmp_path), pytest.raises(UserError, match="another process is at work in"):
        main(arguments(tiny_model_dir, tmp_path, "--resume"))
    assert list(tmp_path.iterdir()) == []


def test_a_new_run_does_not_overwrite_an_old_one(finished_run, tiny_model_dir):
    with pytest.raises(UserError, match="--resume"):
        main(arguments(tiny_model_dir, finished_run))


@pytest.mark.slow
@pytest.mark.parametrize(
    "landmarks", [("checkpoint-1",), ("checkpoint-1", "checkpoint-2/COMPLETE")], ids=["once", "twice"]
)
def test_a_run_killed_at_any_moment_ends_as_if_it_had_not_been(finished_run, tiny_model_dir, tmp_path, landmarks):
    """SIGKILL as soon as something new is on disk, again and again; `--resume` must give the same adapter."""
    command = [sys.executable, "recipes/train.py", *arguments(tiny_model_dir, tmp_path, "--eval_hands", "0")]
    command += ["--show_hands", "0"]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    kills = 0
    for landmark in landmarks:
        process = subprocess.Popen([*command, "--resume"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        while process.poll() is None and not (tmp_path / landmark).exists():
            time.sleep(0.005)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kills == len(landmarks)
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
        (["--game", "leduc"], "game 'kuhn' to 'leduc'"),
        (["--villain", "call"], "villain 'cfr' to 'call'"),
        (["--dtype", "bfloat16"], "dtype 'float32' to 'bfloat16'"),
        (["--lora_r", "8"], "lora_r 16 to 8"),
        (["--updates_per_epoch", "2"], "updates_per_epoch 1 to 2"),
        (["--num_iterations", "2"], "num_iterations 1 to 2"),
        (["--rows_per_epoch", "64"], "rows_per_epoch 32 to 64"),
        (["--per_device_train_batch_size", "8"], "per_device_train_batch_size 16 to 8"),
        (["--menu_fractions", "0.5"], r"menu_fractions .* to \[0.5\]"),
        (["--prompt_style", "classic"], "prompt_style 'compact' to 'classic'"),
        (["--advisor"], "advisor false to true"),
        (["--rewards", "chips"], r"rewards \['chips', 'illegal'\] to \['chips'\]"),
        (["--learning_rate", "1e-4"], "learning_rate 0.001 to 0.0001"),
        (["--weight_decay", "0.1"], "weight_decay 0.0 to 0.1"),
        (["--optim", "sgd"], "optim 'adamw_torch_fused' to 'sgd'"),
        (["--seed", "1"], "seed 42 to 1"),
        (["--chat_template_kwargs", "{a: 1}"], "chat_template_kwargs null to {'a': 1}"),
        (
            ["--beta", "0.1", "--lora_alpha", "8"],
            "lora_alpha 32 to 8, .*beta 0.0 to 0.1|beta 0.0 to 0.1, lora_alpha 32",
        ),
    ],
)
def test_a_run_is_not_resumed_as_another(options, message, finished_run, tiny_model_dir):
    with pytest.raises(UserError, match=rf"--resume can't go on in .*: .*{message}.*; give those it had") as caught:
        main(arguments(tiny_model_dir, finished_run, "--resume", *options))
    assert "\n" not in str(caught.value)


def test_what_changes_nothing_of_a_run_may_be_another(finished_run, tiny_model_dir, tmp_path):
    options = ["--num_epochs", "5", "--show_hands", "0", "--eval_hands", "0", "--exact_eval_every", "0"]
    config = parse_config(arguments(tiny_model_dir, finished_run, "--resume", *options, "--run_name", "x"))
    require_same_run(finished_run, config)
    require_same_run(tmp_path, parse_config(arguments(tiny_model_dir, tmp_path, "--resume", "--lora_r", "8")))


def test_a_run_of_before_an_option_was_is_resumed(finished_run, tiny_model_dir, tmp_path):
    record = json.loads((finished_run / "run.json").read_text())
    del record["config"]["chat_template_kwargs"]
    (tmp_path / "run.json").write_text(json.dumps(record))
    more = ["--chat_template_kwargs", "{a: 1}"]
    require_same_run(tmp_path, parse_config(arguments(tiny_model_dir, tmp_path, "--resume", *more)))


@pytest.mark.parametrize(
    ("trained", "decisions", "said"),
    [
        (7, 7, ""),
        (3, 1200, "trained on 3 of 1,200 decisions (rows_per_epoch is too small for all)"),
        (0, 9, "trained on 0 of 9 decisions"),
    ],
)
def test_an_epoch_says_where_it_trained_on_a_part_of_its_decisions(trained, decisions, said):
    found = untrained({"trained_decisions": trained, "decisions": decisions})
    assert said in found and bool(found) == bool(said)


def test_options_that_work_do_so_together(tiny_model_dir, tmp_path):
    """Of each family of TRL's and transformers' options those that nothing else shows, in one run."""
    main(
        arguments(
            *(tiny_model_dir, tmp_path, "--num_epochs", "2", "--show_hands", "0", "--eval_hands", "0"),
            *("--updates_per_epoch", "2", "--episodes_per_epoch", "8", "--per_device_train_batch_size", "8"),
            *("--optim", "adamw_torch", "--adam_beta1", "0.8", "--weight_decay", "0.1", "--adam_epsilon", "1e-7"),
            *("--lr_scheduler_type", "cosine_with_min_lr", "--lr_scheduler_kwargs", "{min_lr: 0.0001}"),
            *("--warmup_steps", "1", "--loss_type", "cispo", "--beta", "0.01", "--entropy_coef", "0.01"),
            *("--gradient_checkpointing", "--gradient_checkpointing_kwargs", "{use_reentrant: false}"),
            *(
                "--disable_dropout",
                "--lora_dropout",
                "0.1",
                "--torch_empty_cache_steps",
                "1",
                "--max_grad_norm",
                "0.5",
            ),
            *("--full_determinism", "--model_init_kwargs", "{attn_implementation: eager}", "--log_level", "error"),
            *("--max_grad_norm", "0.5"),
        )
    )
    torch.use_deterministic_algorithms(False)
    rows = metrics(tmp_path)
    assert [row["learning_rate"] for row in rows] == pytest.approx([1e-3, 3.25e-4])
    assert all(np.isfinite(row["loss"]) and row["kl"] is not None for row in rows)
    state = torch.load(tmp_path / "checkpoint-4" / "optimizer.pt", weights_only=True)
    group = state["param_groups"][0]
    assert (group["weight_decay"], group["eps"], group["betas"][0]) == (0.1, 1e-7, 0.8)
    saved = json.loads((tmp_path / "final" / "poker_config.json").read_text())
    assert saved["model_init_kwargs"] == {"attn_implementation": "eager"}


def test_a_resumed_run_is_not_judged_again_before_training(
    finished_run, tiny_model_dir, tmp_path, monkeypatch, capsys
):
    """But for other deals, which the judgement after training will be of."""
    folder = shutil.copytree(finished_run, tmp_path / "run")
    (folder / "evaluation" / "report.html").unlink()  # as if killed while judging what it had trained
    judged = []
    monkeypatch.setattr(judgement, "Match", lambda *args, **kwargs: judged.append(1) or Match(*args, **kwargs))
    main(arguments(tiny_model_dir, folder, "--resume"))
    assert len(judged) == 1 and (folder / "evaluation" / "report.html").exists()
    before = json.loads((folder / "evaluation_before" / "results.json").read_text())
    said = capsys.readouterr().out
    assert f"{before['estimates'][before['headline']]['mbb_per_hand']:+,.0f} [" in said
    told = re.search(r"\nmemory: about [\d.]+ GB \(weights [^\n]*, 512 tokens at a time [^\n]*\)\n", said)
    assert told and told.start() < said.index("resuming from")
    (folder / "final").rename(tmp_path / "gone")
    main(arguments(tiny_model_dir, folder, "--resume", "--eval_hands", "24"))
    assert len(judged) == 3


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


@pytest.mark.slow
def test_the_script_exits_with_2_and_one_line(tmp_path):
    command = [sys.executable, "recipes/train.py", "--game", "omaha", "--output_dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == ["error: unknown game 'omaha': choose one of kuhn, leduc, holdem"]


def test_training_raises_what_is_rewarded(tiny_model_dir, tmp_path):
    """The whole chain, seeded: a reward for betting makes a tiny random model bet."""
    options = ["--num_epochs", "20", "--learning_rate", "1e-2", "--episodes_per_epoch", "32", "--eval_hands", "60"]
    main(arguments(tiny_model_dir, tmp_path, *options, "--rewards", "aggression=10", "illegal", "--villain", "call"))
    mixes = [
        json.loads((tmp_path / name / "results.json").read_text())["action_mix"]
        for name in ("evaluation_before", "evaluation")
    ]
    assert mixes[0]["bet"] < 0.3 < 0.7 < mixes[1]["bet"]


# Exact values, warm starts and adapters to go on from

WARM = (
    *("--warm_start_player", "villain", "--warm_start_hands", "200"),
    *("--warm_start_steps", "60", "--warm_start_learning_rate", "3e-3"),
)


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def weak(tmp_path_factory):
    """The spec of a villain that leaves something to win."""
    path = tmp_path_factory.mktemp("opponents") / "weak.npz"
    solve(["--game", "kuhn", "--algorithm", "cfr", "--iterations", "5", "--output", str(path)])
    return f"cfr:{path}"


@pytest.fixture(scope="module")
def warm_run(tiny_model_dir, weak, tmp_path_factory):
    """Warm start, then training with KL to where it started."""
    output_dir = tmp_path_factory.mktemp("warm_run")
    main(arguments(tiny_model_dir, output_dir, "--villain", weak, *WARM, "--beta", "0.1", "--show_hands", "0"))
    return output_dir


def test_exact_values_are_those_of_the_adapter_after_the_epoch(warm_run, weak):
    kuhn = make_game("kuhn")
    judge = ExactJudge(kuhn, make_player(weak, kuhn))
    for row in metrics(warm_run):
        policy = exact_policy(kuhn, make_player(f"llm:{epoch_folder(warm_run, row['epoch'])}", kuhn))
        found = judge.judge(policy)
        assert row["value"] == pytest.approx(found.value, abs=0.01)  # bfloat16, when loaded by its spec
        assert row["capture"] == pytest.approx(row["value"] / found.best_response)
        assert row["legal_entropy"] == pytest.approx(legal_entropy(policy), abs=0.05)


def test_an_equilibrium_has_a_value_but_leaves_nothing_to_capture(finished_run):
    for row in metrics(finished_run):
        assert row["value"] < 0 and row["best_response"] < 1e-3 and row["capture"] is None


@pytest.mark.parametrize(
    ("game", "options", "due"),
    [
        ("kuhn", [], [0, 1, 2, 3, 4, 5, 6, 7]),
        ("leduc", [], [0, 5, 7]),  # the last one always
        ("kuhn", ["--exact_eval_every", "3"], [0, 3, 6, 7]),
        ("kuhn", ["--exact_eval_every", "0"], None),
        ("holdem", [], None),
    ],
)
def test_exact_values_come_as_often_as_asked(game, options, due):
    config = parse_config(["--game", game, "--num_epochs", "7", "--output_dir", "unused", *options])
    watch = ExactWatch.of(config, make_player("call", make_game(game)))
    assert due == (watch and [epoch for epoch in range(8) if watch.due(epoch)])


@pytest.mark.parametrize(("game", "villain"), [("kuhn", "tag"), ("holdem", "call")])
def test_exact_values_that_cannot_be_had_are_only_missed_when_asked_for(game, villain):
    options = ["--game", game, "--output_dir", "unused"]
    player = make_player(villain, make_game(game))
    assert ExactWatch.of(parse_config(options), player) is None
    with pytest.raises(UserError, match=r"exact (policy|values)"):
        ExactWatch.of(parse_config([*options, "--exact_eval_every", "1"]), player)


def test_training_goes_on_from_the_warm_start(warm_run):
    start, final = adapter(warm_run / "warm_start"), adapter(warm_run / "final")
    assert same(start, adapter(warm_run / "epoch_000"))
    assert start.keys() == final.keys() and not same(start, final)
    assert all(row["legal_rate"] > 0.8 for row in metrics(warm_run))  # from the first epoch on


def test_imitation_and_play_are_judged_apart_on_the_same_decks(warm_run):
    folders = [warm_run / name for name in ("evaluation_before", "evaluation_warm_start", "evaluation")]
    records = [json.loads((folder / "results.json").read_text()) for folder in folders]
    assert [record["hero"] for record in records[1:]] == [f"llm:{warm_run / name}" for name in ("warm_start", "final")]
    assert records[0]["legal_rate"] < 0.5 < records[1]["legal_rate"]
    dealt = [[hand.deal for hand in read_hands(folder / "hands.jsonl")] for folder in folders]
    assert dealt[0] == dealt[1] == dealt[2]


def test_a_run_ends_in_what_the_imitation_and_the_hands_gained(weak, tiny_model_dir, tmp_path, capsys):
    """Judged as it was trained: answers from the menu."""
    options = ["--villain", weak, "--variance_reduction", "hero", "all_action", "--num_epochs", "1"]
    main(arguments(tiny_model_dir, tmp_path, *WARM, *options, "--eval_hands", "200"))
    folders = [tmp_path / name for name in ("evaluation_before", "evaluation_warm_start", "evaluation")]
    stored = [StoredEvaluation.load(folder) for folder in folders]
    table = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("│")][-4:]
    assert [row[0].strip() for row in table] == ["before", "after imitation", "after training", "in all"]
    estimator = json.loads((folders[0] / "results.json").read_text())["headline"]
    for row, (later, earlier) in zip(table[1:], [(1, 0), (2, 1), (2, 0)], strict=True):
        gained = gain(stored[later], stored[earlier], estimator)
        assert row[2].strip() == f"{gained.mbb_per_hand:+,.0f} [{gained.ci95[0]:+,.0f}, {gained.ci95[1]:+,.0f}]"
    prompts = json.loads((folders[2] / "results.json").read_text())["prompts"]
    assert {asked["answers"] for asked in prompts.values()} == {"menu"}


def test_kl_is_measured_to_the_warm_start(warm_run):
    assert metrics(warm_run)[0]["kl"] == pytest.approx(0, abs=1e-6)  # to the model itself it would not be
    assert metrics(warm_run)[2]["kl"] > 1e-5
    for folder in ("epoch_003", "best", "final"):
        assert not (warm_run / folder / "ref").exists()  # what it is measured to is no part of an adapter


def test_an_adapter_can_be_gone_on_from(warm_run, tiny_model_dir, tmp_path):
    start = warm_run / "warm_start"
    main(arguments(tiny_model_dir, tmp_path, "--adapter", str(start), *WARM, "--num_epochs", "1"))
    assert same(adapter(start), adapter(tmp_path / "epoch_000"))
    assert not (tmp_path / "warm_start").exists()
    before = json.loads((tmp_path / "evaluation_before" / "results.json").read_text())
    assert before["legal_rate"] > 0.8  # what it started from is judged, not the bare model
    assert before["hero"] == f"llm:{start}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--adapter", "/no/such/adapter"], "/no/such/adapter"),
        (["--game", "leduc"], "was trained with game kuhn, not leduc"),
        (["--prompt_style", "classic"], "was trained with prompt_style compact, not classic"),
        (["--menu_fractions", "0.5"], "was trained with menu_fractions"),
        (["--warm_start_player", "shark", "--adapter", ""], "unknown player 'shark'"),
    ],
)
def test_mistakes_with_adapters_end_in_one_line(options, message, warm_run, tiny_model_dir, tmp_path):
    with pytest.raises(UserError) as caught:
        main(arguments(tiny_model_dir, tmp_path / "run", "--adapter", str(warm_run / "warm_start"), *options))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_damaged_adapter_ends_in_one_line(warm_run, tiny_model_dir, tmp_path):
    damaged = shutil.copytree(warm_run / "warm_start", tmp_path / "damaged")
    (damaged / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="can't be loaded") as caught:
        main(arguments(tiny_model_dir, tmp_path / "run", "--adapter", str(damaged)))
    assert "\n" not in str(caught.value)
    (damaged / "adapter_model.safetensors").rename(damaged / "adapter_model.bin")
    with pytest.raises(UserError, match=r"it has no adapter_model\.safetensors"):
        main(arguments(tiny_model_dir, tmp_path / "run", "--adapter", str(damaged)))


@pytest.mark.slow
def test_a_run_killed_in_or_after_its_warm_start_ends_as_if_it_had_not_been(warm_run, tiny_model_dir, weak, tmp_path):
    options = ("--villain", weak, *WARM, "--beta", "0.1", "--show_hands", "0", "--eval_hands", "0", "--resume")
    command = [sys.executable, "recipes/train.py", *arguments(tiny_model_dir, tmp_path, *options)]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1"}
    cores = sorted(os.sched_getaffinity(0))[: torch.get_num_threads()]
    same_threads = partial(os.sched_setaffinity, 0, cores)  # whose number changes last digits

    def killed_at(moment):
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, preexec_fn=same_threads, stdout=subprocess.PIPE, text=True
        ) as process:
            for line in process.stdout:
                if moment(line):
                    break
            process.send_signal(signal.SIGKILL)
        return process.returncode == -signal.SIGKILL

    assert killed_at(lambda line: "step 10/60" in line)
    assert not (tmp_path / "warm_start").exists()
    assert killed_at(lambda line: "epoch 2/3" in line)
    written = (tmp_path / "warm_start" / "adapter_model.safetensors").stat().st_mtime_ns
    done = subprocess.run(
        command, cwd=ROOT, env=environment, preexec_fn=same_threads, check=True, capture_output=True, text=True
    )
    assert "warm start" not in done.stdout
    assert (tmp_path / "warm_start" / "adapter_model.safetensors").stat().st_mtime_ns == written
    for folder in ("warm_start", "final"):
        expected, found = adapter(warm_run / folder), adapter(tmp_path / folder)
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-6)
    figures = ("epoch", "bb_per_hand", "value", "kl")
    for ours, theirs in zip(metrics(tmp_path), metrics(warm_run), strict=True):
        assert [ours[key] for key in figures] == pytest.approx([theirs[key] for key in figures], abs=1e-4)
