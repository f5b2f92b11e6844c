"""Measure how fast the parts are, each against something it can be compared with.

    python recipes/bench.py solver --json solver.json
    python recipes/bench.py lookup --json lookup.json
    python recipes/bench.py rounding --json rounding.json
    python recipes/bench.py river --json river.json
    python recipes/bench.py coverage --json coverage.json
    python recipes/bench.py variance --json variance.json
    python recipes/bench.py learning --json learning.json
    python recipes/bench.py import --json import.json
    python recipes/bench.py rollout --json rollout.json
    python recipes/bench.py epoch --json epoch.json
    python recipes/bench.py memory --json memory.json
    python recipes/bench.py table --json table.json
    python recipes/bench.py deep --json deep.json

solver    iterations per second and core of the solver, against the same traversal written as a plain recursion
lookup    decisions per second of a blueprint at the table, and milliseconds for the bucket of a hand never seen
rounding  what a strategy in single precision wins from itself as it is shipped, in mbb/hand
river     milliseconds of a decision with the river re-solved
coverage  % of evaluations of tag against cfr whose 95 % interval holds the long-run value, by estimator
variance  how noisy the policy gradient is with luck taken out of the returns in one way or another: its noise scale in
          hands, see recipes/studies/gradient_noise.py
learning  what is learned from how many hands with that; the curves beside the figures, as learning.png
import    seconds to import `poker_env`, and what playing a bot needs of it, in a new process
rollout   hands, decisions and tokens per second with a language model, against a plain loop and bare forward passes
epoch     seconds of an epoch's hands, credit and update, against the same, with any option of recipes/train.py
memory    how much of it an epoch takes, by config
table     hands per second with no model at the table
deep      decisions per second on Deep CFR's walks, in lockstep against a state at a time

`rollout` and `epoch` take `--against COMMIT`, and then measure that commit too, in turns (docs/performance.md).

All but variance and learning on one core, in seconds of processor time, so that a busy machine changes little.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from rich.console import Console
from rich.progress import track

from poker_env.cfr.abstract_match import duel
from poker_env.cfr.abstraction.bucket_tables import BucketTables
from poker_env.cfr.blueprint import SCALE, Blueprint
from poker_env.cfr.checkpoint import file_sha256, load_checkpoint
from poker_env.cfr.dealers import holdem_dealer
from poker_env.cfr.mccfr import DEALS_PER_CALL, Dealer, Solver
from poker_env.cfr.playing.blueprint_strategy import BlueprintStrategy
from poker_env.cfr.playing.river_game import RIVER
from poker_env.cfr.playing.river_strategy import RiverStrategy
from poker_env.cfr.traverse import compile_tree, traverse
from poker_env.evaluation.estimates import Estimate, estimate
from poker_env.evaluation.match import evaluate
from poker_env.files import write_atomically
from poker_env.games import HOLDEM_CARDS, Deal, make_deals, make_game
from poker_env.hand import Answer
from poker_env.player_specs import make_player
from poker_env.players.cfr import OPPONENTS, CFRPlayer
from poker_env.state import CALL, HandState, Observation
from poker_env.table import play
from recipes.cli import Parser, run
from recipes.studies import gradient_noise as variance
from recipes.studies.interval_coverage import coverage
from recipes.studies.plain_traversal import Recursion
from recipes.studies.speed import deep_walks, epoch, memory, rollout, table_alone
from recipes.studies.speed.figures import Figure, Figures, lines, records, table

REPEATS = 5
DEALS = 500_000  # of a duel: a million hands


class Study(Protocol):
    """A module of `recipes.studies.speed` that measures something."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add what it takes."""
        ...

    def check(self, options: argparse.Namespace) -> None:
        """Raise `UserError` for options that make no sense; `options.rest` are those it didn't name."""
        ...

    def measure(self, options: argparse.Namespace) -> Figures:
        """Measure it."""
        ...


