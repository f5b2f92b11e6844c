"""Trackers get every figure by its documented name, and hands in words; without them nothing is told to anybody."""

import json
import re
import socket
import sqlite3
import sys
import types
from pathlib import Path

import huggingface_hub.constants
import pytest
import yaml
from huggingface_hub.utils import _telemetry
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import TrainerControl, TrainerState
from transformers.integrations import integration_utils

from poker_env.errors import UserError
from recipes.options import report_to
from recipes.options.config import ExploitConfig, parse_config
from recipes.runs import trackers
from recipes.train import main

PAGE = Path(__file__).parents[3] / "docs" / "trackers.md"


def arguments(model_dir, output_dir, *more):
    return [
        *("--game", "kuhn", "--villain", "cfr:weak", "--model_name_or_path", str(model_dir), "--dtype", "float32"),
        *("--num_epochs", "1", "--episodes_per_epoch", "12", "--per_device_train_batch_size", "16"),
        *("--learning_rate", "1e-3", "--eval_hands", "0", "--show_hands", "0", "--beta", "0.1"),
        *("--output_dir", str(output_dir), *more),
    ]


@pytest.fixture(scope="module")
def tracked(tiny_model_dir, tmp_path_factory):
    """(run folder, Trackio's folder) of an epoch that was reported to TensorBoard and Trackio."""
    folder = tmp_path_factory.mktemp("tracked")
    config = folder / "config.yaml"
    config.write_text(yaml.dump({"report_to": ["tensorboard", "trackio"]}))
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):  # TRL has imported them, and they the environment's folder
            if name.partition(".")[0] == "trackio" and hasattr(module, "TRACKIO_DIR"):
                patch.setattr(module, "TRACKIO_DIR", folder / "trackio")
        main(["--config", str(config), *arguments(tiny_model_dir, folder / "run")])
    return folder / "run", folder / "trackio"


@pytest.fixture(scope="module")
def events(tracked):
    found = EventAccumulator(str(tracked[0] / "tensorboard"))
    found.Reload()
    return found


def documented():
    """{name in metrics.jsonl: name in a tracker}, of the page's tables."""
    return dict(re.findall(r"^\| `(\w+)` \| `([\w/]+)` \|", PAGE.read_text(), re.MULTILINE))


def metrics(run):
    return json.loads((run / "metrics.jsonl").read_text())


def test_the_page_names_what_a_run_measures_and_nothing_else(tracked):
    assert set(documented()) == set(metrics(tracked[0]))


def test_a_tracker_has_every_figure_by_the_page_s_name(tracked, events):
    row, names = metrics(tracked[0]), documented()
    returns = row.pop("returns")
    assert row.pop("logp_gap") is None  # without all_action it isn't known
    expected = {f"train/{names[key]}": value for key, value in row.items() if key != "epoch"}
    expected |= {f"train/poker/return/{name}": value for name, value in returns.items()}
    scalars = events.Tags()["scalars"]
    assert {name for name in scalars if name.startswith("train/poker/")} == {
        name for name in expected if name.startswith("train/poker/")
    }
    for name, value in expected.items():
        (event,) = events.Scalars(name)
        assert event.step == row["epoch"]
        assert event.value == pytest.approx(value, rel=1e-3, abs=1e-3), name


def test_a_few_hands_are_told_in_words(tracked, events):
    told = (tracked[0] / "hands" / "epoch_001.txt").read_text()
    assert told.count("hero wins") == 8 and "Kuhn poker, amounts in chips" in told
    (text,) = events.Tensors(f"train/{trackers.REPLAYS}/text_summary")
    assert text.tensor_proto.string_val[0].decode().count("hero wins") == 8


def test_trackio_keeps_figures_and_hands_on_this_machine(tracked):
    (database,) = tracked[1].glob("exploitative-poker*.db")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT run_name, metrics FROM metrics").fetchall()
    logged = {key: value for _, row in rows for key, value in json.loads(row).items()}
    assert {name for name, _ in rows} == {tracked[0].name}
    assert logged["train/poker/capture"] == pytest.approx(metrics(tracked[0])["capture"])
    assert "hero wins" in json.dumps(logged[f"train/{trackers.REPLAYS}"])


def test_weights_and_biases_gets_hands_as_a_table(monkeypatch):
    sent = []
    wandb = types.SimpleNamespace(log=sent.append, Table=lambda columns, data: (columns, data))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    callback = object.__new__(integration_utils.WandbCallback)
    callback._wandb, callback._initialized = wandb, True
    state = TrainerState(global_step=3, is_world_process_zero=True)
    trackers.track([callback], {"value": 0.5}, ["a hand", "another"], None, state, TrainerControl())
    assert sent == [
        {"train/poker/value": 0.5, "train/global_step": 3},
        {"train/poker/replays": (["hand"], [["a hand"], ["another"]]), "train/global_step": 3},
    ]


@pytest.mark.parametrize("name", ["tensorboard", "trackio", "wandb", "mlflow"])
def test_a_missing_package_is_one_line(name, monkeypatch):
    monkeypatch.setattr(integration_utils, f"is_{name}_available", lambda: False)
    with pytest.raises(UserError, match=rf"report_to {name}: .*pip install {name}") as caught:
        parse_config(["--game", "kuhn", "--output_dir", "unused", "--report_to", name])
    assert "\n" not in str(caught.value)


def test_an_unknown_tracker_is_one_line():
    with pytest.raises(UserError, match="unknown report_to 'visdom'"):
        ExploitConfig(game="kuhn", report_to=["tensorboard", "visdom"])
    with pytest.raises(UserError, match="report_to none, tensorboard: none goes without others"):
        ExploitConfig(game="kuhn", report_to=["none", "tensorboard"])


def test_an_empty_line_of_yaml_is_no_tracker(tmp_path):
    (tmp_path / "config.yaml").write_text(f"game: kuhn\noutput_dir: {tmp_path / 'run'}\nreport_to:\n")
    assert parse_config(["--config", str(tmp_path / "config.yaml")]).report_to == []


@pytest.fixture
def calls(monkeypatch):
    """Where this process tried to connect to, loopback and Unix sockets aside."""
    found = []

    real = socket.socket.connect

    def connect(self, address):
        if self.family == socket.AF_UNIX or address[0] in ("127.0.0.1", "::1"):
            return real(self, address)
        found.append(address)
        raise OSError("no network in this test")

    def look_up(host, *_, **__):
        found.append(host)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.delenv("CI", raising=False)  # there TRL is silent of its own accord
    return found


@pytest.mark.parametrize("asked", [False, True])
def test_nothing_is_told_to_anybody_unless_asked(asked, calls, tiny_model_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    if asked:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", False)
    main(arguments(tiny_model_dir, tmp_path / "run"))
    _telemetry._TELEMETRY_QUEUE.join()
    assert bool(calls) == asked
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_who_sets_the_switch_decides(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "0")
    report_to.tell_nobody()
    assert not huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY")
    report_to.tell_nobody()
    assert huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY
