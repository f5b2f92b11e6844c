"""What the apps ask Modal for, and the apps beside training, on the fake Modal."""

import importlib
import re
from pathlib import Path

import pytest
from fake_modal.containers import PROJECT

from modal_app import cost, evaluate, play, solve, train
from modal_app.common import OPPONENTS_VOLUME, RUNS_VOLUME, pinned

HOUR = 3600
READ_OPPONENTS = {"/mnt/opponents": (OPPONENTS_VOLUME, True)}
CACHE = {"/mnt/cache": ("poker-huggingface-cache", False)}
RUNS, READ_RUNS = {"/mnt/runs": (RUNS_VOLUME, False)}, {"/mnt/runs": (RUNS_VOLUME, True)}

# function: GPUs, timeout, retries, single use, volumes
ASKED_FOR = {
    "train.preflight": ([], HOUR, None, False, READ_OPPONENTS | READ_RUNS | CACHE),
    "train.train": ([(name, 1) for name in cost.FALLBACK], 4 * HOUR, 3, True, READ_OPPONENTS | RUNS | CACHE),
    "train.publish": ([], HOUR // 2, None, False, READ_RUNS),
    "train.status": ([], 300, None, False, READ_RUNS),
    "evaluate.preflight": ([], HOUR, None, False, READ_OPPONENTS | READ_RUNS | CACHE),
    "evaluate.evaluate": ([], 4 * HOUR, 1, True, READ_OPPONENTS | RUNS | CACHE),
    "play.preflight": ([], HOUR, None, False, READ_OPPONENTS | READ_RUNS | CACHE),
    "solve.solve": ([], 24 * HOUR, 3, True, {"/mnt/opponents": (OPPONENTS_VOLUME, False)} | CACHE),
}


@pytest.mark.parametrize("name", ASKED_FOR)
def test_what_each_function_asks_for(name):
    module, _, function = name.partition(".")
    info = getattr(importlib.import_module(f"modal_app.{module}"), function).info()
    volumes = {path: (mount.name, bool(mount.read_only)) for path, mount in info.volumes.items()}
    asked = (info.gpus, info.timeout, info.max_retries, info.single_use_containers, volumes)
    assert asked == ASKED_FOR[name]
    assert info.secrets == []  # only a push needs one, and names it then


def test_every_function_is_checked():
    apps = [(module.__name__.split(".")[1], module.app) for module in (train, evaluate, solve, play)]
    assert {f"{name}.{function}" for name, app in apps for function in app._local_state.functions} == set(ASKED_FOR)


def test_the_image_has_what_training_needs_in_the_versions_of_here():
    constraints = (PROJECT / "constraints.txt").read_text().splitlines()
    assert set(pinned()) < set(constraints)
    assert {"torch", "trl", "open_spiel", "numba"} < {requirement.partition("==")[0] for requirement in pinned()}


@pytest.mark.slow
def test_solving_and_judging(cloud, tmp_path):
    """An opponent solved on Modal CPUs is judged there, on CPUs and on a GPU, and what is wrong costs no GPU."""
    cloud.modal("run", "modal_app/solve.py", "--game", "kuhn", "--iterations", "5", "--output", "weak", "--cores", "2")
    assert (cloud.volume(OPPONENTS_VOLUME) / "weak.npz.json").exists()
    assert "weak.npz is on" in cloud.modal("run", "modal_app/solve.py", "--output", "weak", code=2)
    judge = ["run", "modal_app/evaluate.py", "--game", "kuhn", "--villain", "cfr:weak", "--hands", "20", "--gpu", "L4"]
    output = cloud.modal(*judge, "--hero", "tag", "--output", "judged")
    assert "at most $" in output and "hands won" in output
    assert re.search(r"its output: modal app logs (ap-\d+) -f; to end it: modal app stop \1", output)
    (tmp_path / "judged").mkdir()
    cloud.modal("volume", "get", RUNS_VOLUME, "evaluations/judged", ".", cwd=tmp_path)
    assert (tmp_path / "judged" / "results.json").exists()
    assert "unknown player 'tagg'" in cloud.modal(*judge, "--hero", "tagg", code=2)
    assert [(attempt.container.name, attempt.function.gpus) for attempt in cloud.attempts] == [
        ("solve", []),
        ("preflight", []),
        ("evaluate", ["L4:1"]),
        ("preflight", []),
    ]


def test_the_prices_modal_tells_go_first(cloud):
    assert "(prices: modal.com/pricing of 2026-07-01)" in cloud.modal(module="modal_app.cost")
    cloud.control.rates = {"gpu_l40s_hour": "2.00", "cpu_core_hour": "0.05", "memory_gib_hour": "0.01"}
    output = cloud.modal("--gpu", "L40S:2", "--timeout-hours", "1", "--retries", "0", module="modal_app.cost")
    assert "at most $4.72: 1 x 1 h of L40S:2" in output and "(prices: modal billing rates; " in output


def test_a_container_has_nothing_that_was_not_uploaded(cloud):
    """Else the other tests would prove nothing about what the apps upload."""
    probe = Path(__file__).parent / "probe.py"
    output = cloud.modal("run", str(probe))
    assert "found: []" in output and "there: ['probe.py']" in output
