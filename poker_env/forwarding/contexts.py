"""What is kept of texts from one sampled token to the next: the model's cache, or nothing but the texts themselves."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from transformers import DynamicCache, PreTrainedModel

from poker_env.forwarding.forward import base_of, in_blocks, next_logits
from poker_env.forwarding.self_check import holds, some_texts
from poker_env.forwarding.token_tree import TokenTree

TokenIds = Sequence[int]


class Context(Protocol):
    """Texts that were forwarded together."""

    def grown(self, parents: Sequence[int], tokens: Sequence[int]) -> tuple[torch.Tensor, Context]:
        """Some of the texts, by their place, each with a token more: what comes next, and what goes on from there."""
        ...


def start(model: Any, prompts: Sequence[TokenIds], longest: int) -> tuple[torch.Tensor, Context]:
    """Logits (prompts, vocabulary) of the token after each of some distinct prompts, and what goes on from there.

    They may grow to `longest` tokens.
    """
    base = base_of(model)
    if holds(base, longest, functools.partial(_started_and_plain, _Tree), "a growing tree"):
        return _Tree.start(model, prompts)
    if holds(
        base,
        longest,
        functools.partial(_started_and_plain, _Cached),
        "a shared cache",
        "texts are forwarded anew for each token",
    ):
        return _Cached.start(model, prompts)
    return _Plain.start(model, prompts)


@dataclass(frozen=True)
class _Plain:
    model: Any
    texts: tuple[tuple[int, ...], ...]

    @staticmethod
    def start(model: Any, prompts: Sequence[TokenIds]) -> tuple[torch.Tensor, _Plain]:
        return next_logits(model, prompts), _Plain(model, tuple(map(tuple, prompts)))

    def grown(self, parents: Sequence[int], tokens: Sequence[int]) -> tuple[torch.Tensor, _Plain]:
        return _Plain.start(
            self.model, [(*self.texts[parent], token) for parent, token in zip(parents, tokens, strict=True)]
        )


@dataclass(frozen=True)
class _Tree:
    """All texts in one tree, which grows with any of them, as its cache does."""

    model: Any
    tree: TokenTree
    cache: DynamicCache
    nodes: Sequence[int]
    """Where the texts end."""

    @staticmethod
    def start(model: Any, prompts: Sequence[TokenIds]) -> tuple[torch.Tensor, _Tree]:
        tree = TokenTree()
        # Neighbours have much in common.
        at = {prompt: tree.add(-1, prompt) for prompt in sorted(map(tuple, prompts))}
        started = _Tree(model, tree, DynamicCache(), [at[tuple(prompt)] for prompt in prompts])
        return started._forward(0), started

    def grown(self, parents: Sequence[int], tokens: Sequence[int]) -> tuple[torch.Tensor, _Tree]:
        known = len(self.tree)
        nodes = [self.tree.add(self.nodes[parent], (token,)) for parent, token in zip(parents, tokens, strict=True)]
        grown = replace(self, nodes=nodes)
        return grown._forward(known), grown

    def _forward(self, known: int) -> torch.Tensor:
        """Logits after the texts, whose last tokens are new: the tree had so many before."""
        return in_blocks(self.model, self.tree, self.nodes, since=known, cache=self.cache)


@dataclass(frozen=True)
class _Cached:
    model: Any
    cache: DynamicCache
    mask: torch.Tensor
    """(texts, tokens): attention mask, zeros at padding."""

    @staticmethod
    def start(model: Any, prompts: Sequence[TokenIds]) -> tuple[torch.Tensor, _Cached]:
        """What the prompts share at their beginning is forwarded once."""
        shared = common_prefix_length(prompts)
        width = max(map(len, prompts)) - shared
        suffix = torch.zeros(len(prompts), width, dtype=torch.long)
        mask = torch.zeros(len(prompts), shared + width, dtype=torch.long)
        mask[:, :shared] = 1
        for index, prompt in enumerate(prompts):
            tail = prompt[shared:]
            suffix[index, width - len(tail) :] = torch.tensor(tail)
            mask[index, shared + width - len(tail) :] = 1
        suffix, mask = suffix.to(model.device), mask.to(model.device)
        cache = DynamicCache(config=model.config)
        if shared:
            model(
                input_ids=torch.tensor([prompts[0][:shared]], device=model.device),
                past_key_values=cache,
                use_cache=True,
            )
            cache.batch_repeat_interleave(len(prompts))
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, shared:]
        return _Cached._forward(model, suffix, mask, positions, cache)

    def grown(self, parents: Sequence[int], tokens: Sequence[int]) -> tuple[torch.Tensor, _Cached]:
        pick = torch.tensor(parents, device=self.model.device)
        # The parent's other children may still need its cache; selecting and growing make new tensors.
        cache = copy.copy(self.cache)
        cache.layers = [copy.copy(layer) for layer in cache.layers]
        cache.batch_select_indices(pick)
        before = self.mask[pick]
        mask = torch.cat([before, before.new_ones(len(parents), 1)], dim=1)
        ids = torch.tensor([[token] for token in tokens], device=self.model.device)
        return _Cached._forward(self.model, ids, mask, before.sum(dim=1, keepdim=True), cache)

    @staticmethod
    def _forward(
        model: Any, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: DynamicCache
    ) -> tuple[torch.Tensor, _Cached]:
        output = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1], _Cached(model, output.past_key_values, mask)


def _started_and_plain(
    kind: type[_Tree] | type[_Cached], model: PreTrainedModel, length: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits after three texts that begin alike, two of them shorter, and after they grew by a token; both ways."""
    first, second, more = some_texts(model, 3, max(length, 8))
    shared = len(first) // 2
    # The shortest has most padding, close before its end: what looks through a window would see that.
    prompts = [first[:-1], first[:shared] + second[shared : -shared // 4], first[:shared] + second[-1:]]
    started, context = kind.start(model, prompts)
    parents, tokens = [2, 1, 0, 2], more[:4]  # in another order and one of them twice, as sampling does it
    grown, _ = context.grown(parents, tokens)
    texts = [*prompts, *(prompts[parent] + [token] for parent, token in zip(parents, tokens, strict=True))]
    plain = [next_logits(model, [text]) for text in texts]
    return torch.cat([started, grown]), torch.cat(plain)


def common_prefix_length(prompts: Sequence[TokenIds]) -> int:
    """Tokens that all prompts begin with, at least one token of each left over; 0 for a lone prompt."""
    if len(prompts) < 2:
        return 0
    low, high = min(map(tuple, prompts)), max(map(tuple, prompts))
    limit = min(map(len, prompts)) - 1
    return next((i for i in range(limit) if low[i] != high[i]), limit)
