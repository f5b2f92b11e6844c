"""What the earlier bot's checkpoints look like: four layouts in the history of github.com/jonrxu/pokerbot.

All have `policy_net_state`, a residual network of six blocks, 512 wide, with 20 logits. What it sees and which bets
its logits stand for depends on when it was trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

WIDTH, BLOCKS, LOGITS = 512, 6, 20

Sizes = Literal["stack shares", "pot", "pot shares"]


@dataclass(frozen=True)
class Layout:
    """One way of that program to see a hand and to list its actions."""

    name: str
    """The first commit that trained so."""
    n_features: int
    batch_norm: bool
    """Batch norm with one skip connection around a block; else layer norm with the skip connection added twice."""
    sizes: Sizes
    """Which bets are on its list, see `spots.offers`."""
    pair_class: int | None
    """Where the hand's class has its features: the class of a pair before the flop, that of two other cards is the
    next one. None where there are no features of the hand's strength."""


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("6da8a30", 167, True, "stack shares", None),
        Layout("addbbb4", 167, True, "pot", None),
        Layout("1131c79", 178, True, "pot", 8),
        Layout("421148f", 178, False, "pot shares", 7),
    )
}
"""By name. From 3072738 on, between the last two, there is an advantage network instead of the value network."""


def find_layout(n_features: int, batch_norm: bool, has_memory: bool) -> Layout | None:
    """The layout of a file, by its policy network and whether it has a `strategy_memory`; None for an unknown one.

    The memory came in the same commit as the second list of bets: it tells the two layouts of 167 features apart.
    """
    fits = [
        layout for layout in LAYOUTS.values() if (layout.n_features, layout.batch_norm) == (n_features, batch_norm)
    ]
    return fits[-1 if has_memory else 0] if fits else None


def network_shapes(layout: Layout) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of the policy network that plays, by that program's name."""
    return dict(_shapes(layout))


def _shapes(layout: Layout) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _linear("input_proj", layout.n_features, WIDTH)
    yield from _norm("input_bn", layout)
    for block in range(BLOCKS):
        for number in (1, 2):
            yield from _linear(f"res_blocks.{block}.fc{number}", WIDTH, WIDTH)
            yield from _norm(f"res_blocks.{block}.bn{number}", layout)
    yield from _linear("policy_head.0", WIDTH, WIDTH // 2)
    yield from _linear("policy_head.2", WIDTH // 2, LOGITS)


def _linear(name: str, n_inputs: int, n_outputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (n_outputs, n_inputs)
    yield f"{name}.bias", (n_outputs,)


def _norm(name: str, layout: Layout) -> Iterator[tuple[str, tuple[int, ...]]]:
    running = ("running_mean", "running_var") if layout.batch_norm else ()
    for part in ("weight", "bias", *running):
        yield f"{name}.{part}", (WIDTH,)
