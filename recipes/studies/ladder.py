"""What a language model wins from opponents that were solved for longer and longer, told nothing and told its odds.

    python recipes/studies/ladder.py --iterations 4000 40000 400000 4000000 --jobs 2 --output runs/ladder

Each rung is an opponent of the same game, tree and buckets. On each a model is trained by `--config`, once as it says
(plain) and once with advice in its prompts, from an imitation of a local best response (advised), by recipes/train.py
in processes of their own, and judged on the same decks before, after the imitation and after training. Local best
responses say how much there is to be won. What is there already is not done again: repeat the command after an
interruption. Writes ladder.json and ladder.png to the output.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from rich.console import Console
from rich.table import Table

from poker_env.cfr.checkpoint import load_checkpoint
from poker_env.errors import UserError
from poker_env.evaluation.estimates import Estimate, with_interval
from poker_env.evaluation.lbr_report import evaluate_lbr
from poker_env.files import write_atomically
from poker_env.games import make_game
from poker_env.player_specs import make_player
from poker_env.players.cfr import CFRPlayer
from recipes.cli import Parser, run

KINDS: Mapping[str, Sequence[str]] = {
    "plain": (),
    "advised": ("--advisor", "true", "--warm_start_player", "lbr", "--warm_start_floor", "0"),
}
"""How hero is told: options of recipes/train.py beside the config's."""
JUDGED = {"model": "evaluation_before", "imitation": "evaluation_warm_start", "trained": "evaluation"}
"""Folders of a run, by what was judged."""
LBR_SETTINGS = ("fc", "fcpa")

Row = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
    """Solve, train, judge and plot; raises `UserError` for arguments that make no sense."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = Parser(description=__doc__)
    parser.add_argument("--iterations", type=int, nargs="+", required=True, help="of the solver, a rung each")
    parser.add_argument("--config", default="quickstart", help="of recipes/train.py; it names the game and the model")
    parser.add_argument("--game", default="holdem:stack=2000", help="the config's game")
    parser.add_argument("--tree", default="fcpa", help="bet sizes, see recipes/solve.py")
    parser.add_argument("--buckets", default="100", help="card buckets, see recipes/solve.py")
    parser.add_argument(
        "--kinds", nargs="+", choices=tuple(KINDS), default=list(KINDS), help="what hero is told: nothing, or its odds"
    )
    parser.add_argument("--hands", type=int, default=1_000, help="of each evaluation")
    parser.add_argument("--lbr_hands", type=int, default=2_000, help="of each local best response")
    parser.add_argument("--seed", type=int, default=42, help="of the trainings and of the decks that judge them")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side, a core each where there are more")
    parser.add_argument("--output", type=Path, required=True, help="folder of everything")
    options = parser.parse_args(arguments)
    if sorted(set(options.iterations)) != options.iterations or options.iterations[0] < 1:
        raise UserError(f"--iterations {' '.join(map(str, options.iterations))}: give rising numbers above 0")
    if options.jobs < 1:
        raise UserError(f"--jobs {options.jobs}: give 1 or more")
    options.output.mkdir(parents=True, exist_ok=True)
    rungs = [solved(options, iterations) for iterations in options.iterations]
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda job: trained(options, *job), [(rung, kind) for kind in options.kinds for rung in rungs]))
    rows = [row_of(options, rung) for rung in rungs]
    command = shlex.join(["python", "recipes/studies/ladder.py", *arguments])
    write_atomically(options.output / "ladder.json", json.dumps({"rows": rows, "command": command}, indent=2) + "\n")
    Console().print(table(rows))
    plot(rows, options.output / "ladder.png")


def solved(options: Any, iterations: int) -> Path:
    """The opponent of a rung."""
    path: Path = options.output / f"{iterations}.npz"
    if not path.exists():
        stakes = ("--game", options.game, "--tree", options.tree, "--buckets", options.buckets)
        recipe("solve", *stakes, "--iterations", iterations, "--seed", 0, "--cores", 1, "--output", path)
    return path


def trained(options: Any, rung: Path, kind: str) -> None:
    """A training against a rung, judged."""
    folder = options.output / f"{rung.stem}_{kind}"
    if not (folder / JUDGED["trained"] / "report.html").exists():
        against = ("--villain", f"cfr:{rung}", "--game", options.game, "--eval_hands", options.hands)
        going_on = ("--resume",) if (folder / "run.json").exists() else ()
        config = ("--config", options.config, "--seed", options.seed, "--output_dir", folder)
        recipe("train", *config, *against, *KINDS[kind], *going_on)


def row_of(options: Any, rung: Path) -> Row:
    """A rung's figures: mbb/hand of everything that was judged, and what local best responses win."""
    game = make_game(options.game)
    villain = make_player(f"cfr:{rung}", game)
    assert isinstance(villain, CFRPlayer)
    row: Row = {"iterations": int(rung.stem), "seconds": load_checkpoint(rung).provenance.seconds}
    row["sha256"] = villain.sha256
    for setting in LBR_SETTINGS:
        row[f"LBR {setting}"] = vars(
            evaluate_lbr(game, f"lbr:{setting}", villain, options.lbr_hands, 7).result.estimate
        )
    for kind in options.kinds:
        for name, folder in JUDGED.items():
            path = options.output / f"{rung.stem}_{kind}" / folder / "results.json"
            if name == "imitation" and not path.exists():
                continue  # the config starts with none
            record = json.loads(path.read_text(encoding="utf-8"))
            row[f"{kind}: {name}"] = record["estimates"][record["headline"]]
    return row


