"""How much memory training takes, and how many tokens at a time it leaves room for."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from poker_env.errors import note
from poker_env.forwarding.forward import base_of, tree_logits
from poker_env.forwarding.self_check import dtype_of, known_tokens, some_texts
from poker_env.forwarding.token_tree import TokenTree

MOST_TOKENS = {"cpu": 512, "cuda": 16384}
"""Beyond this, larger trees share hardly more, and aren't computed faster."""

FEWEST_TOKENS = 256
"""A prompt or two."""

SHARE = 0.6
"""Of the memory that is left, for what backpropagation needs; the gradients on their way need some, too."""

OPTIMIZER = 3
"""Numbers beside each of the adapter's: its gradient and Adam's two means."""

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


@dataclass(frozen=True)
class Memory:
    """Bytes that training is going to take on a model's device."""

    weights: int
    """Those that stay as they are."""
    adapter: int
    """Those that are trained, their gradients, and what the optimizer keeps of them."""
    per_token: int
    """What is kept of a token until its gradient is backpropagated; the logits where all tokens have them."""
    tokens: int
    """How many are forwarded and backpropagated at once."""
    program: int
    """What the process holds beside the model: libraries, and the opponent's tables; 0 on a GPU."""

    @property
    def activations(self) -> int:
        """What is kept of so many tokens, and the gradients on their way."""
        return int(self.tokens * self.per_token / SHARE)

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.adapter + self.activations + self.program

    def __str__(self) -> str:
        parts = [("weights", self.weights), ("adapter and optimizer", self.adapter)]
        parts += [(f"{self.tokens:,} tokens at a time", self.activations)]
        parts += [("libraries and tables", self.program)] if self.program else []
        named = ", ".join(f"{name} {own / 1e9:.2g}" for name, own in parts)
        return f"memory: about {self.total / 1e9:.2g} GB ({named})"


LOGITS = 3
"""Copies of the logits that there are at a time: as the model gives them, as they are picked, and their gradient."""


def estimated(model: Any, long_answers: bool = False) -> Memory:
    """What training a model takes, with as many tokens at a time as there is room for.

    Of `long_answers` nearly all tokens have logits, of short ones hardly any. A note says where there is no room for
    the fewest.
    """
    base = base_of(model)
    device = base.device
    each, free = max(1, bytes_per_token(model)), available_bytes(device)
    if long_answers:
        each += LOGITS * known_tokens(base) * dtype_of(base).itemsize
    room = int(SHARE * free / each)
    if room < FEWEST_TOKENS:
        needed = FEWEST_TOKENS * each / SHARE
        note(
            f"memory may not suffice: {FEWEST_TOKENS} tokens at a time take about {needed / 1e9:.2g} GB, and "
            f"{free / 1e9:.2g} GB are free: make room, or take a smaller model"
        )
    sizes: dict[bool, int] = {True: 0, False: 0}
    for weight in model.parameters():
        sizes[weight.requires_grad] += weight.nbytes
    held = psutil.Process().memory_info().rss if device.type == "cpu" else 0
    return Memory(
        weights=sizes[False],
        adapter=(1 + OPTIMIZER) * sizes[True],
        per_token=each,
        tokens=max(FEWEST_TOKENS, min(MOST_TOKENS.get(device.type, MOST_TOKENS["cuda"]), room)),
        program=max(0, held - sum(sizes.values())),
    )


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


def give_back() -> None:
    """Give back to the system what this process freed.

    glibc's `malloc` keeps what lies between pieces in use: after 40 epochs as much again as is used.
    """
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _left_to_the_container() -> list[int]:
    for limit, used in LIMITS:
        try:
            return [int(Path(limit).read_text()) - int(Path(used).read_text())]
        except (OSError, ValueError):  # there is none, or it is "max"
            continue
    return []
