"""Judge a player against another: win rate in mbb/hand with its 95 % interval, every deck played in both seats.

    python recipes/evaluate.py --game holdem --hero tag --villain cfr --hands 2000 --seed 1 --output runs/tag

    python recipes/evaluate.py --hero lbr:fcpa --villain cfr --hands 20000

Prints a table; with --output also writes results.json and hands.jsonl there. The second line plays no match but bounds
how exploitable villain is: it knows the strategy of villain (a cfr player, fold or call) and keeps no hands.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from poker_env.evaluation.lbr_report import evaluate_lbr, lbr_table, write_lbr_results
from poker_env.evaluation.match import evaluate
from poker_env.evaluation.results import summary_table, write_results
from poker_env.games import make_game
from poker_env.players import PLAYER_SPECS, make_player
from recipes.cli import Parser, output_folder, run

LBR_SPECS = "lbr:fc, lbr:late, lbr:fcpa, lbr:eight (a local best response: a lower bound on villain's exploitability)"


def main(argv: Sequence[str] | None = None) -> None:
    """Run an evaluation from command-line arguments; raises `UserError` for those that make no sense."""
    parser = Parser(description=__doc__)
    specs = ", ".join(PLAYER_SPECS)
    parser.add_argument("--game", default="holdem", help="kuhn, leduc or holdem[:stack=…,small_blind=…,big_blind=…]")
    parser.add_argument("--hero", required=True, help=f"the player to judge: {specs}, {LBR_SPECS}")
    parser.add_argument("--villain", default="cfr", help="its opponent, named the same way")
    parser.add_argument("--hands", type=int, default=2_000, help="rounded up to an even number")
    parser.add_argument("--seed", type=int, default=0, help="names the decks")
    parser.add_argument("--output", type=Path, help="folder for results.json and hands.jsonl")
    arguments = parser.parse_args(argv)
    command = shlex.join(["python", "recipes/evaluate.py", *(sys.argv[1:] if argv is None else argv)])

    game = make_game(arguments.game)
    if arguments.output is not None:
        output_folder(arguments.output)
    villain = make_player(arguments.villain, game)
    if arguments.hero.partition(":")[0] == "lbr":
        bound = evaluate_lbr(game, arguments.hero, villain, arguments.hands, arguments.seed)
        Console().print(lbr_table(bound))
        if arguments.output is not None:
            write_lbr_results(arguments.output, bound, command)
        return
    hero = make_player(arguments.hero, game)
    evaluation = evaluate(game, hero, villain, arguments.hands, arguments.seed)
    Console().print(summary_table(evaluation))
    if arguments.output is not None:
        write_results(arguments.output, evaluation, command)


if __name__ == "__main__":
    run(main)
