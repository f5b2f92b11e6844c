"""A training run's container: goes on with the run, keeps the account of what it costs, and says how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from modal_app.cost import Rates, billed_as
from modal_app.record import (
    CONFIG,
    EVERY,
    Attempt,
    describe_cost,
    newest_checkpoint,
    read_attempts,
    read_epochs,
    save_attempt,
)
from modal_app.supervise import accelerate, gpus_here, supervise
from poker_env.files import write_atomically


def go_on(
    folder: Path,
    config: str,
    rates: Rates,
    gpus: Sequence[str],
    max_cost: float | None,
    commit: Callable[[], None],
) -> dict[str, Any]:
    """Go on with a run from its newest whole checkpoint, or start it: its `error`, `epochs` and `cost`, in words.

    `gpus` are the ones asked for. `commit` makes the volume keep what is in the folder; it is called after each new
    checkpoint and at the end. `max_cost` is in dollars, over all containers of the run. What trying again can't mend
    is in `error`. Raises when the recipe crashed, and KeyboardInterrupt when the container is to end.
    """
    here = gpus_here()
    earlier = [row.lost() for row in read_attempts(folder)]
    attempt = Attempt(here, rates.container(billed_as(here, gpus)), time.time())
    left = None if max_cost is None else (max_cost - sum(row.dollars for row in earlier)) / attempt.dollars_per_second
    used_up = f"max-cost ${max_cost} is used up"

    def keep() -> None:
        save_attempt(folder, earlier, attempt)
        commit()

    def report(ended: str, error: str = "") -> dict[str, Any]:
        attempt.ended = ended
        keep()
        return {"error": error, "epochs": len(read_epochs(folder)), "cost": describe_cost([*earlier, attempt])}

    def saved() -> tuple[int, int]:
        return newest_checkpoint(folder), int(time.time() // EVERY)

    if left is not None and left <= 0:
        return report("stopped", used_up)
    print(f"{' + '.join(here) or 'no GPU'}: run {folder.name}, from checkpoint {newest_checkpoint(folder)}")
    write_atomically(folder / CONFIG, config)
    keep()
    command = accelerate(max(1, len(here)), "train.py", "--config", str(folder / CONFIG), "--resume")
    try:
        outcome = supervise(command, saved, keep, left)
    except KeyboardInterrupt:  # preempted, or stopped by hand
        report("interrupted")
        raise
    if outcome.stopped:
        return report("stopped", used_up)
    if outcome.crashed:
        report("crashed")
    error = outcome.user_error()
    return report("failed" if error else "done", error)