def main(argv: Sequence[str] | None = None) -> None:
    """Run a benchmark from command-line arguments; raises `UserError` for those that make no sense."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parse(arguments)
    console = Console(soft_wrap=True)
    record = {"bench": options.name, "command": shlex.join(["python", "recipes/bench.py", *arguments])}
    if options.name in STUDIES:
        figures = STUDIES[options.name].measure(options)
        console.print(table(figures))
    else:
        blueprint = Blueprint.from_checkpoint(load_checkpoint(options.checkpoint))
        bench = BENCHES[options.name]
        if options.name == "learning" and options.json is not None:
            bench = partial(bench_learning, plot_to=options.json.with_suffix(".png"))
        figures = bench(blueprint)
        record["checkpoint"] = file_sha256(options.checkpoint)
        console.print("\n".join(lines(figures)))
    if options.json is not None:
        write_atomically(options.json, json.dumps({**record, "figures": records(figures)}, indent=2) + "\n")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """What is to be measured, with the options that it takes. Raises `UserError` for those that make no sense."""
    parser = Parser(description=__doc__)
    parser.add_argument("name", choices=[*BENCHES, *STUDIES], help="what to measure")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    study = STUDIES.get(next(iter(arguments), ""))
    if study is None:
        parser.add_argument("--checkpoint", type=Path, default=OPPONENTS / "holdem.npz", help="a solved strategy")
        return parser.parse_args(arguments)
    study.add_options(parser)
    options, options.rest = parser.parse_known_args(arguments)
    study.check(options)
    return options


def bench_solver(blueprint: Blueprint) -> dict[str, Figure]:
    """The solver's traversal and its plain recursion, in turns, from the same regrets."""
    buckets = blueprint.abstraction.buckets_per_street
    deal = holdem_dealer(BucketTables.build(blueprint.abstraction, progress=True))
    solver = Solver(blueprint.tree, buckets, deal, blueprint.game.big_blind, seed=0, tremble=0.01)
    solver.run(lambda iterations: True, 1_000_000)  # at first everybody plays uniformly, in much larger trees
    nodes, stakes = compile_tree(blueprint.tree, solver.offsets)
    stakes /= blueprint.game.big_blind
    recursive = Recursion(blueprint.tree, solver.offsets, stakes)
    regrets, sums = solver.regrets.copy(), solver.sums.copy()
    speeds: dict[str, list[float]] = {"iterative": [], "recursive": []}
    state = np.array([1], np.uint64)
    recursive.traverse(*deal(1, state), regrets, sums, 0.01, state)  # compiles
    for _ in range(REPEATS):
        dealt, winners = deal(DEALS_PER_CALL, state)
        for side in speeds:
            copies, same_state = (regrets.copy(), sums.copy()), state.copy()
            started = time.process_time()
            if side == "iterative":
                traverse(nodes, stakes, dealt, winners, *copies, 0.01, same_state)
            else:
                recursive.traverse(dealt, winners, *copies, 0.01, same_state)
            speeds[side].append(2 * len(winners) / (time.process_time() - started))
    best = {side: max(found) for side, found in speeds.items()}
    started = time.process_time()
    before = solver.iterations
    solver.run(lambda iterations: True, before + 500_000)
    whole = (solver.iterations - before) / (time.process_time() - started)
    return {
        "traversal": Figure("iterations/s", best),
        "solver": Figure("iterations/s, deals and discounting included", {"iterative": whole}),
    }


def bench_lookup(blueprint: Blueprint) -> dict[str, Figure]:
    """Decisions of a thousand hands of self-play, then hands never seen before."""
    game = make_game("holdem")
    recorder = _Recorder(CFRPlayer("cfr", BlueprintStrategy(blueprint), ""))
    deals = make_deals(game, 1_000, 0)
    play(game, deals, recorder, recorder)
    seen = recorder.observations
    strategy = BlueprintStrategy(blueprint)
    speeds = []
    for _ in range(1 + REPEATS):
        started = time.process_time()
        strategy.policies(seen)
        speeds.append(len(seen) / (time.process_time() - started))
    figures = {"batch": Figure("decisions/s", {"hands seen before": max(speeds[1:]), "first time": speeds[0]})}
    rng = np.random.default_rng(0)
    for street, n_board in (("flop", 3), ("turn", 4), ("river", 5)):
        milliseconds = []
        for _ in range(100):
            cards = rng.permutation(52)
            started = time.process_time()
            blueprint.abstraction.lookup(cards[None, :2], cards[None, 2 : 2 + n_board])
            milliseconds.append(1000 * (time.process_time() - started))
        figures[street] = Figure("ms for a hand never seen, median", {"lookup": float(np.median(milliseconds))})
    return figures


