"""Training rows for TRL's `GRPOTrainer`: decisions that are alike become one row, and the gradient stays theirs.

The trainer's loss is a mean over tokens, each weighted with its row's mask. A row that stands for n decisions has n in
its mask and their mean advantage, so its policy gradient, KL and share in the normalisation are those of the n rows it
replaces. Several updates on parts of an epoch's rows each divide by the epoch's tokens over the number of updates,
however unevenly the decisions fall.

With the all-action gradient a decision is a row for every answer it might have given, each standing for as many
decisions as it was probable: what the answers sampled are on average.

One thing is taken otherwise. Where an update clips a probability ratio (never at an epoch's first one), the sign of
the mean advantage decides, not that of each decision's; `loss_type: cispo` has no such sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recipes.training.returns import advantages

LEAST_CHANCE = 0.25
"""How often a prompt that doesn't matter is trained on, for each time an average one is: entropy has a say there."""

BISECTIONS = 60


@dataclass(frozen=True)
class Row:
    """Decisions with the same prompt and the same answer."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    credit: tuple[float, ...]
    """One number per reward function, the decisions' sum: their returns less a baseline, then their advantages."""
    decisions: float = 1
    """How many decisions the row stands for, on average; 0: none beside those of rows like it."""
    texts: int = 1
    """How many decisions' answers were merged into it, each a text to forward, however probable it was."""
    logps: tuple[float | None, ...] | None = None
    """Of each token of the answer, as it was drawn; None where that isn't known, of a token or of all."""

    @property
    def tokens(self) -> int:
        """Length of prompt and answer."""
        return len(self.prompt_ids) + len(self.completion_ids)


Ids = tuple[int, ...]
"""Of tokens."""

DecisionRows = Sequence[Row]
"""A decision's rows: first the one of the answer given; after it, if at all, those of all answers on the menu."""


def training_rows(
    decisions: Sequence[DecisionRows],
    count: int,
    *,
    weights: Sequence[float],
    scale: bool,
    pad_token_id: int,
    rng: np.random.Generator,
    share: float = 1.0,
    merged: bool = True,
    power: float = 1.0,
) -> tuple[list[Row], float, float]:
    """Exactly `count` rows out of decisions: merged ones, then at least one of padding; and what they stand for.

    Those that are not to be `merged` have a row each, which weighs 1, be they alike or not.

    That is how many answers' tokens and how many answers the decisions have that fit; of their prompts only a `share`
    is trained on, see `spared`, and what they weigh is raised to a `power`, see `levelled`.

    Decisions are taken in random order up to the first that would make one row too many. Any decision is kept with the
    same expected weight in the mean of those kept, so the policy gradient stays unbiased (inverse sampling, Haldane
    1945): to count in the one too many would favour rare answers, to leave out just what doesn't fit common ones.
    A decision that is its answer alone has its advantage among those kept, see `advantages` (`weights` and `scale` are
    its own). One that comes with its menu keeps its credit: a mean taken off the answers given has to be taken off
    those that are not spelled out, too, and these train nothing.

    Padding has no weight in the loss. Its credit makes the sum of all that `to_trl` hands out 0, so that the mean that
    the trainer subtracts is 0 too.
    """
    kept = _first_that_fit(decisions, count - 1, rng, merged)
    rows: list[Row] = []
    if kept:
        alone = [given for given, *menu in kept if not menu]
        credit = advantages([row.credit for row in alone], weights, scale) if alone else np.zeros((0, len(weights)))
        centred = [replace(row, credit=tuple(map(float, own))) for row, own in zip(alone, credit, strict=True)]
        rows = [*centred, *(row for own in kept if len(own) > 1 for row in own if row.completion_ids)]
        rows = levelled(merge(rows), power) if merged else rows
    tokens, answers = sum(row.decisions * len(row.completion_ids) for row in rows), sum(row.decisions for row in rows)
    rows = spared(rows, share, weights, rng)
    padding = count - len(rows)
    total = np.sum([_mean_credit(row) for row in rows], axis=0) if rows else np.zeros(len(weights))
    balance = tuple(map(float, -total / padding))
    return rows + [Row((pad_token_id,), (pad_token_id,), balance, decisions=0)] * padding, tokens, answers


