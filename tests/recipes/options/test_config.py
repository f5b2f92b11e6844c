"""Every mistake in a training config is one clear line."""

import pytest
import yaml

from poker_env.errors import UserError
from recipes.options.config import ExploitConfig, parse_config


def parse(*argv):
    return parse_config(["--output_dir", "unused", *argv])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--game", "omaha"], "unknown game 'omaha'"),
        (["--game", "holdem:stack=100"], "stack 100"),
        (["--num_epochs", "0"], "num_epochs 0"),
        (["--episodes_per_epoch", "0"], "episodes_per_epoch 0"),
        (["--episodes_per_epoch", "10", "--replicas", "3"], "not a multiple of replicas"),
        (["--rewards", "chips", "luck"], "unknown reward function 'luck'"),
        (["--rewards", "chips=lots"], "'lots' is not a number"),
        (["--baseline", "critic"], "unknown baseline 'critic'"),
        (["--baseline", "leave_one_out"], "needs replicas"),
        (["--prompt_style", "haiku"], "unknown prompt_style 'haiku'"),
        (["--gamma", "1.5"], "gamma 1.5"),
        (["--temperature", "0"], "temperature 0"),
        (["--scale_rewards", "group"], "scale_rewards 'group'"),
        (["--loss_type", "grpo"], "loss_type 'grpo'"),
        (["--multi_objective_aggregation", "normalize_then_sum"], "multi_objective_aggregation"),
        (["--top_p", "0.9"], "top_p"),
        (["--mask_truncated_completions", "true"], "mask_truncated_completions"),
        (["--use_vllm", "true"], "use_vllm"),
        (["--villain", "human"], "can't be trained against"),
        (["--advisor", "maybe"], "advisor 'maybe' must be true or false"),
        (["--menu_fractions", "-1"], "menu_fractions"),
        (["--no_such_option", "1"], "no_such_option"),
        (["--num_epochs", "many"], "num_epochs 'many' must be a whole number"),
        (["--config", "no/such/file.yaml"], "no/such/file.yaml"),
        (["--config"], "--config needs a file, or the name of one of ours: .*kuhn"),
        (["--report_to", "visdom"], "unknown report_to 'visdom'"),
    ],
)
def test_mistakes_are_named(argv, message):
    with pytest.raises(UserError, match=message) as caught:
        parse(*argv)
    assert "\n" not in str(caught.value)


def test_an_unknown_yaml_key_is_named(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.dump({"game": "kuhn", "episodes": 3}))
    with pytest.raises(UserError, match="episodes"):
        parse("--config", str(path))


def test_yaml_and_command_line(tmp_path):
    path = tmp_path / "config.yaml"
    rewards = ["chips", {"name": "bluff", "weight": 2.0, "args": {"bonus": 0.25}}]
    path.write_text(yaml.dump({"game": "kuhn", "num_epochs": 3, "rewards": rewards}))
    config = parse("--config", str(path), "--num_epochs", "5")
    assert (config.make_game().name, config.num_epochs) == ("kuhn", 5)
    specs = config.reward_specs()
    assert [(spec.name, spec.weight, dict(spec.args)) for spec in specs] == [
        ("chips", 1.0, {}),
        ("bluff", 2.0, {"bonus": 0.25}),
    ]
    assert config.reward_weights == [1.0, 2.0]


def test_a_config_of_ours_goes_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse("--config", "leduc").make_game().name == "leduc"
    (tmp_path / "leduc").write_text("game: kuhn\n")  # a file goes first
    assert parse("--config", "leduc").make_game().name == "kuhn"


def test_a_warm_start_of_a_config_can_be_switched_off():
    assert parse_config(["--config", "kuhn"]).warm_start_player == "villain"
    assert parse_config(["--config", "kuhn", "--warm_start_player", ""]).warm_start_player is None


def test_a_run_goes_by_its_folder_s_name():
    assert parse_config(["--game", "kuhn", "--output_dir", "runs/mine"]).run_name == "mine"
    assert parse("--run_name", "other").run_name == "other"


