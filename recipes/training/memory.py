"""How much memory training takes, and how many tokens at a time it leaves room for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil
import torch

from poker_env.language_model.forward import base_of, tree_logits
from poker_env.language_model.self_check import some_texts
from poker_env.language_model.token_tree import TokenTree

MOST_TOKENS = {"cpu": 512, "cuda": 16384}
"""Beyond this, larger trees share hardly more, and aren't computed faster."""

FEWEST_TOKENS = 256
"""A prompt or two."""

SHARE = 0.6
"""Of the memory that is left, for what backpropagation needs; the gradients on their way need some, too."""

TRIED = 64
"""Tokens that are forwarded to see what is kept of each."""

LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)
"""Where a container's limit, and what is used of it, can be read."""


def tokens_that_fit(model: Any) -> int:
    """Tokens of a tree that can be forwarded and backpropagated at once, on a model's device."""
    device = base_of(model).device
    room = int(SHARE * available_bytes(device) / max(1, bytes_per_token(model)))
    return max(FEWEST_TOKENS, min(MOST_TOKENS.get(device.type, MOST_TOKENS["cuda"]), room))


def bytes_per_token(model: Any) -> int:
    """What is kept of a token until its gradient is backpropagated, but for the logits."""
    tree = TokenTree()
    node = tree.add(-1, some_texts(base_of(model), 1, TRIED)[0])
    kept: dict[int, int] = {weight.untyped_storage()._cdata: 0 for weight in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept.setdefault(storage._cdata, storage.nbytes())
        return tensor

    was_training = model.training
    model.train()
    try:
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            tree_logits(model, tree, [node])
    finally:
        model.train(was_training)
    return sum(kept.values()) // TRIED


def available_bytes(device: torch.device) -> int:
    """Memory that a process can still have on a device."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    together = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min([psutil.virtual_memory().available, *_left_to_the_container()]) // together


def _left_to_the_container() -> list[int]:
    for limit, used in LIMITS:
        try:
            return [int(Path(limit).read_text()) - int(Path(used).read_text())]
        except (OSError, ValueError):  # there is none, or it is "max"
            continue
    return []
