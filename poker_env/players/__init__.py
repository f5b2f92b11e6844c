"""Players, by one string everywhere: `random`, `call`, `fold`, `tag`, `lag`, `cfr`, `cfr:PATH_OR_NAME`, `llm:PATH`.

A hold'em cfr player's spec may end in `+river`: it then solves the river again at the table. `mix:cfr=0.8,lag=0.2`
plays each hand as one of several players does.
"""

from __future__ import annotations

import re
from pathlib import Path

from poker_env.errors import UserError
from poker_env.games import Game
from poker_env.players.base import Player
from poker_env.players.simple import SIMPLE, SimplePlayer

__all__ = ["PLAYER_SPECS", "Player", "expand_home", "make_player"]

PLAYER_SPECS = (
    *(*SIMPLE, "cfr", "cfr:PATH_OR_NAME", "cfr+river", "cfr:PATH_OR_NAME+river"),
    *("mix:PLAYER=WEIGHT,PLAYER=WEIGHT,…", "llm:PATH_OR_HUB_ID"),
)
RIVER_SUFFIX = "+river"


def make_player(spec: str, game: Game) -> Player:
    """The player of a spec. Raises `UserError` when there is none, or its checkpoint or adapter is of no use here."""
    spec = expand_home(spec)
    kind, _, argument = spec.partition(":")
    if kind in SIMPLE and not argument:
        return SimplePlayer(kind, SIMPLE[kind])
    if kind == "mix":
        from poker_env.players.mixture import make_mixture

        return make_mixture(spec, game)
    cfr, _, checkpoint = spec.removesuffix(RIVER_SUFFIX).partition(":")
    if cfr == "cfr":
        from poker_env.players.cfr import load_cfr_player

        return load_cfr_player(game, checkpoint or None, resolve_river=spec.endswith(RIVER_SUFFIX))
    if kind == "llm" and argument:
        from poker_env.players.llm import load_llm_player

        return load_llm_player(argument, game)
    if kind == "human":
        raise UserError("player 'human' plays at recipes/play.py alone: python recipes/play.py --against PLAYER")
    raise UserError(f"unknown player {spec!r}: choose one of {', '.join(PLAYER_SPECS)}")


def expand_home(text: str) -> str:
    """A path, or a player's spec with some in it, with the home folder in the place of each `~`."""
    return re.sub(r"(^|:)~(?=/|$)", lambda found: f"{found[1]}{Path.home()}", text)