def test_a_mixture_of_villains_in_yaml_is_a_spec(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("villain: {cfr: 0.8, lag: 0.1, 'cfr:runs/a.npz': 0.1}\n")
    assert parse("--config", str(path)).villain == "mix:cfr=0.8,lag=0.1,cfr:runs/a.npz=0.1"
    assert parse("--config", str(path), "--villain", "tag").villain == "tag"


@pytest.mark.parametrize(
    ("villain", "message"),
    [("{}", "mixture of nothing"), ("{cfr: lots}", "weight 'lots'"), ("{human: 1}", "can't be part")],
)
def test_a_mixture_that_makes_no_sense_is_named(tmp_path, villain, message):
    path = tmp_path / "config.yaml"
    path.write_text(f"villain: {villain}\n")
    with pytest.raises(UserError, match=message):
        parse("--config", str(path))


def test_advice_is_about_the_runs_own_villain():
    assert parse("--villain", "cfr:weak").poker().advisor is None
    assert parse("--villain", "cfr:weak", "--advisor", "true").poker().advisor == "cfr:weak"


def test_one_group_is_the_whole_generation_batch():
    config = parse("--episodes_per_epoch", "10", "--per_device_train_batch_size", "8", "--updates_per_epoch", "2")
    assert config.rows_per_epoch == 32  # twice the hands, rounded up to whole batches for each update
    assert config.num_generations == config.generation_batch_size == 32
    assert config.gradient_accumulation_steps == 2
    assert config.max_steps == config.num_epochs * 2


def test_the_weights_are_those_of_the_rewards_whatever_the_baseline():
    config = parse("--baseline", "leave_one_out", "--replicas", "2", "--rewards", "chips", "bluff=0.5")
    assert config.reward_weights == [1.0, 0.5]


@pytest.mark.parametrize(
    ("game", "hands", "rows"), [("kuhn", 1024, 32), ("kuhn", 8, 16), ("leduc", 4096, 512), ("holdem", 1024, 2048)]
)
def test_rows_are_twice_the_hands_but_no_more_than_a_small_game_has_decisions(game, hands, rows):
    assert parse("--game", game, "--episodes_per_epoch", str(hands)).rows_per_epoch == rows


def test_the_trainer_never_scales_by_the_standard_deviation_of_merged_rows():
    config = parse("--scale_rewards", "batch")
    assert (config.scale_advantages, config.scale_rewards) == (True, "none")
    assert not parse().scale_advantages


def test_the_entropy_bonus_falls_in_a_straight_line():
    config = ExploitConfig(game="kuhn", num_epochs=5, entropy_coef=0.05, entropy_coef_end=0.01)
    assert [config.entropy_coef_at(epoch) for epoch in range(5)] == pytest.approx([0.05, 0.04, 0.03, 0.02, 0.01])
    assert ExploitConfig(game="kuhn", num_epochs=1, entropy_coef=0.05, entropy_coef_end=0.0).entropy_coef_at(0) == 0.05
    assert ExploitConfig(game="kuhn", entropy_coef=0.03).entropy_coef_at(7) == 0.03


def test_the_entropy_bonus_may_fall_by_the_same_factor_each_epoch():
    config = ExploitConfig(
        game="kuhn", num_epochs=4, entropy_coef=0.8, entropy_coef_end=0.1, entropy_schedule="geometric"
    )
    assert [config.entropy_coef_at(epoch) for epoch in range(4)] == pytest.approx([0.8, 0.4, 0.2, 0.1])


def test_probabilities_may_be_lifted_from_some_epoch_on():
    game = {"game": "kuhn", "variance_reduction": ["all_action"], "num_epochs": 4, "probability_power": 0.5}
    config = ExploitConfig(lifted_after=2, **game)
    assert [config.probability_power_at(epoch) for epoch in range(4)] == [1, 1, 0.5, 0.5]
    assert [ExploitConfig(**game).probability_power_at(epoch) for epoch in range(2)] == [0.5, 0.5]


@pytest.mark.parametrize(
    "options",
    [
        {"entropy_coef_end": 0.01},
        {"entropy_coef": 0.1, "entropy_coef_end": -0.1},
        {"entropy_coef": 0.1, "entropy_coef_end": 0.0, "entropy_schedule": "geometric"},
        {"entropy_coef": 0.1, "entropy_schedule": "geometric"},
    ],
)
def test_an_entropy_schedule_needs_a_start_and_an_end(options):
    with pytest.raises(UserError, match="entropy_coef_end"):
        ExploitConfig(game="kuhn", **options)


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        (["--game", "kuhn"], 32),  # there are no more
        (["--game", "leduc"], 192),  # fold, call, raise
        (["--game", "holdem"], 512),  # the five sizes by default, all-in, call and fold
        (["--game", "holdem", "--menu_fractions", "0.5"], 256),
        (["--game", "holdem", "--menu_fractions", "0.5", "--rows_per_epoch", "40"], 40),
    ],
)
def test_with_all_action_there_are_rows_for_every_action_of_a_menu(options, rows):
    assert parse(*options, "--variance_reduction", "all_action").rows_per_epoch == rows


@pytest.mark.parametrize("words", [[], ["none"], [""], ["[]"]])
def test_a_list_of_a_config_can_be_emptied(words, tmp_path):
    (tmp_path / "config.yaml").write_text("game: kuhn\nvariance_reduction: [chance, range]\n")
    config = parse("--config", str(tmp_path / "config.yaml"), "--variance_reduction", *words)
    assert config.variance_reduction == []


def test_a_mapping_may_be_given_on_the_command_line():
    config = parse(
        "--game", "kuhn", "--villain", "{cfr: 0.8, lag: 0.2}", "--rewards", "chips", "{name: bluff, weight: 2}"
    )
    assert config.villain == "mix:cfr=0.8,lag=0.2"
    assert config.reward_weights == [1.0, 2.0]


@pytest.mark.parametrize("rewards", [["illegal=-1"], ["{name: illegal, args: {penalty: 1}}"], ["{illegal: -0.5}"]])
def test_an_illegal_answer_is_not_paid_for(rewards):
    with pytest.raises(UserError, match=r"rewards: .*'illegal' has .* which would pay for illegal answers"):
        parse("--game", "kuhn", "--rewards", "chips", *rewards)
