"""Estimates of an epoch's time, held against what was measured on a CPU."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from modal_app.cost import GPUS, describe_time, table
from modal_app.estimate import (
    Model,
    Processor,
    Work,
    epoch_work,
    main,
    model_of_shape,
    seconds,
    seconds_of_epoch,
    weights_and_layers,
)
from modal_app.train import estimate as printed
from poker_env.language_model.skeleton import skeleton
from recipes.options.config import parse_config
from recipes.studies.speed.shapes import SHAPES

SMOLLM = Model(106_168_320, 30, bytes_per_weight=4)
CPU = Processor(flops=147e9 * 2 / 3, bandwidth=20e9, launch=0.0)
"""A core of docs/performance.md, which reaches 147 billion operations a second in the two thirds that are products."""


@pytest.mark.parametrize(
    ("work", "measured"),
    [
        (epoch_work("holdem", 64, advised=True, menu=True, trained_share=0.3), 50.3),
        (epoch_work("holdem", 64, advised=True, menu=True), 96.3),
        (epoch_work("leduc", 2048, menu=True), 36.6),
        (epoch_work("kuhn", 1024, menu=True), 3.3),
    ],
)
def test_epochs_that_were_measured_on_a_cpu_are_estimated_within_a_factor_of_two(work, measured):
    assert measured / 2 < seconds(work, SMOLLM, CPU) < 2 * measured


def test_the_parts_add_up():
    """Each one by hand: the products, the weights read, the kernels launched, the CPU."""
    model, work = Model(1000, 2), Work(sampled=10, sampling_passes=3, trained=5, training_passes=1, host=0.5)
    assert seconds(work, model, Processor(1e3, 1e30, 0.0)) == pytest.approx(2 * 10 + 4 * 5 + 0.5)
    assert seconds(work, model, Processor(1e30, 1e3, 0.0)) == pytest.approx(2 * (3 + 2) + 0.5)
    assert seconds(work, model, Processor(1e30, 1e30, 1e-3)) == pytest.approx(2e-3 * (71 * 3 + 232) + 0.5)
    upper = replace(work, depth=0.5)
    assert seconds(upper, model, Processor(1e3, 1e30, 0.0)) == pytest.approx(2 * 10 + 2 * 5 + 0.5)
    assert seconds(upper, model, Processor(1e30, 1e3, 0.0)) == pytest.approx(2 * (3 + 1) + 0.5)
    assert seconds(upper, model, Processor(1e30, 1e30, 1e-3)) == pytest.approx(2e-3 * (71 * 3 + 232 / 2) + 0.5)


def advised(**options):
    pairs = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return parse_config(["--config", "holdem_advised", *pairs])


def test_more_work_takes_longer_and_a_faster_gpu_less():
    sizes = [Model(*size) for size in ((1e8, 30), (1e9, 30), (1e9, 40), (3e9, 40))]
    times = [seconds_of_epoch(advised(), size, "L4") for size in sizes]
    assert times == sorted(times) and len(set(times)) == len(times)
    times = [seconds_of_epoch(advised(episodes_per_epoch=hands), sizes[0], "L4") for hands in (64, 128, 1024)]
    assert times == sorted(times) and times[2] > 4 * times[1]
    for slower, faster in (("T4", "L4"), ("L4", "A100"), ("A100", "H100"), ("H100", "B200"), ("L4", "L4:2")):
        assert seconds_of_epoch(advised(), sizes[3], slower) > seconds_of_epoch(advised(), sizes[3], faster)
    base = seconds_of_epoch(advised(), sizes[3], "L4")
    for options in ({"trained_share": 1.0}, {"num_iterations": 3}, {"prompt_style": "classic"}):
        assert seconds_of_epoch(advised(**options), sizes[3], "L4") > base, options
    for options in ({"advisor": "false"}, {"prompt_style": "brief"}, {"lora_depth": 0.5}):
        assert seconds_of_epoch(advised(**options), sizes[3], "L4") < base, options
    assert seconds_of_epoch(advised(), replace(sizes[3], bytes_per_weight=4), "L4") > base


def test_small_games_have_only_so_many_prompts():
    few, many = epoch_work("kuhn", 500), epoch_work("kuhn", 5000)
    assert few.sampled == many.sampled and many.host == pytest.approx(10 * few.host)
    assert epoch_work("holdem", 5000).sampled == pytest.approx(10 * epoch_work("holdem", 500).sampled)


def test_every_game_and_style_has_its_figures():
    from poker_env.games import DEFAULTS
    from poker_env.prompts import STYLES

    for game in DEFAULTS:
        for style in STYLES:
            assert epoch_work(game, 10, style=style).sampled > 0
    assert all(gpu.teraflops > 10 and gpu.gb_per_second >= 300 for gpu in GPUS)


def test_the_weights_a_token_goes_through_are_counted():
    weights, layers = weights_and_layers(skeleton("smollm2-135m"))
    assert (weights, layers) == (SMOLLM.weights, SMOLLM.layers)
    shape = SHAPES["qwen2.5-3b"]
    assert model_of_shape(shape).weights == pytest.approx(2.77e9, rel=0.01) and model_of_shape(shape).layers == 36


@pytest.mark.parametrize(
    ("kind", "experts"),
    [
        ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
        ("qwen3_moe", {"num_experts": 4, "num_experts_per_tok": 1, "moe_intermediate_size": 64}),
    ],
)
def test_experts_that_a_token_does_not_meet_do_not_count(kind, experts):
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 100}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    config = AutoConfig.for_model(kind, **shape, **heads, **experts)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    met = experts["num_experts_per_tok"] * 2 * 3 * 32 * 64
    attention = 2 * (2 * 32 * 32 + 2 * 32 * 16)
    router = 2 * 4 * 32
    assert weights_and_layers(model) == (met + attention + router, 2)


def test_no_embedding_is_multiplied_with():
    """Gemma 3n has one for each layer, larger than the layers."""
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 100, "head_dim": 8}
    more = {"hidden_size_per_layer_input": 8, "num_kv_shared_layers": 0, "num_key_value_heads": 2}
    found = []
    for entries in (100, 100_000):
        kind = AutoConfig.for_model("gemma3n_text", **shape, **more, vocab_size_per_layer_input=entries)
        with torch.device("meta"):
            found.append(weights_and_layers(AutoModelForCausalLM.from_config(kind)))
    assert found[0] == found[1] and found[0][1] == 2


def test_a_time_is_told_in_words():
    assert describe_time(0.2, 0.001) == "about 1 s, $0.00" and describe_time(42, 0.01) == "about 42 s, $0.42"
    assert describe_time(720, 0.0002) == "about 12 min, $0.14" and describe_time(9000, 0.001) == "about 2.5 h, $9.00"


def test_what_was_measured_goes_before_what_is_estimated():
    known = {"epochs": 12, "done": 2, "hands_per_epoch": 72, "gpus": ["L4", "A10"], "measured": {}}
    known["estimated"] = {"L4": 1.0, "A10": 0.5}
    lines = printed(known, table())
    dollars = 720 * table().container("L4")
    assert lines.startswith(f"about 12 min, ${dollars:.2f} on L4 (estimated, not measured); about 6 min, $")
    assert lines.endswith(": 720 hands, without start, warm start and evaluations") and "\n" not in lines
    lines = printed({**known, "measured": {"L4": (2.0, "first")}}, table())
    assert lines.startswith(f"about 24 min, ${2 * dollars:.2f} on L4 (as measured in run first); about 6 min, $")


def test_the_table_is_printed(capsys):
    main(["--config", "holdem_advised", "--shape", "qwen2.5-3b"])
    first, *rows = capsys.readouterr().out.splitlines()
    assert first.startswith("an epoch of 128 hands, estimated, not measured (prices: ")
    assert [row.split()[0] for row in rows] == [gpu.name for gpu in GPUS]
    model = model_of_shape(SHAPES["qwen2.5-3b"])
    for row in rows:
        name, time, _, dollars = row.split()
        assert float(time) == pytest.approx(seconds_of_epoch(advised(), model, name), abs=0.06)
        assert float(dollars[1:]) == pytest.approx(float(time) * table().container(name), rel=0.02)
    for wrong in (["--config", "kuhn", "--shape", "qwen9"], ["--config", "no_such"], ["--shape", "qwen2.5-3b"]):
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert ended.value.code == 2 and "Traceback" not in capsys.readouterr().err
