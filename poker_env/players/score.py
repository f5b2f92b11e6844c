"""How probable given completions are, for a whole batch of prompts at once, without sampling any."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from poker_env.players.generate import TokenIds, _advance, _batches, _prefill, _Text

Ids = tuple[int, ...]


@torch.no_grad()
def completion_probabilities(
    model: PreTrainedModel,
    prompts: Sequence[TokenIds],
    candidates: Sequence[Sequence[TokenIds]],
    *,
    may_follow: torch.Tensor,
    max_new_tokens: int,
    temperature: float = 1.0,
    batch_size: int = 64,
) -> list[list[float]]:
    """For each of a prompt's candidates, the probability that sampling begins with it and then ends it.

    Args:
        prompts: token ids of each prompt, none empty; each distinct one is forwarded once.
        candidates: for each prompt the completions in question, none empty; equal prompts have equal candidates.
        may_follow: (vocabulary,) bool: the tokens that end a candidate, one of which must come next.
        max_new_tokens: of the sampling. A candidate that fills it needs nothing to follow, a longer one never comes.
        temperature: of the sampling distribution.
        batch_size: texts forwarded at once.
    """
    asked = {tuple(prompt): list(map(tuple, ids)) for prompt, ids in zip(prompts, candidates, strict=True)}
    distinct = sorted(asked, key=lambda prompt: (len(prompt), prompt))
    widest = max(map(len, asked.values()), default=1)
    found: dict[Ids, dict[Ids, float]] = {prompt: {} for prompt in distinct}
    was_training = model.training
    model.eval()
    try:
        for batch in _batches(distinct, max(1, batch_size // widest)):
            _score_batch(model, batch, asked, found, may_follow.to(model.device), max_new_tokens, temperature)
    finally:
        model.train(was_training)
    return [[found[prompt].get(ids, 0.0) for ids in asked[prompt]] for prompt in map(tuple, prompts)]


def _score_batch(
    model: PreTrainedModel,
    prompts: Sequence[Ids],
    asked: dict[Ids, list[Ids]],
    found: dict[Ids, dict[Ids, float]],
    may_follow: torch.Tensor,
    max_new_tokens: int,
    temperature: float,
) -> None:
    """Fill in `found`, level by level of the tree of all that the prompts' candidates begin with."""
    level: list[tuple[Ids, Ids, float]] = [(prompt, (), 1.0) for prompt in prompts]  # prompt, what is said, how likely
    logits, context = _prefill(model, prompts)
    for length in range(1, max_new_tokens + 1):
        probabilities = torch.softmax(logits.float() / temperature, dim=-1)
        ends = (probabilities * may_follow).sum(dim=-1).tolist()
        parents, children = [], []
        for row, (prompt, said, likely) in enumerate(level):
            if said in asked[prompt]:
                found[prompt][said] = likely * ends[row]
            longer = (ids[:length] for ids in asked[prompt] if len(ids) >= length and ids[: length - 1] == said)
            for child in dict.fromkeys(longer):
                parents.append(row)
                children.append((prompt, child, likely * float(probabilities[row, child[-1]])))
        level = children
        if length == max_new_tokens or not level:
            break
        logits, context = _advance(model, context, parents, [_Text([], said) for _, said, _ in level])
    for prompt, said, likely in level:
        if said in asked[prompt]:
            found[prompt][said] = likely
