"""Judge players on Modal as `recipes/evaluate.py` does here, on CPUs or a GPU.

modal run modal_app/evaluate.py --hero llm:NAME/best --villain cfr --hands 2000 --gpu L4

modal run modal_app/evaluate.py --hero tag --villain cfr:checkpoint_1000 --hands 20000
"""

from __future__ import annotations

import time

import modal

from modal_app import cost
from modal_app.common import (
    CACHE,
    HOURS,
    MINUTES,
    OPPONENTS,
    PREFLIGHT_MIB,
    RUNS,
    RUNS_VOLUME,
    cache,
    how_to_reach,
    make_image,
    one_line_errors,
    opponents_to_read,
    runs,
    runs_to_read,
)
from poker_env.errors import UserError, first_line

FOLDER = "evaluations"

app = modal.App("exploitative-poker-evaluate", image=make_image())


@app.function(
    volumes={str(OPPONENTS): opponents_to_read, str(RUNS): runs_to_read, str(CACHE): cache},
    cpu=2.0,
    memory=PREFLIGHT_MIB,
    timeout=60 * MINUTES,
    scaledown_window=2,
)
def preflight(game: str, players: list[str]) -> str:
    """What is wrong with the players at a game (`""`: the one they were trained on), empty when nothing is.

    Language models come to the cache volume.
    """
    from modal_app.preflight import check_player, resolve_player
    from poker_env.player_specs import game_of

    try:
        game = game or game_of(list(map(resolve_player, players)))
        for spec in players:
            check_player(spec, game)
    except UserError as error:
        return str(error)
    finally:
        cache.commit()
    return ""


@app.function(
    volumes={str(OPPONENTS): opponents_to_read, str(RUNS): runs, str(CACHE): cache},
    cpu=cost.CPU_CORES,
    memory=cost.MEMORY_MIB,
    timeout=4 * HOURS,
    startup_timeout=20 * MINUTES,
    retries=modal.Retries(max_retries=1, initial_delay=1.0),
    single_use_containers=True,
)
def evaluate(name: str, hero: str, villain: str, options: list[str]) -> str:
    """Play, and save everything on the volume; a user's error is returned."""
    from modal_app.preflight import resolve_player
    from modal_app.supervise import python, supervise

    players = ["--hero", resolve_player(hero), "--villain", resolve_player(villain)]
    command = python("evaluate.py", *players, *options, "--output", str(RUNS / FOLDER / name))
    return supervise(command, saved=lambda: None, keep=runs.commit).user_error()


@app.local_entrypoint()
def main(
    hero: str,
    villain: str = "cfr",
    game: str = "",
    hands: int = 2_000,
    seed: int = 0,
    capture: str | None = None,
    output: str | None = None,
    gpu: str | None = None,
    timeout_hours: float = 4.0,
) -> None:
    """Check, say what it may cost at most, evaluate."""
    with one_line_errors():
        if gpu is not None:
            cost.parse_gpu(gpu)
        plan = cost.plan_within(None, 1.0, timeout_hours, retries=1)
        error = preflight.remote(game, [hero, villain])
        if error:
            raise UserError(error)
        rates = cost.current()
        what = f"{gpu} with CPU and memory" if gpu else "CPU and memory"
        print(cost.describe_bound(plan, what, rates.container(gpu or ""), rates.source))
        options = [*(["--game", game] if game else []), "--hands", str(hands), "--seed", str(seed)]
        options += ["--capture", capture] if capture else []
        name = output or time.strftime("%Y%m%d-%H%M%S")
        call = evaluate.with_options(gpu=gpu, timeout=plan.timeout).spawn(name, hero, villain, options)
        print(how_to_reach(app))
        try:
            error = call.get()
        except Exception as failure:  # what the last attempt ended with
            raise UserError(f"the evaluation did not finish ({first_line(failure)})") from failure
        if error:
            raise UserError(error)
        print(f"results: mkdir -p {name} && modal volume get {RUNS_VOLUME} {FOLDER}/{name} .")
