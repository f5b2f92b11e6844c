"""Solve a game by counterfactual regret minimisation: makes the opponents that players `cfr:PATH` play.

python recipes/solve.py --game leduc --algorithm cfr+ --iterations 500 --output leduc.npz
python recipes/solve.py --game holdem --tree fcpa --buckets 1024 --minutes 10 --output holdem.npz
python recipes/solve.py info holdem.npz
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from poker_env.cards.holdings import N_CLASSES
from poker_env.cfr.abstraction.bucket_tables import BucketTables
from poker_env.cfr.abstraction.card_abstraction import Abstraction, build_abstraction
from poker_env.cfr.blueprint import Blueprint
from poker_env.cfr.checkpoint import Checkpoint, Provenance, file_sha256, git_commit, load_checkpoint
from poker_env.cfr.dealers import LEDUC_BUCKETS, deal_leduc, holdem_dealer
from poker_env.cfr.full_width import TabularStrategy, exact_checkpoint, solve_exactly
from poker_env.cfr.leduc import leduc_strategy
from poker_env.cfr.mccfr import Identity, Solver, require_memory
from poker_env.cfr.progress import Progress
from poker_env.cfr.tree import PRESETS, holdem_tree, leduc_tree, tree_config
from poker_env.errors import UserError
from poker_env.evaluation.lbr_report import lbr_summary
from poker_env.files import write_atomically
from poker_env.games import Game, make_game
from poker_env.knowledge.ranges import BlueprintRanges
from poker_env.parallel import available_cores
from recipes.cli import Parser, bucket_counts, run

ALGORITHMS = {"kuhn": ("cfr+", "cfr"), "leduc": ("cfr+", "cfr", "mccfr"), "holdem": ("mccfr",)}  # first: the default
DEFAULT_ITERATIONS = {"cfr": 1_000, "cfr+": 1_000, "mccfr": 8_000_000}  # kuhn and leduc
DEFAULT_MINUTES = 5.0  # holdem

console = Console(soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Solve, or print what a checkpoint holds; raises `UserError` for arguments that make no sense."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["info"]:
        print_info(arguments[1:])
    else:
        solve(parse(arguments), shlex.join(["python", "recipes/solve.py", *arguments]))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options, checked."""
    parser = Parser(description=__doc__)
    parser.add_argument("--game", default="holdem", help="kuhn, leduc or holdem[:stack=…,small_blind=…,big_blind=…]")
    parser.add_argument("--algorithm", help="kuhn: cfr+ or cfr; leduc: mccfr as well; holdem: mccfr")
    parser.add_argument("--iterations", type=int, help="stop after so many; few make a weak opponent on purpose")
    parser.add_argument(
        "--minutes", type=float, help=f"stop after so many; for holdem {DEFAULT_MINUTES:g} if not given"
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed and cores give the same strategy")
    parser.add_argument("--output", type=Path, required=True, help="the checkpoint to write, with FILE.json beside it")
    parser.add_argument("--cores", type=int, default=available_cores(), help="mccfr: threads")
    holdem = parser.add_argument_group("holdem")
    holdem.add_argument("--tree", default="fcpa", help=f"bet sizes: {', '.join(PRESETS)}")
    holdem.add_argument(
        "--buckets",
        type=bucket_counts,
        default="1024",
        help="card buckets on flop, turn and river: 1024, or 800,550,450",
    )
    holdem.add_argument("--tremble", type=float, default=0.01, help="how often the opponent plays at random")
    holdem.add_argument("--save_minutes", type=float, default=5.0, help="how often to save the run for --resume")
    holdem.add_argument("--resume", action="store_true", help="go on with the run saved in FILE.run")
    options = parser.parse_args(arguments)
    for name in ("iterations", "minutes", "cores", "save_minutes"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise UserError(f"--{name} {value} must be above 0")
    if not 0 <= options.tremble <= 1:
        raise UserError(f"--tremble {options.tremble} must be a probability, 0 to 1")
    if options.seed < 0:
        raise UserError(f"--seed {options.seed} must not be negative")
    return options


def solve(options: argparse.Namespace, command: str) -> None:
    """Solve as the options say, save the checkpoint and its report, and print where."""
    game = make_game(options.game)
    algorithms = ALGORITHMS[game.name]
    options.algorithm = options.algorithm or algorithms[0]
    if options.algorithm not in algorithms:
        raise UserError(
            f"unknown algorithm {options.algorithm!r} for {game.name}: choose one of {', '.join(algorithms)}"
        )
    check_writable(options.output)
    checkpoint = solve_holdem(game, options, command) if game.name == "holdem" else solve_small(game, options, command)
    checkpoint.save(options.output)
    report = report_of(checkpoint, options.output)
    write_atomically(options.output.with_name(options.output.name + ".json"), json.dumps(report, indent=2) + "\n")
    found = (
        f", exploitability {report['exploitability']:.5f} chips/hand" if report["exploitability"] is not None else ""
    )
    for setting, bound in (checkpoint.settings.get("lbr") or {}).items():
        error = "" if bound["standard_error"] is None else f" ± {bound['standard_error']:.0f}"
        found += f", lbr:{setting} {bound['mbb_per_hand']:.0f}{error} mbb/hand"
    console.print(f"{options.output}: {report['infosets']:,} infosets, {report['bytes']:,} bytes{found}")


def check_writable(output: Path) -> None:
    """Raise `UserError` for a place that can't be written: now, not after an hour of solving."""
    if output.is_dir():
        raise UserError(f"can't write {output}: it is a folder, --output names a file")
    probe = output.with_name(f".{output.name}.probe")
    write_atomically(probe, b"")
    probe.unlink()


def solve_small(game: Game, options: argparse.Namespace, command: str) -> Checkpoint:
    """Kuhn or Leduc."""
    iterations = options.iterations
    if iterations is None and options.minutes is None:
        iterations = DEFAULT_ITERATIONS[options.algorithm]
    with Progress(game.name, iterations, options.minutes, console) as progress:
        strategy: TabularStrategy
        if options.algorithm == "mccfr":
            tree = leduc_tree(game)
            solver = Solver(tree, LEDUC_BUCKETS, deal_leduc, 1.0, options.seed, workers=options.cores)
            solver.run(progress.keep_going, iterations)
            strategy, done = leduc_strategy(game, tree, solver), solver.iterations
        else:
            strategy, done = solve_exactly(game, options.algorithm, progress.keep_going)
        provenance = provenance_of(options, command, done, progress.seconds)
    return exact_checkpoint(game, strategy, provenance)


def solve_holdem(game: Game, options: argparse.Namespace, command: str) -> Checkpoint:
    """Hold'em, with a run saved beside the output every few minutes."""
    minutes = DEFAULT_MINUTES if options.minutes is None and options.iterations is None else options.minutes
    config = tree_config(options.tree)
    tree = holdem_tree(game, config)
    buckets = (N_CLASSES, *options.buckets)
    _, n_entries = tree.offsets(buckets)
    counts = ", ".join(f"{count:,}" for count in buckets)
    console.print(f"tree {options.tree}: {tree.n_decisions:,} decision nodes; {counts} buckets: {n_entries:,} entries")
    require_memory(n_entries, options.cores)
    saved_run = options.output.with_name(options.output.name + ".run")
    abstraction = resumed_abstraction(saved_run) if options.resume else build_abstraction(buckets, options.seed, True)
    tables = BucketTables.build(abstraction, progress=True)
    solver = Solver(tree, buckets, holdem_dealer(tables), game.big_blind, options.seed, options.tremble, options.cores)
    identity: Identity = {
        "game": str(game),
        "tree": options.tree,
        "buckets": ",".join(map(str, options.buckets)),
        "seed": options.seed,
        "tremble": options.tremble,
        "cores": options.cores,
    }
    before = solver.resume(saved_run, identity).seconds if options.resume else 0.0
    with Progress(game.name, options.iterations, minutes, console, before) as progress:

        def save() -> None:
            provenance = provenance_of(options, command, solver.iterations, progress.seconds)
            solver.save(saved_run, game, provenance, identity, abstraction.to_arrays())

        solver.run(saving(progress.keep_going, save, options.save_minutes), options.iterations)
        save()
        provenance = provenance_of(options, command, solver.iterations, progress.seconds)
    blueprint = Blueprint.from_probabilities(game, config, abstraction, solver.average_strategy())
    lbr = lbr_summary(game, BlueprintRanges(blueprint, tables.lookup_range))
    return blueprint.to_checkpoint(provenance, {**{name: identity[name] for name in ("tremble", "cores")}, "lbr": lbr})


def saving(keep_going: Callable[[int], bool], save: Callable[[], None], minutes: float) -> Callable[[int], bool]:
    """`keep_going`, which also saves every so many minutes."""
    last = time.monotonic()

    def keep_going_and_save(iterations: int) -> bool:
        nonlocal last
        if time.monotonic() - last >= 60 * minutes:
            save()
            last = time.monotonic()
        return keep_going(iterations)

    return keep_going_and_save


def resumed_abstraction(saved_run: Path) -> Abstraction:
    """The abstraction of a saved run; raises `UserError` when there is no such run."""
    if not saved_run.is_file():
        raise UserError(f"nothing to resume at {saved_run}: leave --resume out to start")
    return Abstraction.from_arrays(dict(load_checkpoint(saved_run).arrays))


def provenance_of(options: argparse.Namespace, command: str, iterations: int, seconds: float) -> Provenance:
    """Where a strategy that these options made comes from."""
    return Provenance(options.algorithm, iterations, round(seconds, 3), options.seed, command, git_commit())


def report_of(checkpoint: Checkpoint, path: Path) -> dict[str, object]:
    """What FILE.json says about a checkpoint."""
    provenance = checkpoint.provenance
    return {
        "game": str(checkpoint.game),
        "algorithm": provenance.algorithm,
        "iterations": provenance.iterations,
        "seconds": provenance.seconds,
        "exploitability": checkpoint.settings.get("exploitability"),
        "lbr": checkpoint.settings.get("lbr"),
        "infosets": checkpoint.settings.get("infosets"),
        "bytes": path.stat().st_size,
        "sha256": file_sha256(path),
        "seed": provenance.seed,
        "command": provenance.command,
        "commit": provenance.commit,
    }


def print_info(arguments: Sequence[str]) -> None:
    """Say what a checkpoint file holds."""
    parser = Parser(description="Print what a checkpoint holds.")
    parser.add_argument("file", type=Path, help="a checkpoint that this script wrote")
    path = parser.parse_args(arguments).file
    checkpoint = load_checkpoint(path)
    print(json.dumps({"kind": checkpoint.kind, **checkpoint.settings, **report_of(checkpoint, path)}, indent=2))


if __name__ == "__main__":
    run(main)
