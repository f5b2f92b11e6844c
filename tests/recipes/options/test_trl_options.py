"""Each of TRL's and transformers' options works, is set by the run, or is refused in one line."""

import os
from collections import Counter
from dataclasses import fields

import pytest
from trl import GRPOConfig

from poker_env.errors import UserError
from recipes.cli import run
from recipes.options.config import ExploitConfig, as_option, parse_config
from recipes.options.trl_options import BOUNDS, REFUSED, SET, WORKS, default_of

THEIRS = {option.name: option for option in fields(GRPOConfig)}
OTHER = (True, False, 3, 0.5, "steps", "other", ["other"], {"other": 1})


def other_value(name):
    """A value that an option may have, and that isn't its default."""
    for value in OTHER:
        try:
            if as_option(name, value) != default_of(THEIRS[name]):
                return value
        except UserError:
            continue
    return {"other": 1}  # of a type that can't be written at all


def test_every_option_is_of_one_kind():
    own = set(ExploitConfig.__annotations__)
    kinds = Counter([*(name for family in WORKS.values() for name in family), *SET, *REFUSED])
    assert set(kinds) == set(THEIRS) - own
    assert set(kinds.values()) == {1}
    assert set(BOUNDS) <= own | set(THEIRS)


@pytest.mark.parametrize("name", REFUSED)
def test_one_that_would_do_nothing_or_harm_is_refused(name, capsys):
    value = other_value(name)
    with pytest.raises(SystemExit) as caught:
        run(lambda: ExploitConfig(game="kuhn", **{name: value}))
    message = capsys.readouterr().err
    assert caught.value.code == 2
    assert message.count("\n") == 1 and message.startswith(f"error: {name} ")
    assert REFUSED[name] in message or "left out" in message


@pytest.mark.parametrize("name", REFUSED)
def test_its_default_may_be_written(name):
    config = ExploitConfig(game="kuhn", **{name: default_of(THEIRS[name])})
    assert config.make_game().name == "kuhn"


SET_OTHERWISE = {
    "num_generations": 8,
    "steps_per_generation": 3,
    "generation_batch_size": 16,
    "gradient_accumulation_steps": 2,
    "max_steps": 7,
    "save_strategy": "no",
    "save_steps": 100,
    "save_total_limit": 5,
    "logging_strategy": "epoch",
    "logging_steps": 7,
    "disable_tqdm": "false",
    "use_cpu": "false",
    "bf16": "true",
    "fp16": "true",
    "router_aux_loss_coef": 0.1,
    "reward_weights": [1.0, 2.0, 3.0],
    "ddp_broadcast_buffers": "true",
}


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.parametrize("name", SET)
def test_one_that_the_run_sets_is_refused_where_it_says_something_else(name):
    value = SET_OTHERWISE[name]
    words = list(map(str, value)) if isinstance(value, list) else [str(value)]
    with pytest.raises(UserError, match=rf"{name} .* can't be had, it is .*: ") as caught:
        parse_config(["--game", "kuhn", "--dtype", "float32", "--output_dir", "unused", f"--{name}", *words])
    assert "\n" not in str(caught.value)
    assert SET[name] in str(caught.value)


@pytest.mark.parametrize("name", SET)
def test_one_that_the_run_sets_may_say_the_same(name):
    options = ["--game", "kuhn", "--dtype", "float32", "--output_dir", "unused"]
    value = getattr(parse_config(options), name)
    words = list(map(str, value)) if isinstance(value, list) else [str(getattr(value, "value", value))]
    if name == "generation_batch_size":
        assert value == 32
    assert getattr(parse_config([*options, f"--{name}", *words]), name) == value


def test_a_default_that_is_written_is_not_overwritten_in_silence(tmp_path):
    (tmp_path / "config.yaml").write_text("game: kuhn\nlogging_steps: 10\n")
    with pytest.raises(UserError, match=r"logging_steps 10\.0 can't be had, it is 1"):
        parse_config(["--config", str(tmp_path / "config.yaml")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon_high": 0.28}, "epsilon_high 0.28 is what loss_type cispo caps"),
        ({"epsilon": 0.1}, "epsilon 0.1 does nothing with loss_type cispo"),
        ({"delta": 2.0}, "delta 2.0 does nothing with loss_type cispo"),
    ],
)
def test_cispo_takes_only_what_does_something(options, message):
    with pytest.raises(UserError, match=message):
        ExploitConfig(game="kuhn", loss_type="cispo", **options)


def test_cispo_has_a_bound_that_leaves_gradients_alone():
    assert ExploitConfig(game="kuhn", loss_type="cispo").epsilon_high == 5.0
    assert ExploitConfig(game="kuhn", loss_type="cispo", epsilon_high=2).epsilon_high == 2.0
    assert ExploitConfig(game="kuhn").epsilon_high is None


def test_the_help_lists_every_option(capsys):
    with pytest.raises(SystemExit) as caught:
        parse_config(["--help"])
    assert caught.value.code == 0
    told = capsys.readouterr().out
    assert all(f"--{option.name}" in told for option in fields(ExploitConfig))


@pytest.mark.parametrize("words", [["--no_logging_nan_inf_filter"], ["--logging-nan-inf-filter", "off"]])
def test_a_switch_can_be_turned_off(words):
    assert not parse_config(["--game", "kuhn", *words]).logging_nan_inf_filter


def test_float16_is_mixed_precision_with_loss_scaling():
    config = ExploitConfig(game="kuhn", dtype="float16")
    assert (config.fp16, config.bf16) == (True, False)


def test_paths_may_begin_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = ExploitConfig(game="kuhn", output_dir="~/run", adapter="~/a", villain={"cfr:~/x.npz": 1, "lag": 1})
    assert config.output_dir == str(tmp_path / "run")
    assert config.adapter == str(tmp_path / "a")
    assert config.villain == f"mix:cfr:{tmp_path}/x.npz=1,lag=1"
    (tmp_path / "mine.yaml").write_text("game: leduc\n")
    assert parse_config(["--config", "~/mine.yaml"]).game == "leduc"


def test_an_option_that_is_nearly_one_is_told(tmp_path):
    with pytest.raises(UserError, match=r"unknown options --num_epoch5 3 \(did you mean num_epochs"):
        parse_config(["--num_epoch5", "3"])
    (tmp_path / "config.yaml").write_text("episodes-per-epoch: 3\n")
    with pytest.raises(UserError, match=r"unknown option episodes-per-epoch .*did you mean episodes_per_epoch"):
        parse_config(["--config", str(tmp_path / "config.yaml")])


def test_environment_variables_of_a_config_are_set(monkeypatch, tmp_path):
    monkeypatch.setenv("POKER_TEST", "before")
    (tmp_path / "config.yaml").write_text("game: kuhn\nenv: {POKER_TEST: 3}\n")
    parse_config(["--config", str(tmp_path / "config.yaml")])
    assert os.environ["POKER_TEST"] == "3"
