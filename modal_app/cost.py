"""What containers cost: prices, an upper bound before a run, budgets.

python -m modal_app.cost --gpu L4 --timeout-hours 4 --retries 3
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from poker_env.errors import UserError

PRICED_ON = "2026-07-01"
SOURCE = "modal.com/pricing"

CPU_CORES = (4.0, 8.0)
MEMORY_MIB = (16 * 1024, 32 * 1024)
"""What a GPU container asks for and is limited to; usage is billed up to the limits."""

SHORTEST_ATTEMPT = 3600.0
"""Seconds: a budget buys fewer attempts rather than shorter ones, which might not reach the end of an epoch."""


@dataclass(frozen=True)
class Gpu:
    """A GPU by Modal's name."""

    name: str
    memory_gb: int
    dollars_per_second: float
    """On `PRICED_ON`."""
    teraflops: float
    """A second, at most: dense products of bfloat16 matrices, of float16 where it has no bfloat16."""
    gb_per_second: float
    """That its memory can be read at."""
    most: int = 8
    """In one container."""
    bfloat16: bool = True
    """Whether it multiplies bfloat16; training then takes float16 of itself, which is as large."""


GPUS = (
    Gpu("T4", 16, 0.000164, 65, 300, bfloat16=False),
    Gpu("L4", 24, 0.000222, 121, 300),
    Gpu("A10", 24, 0.000306, 70, 600, most=4),
    Gpu("L40S", 48, 0.000542, 362, 864),
    Gpu("A100-40GB", 40, 0.000583, 312, 1555),
    Gpu("A100-80GB", 80, 0.000694, 312, 1935),
    Gpu("RTX-PRO-6000", 96, 0.000842, 500, 1597),
    Gpu("H100", 80, 0.001097, 989, 3350),
    Gpu("H200", 141, 0.001261, 989, 4800),
    Gpu("B200", 180, 0.001736, 2250, 8000),
)
"""By price. Speeds are what NVIDIA publishes, half of what it gives with sparsity. An A10's are the A10G's,
which Modal has had by that name (the A10 has 125), the RTX PRO 6000's an eighth of its FP4 with sparsity."""
ALIASES = {"A100": "A100-40GB", "H100!": "H100", "B200+": "B200"}
"""Other names Modal knows: an A100 of 40 GB, an H100 that is never upgraded to an H200, a B200 or better."""
CPU_PRICE = 0.0000131
MEMORY_PRICE = 0.00000222

FALLBACK = ("L4", "A10", "L40S")
"""Asked for in turn when no GPU is named: the cheapest with bfloat16 and 24 GB, which the default model fits in."""


@dataclass(frozen=True)
class Rates:
    """Dollars per second."""

    gpus: Mapping[str, float]
    """By the names of `GPUS`."""
    cpu: float
    """Of a physical core."""
    memory: float
    """Of a GiB."""
    source: str

    def container(self, gpu: str, cores: float = CPU_CORES[1], memory_mib: float = MEMORY_MIB[1]) -> float:
        """Of a container that uses all it may; `gpu` as `--gpu` takes it, or empty."""
        rate = self.cpu * cores + self.memory * memory_mib / 1024
        if gpu:
            kind, count = parse_gpu(gpu)
            rate += self.gpus[kind.name] * count
        return rate


@dataclass(frozen=True)
class Plan:
    """How long a run's containers may run."""

    timeout: int
    """Seconds of one attempt."""
    retries: int
    """Attempts after the first one."""

    @property
    def seconds(self) -> int:
        """Of all attempts."""
        return self.timeout * (1 + self.retries)


def table() -> Rates:
    """The dated price table."""
    gpus = {gpu.name: gpu.dollars_per_second for gpu in GPUS}
    return Rates(gpus, CPU_PRICE, MEMORY_PRICE, f"{SOURCE} of {PRICED_ON}")


