"""What people type: taken as obviously meant, or refused in one line with the option's name; never a traceback."""

import pytest

from poker_env.errors import UserError
from recipes.options.config import parse_config

NEAR = pytest.approx


def of_yaml(folder, text):
    path = folder / "config.yaml"
    path.write_text(text)
    return parse_config(["--config", str(path), "--output_dir", str(folder / "run")])


TAKEN = [
    # whole numbers
    *[(f"num_epochs: {text}", "num_epochs", 10) for text in ("10", "10.0", "1e1", "1.0e+1", "'10'", "'10.0'", "+10")],
    ("num_epochs: 010", "num_epochs", 10),  # YAML 1.1 reads an octal 8
    ("warm_start_hands: 2_000", "warm_start_hands", 2000),
    ("seed: 4e9", "seed", 4_000_000_000),
    ("rows_per_epoch: 96.0", "rows_per_epoch", 96),
    ("rows_per_epoch:", "rows_per_epoch", 64),
    ("rows_per_epoch: none", "rows_per_epoch", 64),
    ("exact_eval_every: null", "exact_eval_every", None),
    # numbers
    *[
        (f"learning_rate: {text}", "learning_rate", NEAR(1e-5))
        for text in ("1e-5", "'1e-5'", "1.0e-5", "0.00001", "1E-5", ".1e-4", "1.e-5")
    ],
    ("gamma: 1", "gamma", 1.0),
    ("gamma: '1'", "gamma", 1.0),
    ("entropy_coef: 0", "entropy_coef", 0.0),
    ("weight_decay: -0.0", "weight_decay", 0.0),
    # switches
    *[(f"advisor: {text}", "advisor", True) for text in ("true", "yes", "on", "'on'", "1", "TRUE", "'true'")],
    *[(f"advisor: {text}", "advisor", False) for text in ("false", "no", "off", "0", "0.0", "'no'")],
    ("push_to_hub: off", "push_to_hub", False),
    # text
    ("game: 'kuhn'", "game", "kuhn"),
    ("run_name: 2026-01-01", "run_name", "2026-01-01"),  # no date
    ("run_name: 1:30", "run_name", "1:30"),  # no 90
    ("run_name: '7'", "run_name", "7"),
    ("warm_start_player:", "warm_start_player", None),
    ("warm_start_player: ~", "warm_start_player", None),
    ("warm_start_player: ''", "warm_start_player", None),
    ("warm_start_player: none", "warm_start_player", None),
    ("adapter: null", "adapter", None),
    # lists
    ("rewards: chips", "rewards", ["chips"]),
    ("rewards: chips, bluff=0.5", "rewards", ["chips", "bluff=0.5"]),
    ("rewards: [chips,]", "rewards", ["chips"]),
    ("variance_reduction: chance", "variance_reduction", ["chance"]),
    ("variance_reduction:", "variance_reduction", []),
    ("variance_reduction: none", "variance_reduction", []),
    ("variance_reduction: ''", "variance_reduction", []),
    ("variance_reduction: []", "variance_reduction", []),
    ("menu_fractions: 0.5", "menu_fractions", [0.5]),
    ("menu_fractions: 1", "menu_fractions", [1.0]),
    ("menu_fractions: ['0.5', 1]", "menu_fractions", [0.5, 1.0]),
    ("menu_fractions: 0.5, 1", "menu_fractions", [0.5, 1.0]),
    ("lora_target_modules: all-linear", "lora_target_modules", ["all-linear"]),
    ("lora_target_modules: q_proj, v_proj", "lora_target_modules", ["q_proj", "v_proj"]),
    ("report_to:", "report_to", []),
    ("report_to: none", "report_to", []),
    ("report_to: [none]", "report_to", []),
    ("report_to: []", "report_to", []),
    # mappings
    ("rewards: {chips: 1, bluff: 0.25}", "reward_weights", [1.0, 0.25]),
    ("rewards: {chips: '1', bluff: 1e-1}", "reward_weights", [1.0, 0.1]),
    ("rewards: {name: bluff, weight: 2}", "reward_weights", [2.0]),
    ("rewards:\n  - chips: 1\n  - bluff: 0.25", "reward_weights", [1.0, 0.25]),
    ("rewards: [{name: chips, weight: '0.5'}]", "reward_weights", [0.5]),
    ("rewards: '{chips: 1, bluff: 0.25}'", "reward_weights", [1.0, 0.25]),
    ("villain: {cfr: 0.8, lag: 0.2}", "villain", "mix:cfr=0.8,lag=0.2"),
    ("villain: '{cfr: 1, lag: 1}'", "villain", "mix:cfr=1,lag=1"),
    ("chat_template_kwargs: {enable_thinking: no}", "chat_template_kwargs", {"enable_thinking": False}),
    ("chat_template_kwargs: '{\"a\": 1}'", "chat_template_kwargs", {"a": 1}),
    ("chat_template_kwargs:", "chat_template_kwargs", None),
    ("model_init_kwargs: {revision: main}", "model_init_kwargs", {"revision": "main"}),
]

