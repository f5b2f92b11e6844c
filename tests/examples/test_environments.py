"""The examples of environments for other trainers run, and the page about them shows what is in them."""

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "environments"


def said(name, options, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, *options.split()])
    runpy.run_path(str(FOLDER / name), run_name="__main__")
    return capsys.readouterr().out


def test_verifiers_evaluates(monkeypatch, capsys, tmp_path):
    pytest.importorskip("verifiers.v1", reason="the package verifiers isn't installed: pip install -e '.[verifiers]'")
    monkeypatch.setenv("HOME", str(tmp_path))
    out = said("verifiers_eval.py", "--hands 12", monkeypatch, capsys)
    assert re.search(r"mbb/hand \(95 %, 12 hands\), 100.0% legal", out)


def test_verifiers_without_a_model(monkeypatch, capsys, tmp_path):
    pytest.importorskip("verifiers.v1", reason="the package verifiers isn't installed: pip install -e '.[verifiers]'")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SystemExit):
        said("verifiers_eval.py", "--hands 2 --url http://127.0.0.1:9/v1", monkeypatch, capsys)
    assert "2 of 2 hands failed: is there a model at http://127.0.0.1:9/v1?" in capsys.readouterr().err


def test_openenv_plays(monkeypatch, capsys):
    pytest.importorskip("openenv.core.env_server", reason="OpenEnv isn't installed: pip install -e '.[openenv]'")
    out = said("openenv_play.py", "--hands 12", monkeypatch, capsys)
    assert "Kuhn poker" in out and "chips a hand (95 %, 12 hands)" in out


def test_trl_trains(tiny_model_dir, monkeypatch, capsys, tmp_path):
    options = f"--model {tiny_model_dir} --steps 1 --output_dir {tmp_path / 'out'}"
    assert "mean reward of 16 hands" in said("trl_train.py", options, monkeypatch, capsys)
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()


def test_the_page_shows_what_is_in_them():
    page = (ROOT / "docs" / "environments.md").read_text()
    shown = re.findall(r"```python\n# examples/environments/(\w+\.py)\n(.*?)```", page, re.S)
    assert len(shown) == 3
    for name, block in shown:
        lines = [line.strip() for line in (FOLDER / name).read_text().splitlines()]
        assert [line for line in block.splitlines() if line.strip() not in (*lines, "", "...")] == []
