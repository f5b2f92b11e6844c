"""What a launcher may be told: which ways of sharing a run out among processes there are."""

from __future__ import annotations

import os
from collections.abc import Mapping

from poker_env.errors import UserError

TIMEOUT = 24 * 3600
"""Seconds a process waits for the others. One that ends is noticed at once, whatever this is; a large model's report,
or bucket tables on a slow machine, must not end a run."""

OTHER_WAYS = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism config (tensor, context or sequence parallel)",
}
"""What `accelerate launch` can be told to do instead, by the environment variable it says so with."""


def refuse_other_ways(environment: Mapping[str, str] = os.environ) -> None:
    """Raise `UserError` where the launcher was asked for more than a whole model per process.

    Hands are sampled by the model itself, not by the trainer's wrapper of it: in pieces, or compiled, it can't be.
    """
    for variable, name in OTHER_WAYS.items():
        if environment.get(variable, "false").lower() in ("1", "true", "yes", "on"):
            raise UserError(
                f"{name} is not supported: a process holds the whole model; run 'accelerate config' again for plain "
                "data parallelism, or add --multi_gpu to accelerate launch"
            )
    backend = environment.get("ACCELERATE_DYNAMO_BACKEND", "no")
    if backend.lower() not in ("no", ""):
        raise UserError(f"torch dynamo ({backend}) is not supported: launch with --dynamo_backend no")
