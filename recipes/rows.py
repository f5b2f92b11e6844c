"""Training rows for TRL's `GRPOTrainer`: decisions that are alike become one row, and the gradient stays theirs.

The trainer's loss is a mean over tokens, each weighted with its row's mask. A row that stands for n decisions has n in
its mask and their mean advantage, so its policy gradient, KL and share in the normalisation are those of the n rows it
replaces. Several updates on parts of an epoch's rows each divide by the epoch's tokens over the number of updates,
however unevenly the decisions fall.

Two things are taken otherwise. Where an update clips a probability ratio (never at an epoch's first one), the sign of
the mean advantage decides, not that of each decision's; `loss_type: cispo` has no such sign. And the trainer averages
the entropy over each micro-batch for itself, so the entropy bonus is the decisions' where one micro-batch holds all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recipes.returns import advantages


@dataclass(frozen=True)
class Row:
    """Decisions with the same prompt and the same answer."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    credit: tuple[float, ...]
    """One number per reward function, the decisions' mean: their returns less a baseline, then their advantages."""
    decisions: int = 1
    """How many decisions the row stands for; 0: it trains nothing."""

    @property
    def tokens(self) -> int:
        """Length of prompt and answer."""
        return len(self.prompt_ids) + len(self.completion_ids)


def training_rows(
    decisions: Sequence[Row],
    count: int,
    *,
    weights: Sequence[float],
    scale: bool,
    pad_token_id: int,
    rng: np.random.Generator,
) -> list[Row]:
    """Exactly `count` rows out of decisions (rows of one decision each): merged ones, then at least one of padding.

    Decisions are taken in random order up to the first that would make one row too many. Any decision is kept with the
    same expected weight in the mean of those kept, so the policy gradient stays unbiased (inverse sampling, Haldane
    1945): to count in the one too many would favour rare answers, to leave out just what doesn't fit common ones.
    The advantages are those among the decisions kept, see `advantages` (`weights` and `scale` are its own).

    Padding has no weight in the loss. Its credit makes all the rows' sum 0, so that the mean that the trainer
    subtracts is 0 too.
    """
    kept = _first_that_fit(decisions, count - 1, rng)
    rows: list[Row] = []
    if kept:
        credit = advantages([row.credit for row in kept], weights, scale)
        rows = merge([replace(row, credit=tuple(map(float, own))) for row, own in zip(kept, credit, strict=True)])
    padding = count - len(rows)
    total = np.sum([row.credit for row in rows], axis=0) if rows else np.zeros(len(weights))
    balance = tuple(map(float, -total / padding))
    return rows + [Row((pad_token_id,), (pad_token_id,), balance, decisions=0)] * padding


def merge(rows: Sequence[Row]) -> list[Row]:
    """One row for each distinct prompt and answer, in the order they first come; credit is the decisions' mean."""
    alike: dict[tuple[tuple[int, ...], tuple[int, ...]], list[Row]] = {}
    for row in rows:
        alike.setdefault((row.prompt_ids, row.completion_ids), []).append(row)
    merged = []
    for (prompt_ids, completion_ids), group in alike.items():
        decisions = [row.decisions for row in group]
        credit = np.average([row.credit for row in group], axis=0, weights=decisions)
        merged.append(Row(prompt_ids, completion_ids, tuple(map(float, credit)), sum(decisions)))
    return merged


def to_trl(rows: Sequence[Row]) -> dict[str, Any]:
    """Rows as the dictionary that TRL's rollout contract asks for; the mask weights a row by its decisions."""
    return {
        "prompt_ids": [list(row.prompt_ids) for row in rows],
        "completion_ids": [list(row.completion_ids) for row in rows],
        "logprobs": None,
        "env_mask": [[row.decisions] * len(row.completion_ids) for row in rows],
        "credit": [row.credit for row in rows],
    }


def _first_that_fit(decisions: Sequence[Row], distinct: int, rng: np.random.Generator) -> list[Row]:
    """Decisions in random order, as many as come before the one that is the first of row number `distinct` + 1."""
    order = rng.permutation(len(decisions))
    seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    for taken, index in enumerate(order):
        row = decisions[index]
        seen.add((row.prompt_ids, row.completion_ids))
        if len(seen) > distinct:
            order = order[:taken]
            break
    return [decisions[index] for index in sorted(order)]