def levelled(rows: Sequence[Row], power: float) -> list[Row]:
    """The rows with each prompt weighing its decisions to a power below 1, their sum over all prompts as it was.

    What is best at a decision doesn't depend on how often it comes, so neither does where training ends; on the way
    rare ones, which a policy gradient all but ignores beside frequent ones that read alike, have more of a say.
    """
    if power == 1:
        return list(rows)
    prompts: dict[Ids, float] = {}
    for row in rows:
        prompts[row.prompt_ids] = prompts.get(row.prompt_ids, 0.0) + row.decisions
    visits = {ids: count for ids, count in prompts.items() if count}
    scale = sum(visits.values()) / (sum(count**power for count in visits.values()) or 1)
    factors = {ids: scale * count ** (power - 1) for ids, count in visits.items()}

    def weighted(row: Row) -> Row:
        factor = factors.get(row.prompt_ids, 1.0)
        credit = tuple(factor * credit for credit in row.credit)
        return replace(row, credit=credit, decisions=factor * row.decisions)

    return [weighted(row) for row in rows]


def spared(rows: Sequence[Row], share: float, weights: Sequence[float], rng: np.random.Generator) -> list[Row]:
    """The rows of a share of the prompts, on average: those whose answers make most of a difference, and some others.

    A prompt is kept with a probability in proportion to its credit (the norm over its answers), and then stands for
    so many more decisions as it was unlikely to be kept. So the sum of what rows contribute stays the same on average
    (Horvitz and Thompson 1952), and varies as little as that number of prompts lets it.
    """
    prompts: dict[Ids, list[Row]] = {}
    for row in rows:
        prompts.setdefault(row.prompt_ids, []).append(row)
    if share >= 1 or not prompts:
        return list(rows)
    matters = np.array([np.linalg.norm([np.dot(row.credit, weights) for row in own]) for own in prompts.values()])
    chances = _chances(matters, share)
    drawn = rng.random(len(chances)) < chances
    return [
        replace(row, credit=tuple(credit / chance for credit in row.credit), decisions=row.decisions / chance)
        for own, kept, chance in zip(prompts.values(), drawn, chances.tolist(), strict=True)
        if kept
        for row in own
    ]


def _chances(matters: np.ndarray, share: float) -> np.ndarray:
    """How often each is kept: in proportion to how it matters, between `LEAST_CHANCE` of the share and always."""
    low, high = 0.0, 1 / max(float(matters[matters > 0].min(initial=1.0)), 1e-12)
    for _ in range(BISECTIONS):
        factor = (low + high) / 2
        chances = np.clip(factor * matters, LEAST_CHANCE * share, 1)
        low, high = (low, factor) if chances.mean() > share else (factor, high)
    return chances


def merge(rows: Sequence[Row]) -> list[Row]:
    """One row for each distinct prompt and answer, in the order they first come."""
    alike: dict[tuple[Ids, Ids], list[Row]] = {}
    for row in rows:
        alike.setdefault((row.prompt_ids, row.completion_ids), []).append(row)
    return [
        Row(
            *ids,
            credit=tuple(map(sum, zip(*(row.credit for row in group), strict=True))),
            decisions=sum(row.decisions for row in group),
            texts=sum(row.texts for row in group),
            logps=group[-1].logps,
        )
        for ids, group in alike.items()
    ]


@dataclass(frozen=True)
class Share:
    """A process's rows of an epoch."""

    rows: Sequence[Row]
    elsewhere: Mapping[Ids, Sequence[Ids]]
    """By prompt, the answers to it that other processes have rows of, where it didn't fit whole."""