def table(rows: Sequence[Row]) -> Table:
    """Rates with their intervals, a line for each rung."""
    found = Table(caption="mbb/hand with 95 % intervals")
    names = [name for name, value in rows[0].items() if isinstance(value, dict)]
    for name in ("iterations", "seconds", *names):
        found.add_column(name, justify="right")
    for row in rows:
        rates = (Estimate(**row[name]) for name in names)
        told = [with_interval(rate.mbb_per_hand, rate.ci95, rate.hands) for rate in rates]
        found.add_row(f"{row['iterations']:,}", f"{row['seconds']:.2g}", *told)
    return found


def plot(rows: Sequence[Row], path: Path) -> None:
    """Rates against iterations, with their intervals."""
    figure, axes = plt.subplots(figsize=(7, 4.5))
    names = [f"LBR {setting}" for setting in LBR_SETTINGS]
    start = ": imitation" if any(name.endswith(": imitation") for name in rows[0]) else ": model"
    names += [name for name in rows[0] if name.endswith((start, ": trained"))]
    for place, name in enumerate(names):
        rates = [Estimate(**row[name]) for row in rows]
        x = [row["iterations"] * 1.03 ** (place - len(names) / 2) for row in rows]  # side by side
        y = [rate.mbb_per_hand for rate in rates]
        reach = [
            [rate.mbb_per_hand - (rate.ci95[0] if rate.ci95 else rate.mbb_per_hand) for rate in rates],
            [(rate.ci95[1] if rate.ci95 else rate.mbb_per_hand) - rate.mbb_per_hand for rate in rates],
        ]
        style = ":" if name.startswith("LBR") else "-" if "trained" in name else "--"
        axes.errorbar(x, y, reach, marker="o", capsize=3, linestyle=style, label=name)
    axes.set(xscale="log", xlabel="the opponent's iterations of CFR", ylabel="mbb/hand won from it")
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def recipe(name: str, *arguments: object) -> None:
    """Run one of the recipes; its output goes into a file beside what it makes."""
    words = [sys.executable, "-m", f"recipes.{name}", *map(str, arguments)]
    output = Path(str(arguments[-1] if name == "solve" else arguments[arguments.index("--output_dir") + 1]))
    started = time.monotonic()
    with output.with_suffix(".log").open("a", encoding="utf-8") as log:
        done = subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, env=os.environ, check=False)
    if done.returncode:
        raise UserError(f"{shlex.join(words[2:])} ended with code {done.returncode}: see {log.name}")
    Console(stderr=True).print(f"{output.name}: {time.monotonic() - started:.0f} s", highlight=False)


if __name__ == "__main__":
    run(main)
