"""The example that people copy: it learns, it takes `poker_env` alone, and it stays one short file."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "kuhn_in_one_file.py"


def captures(tmp_path, *options):
    """By epoch, as it prints them."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), *options], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {
        int(epoch): float(found) for epoch, found in re.findall(r"epoch +(\d+)  capture ([+-][\d.]+)", done.stdout)
    }


def test_it_runs_and_saves_an_adapter(tmp_path):
    found = captures(tmp_path, "--epochs", "2")
    assert set(found) == {0, 2} and found[0] == pytest.approx(-3.75, abs=0.3) and found[2] != found[0]
    assert (tmp_path / "runs" / "kuhn_in_one_file" / "adapter_model.safetensors").is_file()


@pytest.mark.slow
def test_it_learns_to_exploit(tmp_path):
    assert captures(tmp_path)[60] >= 0.8


def test_it_is_one_short_file_on_poker_env_alone():
    source = EXAMPLE.read_text()
    assert len(source.splitlines()) <= 150
    modules = {
        node.module if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not {"recipes", "reward_fns", "modal_app"} & {module.partition(".")[0] for module in modules}


def test_the_readme_shows_what_is_in_it():
    (shown,) = re.findall(
        r"```python\n(# examples/kuhn_in_one_file.py\n.*?)```", (ROOT / "README.md").read_text(), re.S
    )
    lines = [line.strip() for line in EXAMPLE.read_text().splitlines()]
    assert [line for line in shown.splitlines()[1:] if line.strip() not in (*lines, "", "...")] == []
