"""Training where the model isn't on the CPU: no tensor is left behind, and it comes to the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from recipes.train import main as train

ROOT = Path(__file__).parents[3]
OPTIONS = [
    *("--game", "kuhn", "--villain", "cfr:weak", "--dtype", "float32", "--num_epochs", "2", "--eval_hands", "10"),
    *("--episodes_per_epoch", "40", "--per_device_train_batch_size", "4", "--warm_start_player", "villain"),
    *("--warm_start_hands", "50", "--warm_start_steps", "3", "--entropy_coef", "0.1", "--beta", "0.1"),
]
MENU = ["--variance_reduction", "range", "villain", "hero", "baseline", "all_action"]
PLAIN = ["--updates_per_epoch", "2", "--num_iterations", "2"]


@pytest.mark.slow
@pytest.mark.parametrize("options", [MENU, PLAIN], ids=["all_action", "plain"])
def test_training_elsewhere_is_training_here(tiny_model_dir, tmp_path, options):
    """The runs are judged by answers sampled token by token, so that the first plays so, too."""
    runs = [tmp_path / "elsewhere", tmp_path / "here"]
    elsewhere, here = (
        [*OPTIONS, *options, "--model_name_or_path", str(tiny_model_dir), "--output_dir", str(run)] for run in runs
    )
    command = [sys.executable, "tests/fakes/elsewhere.py", *elsewhere]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    train(here)
    metrics = [[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in runs]
    for there, here in zip(*metrics, strict=True):
        for name in ("bb_per_hand", "value", "loss", "entropy", "kl", "grad_norm", "rows"):
            assert there[name] == pytest.approx(here[name], rel=1e-3, abs=1e-5), name
    there, here = (load_file(run / "final" / "adapter_model.safetensors") for run in runs)
    assert there.keys() == here.keys()
    assert all(float((there[name] - here[name]).norm()) <= 1e-3 * float(here[name].norm()) for name in here)
