"""How fast Deep CFR walks the tree in lockstep, against a state at a time with the same networks, deals and coins.

`python recipes/bench.py deep`.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from poker_env.cfr.deep.game import DeepGame
from poker_env.cfr.deep.network import NetworkStrategy, new_network
from poker_env.cfr.deep.solver import PLANS
from poker_env.cfr.deep.traverse import draw_coins, walk
from poker_env.cfr.tree import PRESETS, tree_config
from poker_env.errors import UserError
from poker_env.games import make_game
from recipes.studies.plain_deep_walk import PlainWalk
from recipes.studies.speed.figures import Figure, Figures

GAMES = ("leduc", "holdem")


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `python recipes/bench.py deep` takes."""
    parser.add_argument("--games", nargs="+", choices=GAMES, default=list(GAMES), help="which to walk")
    parser.add_argument("--tree", default="fcpa", help=f"hold'em's bet sizes: {', '.join(PRESETS)}")
    parser.add_argument("--walks", type=int, help="in lockstep (default: those of an iteration)")
    parser.add_argument("--plain_walks", type=int, default=20, help="a state at a time")


def check(options: argparse.Namespace) -> None:
    """Raise `UserError` for options that make no sense."""
    if options.rest:
        raise UserError(f"unknown options {' '.join(options.rest)} (see --help)")
    tree_config(options.tree)
    for name in ("walks", "plain_walks"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} {value}: walk at least once")


def measure(options: argparse.Namespace) -> Figures:
    """Decisions and walks per second of processor time on one core, for seat 0, of networks with random weights."""
    torch.set_num_threads(1)
    return {name: figure for game in options.games for name, figure in _measure(game, options).items()}


def _measure(name: str, options: argparse.Namespace) -> Figures:
    game = DeepGame.of(make_game(name), tree_config(options.tree) if name == "holdem" else None)
    plan = PLANS[name]
    networks = tuple(new_network(game, plan.width, seat).requires_grad_(False) for seat in (1, 2))
    strategies = tuple(NetworkStrategy(game, network, average=False) for network in networks)
    count = options.walks or plan.walks
    rng = np.random.default_rng(0)
    deals, coins = game.deal(count, rng), draw_coins(game, count, rng)
    few, few_coins = game.deal(options.plain_walks, rng), draw_coins(game, options.plain_walks, rng)
    walk(game, few, few_coins, 0, (strategies[0], strategies[1]))  # the first of each compiles
    PlainWalk(game, (networks[0], networks[1])).walk(few, few_coins, 0)
    started = time.process_time()
    found = walk(game, deals, coins, 0, (strategies[0], strategies[1]))
    together = time.process_time() - started
    plain = PlainWalk(game, (networks[0], networks[1]))
    started = time.process_time()
    plain.walk(few, few_coins, 0)
    alone = time.process_time() - started
    decisions = {"lockstep": found.decisions / together, "a state at a time": plain.decisions / alone}
    walks = {"lockstep": count / together, "a state at a time": options.plain_walks / alone}
    return {f"{name}, decisions": Figure("decisions/s", decisions), f"{name}, walks": Figure("walks/s", walks)}
