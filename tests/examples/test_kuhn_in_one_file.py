"""The example that people copy: it learns, it takes `poker_env` alone, and it stays one short file."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "kuhn_in_one_file.py"


def captures(printed):
    """By epoch."""
    return {int(epoch): float(found) for epoch, found in re.findall(r"epoch +(\d+)  capture ([+-][\d.]+)", printed)}


def test_it_trains_and_saves_an_adapter(tiny_model_dir, tmp_path, monkeypatch, capsys):
    """With a model that is small, and fewer hands."""
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("kuhn_in_one_file", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    for name in ("load_model", "load_tokenizer"):
        load = getattr(example, name)
        monkeypatch.setattr(example, name, lambda _, *dtype, load=load: load(str(tiny_model_dir), *dtype))
    monkeypatch.setattr(example, "HANDS", 256)
    example.main(epochs=2, learning_rate=5e-4, seed=0)
    found = captures(capsys.readouterr().out)
    assert set(found) == {0, 2} and found[0] < 0 and found[2] != found[0]
    assert (tmp_path / "runs" / "kuhn_in_one_file" / "adapter_model.safetensors").is_file()


@pytest.mark.slow
def test_it_learns_to_exploit(tmp_path):
    done = subprocess.run([sys.executable, str(EXAMPLE)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = captures(done.stdout)
    assert found[0] == pytest.approx(-3.75, abs=0.3) and found[60] >= 0.8


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