class _Recorder:
    """A player who remembers what it was shown."""

    name = "recorder"

    def __init__(self, player: CFRPlayer) -> None:
        self._player = player
        self.observations: list[Observation] = []

    def act(self, observations: Sequence[Observation]) -> list[Answer]:
        self.observations += observations
        return self._player.act(observations)


def bench_rounding(blueprint: Blueprint) -> dict[str, Figure]:
    """A strategy solved from scratch for a while, against its own rounding, in the abstract game."""
    deal = holdem_dealer(BucketTables.build(blueprint.abstraction, progress=True))
    buckets = blueprint.abstraction.buckets_per_street
    solver = Solver(blueprint.tree, buckets, deal, blueprint.game.big_blind, seed=0, tremble=0.01)
    solver.run(lambda iterations: True, 4_000_000)
    return rounding_figures(blueprint, solver.average_strategy(), deal, DEALS)


def rounding_figures(blueprint: Blueprint, exact: np.ndarray, deal: Dealer, deals: int) -> dict[str, Figure]:
    """What probabilities `exact` win from themselves as they are shipped."""
    rounded = Blueprint.from_probabilities(blueprint.game, blueprint.config, blueprint.abstraction, exact)
    shipped = rounded.strategy.astype(np.float32) / SCALE
    buckets = blueprint.abstraction.buckets_per_street
    won = duel(blueprint.tree, buckets, deal, exact, shipped, deals)
    found = estimate((1000 / blueprint.game.big_blind * won).tolist(), 2 * deals)
    sides = {"exact wins": found.mbb_per_hand, "±": found.half_width or 0.0, "hands": float(found.hands)}
    return {"rounding": Figure("mbb/hand, 95 %", sides)}


def bench_river(blueprint: Blueprint, hands: int = 1_000) -> dict[str, Figure]:
    """The first decisions on rivers that self-play reaches, all of it new, then the answers to odd bets there."""
    game = blueprint.game
    recorder = _Recorder(CFRPlayer("cfr", BlueprintStrategy(blueprint), ""))
    deals = make_deals(game, hands, 0)
    play(game, deals, recorder, recorder)
    firsts = [o for o in recorder.observations if o.street == RIVER and all(move.street < RIVER for move in o.moves)]
    strategy = RiverStrategy(BlueprintStrategy(blueprint))
    strategy.policies(firsts[:1])  # compiles
    firsts = firsts[1:]
    odd = [_after_an_odd_bet(observation) for observation in firsts]
    figures = {}
    for name, observations in (("first decision", firsts), ("odd bet", odd)):
        milliseconds = []
        for observation in observations:
            started = time.process_time()
            strategy.policies([observation])
            milliseconds.append(1000 * (time.process_time() - started))
        shares = {
            "median": np.median(milliseconds),
            "95 %": np.quantile(milliseconds, 0.95),
            "worst": max(milliseconds),
        }
        figures[name] = Figure("ms", {share: float(value) for share, value in shares.items()})
    return figures


