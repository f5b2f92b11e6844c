"""Solve a game by counterfactual regret minimisation: makes the opponents that players `cfr:PATH` play.

python recipes/solve.py --game leduc --algorithm cfr+ --iterations 500 --output leduc.npz
python recipes/solve.py --game holdem --tree fcpa --buckets 1024 --minutes 10 --output holdem.npz
python recipes/solve.py --game holdem --algorithm deep_cfr --minutes 30 --output deep.pt
python recipes/solve.py info holdem.npz
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from poker_env.cards.holdings import N_CLASSES
from poker_env.cards.strengths import MANY_DEALS, strength_tables
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
from poker_env.errors import UserError, first_line
from poker_env.evaluation.lbr_report import lbr_summary
from poker_env.files import write_atomically
from poker_env.games import Game, make_game
from poker_env.knowledge.ranges import BlueprintRanges, range_policy_of
from poker_env.parallel import available_cores, progress_bars
from poker_env.players.cfr import NETWORK_SUFFIX, CFRPlayer
from recipes.cli import Parser, bucket_counts, run

if TYPE_CHECKING:  # torch: not for the others
    import torch

    from poker_env.cfr.deep.checkpoint import NetworkCheckpoint

DEEP = "deep_cfr"
ALGORITHMS = {  # first: the default
    "kuhn": ("cfr+", "cfr", DEEP),
    "leduc": ("cfr+", "cfr", "mccfr", DEEP),
    "holdem": ("mccfr", DEEP),
}
DEFAULT_ITERATIONS = {"cfr": 1_000, "cfr+": 1_000, "mccfr": 8_000_000, DEEP: 100}  # kuhn and leduc
DEFAULT_MINUTES = {"mccfr": 5.0, DEEP: 30.0}  # holdem
DEFAULT_TREE = {"mccfr": "fcpa", DEEP: "half"}

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
    parser.add_argument(
        "--algorithm", help=f"kuhn: cfr+, cfr or {DEEP}; leduc: mccfr as well; holdem: mccfr or {DEEP}"
    )
    parser.add_argument("--iterations", type=int, help="stop after so many; few make a weak opponent on purpose")
    parser.add_argument(
        "--minutes",
        type=float,
        help=f"stop after so many; for holdem {DEFAULT_MINUTES['mccfr']:g} if not given, or {DEFAULT_MINUTES[DEEP]:g} "
        f"by {DEEP}, which then takes a little longer to learn the average strategy",
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed and cores give the same strategy")
    parser.add_argument("--output", type=Path, required=True, help="the checkpoint to write, with FILE.json beside it")
    parser.add_argument("--cores", type=int, default=available_cores(), help=f"mccfr, {DEEP}: threads")
    parser.add_argument("--save_minutes", type=float, default=5.0, help="how often to save the run for --resume")
    parser.add_argument("--resume", action="store_true", help=f"holdem, {DEEP}: go on with the run saved in FILE.run")
    parser.add_argument("--device", default="cpu", help=f"{DEEP}: where its networks are, such as cuda")
    holdem = parser.add_argument_group("holdem")
    trees = ", ".join(f"{tree} by {algorithm}" for algorithm, tree in DEFAULT_TREE.items())
    holdem.add_argument("--tree", help=f"bet sizes: {', '.join(PRESETS)}; if not given, {trees}")
    holdem.add_argument(
        "--buckets",
        type=bucket_counts,
        default="1024",
        help="card buckets on flop, turn and river: 1024, or 800,550,450",
    )
    holdem.add_argument("--tremble", type=float, default=0.01, help="how often the opponent plays at random")
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
    if game.name == "holdem" and options.tree is None:
        options.tree = DEFAULT_TREE[options.algorithm]
    if (options.algorithm == DEEP) != (options.output.suffix == NETWORK_SUFFIX):
        there = "must end" if options.algorithm == DEEP else "can't end"
        raise UserError(f"--output {options.output} {there} in {NETWORK_SUFFIX}: {DEEP}'s networks do, nothing else")
    check_writable(options.output)
    checkpoint: Checkpoint | NetworkCheckpoint
    if options.algorithm == DEEP:
        checkpoint = solve_deep(game, options, command)
    else:
        by_game = solve_holdem if game.name == "holdem" else solve_small
        checkpoint = by_game(game, options, command)
    checkpoint.save(options.output)
    report = report_of(checkpoint, options.output)
    write_atomically(options.output.with_name(options.output.name + ".json"), json.dumps(report, indent=2) + "\n")
    found = (
        f", exploitability {report['exploitability']:.5f} chips/hand" if report["exploitability"] is not None else ""
    )
    for setting, bound in (checkpoint.settings.get("lbr") or {}).items():
        error = "" if bound["standard_error"] is None else f" ± {bound['standard_error']:.0f}"
        found += f", lbr:{setting} {bound['mbb_per_hand']:.0f}{error} mbb/hand"
    size = (
        f"{report['infosets']:,} infosets" if report["infosets"] else f"{checkpoint.settings['parameters']:,} weights"
    )
    console.print(f"{options.output}: {size}, {report['bytes']:,} bytes{found}")


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
    minutes = DEFAULT_MINUTES["mccfr"] if options.minutes is None and options.iterations is None else options.minutes
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


def solve_deep(game: Game, options: argparse.Namespace, command: str) -> NetworkCheckpoint:
    """Any game by networks, with a run saved beside the output every few minutes."""
    try:
        import torch

        from poker_env.cfr.deep.checkpoint import NetworkCheckpoint
        from poker_env.cfr.deep.game import DeepGame
        from poker_env.cfr.deep.network import NetworkStrategy
        from poker_env.cfr.deep.small_games import tabulate
        from poker_env.cfr.deep.solver import PLANS, DeepCFR
        from poker_env.cfr.playing.network_strategy import TranslatedStrategy
    except ImportError as error:
        raise UserError(f"--algorithm {DEEP} takes torch: pip install 'exploitative-poker[train]'") from error
    torch.set_num_threads(options.cores)
    holdem, plan = game.name == "holdem", PLANS[game.name]
    iterations, minutes = options.iterations, options.minutes
    if iterations is None and minutes is None:
        iterations, minutes = (None, DEFAULT_MINUTES[DEEP]) if holdem else (DEFAULT_ITERATIONS[DEEP], None)
    deep = DeepGame.of(game, tree_config(options.tree) if holdem else None)
    solver = DeepCFR(deep, plan, options.seed, torch_device(options.device))
    saved_run = options.output.with_name(options.output.name + ".run")
    identity: Identity = {"game": str(game), "tree": options.tree if holdem else "", "seed": options.seed}
    identity = {**identity, **asdict(plan)}
    if options.resume and not saved_run.is_file():
        raise UserError(f"nothing to resume at {saved_run}: leave --resume out to start")
    before = solver.resume(saved_run, identity).seconds if options.resume else 0.0
    if holdem and plan.walks >= MANY_DEALS:
        strength_tables(progress=True)
    with Progress(game.name, iterations, minutes, console, before) as progress:

        def save() -> None:
            solver.save(saved_run, provenance_of(options, command, solver.iterations, progress.seconds), identity)

        solver.run(saving(progress.keep_going, save, options.save_minutes), iterations)
        save()
    with progress_bars(True) as open_bar:
        network = solver.average_network(open_bar("learning the average strategy"))
    provenance = provenance_of(options, command, solver.iterations, progress.seconds)
    settings: dict[str, object] = {"parameters": sum(weights.numel() for weights in network.parameters())}
    settings |= asdict(plan) | {"device": str(options.device), "decisions": solver.decisions}
    average = NetworkStrategy(deep, network, average=True, threshold=plan.threshold)
    if holdem:
        player = CFRPlayer(str(options.output), TranslatedStrategy(deep, average), "")
        settings["lbr"] = lbr_summary(game, range_policy_of(player))
    else:
        table = tabulate(deep, average)
        settings |= {"exploitability": table.exploitability(game), "infosets": len(table.table)}
    return NetworkCheckpoint(deep, network, plan.width, plan.threshold, provenance, settings)


def torch_device(name: str) -> torch.device:
    """PyTorch's device of that name; raises `UserError` when there is none here."""
    import torch

    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name} can't be had: {first_line(error)}") from error


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


def report_of(checkpoint: Checkpoint | NetworkCheckpoint, path: Path) -> dict[str, object]:
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
    kind, checkpoint = load_network(path) if path.suffix == NETWORK_SUFFIX else load_solved(path)
    print(json.dumps({"kind": kind, **checkpoint.settings, **report_of(checkpoint, path)}, indent=2))


def load_solved(path: Path) -> tuple[str, Checkpoint]:
    """A checkpoint and its kind."""
    checkpoint = load_checkpoint(path)
    return checkpoint.kind, checkpoint


def load_network(path: Path) -> tuple[str, NetworkCheckpoint]:
    """A network's checkpoint and its kind."""
    from poker_env.cfr.deep.checkpoint import NetworkCheckpoint, read_record

    record = read_record(path)
    return record["kind"], NetworkCheckpoint.from_record(record, path)


if __name__ == "__main__":
    run(main)