def deal_out(rows: Sequence[Row], processes: int) -> list[Share]:
    """Rows (a multiple of `processes`) by process, as many for each; those of a prompt stay together.

    Prompts that begin alike do, too, and each process has about as much to train on. A prompt that fits nowhere as a
    whole, which takes that there is hardly any padding, is split.
    """
    room, trained = len(rows) // processes, [row for row in rows if row.decisions]
    prompts: dict[Ids, list[Row]] = {}
    for row in trained:
        prompts.setdefault(row.prompt_ids, []).append(row)
    shares: list[list[Row]] = [[] for _ in range(processes)]
    before, homeless = 0, []
    for group in (prompts[ids] for ids in sorted(prompts)):
        share = shares[int((before + len(group) / 2) * processes / len(trained))]
        before += len(group)
        if len(share) + len(group) <= room:
            share += group
        else:
            homeless.append(group)
    for group in sorted(homeless, key=len, reverse=True):
        while group:
            share = min(shares, key=len)
            fits = room - len(share)
            share += group[:fits]
            group = group[fits:]
    padding = [row for row in rows if not row.decisions]
    for share in shares:
        fits = room - len(share)
        share += padding[:fits]
        padding = padding[fits:]
    return [Share(share, _elsewhere(prompts, share)) for share in shares]


def _elsewhere(prompts: Mapping[Ids, Sequence[Row]], share: Sequence[Row]) -> dict[Ids, list[Ids]]:
    """See `Share`."""
    own = {(row.prompt_ids, row.completion_ids) for row in share}
    missing = {
        ids: [row.completion_ids for row in prompts.get(ids, ()) if (ids, row.completion_ids) not in own]
        for ids, _ in own
    }
    return {ids: answers for ids, answers in missing.items() if answers}


def to_trl(
    rows: Sequence[Row],
    elsewhere: Mapping[Ids, Sequence[Ids]] | None = None,
    tokens: float | None = None,
    drawn_elsewhere: bool = False,
) -> dict[str, Any]:
    """Rows as the dictionary that TRL's rollout contract asks for; the mask weights a row by its decisions.

    `elsewhere` is a `Share`'s, `tokens` what the rows of all processes stand for where they don't add up to it. Rows
    that were `drawn_elsewhere`, by an engine that isn't the trainer's model, come with what that says of its tokens.
    """
    known = [row.logps if row.decisions else () for row in rows]
    return {
        "prompt_ids": [list(row.prompt_ids) for row in rows],
        "completion_ids": [list(row.completion_ids) for row in rows],
        "logprobs": [list(own or (0.0,)) for own in known] if drawn_elsewhere else None,
        "env_mask": [[float(row.decisions)] * len(row.completion_ids) for row in rows],
        "sampled_logps": [None] * len(rows) if drawn_elsewhere else known,
        "credit": [_mean_credit(row) for row in rows],
        "elsewhere": [tuple((elsewhere or {}).get(row.prompt_ids, ())) for row in rows],
        "stood_for": [tokens] * len(rows),
    }


def _mean_credit(row: Row) -> tuple[float, ...]:
    """A decision's; of padding, all of it."""
    return tuple(credit / (row.decisions or 1) for credit in row.credit)


def _first_that_fit(
    decisions: Sequence[DecisionRows], distinct: int, rng: np.random.Generator, merged: bool
) -> list[DecisionRows]:
    """Decisions in random order, as many as come before the first that would make more than `distinct` rows."""
    order = rng.permutation(len(decisions))
    if not merged:
        return [decisions[index] for index in sorted(order[:distinct])]
    seen: set[tuple[Ids, Ids]] = set()
    for taken, index in enumerate(order):
        seen |= {(row.prompt_ids, row.completion_ids) for row in decisions[index] if row.completion_ids}
        if len(seen) > distinct:
            order = order[:taken]
            break
    return [decisions[index] for index in sorted(order)]
