"""Deep CFR here and OpenSpiel's own in PyTorch: exploitability in Leduc after as many walks and updates, and the time.

    python recipes/studies/deep_against_openspiel.py --seeds 0 1 2 --output runs/deep_against_openspiel.json

Both make the same iterations, walks and steps of gradient descent, with batches of the same size and learning rate;
OpenSpiel's with its own networks and sizes. Seconds are of processor time, on `--cores` threads. What is compared is
NashConv / 2 in chips per hand by OpenSpiel's exact best response. OpenSpiel's takes `pip install dm-tree`.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyspiel
import torch
from open_spiel.python import policy as policies
from rich.console import Console
from rich.progress import track

from poker_env.cfr.deep.game import DeepGame
from poker_env.cfr.deep.network import NetworkStrategy
from poker_env.cfr.deep.small_games import tabulate
from poker_env.cfr.deep.solver import PLANS, DeepCFR, Plan
from poker_env.errors import UserError
from poker_env.files import write_atomically
from poker_env.games import Game, make_game
from recipes.cli import Parser, run

DEFAULT = replace(PLANS["leduc"], walks=100, steps=200, final_steps=5_000, batch=2_048)
ITERATIONS = 100
NUMBERS = ("walks", "steps", "final_steps", "batch")


def main(argv: Sequence[str] | None = None) -> None:
    """Solve with both and print what came out; raises `UserError` for arguments that make no sense."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = Parser(description=__doc__)
    parser.add_argument("--game", default="leduc", choices=("kuhn", "leduc"), help="which game to solve")
    parser.add_argument("--iterations", type=int, default=ITERATIONS, help="of both")
    parser.add_argument("--walks", type=int, default=DEFAULT.walks, help="for each seat in each iteration")
    parser.add_argument("--steps", type=int, default=DEFAULT.steps, help="of each advantage network in each iteration")
    parser.add_argument("--final_steps", type=int, default=DEFAULT.final_steps, help="of the strategy network")
    parser.add_argument("--batch", type=int, default=DEFAULT.batch, help="samples in a step")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of runs to average over")
    parser.add_argument("--cores", type=int, default=1, help="threads")
    parser.add_argument("--output", type=Path, help="write the figures here too, as JSON")
    options = parser.parse_args(arguments)
    for name in ("iterations", *NUMBERS, "cores"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name} {getattr(options, name)} must be above 0")
    if importlib.util.find_spec("tree") is None:
        raise UserError("OpenSpiel's Deep CFR takes dm-tree, which isn't here: pip install dm-tree")
    torch.set_num_threads(options.cores)
    game = make_game(options.game)
    plan = replace(DEFAULT, **{name: getattr(options, name) for name in NUMBERS})
    runs = []
    for seed in track(options.seeds, "seeds", console=Console(stderr=True)):
        for side, solve in (("here", solve_here), ("OpenSpiel", solve_with_openspiel)):
            started = time.process_time()
            table = solve(game, plan, options.iterations, seed)
            seconds = time.process_time() - started
            runs.append(
                {"side": side, "seed": seed, "seconds": seconds, "exploitability": exploitability(game, table)}
            )
    for side in ("here", "OpenSpiel"):
        found = [entry for entry in runs if entry["side"] == side]
        mean, time_taken = (np.mean([float(entry[key]) for entry in found]) for key in ("exploitability", "seconds"))
        print(f"{side}: exploitability {mean:.4f} chips/hand, {time_taken:.1f} s, mean of {len(found)}")
    if options.output is not None:
        command = shlex.join(["python", "recipes/studies/deep_against_openspiel.py", *arguments])
        record = {"command": command, "iterations": options.iterations, "plan": asdict(plan), "runs": runs}
        write_atomically(options.output, json.dumps(record, indent=2) + "\n")


Table = dict[str, list[tuple[int, float]]]
"""For each information state the probability of each action."""


def solve_here(game: Game, plan: Plan, iterations: int, seed: int) -> Table:
    """This project's."""
    deep = DeepGame.of(game)
    solver = DeepCFR(deep, plan, seed, torch.device("cpu"))
    solver.run(lambda done: True, iterations)
    strategy = tabulate(deep, NetworkStrategy(deep, solver.average_network(), average=True))
    return {state: list(row.items()) for state, row in strategy.table.items()}


def solve_with_openspiel(game: Game, plan: Plan, iterations: int, seed: int) -> Table:
    """OpenSpiel's, with the layers it has by default."""
    from open_spiel.python.pytorch import deep_cfr  # imports dm-tree

    solver = deep_cfr.DeepCFRSolver(
        game.spiel,
        num_iterations=iterations,
        num_traversals=plan.walks,
        learning_rate=plan.learning_rate,
        batch_size_advantage=plan.batch,
        batch_size_strategy=plan.batch,
        memory_capacity=plan.capacity,
        policy_network_train_steps=plan.final_steps,
        advantage_network_train_steps=plan.steps,
        seed=seed,
    )
    solver.solve()
    table = policies.tabular_policy_from_callable(game.spiel, solver.action_probabilities)
    return {
        state: [(action, float(chance)) for action, chance in enumerate(table.policy_for_key(state)) if chance > 0]
        for state in table.state_lookup
    }


def exploitability(game: Game, table: Table) -> float:
    """NashConv / 2, in chips per hand."""
    return float(pyspiel.exploitability(game.spiel, table))


if __name__ == "__main__":
    run(main)
