"""Threads for processes that a launcher starts."""

from __future__ import annotations

import os

import torch

from poker_env.cfr.parallel import available_cores


def use_all_cores() -> None:
    """On a CPU, share the cores among the machine's processes: `accelerate launch` leaves each with one thread."""
    if not torch.cuda.is_available():
        torch.set_num_threads(max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