def rates_from(billing: Mapping[str, Any]) -> Rates | None:
    """The rates of `modal billing rates`, dollars per unit and hour; None when none of the GPUs is recognised.

    The names of its entries are not documented. One counts as a GPU's when it is the GPU's name apart from case,
    punctuation and words such as `gpu` and `hour`, and no more than ten times off the table's price. The rest is
    taken from the table.
    """
    known = table()
    found = {_bare(name): float(value) / 3600 for name, value in billing.items()}

    def look(name: str, price: float) -> float | None:
        rate = found.get(_bare(name))
        return rate if rate is not None and price / 10 < rate < price * 10 else None

    gpus = {name: rate for name, price in known.gpus.items() if (rate := look(name, price)) is not None}
    if not gpus:
        return None
    others = sorted(known.gpus.keys() - gpus.keys())
    return Rates(
        {**known.gpus, **gpus},
        look("cpu core", known.cpu) or look("cpu", known.cpu) or known.cpu,
        look("memory gib", known.memory) or look("memory", known.memory) or known.memory,
        "modal billing rates" + (f"; {', '.join(others)}: {known.source}" if others else ""),
    )


def current() -> Rates:
    """Modal's own rates where it gives them, the table's otherwise."""
    import modal

    try:
        billing = dict(modal.Workspace.from_context().billing.rates())
        return rates_from(billing) or table()
    except (modal.exception.Error, ValueError, ArithmeticError):
        return table()


def parse_gpu(text: str) -> tuple[Gpu, int]:
    """A GPU and how many of it: `L4`, `H100:2`. Raises `UserError` for what Modal doesn't have."""
    name, _, number = text.upper().partition(":")
    gpu = next((gpu for gpu in GPUS if gpu.name == ALIASES.get(name, name)), None)
    if gpu is None:
        names = ", ".join([gpu.name for gpu in GPUS] + [*ALIASES])
        raise UserError(f"unknown GPU {text!r}: choose one of {names}; with :2 for two of it")
    if number and not (number.isdecimal() and 1 <= int(number) <= gpu.most):
        raise UserError(f"GPU {text!r}: the number must be 1 to {gpu.most}")
    return gpu, int(number or 1)


def gpu_called(product: str) -> Gpu | None:
    """The GPU that `nvidia-smi` calls so: NVIDIA A100-SXM4-40GB is an A100-40GB."""
    for gpu in sorted(GPUS, key=lambda gpu: -len(gpu.name)):
        if all(re.search(rf"\b{part}", product) for part in gpu.name.split("-")):
            return gpu
    return None


def billed_as(products: Sequence[str], asked_for: Sequence[str]) -> str:
    """Which of the GPUs asked for a container got, going by what `nvidia-smi` calls them; the dearest if in doubt."""
    kinds = {gpu.name for product in products if (gpu := gpu_called(product))}
    for asked in asked_for:
        gpu, count = parse_gpu(asked)
        if kinds == {gpu.name} and count == len(products):
            return asked
    return max(asked_for, key=table().container)


def needed_gb(weights_bytes: int) -> float:
    """What training a model takes, by rule of thumb, not measured: two and a half times its weights, and 4 GB."""
    return 2.5 * weights_bytes / 1e9 + 4


def check_gpu(gpu: str, weights_bytes: int, dtype: str) -> None:
    """Raise `UserError` when a GPU lacks the `dtype` that is asked for; say so when it may be too small."""
    kind, _ = parse_gpu(gpu)
    if dtype == "bfloat16" and not kind.bfloat16:
        raise UserError(
            f"dtype bfloat16 on a {kind.name}, which doesn't multiply it: leave dtype out, then it is float16 there, "
            "or take a newer --gpu, such as L4"
        )
    if needed_gb(weights_bytes) > kind.memory_gb:
        print(
            f"{weights_bytes / 1e9:.1f} GB of weights may be too much for a {kind.name}: by rule of thumb training "
            f"takes {needed_gb(weights_bytes):.0f} GB, it has {kind.memory_gb}"
        )


