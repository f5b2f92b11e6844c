"""Attention for trees of tokens: each token looks at its ancestors, some tokens at a time, and at no others.

A mask of all tokens against all would make attention's cost the square of a tree's size. Neighbours in a tree have
most of their ancestors in common, so a block of them looks at hardly more tokens than one text has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

Tensor = torch.Tensor

NAME, LIKE = "token_tree", "sdpa"
"""What it is called among the implementations of attention, and the one that it is without a tree."""

SIZES = (64, 8, 1)
"""Tokens of a block; fewer pay where a few tokens have little in common."""

OVERHEAD = 8
"""What it costs to fetch a token that a block looks at, in tokens looking at it."""

MULTIPLE = 8
"""Kernels want so many keys or a multiple of it."""


@dataclass(frozen=True)
class Blocks:
    """The last tokens of a tree, some of them in each block, and what those look at."""

    keys: Tensor
    """(blocks, keys) of the tree's tokens."""
    bias: Tensor
    """(blocks, 1, tokens, keys): 0 where a token looks, else as good as minus infinity."""
    _biases: dict[int, Tensor] = field(default_factory=dict)

    @staticmethod
    def of(ancestors: np.ndarray, dtype: torch.dtype, device: torch.device) -> Blocks:
        """For tokens with these `ancestors` (tokens, depth), themselves included; -1 fills up."""
        keys, places = _cheapest_blocks(ancestors)
        sees = np.zeros((*places.shape[:2], keys.shape[1] + 1), dtype=bool)
        np.put_along_axis(sees, places, True, axis=2)
        sees[..., 0] |= ~sees[..., :-1].any(axis=2)  # of what only fills up, anything will do
        bias = torch.zeros(sees[..., :-1].shape, dtype=dtype)
        bias.masked_fill_(torch.from_numpy(~sees[..., :-1]), torch.finfo(dtype).min)
        return Blocks(torch.from_numpy(keys).to(device), bias[:, None].to(device))

    def bias_for(self, heads: int) -> Tensor:
        """The same (blocks, 1, heads * tokens, keys) for so many heads with the same keys."""
        if heads not in self._biases:
            self._biases[heads] = self.bias.repeat(1, 1, heads, 1)
        return self._biases[heads]


def _cheapest_blocks(ancestors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`_in_blocks` of the size that costs least: where smaller ones cost more, still smaller ones aren't tried."""
    found = _in_blocks(ancestors, SIZES[0])
    for size in SIZES[1:]:
        smaller = _in_blocks(ancestors, size)
        if _cost(*smaller) > _cost(*found):
            break
        found = smaller
    return found


def _cost(keys: np.ndarray, places: np.ndarray) -> int:
    return keys.size * (places.shape[1] + OVERHEAD)


def _in_blocks(ancestors: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(blocks, keys), and for each token of (blocks, tokens) the places of its ancestors among them.

    The place after the last one is for what isn't there.
    """
    blocks = [ancestors[start : start + size] for start in range(0, len(ancestors), size)]
    distinct = [np.unique(own[own >= 0]) for own in blocks]
    width = -(-max(map(len, distinct)) // MULTIPLE) * MULTIPLE
    keys = np.zeros((len(blocks), width), dtype=np.int64)
    places = np.full((len(blocks), size, ancestors.shape[1]), width)
    for block, (own, seen) in enumerate(zip(blocks, distinct, strict=True)):
        keys[block, : len(seen)] = seen
        places[block, : len(own)] = np.where(own >= 0, np.searchsorted(seen, own), width)
    return keys, places


@contextmanager
def attending_in_blocks(model: PreTrainedModel) -> Iterator[None]:
    """Within it a model's layers attend by the `Blocks` that they are given; an attention of its own it keeps."""
    configs: dict[int, Any] = {id(own): own for module in model.modules() if (own := getattr(module, "config", None))}
    changed = [own for own in configs.values() if getattr(own, "_attn_implementation", None) == LIKE]
    try:
        for config in changed:
            config._attn_implementation_internal = NAME
        yield
    finally:
        for config in changed:
            config._attn_implementation_internal = LIKE


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    token_tree: Blocks | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """What a model calls in its layers, (1, heads, tokens, dimensions); without a `token_tree` as torch's own."""
    if token_tree is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **others)
    if any(others.get(name) is not None for name in ("position_bias", "softcap", "s_aux")):
        raise NotImplementedError
    tokens, kinds, heads = query.shape[2], key.shape[1], query.shape[1] // key.shape[1]
    count, size = token_tree.bias.shape[0], token_tree.bias.shape[2]
    query = functional.pad(query, (0, 0, 0, count * size - tokens))[0]
    query = query.view(kinds, heads, count, size, -1).permute(2, 0, 1, 3, 4).flatten(2, 3)
    found = functional.scaled_dot_product_attention(
        query,
        _gathered(key, token_tree.keys),
        _gathered(value, token_tree.keys),
        attn_mask=token_tree.bias_for(heads),
        dropout_p=dropout,
        scale=scaling,
    )
    found = found.view(count, kinds, heads, size, -1).permute(0, 3, 1, 2, 4)
    return found.reshape(1, count * size, kinds * heads, -1)[:, :tokens], None


def _gathered(whole: Tensor, keys: Tensor) -> Tensor:
    """(blocks, kinds, keys, dimensions) out of (1, kinds, tokens, dimensions)."""
    kinds = whole.shape[1]
    picked = functional.embedding(keys, whole[0].transpose(0, 1).flatten(1))
    return picked.unflatten(2, (kinds, -1)).transpose(1, 2)


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
