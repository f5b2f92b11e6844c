"""Two processes do what one does: gloo on this machine's CPU, a tiny model, the same deals and decisions."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from together import made_up_decisions, run_all
from trl import GRPOConfig

from poker_env.errors import UserError
from poker_env.evaluation.match import Match, evaluate
from poker_env.games import make_game
from poker_env.player_specs import make_player
from recipes import cli
from recipes.evaluate import main as judge
from recipes.options.config import parse_config
from recipes.options.launcher import refuse_other_ways
from recipes.training.batches import _cut
from recipes.training.imitation import batches_of
from recipes.training.processes import share_of
from recipes.training.rows import Row, deal_out, training_rows

ROOT = Path(__file__).resolve().parents[3]
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}

MENUS = {"variance_reduction": "all_action", "entropy_coef": 0.3}
KUHN = {"villain": "random", "rewards": "chips illegal"}

QUICK = {
    "answers of one to three tokens, KL, iterations": {
        "options": {
            "rows_per_epoch": 64,
            "entropy_coef": 0.3,
            "updates_per_epoch": 2,
            "num_iterations": 2,
            "beta": 0.1,
        },
        "batch": 8,
        "decisions": made_up_decisions(0, 50, menus=False),
    },
    "more rows than there is room for, a prompt split": {
        "options": {"rows_per_epoch": 24, "num_epochs": 1, **MENUS},
        "batch": 4,
        "split": True,
        "decisions": made_up_decisions(14, 40, menus=True),
    },
    "five deals of Kuhn, the lower layer kept": {
        "options": {"episodes_per_epoch": 5, "entropy_coef": 0.1, "lora_depth": 0.5, **KUHN},
        "batch": 2,
    },
}
SLOW = {
    "a process without a row": {
        "options": {"rows_per_epoch": 8, "num_epochs": 1, **MENUS},
        "batch": 2,
        "decisions": made_up_decisions(4, 1, menus=True),
    },
    "all actions in Kuhn": {"options": {"episodes_per_epoch": 45, **MENUS, **KUHN}, "batch": 8},
    "five deals of Kuhn": {"options": {"episodes_per_epoch": 5, "entropy_coef": 0.1, **KUHN}, "batch": 2},
    "hold'em, the lower layer kept": {
        "options": {"game": "holdem", "episodes_per_epoch": 21, "lora_depth": 0.5, **MENUS, **KUHN, "villain": "call"},
        "batch": 8,
    },
    "a prompt that fits in no process": {
        "options": {"rows_per_epoch": 6, "num_epochs": 1, **MENUS},
        "batch": 2,
        "split": True,
        "decisions": made_up_decisions(1, 1, menus=True),
    },
    "menus, several updates": {
        "options": {"rows_per_epoch": 48, "updates_per_epoch": 3, **MENUS},
        "batch": 8,
        "decisions": made_up_decisions(1, 20, menus=True),
    },
    "cispo": {
        "options": {"rows_per_epoch": 64, "loss_type": "cispo", "updates_per_epoch": 2},
        "batch": 8,
        "decisions": made_up_decisions(6, 40, menus=False),
    },
    "replicas, scaled": {
        "options": {
            **{"episodes_per_epoch": 36, "replicas": 4, "baseline": "leave_one_out", "scale_rewards": "batch"},
            **{"villain": "random", "rewards": "chips aggression=3.0"},
        },
        "batch": 6,
    },
    "one deal for two processes": {"options": {"episodes_per_epoch": 1, "entropy_coef": 0.1, **KUHN}, "batch": 2},
    "leduc": {
        "options": {"game": "leduc", "episodes_per_epoch": 33, "updates_per_epoch": 2, **MENUS, **KUHN},
        "batch": 8,
    },
    "soft steps": {
        "options": {"episodes_per_epoch": 45, "updates_per_epoch": 2, "soft_after": 1, **MENUS, **KUHN},
        "batch": 8,
    },
    "hold'em": {
        "options": {"game": "holdem", "episodes_per_epoch": 21, **MENUS, **KUHN, "villain": "call"},
        "batch": 8,
    },
    "a hundred epochs of uneven trees": {
        "options": {"num_epochs": 100, "rows_per_epoch": 32, "learning_rate": 1e-6},
        "batch": 8,
        "decisions": made_up_decisions(8, 40, menus=False),
    },
}

RATES = ("seconds", "runtime", "per_second", "step_time")
OWN = ("clip_ratio", "prompt_tokens_saved")
"""Figures that depend on how rows are batched, or that say what each process saved."""


def together(model_dir, folder, cases):
    """What two processes find."""
    folder.mkdir(exist_ok=True)
    (folder / "cases.pickle").write_bytes(pickle.dumps((str(model_dir), cases)))
    command = [*LAUNCH, str(ROOT / "tests" / "fakes" / "together.py"), str(folder)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return pickle.loads((folder / "found.pickle").read_bytes())


def close_to(value):
    return value if value is None else pytest.approx(value, rel=1e-4, abs=1e-6)


def assert_same(name, one, two):
    assert (one["processes"], two["processes"]) == (1, 2)
    assert len(one["gradients"]) == len(two["gradients"]) > 0
    assert max(float(weight.norm()) for weight in one["gradients"][0].values()) > 1e-3, name
    for ours, theirs in zip(two["gradients"], one["gradients"], strict=True):
        whole = sum(float(gradient.norm()) ** 2 for gradient in theirs.values()) ** 0.5
        for weight, gradient in theirs.items():
            error = float((ours[weight] - gradient).norm())
            assert error <= 1e-5 * float(gradient.norm()) + 5e-7 * whole, (name, weight)
    for weight, ended in one["weights"].items():
        assert float((two["weights"][weight] - ended).norm()) <= 1e-5 * float(ended.norm()), (name, weight)
    for ours, theirs in zip(two["logs"], one["logs"], strict=True):
        for key in theirs.keys() - {"epoch"}:
            if not any(part in key for part in (*RATES, *OWN)):
                assert ours[key] == close_to(theirs[key]), (name, key)


@pytest.mark.parametrize("cases", [QUICK, pytest.param(SLOW, marks=pytest.mark.slow)], ids=["quick", "slow"])
def test_two_processes_have_the_gradient_the_figures_and_the_adapter_of_one(tiny_model_dir, tmp_path, cases):
    one, two = run_all(tiny_model_dir, tmp_path / "one", cases), together(tiny_model_dir, tmp_path / "two", cases)
    for name in cases:
        assert_same(name, one[name], two[name])
        assert all(two[name]["split"]) or not cases[name].get("split"), name
    assert any(first != second for first, second in (found["trees"] for found in two.values()))


def run_recipe(folder, model_dir, processes, *options, batch=8, expected=0):
    """`recipes/train.py` in Kuhn; `batch` rows at a time, over all processes."""
    launch = [sys.executable] if processes == 1 else LAUNCH
    sizes = ["--per_device_train_batch_size", str(batch // processes), "--warm_start_batch_size", str(10 // processes)]
    usual = ["--game", "kuhn", "--dtype", "float32", "--model_name_or_path", str(model_dir), "--show_hands", "0"]
    command = [*launch, str(ROOT / "recipes" / "train.py"), "--output_dir", str(folder), *usual, *sizes, *options]
    here = {**ENVIRONMENT, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder.parent}"}
    done = subprocess.run(command, env=here, capture_output=True, text=True, timeout=500, cwd=folder.parent)
    assert done.returncode == expected, done.stderr
    return done


RUN = [
    *("--villain", "cfr:weak", "--rewards", "chips", "illegal", "--learning_rate", "1e-3", "--entropy_coef", "0.05"),
    *("--variance_reduction", "range", "villain", "hero", "baseline", "all_action", "--num_epochs", "4"),
    *("--episodes_per_epoch", "250", "--eval_hands", "70"),
    # Where gradients are 1e-8, and most 1e-3, they are rounding: Adam's usual 1e-8 would make whole steps of it.
    *("--adam_epsilon", "1e-5"),
]


def assert_same_adapter(one, two, tolerance=1e-4):
    ours, theirs = (load_file(folder / "adapter_model.safetensors") for folder in (two, one))
    for name, weight in theirs.items():
        assert float((ours[name] - weight).norm()) <= tolerance * float(weight.norm()), name


@pytest.mark.slow
def test_a_run_of_two_processes_resumed_is_the_run_of_one(tiny_model_dir, tmp_path):
    """The warm start, four epochs of an odd number of hands, and what both adapters are judged."""
    warm = ["--warm_start_player", "villain", "--warm_start_hands", "51", "--warm_start_steps", "15"]
    one, two, stopped = tmp_path / "one", tmp_path / "two", tmp_path / "stopped"
    run_recipe(one, tiny_model_dir, 1, *RUN, *warm)
    said = run_recipe(two, tiny_model_dir, 2, *RUN, *warm)
    assert said.stdout.count("adapter: two/final") <= 1 and "error" not in said.stderr
    for name in ("warm_start", "epoch_000", "epoch_002", "final", "best"):
        assert_same_adapter(one / name, two / name)
    for ours, theirs in zip(*(map(json.loads, (run / "metrics.jsonl").open()) for run in (two, one)), strict=True):
        for key in theirs.keys() - {"seconds", "hands_per_second", "prompt_tokens_saved"}:
            assert ours[key] == close_to(theirs[key]), key
    for judged in ("evaluation_before", "evaluation"):
        ours, theirs = (json.loads((run / judged / "results.json").read_text()) for run in (two, one))
        assert ours["hands"] == 70
        for key in ("hands", "seed", "win_rate", "legal_rate", "action_mix", "hud"):
            assert ours[key] == theirs[key], key
        for name, estimate in theirs["estimates"].items():
            assert ours["estimates"][name]["mbb_per_hand"] == pytest.approx(estimate["mbb_per_hand"], abs=1e-2), name
    for epoch in (1, 4):
        ours, theirs = (run / "hands" / f"epoch_{epoch:03d}.txt" for run in (two, one))
        assert ours.read_text() == theirs.read_text()

    run_recipe(stopped, tiny_model_dir, 2, *RUN, *warm, "--num_epochs", "2", "--eval_hands", "0")
    run_recipe(stopped, tiny_model_dir, 2, *RUN, *warm, "--resume")
    assert_same_adapter(two / "final", stopped / "final", tolerance=1e-6)
    again = run_recipe(stopped, tiny_model_dir, 2, *RUN, *warm, "--resume")
    assert again.stdout.count("is finished") == 1


@pytest.mark.slow
def test_a_model_that_thinks_trains_on_two_processes(tiny_model_dir, tmp_path):
    """Each samples the hands of its own deals; the same again gives the same."""
    thinking = ["--thinking", "true", "--max_completion_length", "48", "--rewards", "chips", "illegal"]
    usual = ["--villain", "cfr:weak", "--episodes_per_epoch", "13", "--num_epochs", "2", "--rows_per_epoch", "32"]
    runs = tmp_path / "once", tmp_path / "again"
    for run in runs:
        run_recipe(run, tiny_model_dir, 2, *thinking, *usual, "--learning_rate", "1e-3", "--eval_hands", "12")
    figures = [list(map(json.loads, (run / "metrics.jsonl").open())) for run in runs]
    assert [epoch["hands"] for epoch in figures[0]] == [13, 13]
    assert all(0 <= epoch["cut_off_rate"] <= 1 and epoch["decisions"] >= 13 for epoch in figures[0])
    for ours, theirs in zip(*figures, strict=True):
        for key in theirs.keys() - {"seconds", "hands_per_second"}:
            assert ours[key] == close_to(theirs[key]), key
    assert_same_adapter(runs[0] / "final", runs[1] / "final", tolerance=1e-6)
    before, after = (load_file(runs[0] / name / "adapter_model.safetensors") for name in ("epoch_000", "final"))
    assert any(float((after[name] - weight).norm()) > 1e-4 for name, weight in before.items())


@pytest.mark.slow
def test_a_mistake_is_said_once(tiny_model_dir, tmp_path):
    """Whoever meets it: here both do. What follows is the launcher's."""
    done = run_recipe(tmp_path / "run", tiny_model_dir, 2, "--villain", "cfr:nowhere", expected=1)
    said = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert said == ["error: no checkpoint at nowhere; shipped for kuhn: cfr, cfr:weak"]
    assert 'train.py", line' not in done.stderr and "exitcode  : 2" in done.stderr


