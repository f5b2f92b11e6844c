"""Solve a game on Modal CPUs as `recipes/solve.py` does here; the opponent goes to the opponents' volume.

modal run modal_app/solve.py --game holdem --minutes 60 --cores 16 --output checkpoint_1000
"""

from __future__ import annotations

from typing import Any

import modal

from modal_app import cost
from modal_app.common import (
    CACHE,
    HOURS,
    MINUTES,
    OPPONENTS,
    OPPONENTS_VOLUME,
    cache,
    how_to_reach,
    make_image,
    one_line_errors,
    opponents,
)
from poker_env.errors import UserError, first_line

RETRIES = 3
AROUND = 2 * HOURS
"""For what comes before and after solving: card buckets, judging the strategy."""

MEMORY_MIB = (16 * 1024, 64 * 1024)

app = modal.App("exploitative-poker-solve", image=make_image())


@app.function(
    volumes={str(OPPONENTS): opponents, str(CACHE): cache},
    cpu=(8.0, 8.0),
    memory=MEMORY_MIB,
    timeout=24 * HOURS,
    startup_timeout=20 * MINUTES,
    retries=modal.Retries(max_retries=RETRIES, initial_delay=1.0, backoff_coefficient=1.0),
    single_use_containers=True,
)
def solve(output: str, options: list[str]) -> str:
    """Solve, going on from what an earlier attempt has saved; a user's error is returned."""
    from modal_app.supervise import python, supervise

    saved_run = OPPONENTS / f"{output}.npz.run"

    def saved() -> int:
        return saved_run.stat().st_mtime_ns if saved_run.exists() else 0

    resume = ["--resume"] if saved() else []
    command = python("solve.py", *options, *resume, "--output", str(OPPONENTS / f"{output}.npz"))
    try:
        return supervise(command, saved, opponents.commit).user_error()
    finally:
        cache.commit()  # tables of card buckets, for the next time


@app.local_entrypoint()
def main(
    output: str,
    game: str = "holdem",
    algorithm: str | None = None,
    iterations: int | None = None,
    minutes: float | None = None,
    tree: str | None = None,
    buckets: str | None = None,
    seed: int = 0,
    cores: int = 8,
    resume: bool = False,
) -> None:
    """Say what it may cost at most, solve."""
    chosen: dict[str, Any] = {"algorithm": algorithm, "iterations": iterations, "minutes": minutes}
    chosen |= {"tree": tree, "buckets": buckets}
    options = ["--game", game, "--seed", str(seed), "--cores", str(cores)]
    options += [word for name, value in chosen.items() if value is not None for word in (f"--{name}", str(value))]
    with one_line_errors():
        name = output.removesuffix(".npz")
        if not 1 <= cores <= 64:
            raise UserError(f"cores {cores} must be 1 to 64")
        there = {entry.path.lstrip("/") for entry in opponents.listdir("/", recursive=True)}
        taken = there & {f"{name}.npz", f"{name}.npz.run"}
        if taken and not resume:
            raise UserError(
                f"{', '.join(sorted(taken))} is on {OPPONENTS_VOLUME} already: add --resume, or take another --output"
            )
        seconds = MINUTES * (minutes or (600 if iterations else 10)) + AROUND
        plan = cost.Plan(min(24 * HOURS, int(seconds)), RETRIES)
        rates = cost.current()
        rate = rates.container("", cores, MEMORY_MIB[1])
        print(cost.describe_bound(plan, f"{cores} cores and memory", rate, rates.source))
        cpu = (float(cores), float(cores))
        call = solve.with_options(cpu=cpu, memory=MEMORY_MIB, timeout=plan.timeout).spawn(name, options)
        print(how_to_reach(app))
        try:
            error = call.get()
        except Exception as failure:  # what the last attempt ended with
            raise UserError(f"solving did not finish ({first_line(failure)}): add --resume to go on") from failure
        if error:
            raise UserError(error)
        print(f"the opponent: --gto-checkpoint {name}, or modal volume get {OPPONENTS_VOLUME} {name}.npz {name}.npz")
