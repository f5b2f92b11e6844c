"""An epoch's rows in batches for the stock trainer, and a batch in parts that fit into memory.

Rows with the same prompt are always in one batch, and in one part of it unless they are many long thoughts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import torch

from poker_env.forwarding.token_tree import TokenTree
from recipes.training.processes import everywhere, processes
from recipes.training.rows import Ids

Inputs = dict[str, Any]
"""What the stock trainer makes of a batch: tensors with one row for each, by name."""

Text = tuple[list[int], list[int]]
"""A prompt and an answer, token ids."""


def regrouped(whole: Inputs, batches: int, updates: int, rng: np.random.Generator) -> list[Inputs]:
    """An epoch's rows in so many batches, none of which ends amid a prompt's rows; padding is dealt out evenly.

    The batches of each of so many `updates` follow one another. Prompts that begin alike lie together, but in which
    update is random where there are several: all processes deal the prompts out alike. The stock trainer needs batches
    of one size from all processes, none of them empty: they are filled up with copies of a row, which weigh nothing.
    """
    # The stock trainer pads the rows' masks with ones.
    trained = (whole["tool_mask"] * whole["completion_mask"]).any(dim=1).tolist()
    by_prompt = _by_prompt(texts_of(whole), [row for row, weighs in enumerate(trained) if weighs])
    chosen: list[list[int]] = []
    for prompts in _by_update({prompt: len(rows) for prompt, rows in by_prompt.items()}, updates, rng):
        own = [by_prompt[prompt] for prompt in sorted(prompts & by_prompt.keys())]
        for batch in _cut([len(rows) for rows in own], batches // updates):
            chosen.append([row for rows in own[batch.start : batch.stop] for row in rows])
    padding = [row for row, weighs in enumerate(trained) if not weighs]
    rows = [[*own, *padding[place::batches]] for place, own in enumerate(chosen)]
    size = 1 if processes() == 1 else max(everywhere(max(map(len, rows))))
    return [_filled(whole, own, max(size, len(own))) for own in rows]


def _by_update(rows: Mapping[Ids, int], updates: int, rng: np.random.Generator) -> list[set[Ids]]:
    """The prompts of all processes by update, of which this process has so many rows each."""
    if updates == 1:
        return [set(rows)]
    counts: Counter[Ids] = Counter()
    for own in everywhere(dict(rows)):
        counts.update(own)
    prompts = sorted(counts)
    prompts = [prompts[place] for place in rng.permutation(len(prompts))]
    return [set(prompts[own.start : own.stop]) for own in _cut([counts[prompt] for prompt in prompts], updates)]


def _cut(sizes: Sequence[int], parts: int) -> list[range]:
    """Neighbours by part, so that the sizes' sums are about as large; none is empty as long as there are enough."""
    left, start, cuts = sum(sizes), 0, []
    for part in range(parts, 0, -1):  # so many are still to be filled
        stop, own = start, 0
        while stop < len(sizes) and (own == 0 or (len(sizes) - stop >= part and own < left / part)):
            own += sizes[stop]
            stop += 1
        cuts.append(range(start, stop))
        left, start = left - own, stop
    return cuts


def _filled(whole: Inputs, rows: Sequence[int], size: int) -> Inputs:
    """The batch of some rows, and of copies of one that weigh nothing."""
    copies = [rows[0] if rows else 0] * (size - len(rows))
    batch = {name: _taken(values, [*rows, *copies]) for name, values in whole.items()}
    batch["tool_mask"][len(rows) :] = 0
    return batch


def _taken(values: Any, rows: Sequence[int]) -> Any:
    """Some rows of a batch's entry: a tensor with a row for each, or one value for all."""
    return values[list(rows)] if isinstance(values, torch.Tensor) and values.ndim else values


def in_parts(batch: Inputs, tokens: int, whole_prompts: bool = True) -> list[Inputs]:
    """A batch's rows in parts, none of which makes a tree of more than so many tokens if it has several prompts.

    Without `whole_prompts`, none that has several rows. All processes call it together, and have as many parts with as
    many rows, some of which weigh nothing.
    """
    parts = places_in_parts(texts_of(batch), tokens, whole_prompts)
    if processes() == 1:
        return [_filled(batch, own, len(own)) for own in parts]
    sizes = [max(own) for own in zip_longest(*everywhere([len(own) for own in parts]), fillvalue=0)]
    parts += [[]] * (len(sizes) - len(parts))
    return [_filled(batch, own, size) for own, size in zip(parts, sizes, strict=True)]


def places_in_parts(texts: Sequence[Text], tokens: int, whole_prompts: bool = True) -> list[list[int]]:
    """Places of texts by part, those that begin alike together; see `in_parts`."""
    order = sorted(range(len(texts)), key=texts.__getitem__)
    groups = list(_by_prompt(texts, order).values()) if whole_prompts else [[row] for row in order]
    cuts = cut([[texts[row] for row in rows] for rows in groups], tokens)
    return [[row for place in own for row in groups[place]] for own in cuts]


def cut(groups: Iterable[Sequence[tuple[Sequence[int], Sequence[int]]]], tokens: int) -> list[list[int]]:
    """Places of groups of (prompt, answer) texts by part: neighbours, none more than so many tokens as a tree.

    But for a group that is larger than that, which is a part of its own.
    """
    parts: list[list[int]] = [[]]
    tree = TokenTree()
    for place, texts in enumerate(groups):
        _grow(tree, texts)
        if parts[-1] and len(tree) > tokens:
            parts.append([])
            tree = TokenTree()
            _grow(tree, texts)
        parts[-1].append(place)
    return parts


def texts_of(batch: Inputs) -> list[Text]:
    """Each row's prompt and answer, without padding."""
    return [
        (ids[kept].tolist(), answer[own].tolist())
        for ids, kept, answer, own in zip(
            batch["prompt_ids"],
            batch["prompt_mask"].bool(),
            batch["completion_ids"],
            batch["completion_mask"].bool(),
            strict=True,
        )
    ]


def _by_prompt(texts: Sequence[Text], rows: Iterable[int]) -> dict[Ids, list[int]]:
    """Some rows' places by their prompt, in their order."""
    found: dict[Ids, list[int]] = {}
    for row in rows:
        found.setdefault(tuple(texts[row][0]), []).append(row)
    return found


def _grow(tree: TokenTree, texts: Iterable[tuple[Sequence[int], Sequence[int]]]) -> None:
    for prompt, answer in texts:
        tree.add(tree.add(-1, prompt), answer[:-1])  # nothing comes after the last token