@pytest.mark.slow
def test_what_the_main_process_alone_meets_ends_both(tiny_model_dir, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "hands").write_text("where the folder would be")
    done = run_recipe(run, tiny_model_dir, 2, "--num_epochs", "2", "--eval_hands", "0", expected=1)
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert said.startswith(f"error: can't write {run / 'hands'}")
    assert 'train.py", line' not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_what_one_process_alone_meets_is_said_once(tiny_model_dir, tmp_path, rank):
    (tmp_path / "alone.py").write_text(
        "import os\nfrom poker_env.errors import UserError\n\n"
        f"def alone(hand):\n    if os.environ['RANK'] == '{rank}':\n        raise UserError('it is full')\n"
        "    return [0.0] * len(hand.hero_decisions)\n"
    )
    rewards = ["--rewards", "chips", "alone:alone", "--eval_hands", "0", "--num_epochs", "1"]
    done = run_recipe(tmp_path / "run", tiny_model_dir, 2, *rewards, expected=1)
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert "it is full" in said and said.startswith(("error:", "error in process 1:")[rank])
    assert 'rollout.py", line' not in done.stderr


@pytest.mark.slow
def test_ctrl_c_leaves_no_process(tiny_model_dir, tmp_path):
    command = [*LAUNCH, str(ROOT / "recipes" / "train.py"), "--output_dir", str(tmp_path / "run"), "--game", "kuhn"]
    options = ["--model_name_or_path", str(tiny_model_dir), "--num_epochs", "9999", "--eval_hands", "0", *RUN[:4]]
    running = subprocess.Popen(
        [*command, *options], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.read_text().count("\n") > 1):
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.2)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    said = running.communicate(timeout=60)[1]
    assert said.count("interrupted") == 1
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)


