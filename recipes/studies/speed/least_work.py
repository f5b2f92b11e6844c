"""What no loop can do without: the tokens that a model has to be given, and a bare pass over as many of them."""

from __future__ import annotations

from typing import Any

import torch

from recipes.studies.speed.probe import clock

ROWS = 16
"""Texts of a bare pass's batch."""

MOST_TOKENS = 8_192
"""Tokens of a bare pass; for more its time is scaled up."""


def bare_seconds(model: Any, tokens: int, length: int, *, backward: bool = False, autocast: bool = False) -> float:
    """Seconds of plain batched passes over so many tokens, in texts of about `length`, all in batches of 16 texts.

    With `backward` the gradients of what is trained are worked out too; logits are those of the last tokens alone.
    """
    if tokens == 0:
        return 0.0
    length = max(1, min(length, tokens))
    rows = max(1, min(tokens, MOST_TOKENS) // length)
    device, vocabulary = model.device, model.get_input_embeddings().num_embeddings
    ids = torch.randint(vocabulary, (rows, length), generator=torch.Generator().manual_seed(0)).to(device)

    def forward(batch: torch.Tensor) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            logits = model(input_ids=batch, use_cache=False, logits_to_keep=1).logits
        if backward:
            torch.logsumexp(logits.float(), dim=-1).sum().backward()

    with torch.set_grad_enabled(backward):
        forward(ids[:ROWS])  # what is done once
        started = clock()
        for first in range(0, rows, ROWS):
            forward(ids[first : first + ROWS])
        seconds = clock() - started
    model.zero_grad()
    return seconds * tokens / (rows * length)
