"""Sampling completions from a causal language model for a whole batch of prompts at once.

Of short ones (`sample_completions`) what rows share is forwarded once: the longest common prefix of the prompts, each
distinct prompt, and after every token each distinct text so far. Long ones (`sample_long_completions`), which soon
share nothing, are left to transformers. Randomness is handed in per row, so a row's completion does not depend on
which rows it is batched with (up to float rounding).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from poker_env.forwarding.contexts import Context, TokenIds, start
from poker_env.forwarding.forward import base_of

Item = TypeVar("Item")

TOKENS_AT_ONCE = {"cpu": 16_384, "cuda": 65_536}
"""Of prompts and long completions in a cache together; a token takes a model of 4 billion 150 kB of it."""


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


@torch.no_grad()
def sample_long_completions(
    model: PreTrainedModel,
    prompts: Sequence[TokenIds],
    seeds: Sequence[int],
    *,
    max_new_tokens: int,
    eos_ids: Sequence[int],
    pad_id: int,
    temperature: float = 1.0,
) -> list[list[int]]:
    """One completion per prompt by transformers' own generation: token ids, up to an end-of-sequence token if any.

    Arguments are as in `sample_completions`, and so are the completions, to rounding; `pad_id` fills prompts up.
    """
    base, found = base_of(model), list[list[int]]()
    was_training, own_config = base.training, base.generation_config
    base.eval()
    # None of what the model's authors sample by: no top-p, no top-k, no penalties.
    base.generation_config = GenerationConfig()
    try:
        for rows in cached_together(prompts, max_new_tokens, base.device):
            width = max(len(prompts[row]) for row in rows)
            padded = [[pad_id] * (width - len(prompts[row])) + list(prompts[row]) for row in rows]
            mask = [[int(place >= width - len(prompts[row])) for place in range(width)] for row in rows]
            uniforms = np.array([np.random.default_rng(seeds[row]).random(max_new_tokens) for row in rows])
            generate: Any = base.generate
            texts = generate(
                input_ids=torch.tensor(padded, device=base.device),
                attention_mask=torch.tensor(mask, device=base.device),
                generation_config=GenerationConfig(
                    do_sample=False,  # what is drawn is the only token left
                    max_new_tokens=max_new_tokens,
                    eos_token_id=list(eos_ids),
                    pad_token_id=pad_id,
                    disable_compile=True,
                ),
                logits_processor=LogitsProcessorList([_Drawing(uniforms, width, temperature)]),
            )
            found += [_ended(text, eos_ids) for text in texts[:, width:].tolist()]
    finally:
        base.generation_config = own_config
        base.train(was_training)
    return found


def cached_together(prompts: Sequence[TokenIds], max_new_tokens: int, device: torch.device) -> Iterator[Sequence[int]]:
    """Places of prompts, as many at a time as a cache on the device has room for with long completions."""
    longest = max(map(len, prompts), default=0) + max_new_tokens
    most = TOKENS_AT_ONCE["cuda" if device.type == "cuda" else "cpu"]
    return batches(range(len(prompts)), max(1, most // longest))


class _Drawing(LogitsProcessor):
    """Draws each row's next token by that row's own random numbers, and leaves no other."""

    def __init__(self, uniforms: np.ndarray, width: int, temperature: float) -> None:
        """`uniforms` are (rows, tokens), in [0, 1), `width` the prompts' length."""
        self._uniforms, self._width, self._temperature = uniforms, width, temperature

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        step = input_ids.shape[1] - self._width
        drawn = torch.tensor(_draw(scores, self._uniforms[:, step : step + 1], self._temperature)).to(scores.device)
        return torch.full_like(scores, -torch.inf).scatter(1, drawn, 0.0)


def _ended(completion: list[int], eos_ids: Sequence[int]) -> list[int]:
    """A completion up to its first end."""
    return next((completion[: place + 1] for place, token in enumerate(completion) if token in eos_ids), completion)


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