def rows_of(sizes, padding):
    rows = [Row((prompt, 7), (answer,), (1.0,)) for prompt, size in enumerate(sizes) for answer in range(size)]
    return rows + [Row((0,), (0,), (0.0,), decisions=0)] * padding


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_prompts_are_dealt_out_whole_and_evenly(processes):
    rng = np.random.default_rng(processes)
    for _ in range(50):
        sizes = rng.integers(1, 6, rng.integers(1, 30)).tolist()
        padding = -sum(sizes) % processes + processes * 6
        shares = deal_out(rows_of(sizes, padding), processes)
        assert len({len(share.rows) for share in shares}) == 1
        dealt = Counter(row for share in shares for row in share.rows)
        assert dealt == Counter(rows_of(sizes, padding))
        owners = {row.prompt_ids: set() for row in dealt}
        for place, share in enumerate(shares):
            for row in share.rows:
                owners[row.prompt_ids].add(place)
        assert all(len(places) == 1 for ids, places in owners.items() if len(ids) == 2)
        assert not any(share.elsewhere for share in shares)
        trained = [sum(row.decisions for row in share.rows) for share in shares]
        assert max(trained) - min(trained) <= 2 * max(sizes)


def test_a_prompt_that_fits_nowhere_is_split_and_both_processes_know_the_whole_menu():
    shares = deal_out(rows_of([3, 3, 3], padding=1), 2)
    assert [len(share.rows) for share in shares] == [5, 5]
    ((ids, first),), ((same, second),) = (share.elsewhere.items() for share in shares)
    own = [{row.completion_ids for row in share.rows if row.prompt_ids == ids} for share in shares]
    assert same == ids and own == [set(second), set(first)] and own[0] | own[1] == {(0,), (1,), (2,)}


