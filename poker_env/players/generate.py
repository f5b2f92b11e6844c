"""Sampling short completions from a causal language model for a whole batch of prompts at once.

What a batch shares is forwarded once: the longest common prefix of its prompts, and each distinct prompt. Randomness
is handed in per row, so a row's completion does not depend on which rows it is batched with (up to float rounding).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

TokenIds = Sequence[int]


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
        answered: `answered(row, completion)` says that the completion needs no further token. Stopping on what was
            sampled leaves the policy gradient of the sampled tokens unbiased.
        temperature: of the sampling distribution; nothing else bends it (no top-p, no top-k).
        batch_size: rows forwarded at once.
    """
    completions: list[list[int]] = [[] for _ in prompts]
    by_length = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), tuple(prompts[row])))
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(by_length), batch_size):
            rows = by_length[start : start + batch_size]
            uniforms = np.stack([np.random.default_rng(seeds[row]).random(max_new_tokens) for row in rows])
            _sample_batch(
                model, [prompts[row] for row in rows], uniforms, rows, completions, eos_ids, answered, temperature
            )
    finally:
        model.train(was_training)
    return completions


def _sample_batch(
    model: PreTrainedModel,
    prompts: list[TokenIds],
    uniforms: np.ndarray,
    rows: list[int],
    completions: list[list[int]],
    eos_ids: Sequence[int],
    answered: Callable[[int, list[int]], bool],
    temperature: float,
) -> None:
    logits, cache, mask, lengths = _prefill(model, prompts)
    live = np.ones(len(rows), dtype=bool)
    for step in range(uniforms.shape[1]):
        tokens = _draw(logits, uniforms[:, step], temperature)
        for index in np.flatnonzero(live):
            token, row = int(tokens[index]), rows[index]
            completions[row].append(token)
            live[index] = token not in eos_ids and not answered(row, completions[row])
        if step + 1 == uniforms.shape[1] or not live.any():
            return
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        output = model(
            input_ids=tokens[:, None],
            attention_mask=mask,
            position_ids=(lengths + step)[:, None],
            past_key_values=cache,
            use_cache=True,
        )
        logits, cache = output.logits[:, -1], output.past_key_values


def _prefill(
    model: PreTrainedModel, prompts: list[TokenIds]
) -> tuple[torch.Tensor, DynamicCache, torch.Tensor, torch.Tensor]:
    """Logits of the next token (rows, vocabulary), key-value cache, attention mask and prompt lengths, row by row."""
    distinct = list(dict.fromkeys(map(tuple, prompts)))
    index_of = {prompt: index for index, prompt in enumerate(distinct)}
    pick = torch.tensor([index_of[tuple(prompt)] for prompt in prompts], device=model.device)
    shared = common_prefix_length(distinct)
    width = max(map(len, distinct)) - shared
    suffix = torch.zeros(len(distinct), width, dtype=torch.long)
    mask = torch.zeros(len(distinct), shared + width, dtype=torch.long)
    mask[:, :shared] = 1
    for index, prompt in enumerate(distinct):
        tail = prompt[shared:]
        suffix[index, width - len(tail) :] = torch.tensor(tail)
        mask[index, shared + width - len(tail) :] = 1
    suffix, mask = suffix.to(model.device), mask.to(model.device)
    cache = DynamicCache(config=model.config)
    if shared:
        model(
            input_ids=torch.tensor([distinct[0][:shared]], device=model.device), past_key_values=cache, use_cache=True
        )
        cache.batch_repeat_interleave(len(distinct))
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, shared:]
    output = model(
        input_ids=suffix,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    cache = output.past_key_values
    if len(distinct) < len(prompts):
        cache.batch_select_indices(pick)
    return output.logits[pick, -1], cache, mask[pick], mask[pick].sum(dim=1)


def common_prefix_length(prompts: Sequence[TokenIds]) -> int:
    """Tokens that all prompts begin with, at least one token of each left over; 0 for a lone prompt."""
    if len(prompts) < 2:
        return 0
    low, high = min(map(tuple, prompts)), max(map(tuple, prompts))
    limit = min(map(len, prompts)) - 1
    return next((i for i in range(limit) if low[i] != high[i]), limit)


def _draw(logits: torch.Tensor, uniforms: np.ndarray, temperature: float) -> torch.Tensor:
    """Inverse-CDF samples (rows,) from softmax(logits / temperature)."""
    cumulative = torch.softmax(logits.double() / temperature, dim=-1).cumsum(dim=-1)
    targets = torch.as_tensor(uniforms, device=logits.device)[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, targets, right=True).squeeze(1).clamp(max=logits.shape[-1] - 1)
