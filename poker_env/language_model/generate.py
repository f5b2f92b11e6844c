"""Sampling short completions from a causal language model for a whole batch of prompts at once.

What rows share is forwarded once: the longest common prefix of the prompts, each distinct prompt, and after every
token each distinct text so far. Randomness is handed in per row, so a row's completion does not depend on which rows
it is batched with (up to float rounding).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from transformers import PreTrainedModel

from poker_env.language_model.contexts import Context, TokenIds, start

Item = TypeVar("Item")


@dataclass(frozen=True)
class _Text:
    """Rows that have the same prompt and, so far, the same completion."""

    rows: list[int]
    completion: tuple[int, ...] = ()


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
    logits, context = start(model, prompts, max(map(len, prompts)) + uniforms.shape[1])
    waiting: list[tuple[Sequence[tuple[int, _Text]], Context]] = []
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
        logits, context = context.grown([parent for parent, _ in batch], [text.completion[-1] for text in texts])


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


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Items in their order, so many at a time."""
    for first in range(0, len(items), size):
        yield items[first : first + size]
