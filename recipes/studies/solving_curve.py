"""How good a hold'em strategy gets as it is solved longer: a table and a plot.

    python recipes/studies/solving_curve.py --tree fcpa --buckets 1024 --minutes 0.5 1 2 4 --output docs/solving_curve

Solves once and stops at each of `--minutes`, counted in seconds of processor time per core, which a busy machine
doesn't stretch. Each strategy is judged by what it wins from the one before and from the first (a million hands in the
abstract game) and by what a local best response wins from it. Writes OUTPUT.json and OUTPUT.png.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console

from poker_env.cards.holdings import N_CLASSES
from poker_env.cfr.abstract_match import duel
from poker_env.cfr.abstraction.bucket_tables import BucketTables
from poker_env.cfr.abstraction.card_abstraction import build_abstraction
from poker_env.cfr.blueprint import Blueprint
from poker_env.cfr.dealers import holdem_dealer
from poker_env.cfr.mccfr import Solver
from poker_env.cfr.tree import holdem_tree, tree_config
from poker_env.errors import UserError
from poker_env.evaluation.estimates import estimate
from poker_env.evaluation.lbr import local_best_response
from poker_env.files import write_atomically
from poker_env.games import make_game
from poker_env.knowledge.ranges import BlueprintRanges
from poker_env.parallel import available_cores
from recipes.cli import Parser, bucket_counts, run

TREMBLE = 0.01
HANDS = 1_000_000  # of a duel
LBR_SETTINGS = ("fc", "fcpa")
DUELS = ("wins from the one before", "wins from the first")

Row = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
    """Solve, judge and plot; raises `UserError` for arguments that make no sense."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = Parser(description=__doc__)
    parser.add_argument("--tree", default="fcpa", help="bet sizes, see recipes/solve.py")
    parser.add_argument("--buckets", type=bucket_counts, default="1024", help="card buckets, see recipes/solve.py")
    parser.add_argument("--minutes", type=float, nargs="+", default=[0.5, 1, 2, 4], help="when to stop and judge")
    parser.add_argument("--deals", type=int, default=2_000, help="decks of a local best response, each in both seats")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="where to write, without .json and .png")
    options = parser.parse_args(arguments)
    if sorted(set(options.minutes)) != options.minutes or options.minutes[0] <= 0:
        raise UserError(f"--minutes {' '.join(map(str, options.minutes))}: give rising numbers above 0")
    if options.deals < 10:
        raise UserError(f"--deals {options.deals}: give at least 10, for an interval")
    rows = curve(options.tree, options.buckets, options.minutes, options.deals, options.seed)
    command = shlex.join(["python", "recipes/studies/solving_curve.py", *arguments])
    write_atomically(options.output.with_suffix(".json"), json.dumps({"rows": rows, "command": command}, indent=2))
    buckets = ", ".join(f"{count:,}" for count in options.buckets)
    plot(rows, f"{options.tree}, {buckets} buckets", options.output.with_suffix(".png"))


def curve(preset: str, n_buckets: tuple[int, int, int], minutes: Sequence[float], deals: int, seed: int) -> list[Row]:
    """A row of figures for each of `minutes`; rates in mbb/hand with half their 95 % interval."""
    game, config, console = make_game("holdem"), tree_config(preset), Console(soft_wrap=True)
    tree = holdem_tree(game, config)
    abstraction = build_abstraction((N_CLASSES, *n_buckets), seed, progress=True)
    buckets = abstraction.buckets_per_street
    tables = BucketTables.build(abstraction, progress=True)
    deal = holdem_dealer(tables)
    solver = Solver(tree, buckets, deal, game.big_blind, seed, TREMBLE, available_cores())
    rows: list[Row] = []
    strategies: list[np.ndarray] = []
    solver.run(lambda iterations: True, 1)  # compiles
    done = 0.0
    for stop in minutes:
        started = time.process_time()

        def keep_going(iterations: int, limit: float = started + (60 * stop - done) * solver.workers) -> bool:
            return time.process_time() < limit

        solver.run(keep_going)
        done += (time.process_time() - started) / solver.workers
        strategy = solver.average_strategy()
        row: Row = {"minutes": round(done / 60, 3), "iterations": solver.iterations}
        for name, other in zip(DUELS, (strategies[-1:], strategies[:1]), strict=True):
            for loser in other:
                won = duel(tree, buckets, deal, strategy, loser, HANDS // 2, seed)
                found = estimate((1000 / game.big_blind * won).tolist(), HANDS)
                row[name] = [found.mbb_per_hand, found.half_width]
        blueprint = Blueprint.from_probabilities(game, config, abstraction, strategy)
        for setting in LBR_SETTINGS:
            lbr = local_best_response(
                game, BlueprintRanges(blueprint, tables.lookup_range), setting, deals, seed
            ).estimate
            row[f"LBR {setting}"] = [lbr.mbb_per_hand, lbr.half_width]
        console.print(row)
        rows.append(row)
        strategies.append(strategy)
    return rows


def plot(rows: Sequence[Row], title: str, path: Path) -> None:
    """Rates against minutes, with their intervals."""
    figure, axes = plt.subplots(figsize=(6, 4))
    for name in ("LBR fcpa", "LBR fc", *DUELS):
        points = [(row["minutes"], *row[name]) for row in rows if name in row]
        if points:
            minutes, values, errors = zip(*points, strict=True)
            axes.errorbar(minutes, values, errors, marker="o", capsize=3, label=name)
    axes.set(xscale="log", xlabel="minutes of solving per core", ylabel="mbb/hand", title=title)
    stops = [row["minutes"] for row in rows]
    axes.set_xticks(stops, [f"{stop:.2g}" for stop in stops])
    axes.minorticks_off()
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    run(main)
