"""How many hands the table plays in a second with no model at it: `call` against `cfr`.

`python recipes/bench.py table`.
"""

from __future__ import annotations

import argparse
import time

from poker_env.errors import UserError
from poker_env.games import make_deals, make_game
from poker_env.player_specs import make_player
from poker_env.table import play
from recipes.studies.speed.figures import Figure, Figures


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `python recipes/bench.py table` takes."""
    parser.add_argument("--hands", type=int, default=4_000, help="hands to play")


def check(options: argparse.Namespace) -> None:
    """Raise `UserError` for options that make no sense."""
    if options.rest:
        raise UserError(f"unknown options {' '.join(options.rest)} (see --help)")
    if options.hands < 1:
        raise UserError(f"--hands {options.hands}: play at least one")


def measure(options: argparse.Namespace) -> Figures:
    """Hands never seen before, then the same again, whose buckets are known by then; seconds of processor time."""
    game = make_game("holdem")
    hero, villain = make_player("call", game), make_player("cfr", game)
    play(game, make_deals(game, 20, 0, start=1_000_000), hero, villain)  # compiles
    speeds = {}
    for side in ("new hands", "seen before"):
        started = time.process_time()
        hands = play(game, make_deals(game, options.hands, 0), hero, villain)
        speeds[side] = len(hands) / (time.process_time() - started)
    decisions = sum(len(hand.decisions) for hand in hands) / len(hands)
    return {"table": Figure("hands/s", speeds), "decisions": Figure("a hand", {"both players'": decisions})}