def gpus_for(weights_bytes: int) -> list[str]:
    """The GPUs to ask for in turn, given the size of a model's weights in two bytes each.

    Raises `UserError` when no GPU is that large.
    """
    needed = needed_gb(weights_bytes)
    if all(parse_gpu(name)[0].memory_gb >= needed for name in FALLBACK):
        return list(FALLBACK)
    for gpu in GPUS[GPUS.index(parse_gpu(FALLBACK[0])[0]) :]:
        if gpu.memory_gb >= needed:
            return [gpu.name]
    raise UserError(
        f"{weights_bytes / 1e9:.0f} GB of weights fit in no single GPU: choose a smaller model, or a --gpu"
    )


def plan_within(budget: float | None, dollars_per_second: float, timeout_hours: float, retries: int) -> Plan:
    """The longest plan whose containers can't cost more than a budget in dollars (None: any).

    Raises `UserError` for limits that Modal doesn't allow, and a budget for less than a minute.
    """
    if not 1 / 60 <= timeout_hours <= 24:
        raise UserError(f"timeout-hours {timeout_hours:g} must be between a minute (0.017) and 24")
    if not 0 <= retries <= 10:
        raise UserError(f"retries {retries} must be 0 to 10")
    timeout = timeout_hours * 3600
    if budget is not None:
        affordable = budget / dollars_per_second
        if affordable < 60:
            raise UserError(
                f"what is left of max-cost, ${budget:.2f}, is less than a minute at ${dollars_per_second * 3600:.2f}/h"
            )
        if timeout * (1 + retries) > affordable:
            retries = min(retries, max(0, int(affordable // min(timeout, SHORTEST_ATTEMPT)) - 1))
            timeout = min(timeout, affordable / (1 + retries))
    return Plan(int(timeout), retries)


def describe_bound(plan: Plan, what: str, dollars_per_second: float, source: str) -> str:
    """The upper bound in words."""
    total, hourly = plan.seconds * dollars_per_second, 3600 * dollars_per_second
    return (
        f"at most ${total:.2f}: {1 + plan.retries} x {plan.timeout / 3600:.3g} h of {what} at ${hourly:.2f}/h "
        f"(prices: {source}); what is preempted runs again on top"
    )


def describe_time(seconds: float, dollars_per_second: float) -> str:
    """A time and its price in words: `about 12 min, $0.15`."""
    if seconds < 90:
        time = f"{max(1.0, seconds):.0f} s"
    elif seconds < 90 * 60:
        time = f"{seconds / 60:.0f} min"
    else:
        time = f"{seconds / 3600:.1f} h"
    return f"about {time}, ${seconds * dollars_per_second:.2f}"


def main(argv: Sequence[str] | None = None) -> None:
    """Print the prices and an upper bound."""
    from modal_app.common import one_line_errors

    parser = argparse.ArgumentParser(description="Prices and the upper bound of a run.")
    parser.add_argument("--gpu", help="such as L4 or H100:2; default: the ones tried when none is named")
    parser.add_argument("--timeout-hours", type=float, default=4.0)
    parser.add_argument("--retries", type=int, default=3)
    parser.add_argument("--max-cost", type=float, help="dollars")
    options = parser.parse_args(argv)
    with one_line_errors():
        gpus = [options.gpu] if options.gpu else list(FALLBACK)
        rates = current()
        for gpu in GPUS:
            hourly = 3600 * rates.gpus[gpu.name]
            print(
                f"{gpu.name:14}{gpu.memory_gb:4} GB  ${hourly:6.3f}/h  with CPU and memory "
                f"${3600 * rates.container(gpu.name):6.3f}/h"
            )
        dearest = max(gpus, key=rates.container)
        rate = rates.container(dearest)
        plan = plan_within(options.max_cost, rate, options.timeout_hours, options.retries)
        print(describe_bound(plan, f"{dearest} with CPU and memory", rate, rates.source))


def _bare(name: str) -> str:
    """A price's name without what says nothing."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    return "".join(
        word for word in words if word not in {"gpu", "nvidia", "per", "hour", "hours", "h", "usd", "modal"}
    )


if __name__ == "__main__":
    main()