ODD = [
    *[f"num_epochs: {text}" for text in ("10.5", "ten", "1,000", "[10]", "{a: 1}", "true", ".inf", ".nan", "-3", "0")],
    *[f"num_epochs: {text}" for text in ("", "''", "0x10", "1:30", "'1 0'", "1e400", "yes", "~")],
    *[f"learning_rate: {text}" for text in (".nan", ".inf", "-.inf", "nan", "fast", "-1e-5", "[1e-5]", "no", "1e-5x")],
    *[f"gamma: {text}" for text in ("1.1", "-0.1", "", "'0,9'", "{}")],
    *[f"seed: {text}" for text in ("-1", "4294967296", "1e30", "1.5", "abc", "")],
    *[f"advisor: {text}" for text in ("maybe", "2", "", "[true]", "1.5", "{}")],
    *[f"game: {text}" for text in ("", "''", "off", "7", "1.5", "[kuhn]", "{kuhn: 1}", "kuhn poker", "~", "'nan'")],
    *[f"villain: {text}" for text in ("[cfr, lag]", "no", "", "{cfr: yes}", "{cfr: -1}", "{cfr: .nan}", "{cfr: }")],
    *[f"villain: {text}" for text in ("{cfr: {lag: 1}}", "human", "self", "{}", "3")],
    *[f"rewards: {text}" for text in ("", "[]", "{}", "true", "3", "[[chips]]", "[chips, ]]", "[chips, null]", "[1]")],
    *[f"rewards: {text}" for text in ("{chips: }", "{chips: lots}", "{chips: yes}", "{chips: .nan}", "{chips: [1]}")],
    *[f"rewards: {text}" for text in ("{1: 2}", "chips=", "chips=inf", "[{name: chips, wieght: 2}]", "[{args: {}}]")],
    *[f"rewards: {text}" for text in ("[{name: chips, args: [1]}]", "[{name: chips, args: {1: 2}}]", "chips bluff")],
    *[f"menu_fractions: {text}" for text in ("", "[]", "half", "[0.5, half]", "true", "{0.5: 1}", "[-1]", "[.nan]")],
    *[
        f"variance_reduction: {text}"
        for text in ("luck", "[chance, luck]", "true", "{chance: 1}", "[1]", "chance range")
    ],
    *[f"lora_target_modules: {text}" for text in ("", "[]", "true", "7", "{a: 1}", "[null]")],
    *[f"report_to: {text}" for text in ("visdom", "true", "off", "[none, tensorboard]", "{wandb: 1}", "[~]")],
    *[f"model_name_or_path: {text}" for text in ("", "no", "7", "[a, b]", "{a: b}")],
    *[f"run_name: {text}" for text in ("7", "1e5", "true", "[a]")],
    *[f"dtype: {text}" for text in ("fp16", "float64", "16", "bf16", "null", "no")],
    *[f"lr_scheduler_type: {text}" for text in ("cosin", "1", "null", "reduce_lr_on_plateau")],
    *[f"optim: {text}" for text in ("adam", "adamw_torch_fussed", "null", "3", "[sgd]")],
    *[f"lr_scheduler_kwargs: {text}" for text in ("min_lr", "[1]", "3", "true")],
    *[f"model_init_kwargs: {text}" for text in ("eager", "{dtype: float32}", "{device_map: auto}", "{revision: 1}")],
    *[f"model_init_kwargs: {text}" for text in ("{trust_remote_code: true}", "{attn_implementation: flash}", "[a]")],
    *[f"model_init_kwargs: {text}" for text in ("{quantization_config: 4bit}", "{1: 2}", "{use_kernels: true}")],
    *[f"chat_template_kwargs: {text}" for text in ("thinking", "[a]", "{1: 2}", "{a: !!set {b}}", "true")],
    *[f"per_device_train_batch_size: {text}" for text in ("0", "-8", "1.5", "false")],
    *[f"{option}: 1" for option in ("adam_beta1", "adam_beta2", "lora_dropout")],
    *[
        "lora_r: 0",
        "lora_depth: 0",
        "lora_depth: 1.01",
        "lora_alpha: -1",
        "temperature: 0",
        "temperature: -1",
        "max_completion_length: 0",
        "warmup_steps: -1",
    ],
    *["weight_decay: -1", "max_grad_norm: -1", "beta: -0.1", "epsilon: -1", "entropy_coef: -1", "ddp_timeout: 0"],
    *["eval_hands: -1", "show_hands: -1", "exact_eval_every: -1", "warm_start_floor: 1.5", "rows_per_epoch: 1"],
    *["hub_strategy: all_checkpoints", "scale_rewards: group", "scale_rewards: false", "baseline: mean"],
    *["num-epochs: 3", "num_epoch: 3", "epochs: 3", "3: 4", "null: 1", "[a]: b", "config: x", "env: 3"],
    *["game: kuhn\ngame: leduc", "rewards:\n  - {name: chips, name: bluff}", "game:\tkuhn", "game: kuhn\n\tseed: 3"],
    *["", "# nothing", "just text", "[a, b]", "7", "null", "game: [", "game: 'kuhn", "a: &x [*x]", "--- {}\n--- {}"],
    *["game: !!python/name:os.system", "game: *nobody", "rewards: &x [*x]", "game: kuhn: leduc", "\x00", "%YAML"],
]


@pytest.mark.parametrize(("text", "option", "value"), TAKEN, ids=[text for text, _, _ in TAKEN])
def test_what_is_obviously_meant_is_taken(text, option, value, tmp_path):
    found = getattr(of_yaml(tmp_path, text), option)
    assert found == value
    assert type(found) is type(value) or value == NEAR(found)


@pytest.mark.parametrize("text", ODD)
def test_anything_else_is_one_line_that_names_it(text, tmp_path):
    with pytest.raises(UserError) as caught:
        of_yaml(tmp_path, text)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400
    name = text.partition(":")[0].strip("# \x00%[-")
    assert name.split("\n")[0] in message or str(tmp_path) in message
