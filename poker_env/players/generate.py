"""Sampling short completions from a causal language model for a whole batch of prompts at once.

What rows share is forwarded once: the longest common prefix of the prompts, each distinct prompt, and after every
token each distinct text so far. Randomness is handed in per row, so a row's completion does not depend on which rows
it is batched with (up to float rounding).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

TokenIds = Sequence[int]

Item = TypeVar("Item")


@dataclass(frozen=True)
class _Text:
    """Rows that have the same prompt and, so far, the same completion."""

    rows: list[int]
    completion: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Context:
    """What the model keeps of texts that were forwarded together."""

    cache: DynamicCache
    mask: torch.Tensor
    """(texts, tokens): attention mask, zeros at padding."""


@torch.no_grad()
def sample_completions(
    model: PreTrainedModel,
    prompts: Sequence[TokenIds],
    seeds: Sequence[int],
    *,
    max_new_tokens: int,
    eos_ids: Sequence[int],
    answered: Callable[[int, list[int]], bool],
    temperature: float = 1.0,
    batch_size: int = 64,
) -> list[list[int]]:
    """One completion per prompt: token ids, an end-of-sequence token included where one was sampled.

    Args:
        prompts: token ids of each prompt, none empty.
        seeds: one per prompt; the same prompt and seed give the same completion.
        answered: `answered(row, completion)` says that the completion needs no further token; of rows with equal
            prompts, one is asked for all. Stopping on what was sampled leaves the policy gradient of the sampled
            tokens unbiased.
        temperature: of the sampling distribution; nothing else bends it (no top-p, no top-k).
        batch_size: distinct texts forwarded at once.
    """
    rows_of: dict[tuple[int, ...], list[int]] = {}
    for row, prompt in enumerate(prompts):
        rows_of.setdefault(tuple(prompt), []).append(row)
    distinct = sorted(rows_of, key=lambda prompt: (len(prompt), prompt))
    uniforms = np.array([np.random.default_rng(seed).random(max_new_tokens) for seed in seeds])
    completions: list[list[int]] = [[] for _ in prompts]
    was_training = model.training
    model.eval()
    try:
        for batch in batches(distinct, batch_size):
            texts = [_Text(rows_of[prompt]) for prompt in batch]
            for text in _complete(model, batch, texts, uniforms, eos_ids, answered, temperature, batch_size):
                for row in text.rows:
                    completions[row] = list(text.completion)
    finally:
        model.train(was_training)
    return completions


def _complete(
    model: PreTrainedModel,
    prompts: Sequence[TokenIds],
    texts: list[_Text],
    uniforms: np.ndarray,
    eos_ids: Sequence[int],
    answered: Callable[[int, list[int]], bool],
    temperature: float,
    batch_size: int,
) -> Iterator[_Text]:
    """The finished texts that grow out of distinct prompts; depth first, so that few caches are held at a time."""
    logits, context = _prefill(model, prompts)
    waiting: list[tuple[Sequence[tuple[int, _Text]], _Context]] = []
    while True:
        unfinished = []
        for parent, text in _grow(texts, logits, uniforms, temperature):
            full = len(text.completion) == uniforms.shape[1]
            if full or text.completion[-1] in eos_ids or answered(text.rows[0], list(text.completion)):
                yield text
            else:
                unfinished.append((parent, text))
        waiting += [(batch, context) for batch in batches(unfinished, batch_size)]
        if not waiting:
            return
        batch, context = waiting.pop()
        texts = [text for _, text in batch]
        logits, context = _advance(model, context, [parent for parent, _ in batch], texts)


def _grow(
    texts: list[_Text], logits: torch.Tensor, uniforms: np.ndarray, temperature: float
) -> Iterator[tuple[int, _Text]]:
    """Every row's next token drawn: the distinct texts that come of it, each with its parent's index."""
    draws = np.zeros((len(texts), max(len(text.rows) for text in texts)))
    for index, text in enumerate(texts):
        draws[index, : len(text.rows)] = uniforms[text.rows, len(text.completion)]
    for index, (text, tokens) in enumerate(zip(texts, _draw(logits, draws, temperature), strict=True)):
        rows_of: dict[int, list[int]] = {}
        for row, token in zip(text.rows, tokens, strict=False):
            rows_of.setdefault(token, []).append(row)
        for token, rows in rows_of.items():
            yield index, _Text(rows, (*text.completion, token))


def _draw(logits: torch.Tensor, uniforms: np.ndarray, temperature: float) -> list[list[int]]:
    """Inverse-CDF samples (texts, draws) from softmax(logits / temperature), logits being (texts, vocabulary)."""
    cumulative = torch.softmax(logits.float() / temperature, dim=-1).cumsum(dim=-1, dtype=torch.float64)
    targets = torch.as_tensor(uniforms, device=logits.device) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, targets, right=True).clamp(max=logits.shape[-1] - 1).tolist()


def _advance(
    model: PreTrainedModel, context: _Context, parents: list[int], texts: list[_Text]
) -> tuple[torch.Tensor, _Context]:
    """Forward each text's last token after the parent it grew out of."""
    pick = torch.tensor(parents, device=model.device)
    # The parent's other children may still need its cache; selecting and growing make new tensors.
    cache = copy.copy(context.cache)
    cache.layers = [copy.copy(layer) for layer in cache.layers]
    cache.batch_select_indices(pick)
    before = context.mask[pick]
    mask = torch.cat([before, before.new_ones(len(texts), 1)], dim=1)
    output = model(
        input_ids=torch.tensor([[text.completion[-1]] for text in texts], device=model.device),
        attention_mask=mask,
        position_ids=before.sum(dim=1, keepdim=True),
        past_key_values=cache,
        use_cache=True,
    )
    return output.logits[:, -1], _Context(output.past_key_values, mask)


def _prefill(model: PreTrainedModel, prompts: Sequence[TokenIds]) -> tuple[torch.Tensor, _Context]:
    """Logits of the next token (prompts, vocabulary) of distinct prompts, and what goes on from there."""
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
            input_ids=torch.tensor([prompts[0][:shared]], device=model.device), past_key_values=cache, use_cache=True
        )
        cache.batch_repeat_interleave(len(prompts))
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, shared:]
    output = model(
        input_ids=suffix,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return output.logits[:, -1], _Context(output.past_key_values, mask)


def common_prefix_length(prompts: Sequence[TokenIds]) -> int:
    """Tokens that all prompts begin with, at least one token of each left over; 0 for a lone prompt."""
    if len(prompts) < 2:
        return 0
    low, high = min(map(tuple, prompts)), max(map(tuple, prompts))
    limit = min(map(len, prompts)) - 1
    return next((i for i in range(limit) if low[i] != high[i]), limit)


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Items in their order, so many at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
