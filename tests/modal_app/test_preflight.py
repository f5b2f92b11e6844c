"""Checks before a GPU is asked for, on folders in the place of the volumes."""

import json
import time

import pytest
import yaml
from httpx2 import Request, Response
from huggingface_hub.errors import HfHubHTTPError, HTTPError
from tiny import CONFIG

from modal_app import preflight
from modal_app.options import BONUSES, assemble
from modal_app.preflight import prepare_run, require_checkpoint, require_ended, resolve_player
from modal_app.publish import check_token
from modal_app.record import Attempt, save_attempt
from poker_env.errors import UserError
from recipes.options.config import parse_config
from recipes.runs.checkpoints import COMPLETE, last_complete_checkpoint, mark_complete
from reward_fns import load_reward


@pytest.fixture
def volumes(tmp_path, monkeypatch):
    """The runs' and the opponents' folders."""
    runs, opponents = tmp_path / "runs", tmp_path / "opponents"
    for folder in (runs, opponents):
        folder.mkdir()
    monkeypatch.setattr(preflight, "RUNS", runs)
    monkeypatch.setattr(preflight, "OPPONENTS", opponents)
    return runs, opponents


def prepare(tiny_model_dir, resume=False, opponent=None, gpu=None, push=False, **options):
    base = None if resume else CONFIG.format(model=tiny_model_dir)
    return prepare_run("run", resume, base, opponent, {"num_epochs": 2, **options}, gpu, push)


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (HTTPError("refused"), "the Hub can't be reached \\(refused\\): try again later"),
        (HfHubHTTPError("no", response=Response(401, request=Request("GET", "http://hub"))), "renew it in the Modal"),
        (HfHubHTTPError("no", response=Response(500, request=Request("GET", "http://hub"))), "try again later"),
    ],
)
def test_what_is_wrong_with_the_hub_is_told_before_anything_starts(raised, message, monkeypatch):
    def whoami(_):
        raise raised

    monkeypatch.setattr("huggingface_hub.HfApi.whoami", whoami)
    with pytest.raises(UserError, match=message):
        check_token()


def test_an_adapter_that_nobody_could_load_is_not_pushed(volumes, tiny_model_dir):
    assert prepare(tiny_model_dir)["epochs"] == 2
    with pytest.raises(UserError, match="is a folder"):
        prepare(tiny_model_dir, push=True)


def test_options_go_on_top_of_the_yaml():
    base = (
        "num_epochs: 3\nlearning_rate: 1.0e-3\nrewards:\n  - {name: chips, args: {payoff_scale: 1000}}\n  - bluff=2\n"
    )
    options = {
        "num_epochs": 20,
        "seed": None,
        "model_name": "a/b",
        "bluff_bonus": 0.7,
        "reward": "showdown=0.5, illegal",
    }
    assert assemble(base, options) == {
        "num_epochs": 20,
        "learning_rate": 1e-3,
        "model_name_or_path": "a/b",
        "rewards": [
            {"name": "chips", "args": {"payoff_scale": 1000}},
            {"name": "bluff", "args": {"bonus": 0.7}},
            "showdown=0.5",
            "illegal",
        ],
    }
    assert assemble("", {}) == {}
    mapped = assemble("rewards: {chips: 1, bluff: 0.25}", {"aggression_bonus": 0.2})["rewards"]
    assert mapped[:2] == [{"name": "chips", "weight": 1}, {"name": "bluff", "weight": 0.25}] and len(mapped) == 3
    assert assemble("", {"aggression_bonus": 0.2})["rewards"][:2] == ["chips", "illegal"]
    for wrong in ("- a list", "a: b: c"):
        with pytest.raises(UserError, match="config"):
            assemble(wrong, {})


def test_every_bonus_is_an_argument_of_its_reward_function():
    assert all(load_reward(name, 1.0, {"bonus": 1.0}) for name in BONUSES.values())


def test_what_is_known_before_a_run(volumes, tiny_model_dir, opponent):
    runs, opponents = volumes
    (opponents / opponent.name).write_bytes(opponent.read_bytes())
    known = prepare(tiny_model_dir, opponent="checkpoint_1000", bluff_bonus=0.5)
    config = yaml.safe_load(known["config"])
    assert config["villain"] == f"cfr:{opponents / opponent.name}" and config["output_dir"] == str(runs / "run")
    assert (known["epochs"], known["done"], known["finished"], known["measured"]) == (2, 0, False, {})
    assert known["gpus"] == ["L4", "A10", "L40S"] and not (runs / "run").exists()
    assert list(known["estimated"]) == known["gpus"] and all(0 < each < 0.01 for each in known["estimated"].values())
    path = runs / "config.yaml"
    path.write_text(known["config"])
    assert parse_config(["--config", str(path)]).reward_specs()[-1].args == {"bonus": 0.5}
    faster = prepare(tiny_model_dir, gpu="H100:2")
    assert faster["gpus"] == ["H100:2"] and faster["estimated"]["H100:2"] < known["estimated"]["L4"]