def _after_an_odd_bet(observation: Observation) -> Observation:
    """The river's first player has checked and meets a bet of two fifths of the pot, or the smallest there is."""
    hand = HandState(observation.game, Deal(_deck(observation), 0, 0))
    for move in observation.moves:
        hand.apply(move.action)
    hand.apply(CALL)
    matched = max(observation.contributions)
    lowest = hand.observe().min_raise_to
    hand.apply(min(max(lowest or 0, matched + 4 * matched // 5), observation.game.stack))
    return hand.observe()


def _deck(observation: Observation) -> tuple[int, ...]:
    """A deal in which the first seat sees what the observation shows."""
    hole, board = ([HOLDEM_CARDS.index(card) for card in cards] for cards in (observation.hole, observation.board))
    others = [card for card in range(52) if card not in hole + board]
    return (*hole, *others[:2], *board)


def bench_coverage(blueprint: Blueprint, evaluations: int = 400, hands: int = 1_000) -> dict[str, Figure]:
    """Evaluations with different seeds; what is covered is the mean of all the others."""
    game = blueprint.game
    hero, villain = make_player("tag", game), CFRPlayer("cfr", BlueprintStrategy(blueprint), "")
    seeds = track(range(evaluations), f"evaluations of {hands:,} hands", console=Console(stderr=True))
    found = [evaluate(game, hero, villain, hands, seed, progress=False).estimates for seed in seeds]
    figures = {}
    for name in found[0]:
        covered = coverage([estimates[name] for estimates in found])
        sides = {"covered": 100 * covered.share, "from": 100 * covered.ci95[0], "to": 100 * covered.ci95[1]}
        sides |= {"too high": 100 * covered.too_high / evaluations, "too low": 100 * covered.too_low / evaluations}
        figures[name] = Figure("%", sides | {"evaluations": float(evaluations)})
    return figures


def bench_variance(blueprint: Blueprint) -> dict[str, Figure]:
    """Gradients of one imitator of villain on the same hands."""
    gradients = variance.gradients(blueprint, variance.Plan())
    raw, best = gradients[variance.RAW], gradients[variance.EVERYTHING]
    figures = {}
    for name, own in gradients.items():
        # |G|^2 is the same for all: by the one that knows it best.
        scales = {variance.RAW: raw.trace / best.squared_mean, name: own.trace / best.squared_mean}
        figures[f"noise scale, {name}"] = Figure("hands", scales)
        deviations = {variance.RAW: float(raw.credits.std()), name: float(own.credits.std())}
        figures[f"deviation of credit, {name}"] = Figure("bb", deviations)
        if own is not raw:
            longer, half_width = variance.excess(own, raw, best)
            sides = {"longer": longer, "± 95 %": half_width, "p-value": variance.disagreement(own, raw)}
            figures[f"agreement with raw, {name}"] = Figure("lengths of the gradient", sides)
    return figures


def bench_learning(blueprint: Blueprint, plot_to: Path | None = None) -> dict[str, Figure]:
    """What imitators of villain learn."""
    curves = variance.learning_curves(blueprint, variance.Plan())
    if plot_to is not None:
        variance.plot(curves, plot_to)
    figures = {"start": Figure("mbb/hand", _interval(curves.start))}
    for name, curve in curves.by_setting.items():
        for hands, learners, found in curve:
            sides = _interval(found) | {f"learner {place}": won for place, won in enumerate(learners)}
            figures[f"{name} after {hands:,} hands"] = Figure("mbb/hand", sides)
    return figures


def bench_import(blueprint: Blueprint) -> dict[str, Figure]:
    """How long a script waits before it can begin; the best of some processes."""

    def seconds(modules: str) -> float:
        program = f"import time; start = time.process_time(); import {modules}; print(time.process_time() - start)"
        command = [sys.executable, "-c", program]
        return min(float(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(REPEATS))

    needed = {"poker_env": "poker_env", "to play a bot": "poker_env.table, poker_env.players.cfr"}
    return {name: Figure("s", {"processor time": seconds(modules)}) for name, modules in needed.items()}


def _interval(found: Estimate) -> dict[str, float]:
    return {"mean": found.mbb_per_hand, "± 95 %": found.half_width or 0.0, "hands": float(found.hands)}


BENCHES: dict[str, Callable[[Blueprint], dict[str, Figure]]] = {
    "solver": bench_solver,
    "lookup": bench_lookup,
    "rounding": bench_rounding,
    "river": bench_river,
    "coverage": bench_coverage,
    "variance": bench_variance,
    "learning": bench_learning,
    "import": bench_import,
}

STUDIES: dict[str, Study] = {
    "rollout": rollout,
    "epoch": epoch,
    "memory": memory,
    "table": table_alone,
    "deep": deep_walks,
}
"""Those with options of their own."""

if __name__ == "__main__":
    run(main)