def test_the_same_decisions_are_kept_whatever_the_number_of_processes():
    decisions = made_up_decisions(3, 60, menus=True)
    options = {"weights": [1.0, 1.0], "scale": False, "pad_token_id": 0, "rng": np.random.default_rng(0)}
    rows, *_ = training_rows(decisions, 48, **options)
    for processes in (1, 2, 3, 4):
        dealt = [row for share in deal_out(rows, processes) for row in share.rows]
        assert Counter(dealt) == Counter(rows)


def test_parts_are_neighbours_of_about_the_same_size():
    assert _cut([3, 3, 3, 3], 2) == [range(0, 2), range(2, 4)]
    assert _cut([5], 3) == [range(0, 1), range(1, 1), range(1, 1)]
    assert _cut([9, 1, 1], 3) == [range(0, 1), range(1, 2), range(2, 3)]
    assert _cut([], 2) == [range(0, 0), range(0, 0)]
    assert [share_of(5, process, 3) for process in range(3)] == [range(0, 2), range(2, 4), range(4, 5)]
    assert [len(share_of(1, process, 2)) for process in range(2)] == [1, 0]  # the main one has hands to show


def test_every_example_is_learnt_from_once_in_a_lap():
    batches = batches_of(count=10, size=4, steps=7, seed=1)
    assert [len(batch) for batch in batches] == [4, 4, 2, 4, 4, 2, 4]
    laps = [[place for batch in batches[start : start + 3] for place in batch] for start in (0, 3)]
    assert sorted(laps[0]) == sorted(laps[1]) == list(range(10)) and laps[0] != laps[1]


@pytest.mark.parametrize(("game", "hero", "lbr"), [("kuhn", "call", ()), ("holdem", "tag", ("fc",))])
def test_decks_played_in_shares_are_the_match(game, hero, lbr):
    game = make_game(game)
    players = make_player(hero, game), make_player("call" if lbr else "cfr", game)
    whole = evaluate(game, *players, 30, seed=3, progress=False, lbr=lbr)
    match = Match(game, *players, 29, seed=3, lbr=lbr)
    shares = [match.play(share_of(match.decks, process, 4), progress=False) for process in range(4)]
    assert [len(share) for share in shares] == [4, 4, 4, 3]
    judged = match.judged([deck for share in shares for deck in share])
    assert judged.hands == whole.hands and judged.estimates == whole.estimates
    assert judged.captures == whole.captures and judged.seed == whole.seed


def test_a_group_that_is_left_is_not_taken_apart():
    """Its threads would be waited for while they wait for the interpreter, now and then for ever."""
    work = """
from pathlib import Path
import torch
import torch.distributed as dist
from recipes.training import processes

def threads():
    return sum("gloo" in thread.read_text() for thread in Path("/proc/self/task").glob("*/comm"))

def train():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 3))
    model(torch.ones(2, 3)).sum().backward()
    processes.processes = lambda: 2
    processes.part()
    return threads()

within = train()
print(within > 0, threads() == within, dist.is_initialized())
__import__("os")._exit(0)
"""
    command = [sys.executable, "-u", "-c", work]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=100)
    assert done.stdout.split() == ["True", "True", "False"], done.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"ACCELERATE_USE_FSDP": "true"}, "FSDP"),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "DeepSpeed"),
        ({"ACCELERATE_USE_MEGATRON_LM": "true"}, "Megatron"),
        ({"ACCELERATE_USE_PARALLELISM_CONFIG": "true"}, "parallel"),
        ({"ACCELERATE_DYNAMO_BACKEND": "inductor"}, "dynamo_backend no"),
    ],
)
def test_what_would_take_the_model_apart_is_refused(environment, said):
    with pytest.raises(UserError, match=said) as refused:
        refuse_other_ways(environment)
    assert len(str(refused.value).splitlines()) == 1
    refuse_other_ways({"ACCELERATE_DYNAMO_BACKEND": "no"})


@pytest.mark.parametrize(("rank", "said"), [("0", "error: no\n"), ("3", "error in process 3: no\n")])
def test_who_met_a_mistake_alone_says_so_after_a_while(monkeypatch, capsys, rank, said):
    """By then the launcher has ended it, if the main process met it, too."""
    waited = []
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setattr(cli.time, "sleep", waited.append)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)

    def main():
        raise UserError("no")

    with pytest.raises(SystemExit) as ended:
        cli.run(main)
    assert ended.value.code == 2 and capsys.readouterr().err == said
    assert waited == ([] if rank == "0" else [cli.PATIENCE])


def test_an_evaluation_is_not_started_several_times(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="in one process"):
        judge(["--hero", "tag"])


def test_a_process_trains_on_one_gpu_of_several(monkeypatch, tiny_model_dir, tmp_path):
    usual = GRPOConfig.__post_init__

    def seeing_four(config):
        usual(config)
        config._n_gpu = 4

    monkeypatch.setattr(GRPOConfig, "__post_init__", seeing_four)
    config = parse_config(["--model_name_or_path", str(tiny_model_dir), "--output_dir", str(tmp_path)])
    assert config.n_gpu == 1