def test_a_run_to_go_on_with_keeps_its_config(volumes, tiny_model_dir):
    run = volumes[0] / "run"
    run.mkdir()
    (run / "config.yaml").write_text(CONFIG.format(model=tiny_model_dir))
    (run / "checkpoint-1").mkdir()
    mark_complete(run, 1)
    known = prepare(tiny_model_dir, resume=True)
    assert (known["done"], known["epochs"]) == (1, 2) and yaml.safe_load(known["config"])["episodes_per_epoch"] == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_epochs": 0}, "num_epochs 0"),
        ({"game": "omaha"}, "unknown game 'omaha'"),
        ({"villain": "shark"}, "unknown player 'shark'"),
        ({"villain": "human"}, "can't be trained against"),
        ({"reward": "chipz"}, "unknown reward function 'chipz'"),
        ({"opponent": "missing"}, "no opponent 'missing'"),
        ({"model_name": "/no/such/model"}, "no model '/no/such/model'"),
        ({"resume": True}, "no run 'run'"),
        ({"lora_target_modules": ["c_attn"]}, "lora_target_modules c_attn can't be had"),
        ({"optim_args": "a=b"}, "this optimizer takes none"),
        ({"max_completion_length": 1}, "max_completion_length 1 is too short"),
        ({"gpu": "T4", "dtype": "bfloat16"}, "dtype bfloat16 on a T4"),
    ],
)
def test_mistakes_are_found(volumes, tiny_model_dir, options, message):
    with pytest.raises(UserError) as caught:
        prepare(tiny_model_dir, **options)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_pickles_of_the_earlier_bot_are_refused(volumes, tiny_model_dir):
    (volumes[1] / "checkpoint_1000.pt").write_bytes(b"\x80\x04]")
    with pytest.raises(
        UserError, match=r"checkpoint_1000.pt is refused: beside weights it holds code, which would run when opened"
    ):
        prepare(tiny_model_dir, opponent="checkpoint_1000")


def test_half_written_checkpoints_are_left_out(tmp_path, capsys):
    for step in (1, 2):
        (tmp_path / f"checkpoint-{step}").mkdir()
    with pytest.raises(UserError, match="checkpoint-1, checkpoint-2 is half-written"):
        require_checkpoint(tmp_path)
    mark_complete(tmp_path, 1)
    assert (tmp_path / "checkpoint-1" / COMPLETE).exists()
    require_checkpoint(tmp_path)
    assert capsys.readouterr().out == "checkpoint-2 is half-written: going on from checkpoint-1\n"
    assert last_complete_checkpoint(tmp_path) == tmp_path / "checkpoint-1"  # which is what the recipe does


def test_a_run_that_may_still_be_running_is_left_alone(tmp_path):
    run = tmp_path / "run"
    save_attempt(run, [], Attempt([], 0.001, started=time.time() - 1000))
    with pytest.raises(UserError, match=r"run 'run' seems to be running: .* or wait 360 s"):
        require_ended(run)
    for ended in (
        Attempt([], 0.001, time.time() - 1000, 600.0),
        Attempt([], 0.001, time.time() - 10, 9.0, "interrupted"),
    ):
        (run / "modal.json").write_text(json.dumps([vars(ended)]))
        require_ended(run)


def test_a_finished_run_says_so(volumes, tiny_model_dir):
    run = volumes[0] / "run"
    (run / "final").mkdir(parents=True)
    (run / "config.yaml").write_text(CONFIG.format(model=tiny_model_dir))
    (run / "metrics.jsonl").write_text("{}\n{}\n")
    assert prepare(tiny_model_dir, resume=True)["finished"]
    assert not prepare(tiny_model_dir, resume=True, num_epochs=3)["finished"]


def test_players_on_the_volumes(volumes):
    runs, opponents = volumes
    (opponents / "mine.npz").touch()
    (runs / "first" / "best").mkdir(parents=True)
    assert resolve_player("cfr:mine") == resolve_player("cfr:mine.npz") == f"cfr:{opponents / 'mine.npz'}"
    assert resolve_player("cfr:mine+river") == f"cfr:{opponents / 'mine.npz'}+river"
    assert resolve_player("llm:first/best") == f"llm:{runs / 'first' / 'best'}"
    assert [resolve_player(spec) for spec in ("cfr", "cfr:small", "tag", "llm:a/b")] == [
        "cfr",
        "cfr:small",
        "tag",
        "llm:a/b",
    ]
