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
from modal_app.supervise import accelerate, gpus_here, supervise, undisturbed
from poker_env.files import write_atomically

BEFORE_TIMEOUT = 60.0
"""Seconds before a function's timeout: enough to stop and to commit."""


def go_on(
    folder: Path,
    config: str,
    rates: Rates,
    gpus: Sequence[str],
    max_cost: float | None,
    timeout: float,
    commit: Callable[[], None],
) -> dict[str, Any]:
    """Go on with a run from its newest whole checkpoint, or start it: its `error`, `epochs` and `cost`, in words.

    `gpus` are the ones asked for. `commit` makes the volume keep what is in the folder; it is called after each new
    checkpoint and at the end. `max_cost` is in dollars, over all containers of the run. `timeout` is the function's,
    in seconds: the recipe is stopped and kept shortly before, as Modal doesn't say what it does then. What trying
    again can't mend is in `error`. Raises when the recipe crashed or its time was up, and what interrupted it when
    the container is to end.
    """
    here = gpus_here()
    earlier = [row.lost() for row in read_attempts(folder)]
    attempt = Attempt(here, rates.container(billed_as(here, gpus)), time.time())
    left = None if max_cost is None else (max_cost - sum(row.dollars for row in earlier)) / attempt.dollars_per_second
    used_up = f"max-cost ${max_cost} is used up"
    attempt_ends = timeout - min(BEFORE_TIMEOUT, timeout / 4)

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
    command = accelerate(max(1, len(here)), "train.py", "--config", str(folder / CONFIG), "--resume")
    try:
        write_atomically(folder / CONFIG, config)
        keep()
        outcome = supervise(command, saved, keep, attempt_ends if left is None else min(left, attempt_ends))
    except BaseException as error:  # preempted, cancelled, stopped by hand; or the volume is out of order
        with undisturbed():
            report("crashed" if isinstance(error, Exception) else "interrupted")
        raise
    if outcome.stopped and left is not None and left <= attempt_ends:
        return report("stopped", used_up)
    if outcome.stopped:
        report("timeout")
        raise RuntimeError(f"the {timeout / 3600:.3g} h of an attempt were up")
    if outcome.crashed:
        report("crashed")
    told = outcome.user_error()
    return report("failed" if told else "done", told)
