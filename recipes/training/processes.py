"""The processes of a run, one for each GPU: who is the main one, and what they tell each other.

`accelerate launch` starts them, and torch's `DistributedDataParallel` averages their gradients. Everything else that a
run does is shared out and gathered here, or is the main process's alone while the others wait.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from transformers import Trainer

from poker_env.errors import UserError
from poker_env.parallel import available_cores

T = TypeVar("T")

PIECE = 128
"""Items gathered at a time: what the main process holds beside those it has already is so many from each process."""

_LEFT: list[Any] = []
"""Groups that were left. Taking one apart would wait for its threads, which may be waiting for the interpreter."""


def process_index() -> int:
    """This process's number, also before the processes have met."""
    return int(os.environ.get("RANK", "0"))


def is_main() -> bool:
    """Whether this is the process that prints, writes and pushes."""
    return process_index() == 0


def processes() -> int:
    """How many processes there are; 1 before they have met."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def use_all_cores() -> None:
    """On a CPU, share the cores among the machine's processes: `accelerate launch` leaves each with one thread."""
    if not torch.cuda.is_available():
        torch.set_num_threads(max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def expect_gradients(trainer: Trainer) -> None:
    """Tell `DistributedDataParallel` to look for weights without a gradient only where there are some.

    Such as those of an adapter that is on a vision tower, too. Looking takes time, and a warning where there are none.
    """
    handler = trainer.accelerator.ddp_handler
    if processes() == 1 or handler is None or trainer.args.ddp_find_unused_parameters is not None:
        return
    model: Any = trainer.model
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    tokens = torch.zeros(1, 2, dtype=torch.long, device=model.device)
    found = torch.autograd.grad(model(input_ids=tokens).logits.sum(), trained, allow_unused=True)
    handler.find_unused_parameters = any(gradient is None for gradient in found)


def share_of(count: int, process: int | None = None, of: int | None = None) -> range:
    """Which of `count` items are this process's, or a `process`'s of so many: neighbours, as even as it goes."""
    of = processes() if of is None else of
    process = (process_index() if of > 1 else 0) if process is None else process
    return range(-(-count * process // of), -(-count * (process + 1) // of))


def on_main(work: Callable[[], T]) -> T:
    """What `work` returns in the main process, in all of them; they call it together, and only the main one works.

    A `UserError` of it is raised in all of them.
    """
    if processes() == 1:
        return work()
    outcome: list[Any] = [None, None]
    if is_main():
        try:
            outcome[0] = work()
        except UserError as error:
            outcome[1] = str(error)
    dist.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        raise UserError(outcome[1])
    result: T = outcome[0]
    return result


def gather_to_main(items: Sequence[T]) -> list[T]:
    """All processes' items in the main one, those of process 0 first; in the others, none. They call it together."""
    if processes() == 1:
        return list(items)
    counts: list[int] = [0] * processes()
    dist.all_gather_object(counts, len(items))
    found: list[list[T]] = [[] for _ in counts]
    for start in range(0, max(counts), PIECE):
        pieces: list[Any] | None = [None] * len(counts) if is_main() else None
        dist.gather_object(list(items[start : start + PIECE]), pieces, dst=0)
        for own, piece in zip(found, pieces or (), strict=bool(pieces)):
            own += piece
    return [item for own in found for item in own]


def part() -> None:
    """Wait for the others once more, then work alone: what the main process still does, nobody waits for."""
    if processes() > 1:
        dist.barrier()
        _LEFT.append(dist.group.WORLD)
        dist.destroy_process_group()


def everywhere(value: T) -> list[T]:
    """Each process's value, in all of them, by process. They call it together."""
    if processes() == 1:
        return [value]
    values: list[Any] = [None] * processes()
    dist.all_gather_object(values, value)
    return values


def total(value: torch.Tensor) -> torch.Tensor:
    """The sum of a number over all processes. They call it together."""
    if processes() == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value
