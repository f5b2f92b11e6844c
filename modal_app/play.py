"""Play against what was trained: the web player of `recipes/play.py` behind a URL on Modal.

modal run modal_app/play.py --against llm:first/final --gpu L4

modal run modal_app/play.py --against cfr

It is deployed under the app's name and stays when the terminal is closed. Without visitors there is no container and
nothing is paid; with some there is one. `modal app stop exploitative-poker-play` takes it down.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import PurePosixPath
from typing import Any

import modal

from modal_app import cost
from modal_app.common import (
    CACHE,
    HOURS,
    MINUTES,
    OPPONENTS,
    PREFLIGHT_MIB,
    RUNS,
    cache,
    make_image,
    one_line_errors,
    opponents_to_read,
    runs_to_read,
)
from poker_env.errors import UserError, first_line

NAME = "exploitative-poker-play"
TABLE = "POKER_TABLE"
"""The environment variable that tells a container what is played."""
IDLE = 5 * MINUTES
"""How long a container waits for the next visitor."""

VOLUMES: dict[str | PurePosixPath, modal.Volume | modal.CloudBucketMount] = {
    str(OPPONENTS): opponents_to_read,
    str(RUNS): runs_to_read,
    str(CACHE): cache,
}

image = make_image("gradio")
app = modal.App(f"{NAME}-preflight", image=image)


@app.function(volumes=VOLUMES, cpu=2.0, memory=PREFLIGHT_MIB, timeout=60 * MINUTES, scaledown_window=2)
def preflight(game: str, against: str) -> str:
    """What is wrong with the opponent at a game (`""`: the one it was trained on), empty when nothing is.

    A language model comes to the cache volume.
    """
    from modal_app.preflight import check_player, resolve_player
    from poker_env.player_specs import game_of

    try:
        check_player(against, game or game_of([resolve_player(against)]))
    except UserError as error:
        return str(error)
    finally:
        cache.commit()
    return ""


def web() -> Any:
    """The web player as an ASGI app; it runs in the container that `make_app` asks for."""
    from modal_app.preflight import resolve_player
    from poker_env.games import make_game
    from poker_env.player_specs import game_of, make_player
    from recipes.frontends.web import Room
    from recipes.frontends.web import make_app as make_page

    table = json.loads(os.environ[TABLE])
    against = resolve_player(table["against"])
    game = make_game(table["game"] or game_of([against]))
    room = Room(game, make_player(against, game), thoughts=table["thoughts"])
    return make_page(room, table["path"])


def make_app(table: dict[str, Any], gpu: str | None, hours: float) -> modal.App:
    """The app to deploy: `web`, told by `table` what to play.

    One container at most, as that is where the visitors' hands are, for all of them at once.
    """
    deployed = modal.App(NAME, image=image)
    visitors: Any = modal.concurrent(max_inputs=100)(modal.asgi_app(label=NAME)(web))
    deployed.function(
        volumes=VOLUMES,
        secrets=[modal.Secret.from_dict({TABLE: json.dumps(table)})],
        gpu=gpu,
        cpu=cost.CPU_CORES,
        memory=cost.MEMORY_MIB,
        timeout=int(hours * HOURS),
        startup_timeout=20 * MINUTES,
        scaledown_window=IDLE,
        max_containers=1,
    )(visitors)
    return deployed


@app.local_entrypoint()
def main(
    against: str,
    game: str = "",
    gpu: str | None = None,
    thoughts: bool = False,
    timeout_hours: float = 2.0,
) -> None:
    """Check, say what it costs, deploy."""
    with one_line_errors():
        if gpu is not None:
            cost.parse_gpu(gpu)
        if against.partition(":")[0] in ("human", "lbr"):
            raise UserError(f"--against {against}: name a bot or a model")
        plan = cost.plan_within(None, 1.0, timeout_hours, retries=0)
        error = preflight.remote(game, against)
        if error:
            raise UserError(error)
        rates = cost.current()
        hourly = 3600 * rates.container(gpu or "")
        what = f"{gpu} with CPU and memory" if gpu else "CPU and memory"
        print(
            f"at most ${hourly:.2f}/h for {what} while a browser has the page open and {IDLE // MINUTES} minutes "
            f"after, else nothing (prices: {rates.source}); a page left open is cut off after {timeout_hours:g} h"
        )
        path = f"/{secrets.token_urlsafe(9)}"  # nobody comes by chance
        table = {"against": against, "game": game, "thoughts": thoughts, "path": path}
        deployed = make_app(table, gpu, plan.timeout / HOURS)
        try:
            deployed.deploy()
            url = deployed.registered_functions["web"].get_web_url()
        except modal.exception.Error as failure:
            raise UserError(f"the player could not be deployed ({first_line(failure)})") from failure
        print(f"play at {url}{path} (whoever has this address can play)")
        print(f"modal app stop {NAME} takes it down, modal app logs {NAME} shows what it prints")
