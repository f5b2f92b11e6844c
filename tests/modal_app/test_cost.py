"""Prices, bounds and budgets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modal_app.cost import (
    ALIASES,
    FALLBACK,
    GPUS,
    billed_as,
    check_gpu,
    describe_bound,
    gpu_called,
    gpus_for,
    parse_gpu,
    plan_within,
    rates_from,
    table,
)
from poker_env.errors import UserError


def test_gpus_are_named_as_modal_names_them():
    assert parse_gpu("h100:2")[0].name == "H100" and parse_gpu("h100:2")[1] == 2
    assert {parse_gpu(alias)[0].name for alias in ALIASES} == {"A100-40GB", "H100", "B200"}
    assert [gpu.dollars_per_second for gpu in GPUS] == sorted(gpu.dollars_per_second for gpu in GPUS)


@pytest.mark.parametrize("wrong", ["", "H1000", "GTX", "L4:0", "L4:9", "A10:5", "L4:two", "L4:-1", "L4,A10"])
def test_other_gpus_are_refused(wrong):
    with pytest.raises(UserError, match="GPU"):
        parse_gpu(wrong)


def test_products_of_nvidia_are_recognised():
    for product, name in {
        "Tesla T4": "T4",
        "NVIDIA L4": "L4",
        "NVIDIA A10G": "A10",
        "NVIDIA A10": "A10",
        "NVIDIA L40S": "L40S",
        "NVIDIA A100-SXM4-40GB": "A100-40GB",
        "NVIDIA A100 80GB PCIe": "A100-80GB",
        "NVIDIA RTX PRO 6000 Blackwell Server Edition": "RTX-PRO-6000",
        "NVIDIA H100 80GB HBM3": "H100",
        "NVIDIA H200": "H200",
        "NVIDIA B200": "B200",
    }.items():
        assert gpu_called(product).name == name
    assert gpu_called("NVIDIA GeForce RTX 4090") is None


def test_a_container_is_billed_as_what_it_got():
    assert billed_as(["NVIDIA A10G"], FALLBACK) == "A10"
    assert billed_as(["NVIDIA L4"] * 2, ["L4", "L4:2"]) == "L4:2"
    assert billed_as(["NVIDIA H200"], ["H100"]) == "H100"  # an upgrade
    assert billed_as([], FALLBACK) == "L40S"  # the dearest, for want of knowledge


def test_the_cheapest_gpu_that_fits():
    assert gpus_for(int(6.2e9)) == list(FALLBACK)  # Qwen2.5-3B-Instruct in bfloat16
    assert gpus_for(int(15.2e9)) == ["L40S"]
    assert gpus_for(int(29.5e9)) == ["A100-80GB"]
    with pytest.raises(UserError, match="fit in no single GPU"):
        gpus_for(int(140e9))


def test_what_a_gpu_lacks_is_told(capsys):
    """A T4 has no bfloat16: what isn't asked for in so many words is float16 there."""
    with pytest.raises(UserError, match="dtype bfloat16 on a T4") as caught:
        check_gpu("t4:2", int(1e9), "bfloat16")
    assert "\n" not in str(caught.value)
    for dtype in ("auto", "float16", "float32"):
        check_gpu("T4", int(1e9), dtype)
    check_gpu("L4", int(1e9), "bfloat16")
    assert capsys.readouterr().out == ""
    check_gpu("T4", int(6.2e9), "auto")
    assert (
        "6.2 GB of weights may be too much for a T4: by rule of thumb training takes 20 GB" in capsys.readouterr().out
    )
    assert not any(gpu.name in FALLBACK for gpu in GPUS if not gpu.bfloat16)


@given(
    budget=st.floats(0.5, 1000),
    gpu=st.sampled_from([gpu.name for gpu in GPUS]),
    hours=st.floats(0.02, 24),
    retries=st.integers(0, 10),
)
def test_a_budget_is_never_exceeded_and_hardly_ever_wasted(budget, gpu, hours, retries):
    rate = table().container(gpu)
    plan = plan_within(budget, rate, hours, retries)
    assert plan.seconds * rate <= budget + 1e-9
    assert plan.timeout <= hours * 3600 and 0 <= plan.retries <= retries
    free = plan_within(None, rate, hours, retries)
    assert plan == free or plan.seconds >= 0.5 * min(free.seconds, budget / rate) - 11


@pytest.mark.parametrize(
    ("hours", "retries", "budget"), [(0, 3, None), (25, 3, None), (1, 11, None), (1, -1, None), (1, 3, 0.01)]
)
def test_impossible_plans_are_refused(hours, retries, budget):
    with pytest.raises(UserError):
        plan_within(budget, table().container("L4"), hours, retries)


def test_the_bound_says_what_it_is_made_of():
    text = describe_bound(plan_within(None, 0.001, 4, 3), "L4 with CPU and memory", 0.001, "somewhere of some day")
    assert text.startswith(
        "at most $57.60: 4 x 4 h of L4 with CPU and memory at $3.60/h (prices: somewhere of some day)"
    )
    assert "preempted" in text


def test_rates_are_taken_where_their_names_are_understood():
    rates = rates_from({"GPU: A100 80GB (per hour)": "3.60", "cpu_core_hour": "0.036", "storage_gib_month": "0.09"})
    assert rates.gpus["A100-80GB"] == pytest.approx(0.001) and rates.cpu == pytest.approx(0.00001)
    assert rates.gpus["L4"] == table().gpus["L4"] and rates.memory == table().memory
    assert "L4" in rates.source and "A100-80GB" not in rates.source
    assert rates_from({"compute": "1"}) is None
    assert rates_from({"l4": "0.000222"}) is None  # by the second, it seems: not to be trusted
