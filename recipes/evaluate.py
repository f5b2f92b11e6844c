"""Judge a player against another: win rate in mbb/hand with its 95 % interval, every deck played in both seats.

    python recipes/evaluate.py --game holdem --hero tag --villain cfr --hands 2000 --seed 1 --output runs/tag

    python recipes/evaluate.py --hero lag --villain cfr --hands 2000 --seed 1 --compare runs/tag

    python recipes/evaluate.py --hero lbr:fcpa --villain cfr --hands 20000

    python recipes/evaluate.py tournament --players tag,lag,cfr --hands 2000 --output runs/tournament

Prints a table; with --output also writes results.json, values.csv, hands.jsonl, report.html and more there. The second
line adds the difference to an evaluation on the same decks. The third plays no match but bounds how exploitable
villain is: it knows the strategy of villain (a cfr player, fold or call) and keeps no hands. The fourth plays a round
robin. docs/evaluation.md explains the numbers.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from poker_env.errors import UserError
from poker_env.evaluation.capture import knows_ranges
from poker_env.evaluation.compare import StoredEvaluation, compare, paired_table
from poker_env.evaluation.lbr import DEFAULT_SETTING
from poker_env.evaluation.lbr_report import evaluate_lbr, lbr_table, write_lbr_results
from poker_env.evaluation.match import evaluate
from poker_env.evaluation.report import write_report
from poker_env.evaluation.results import summary_table, write_results
from poker_env.evaluation.tournament import cross_table, play_tournament, write_tournament
from poker_env.games import Game, make_game
from poker_env.players import PLAYER_SPECS, Player, make_player
from recipes.cli import Parser, output_folder, run

TOURNAMENT = "tournament"
LBR_SPECS = "lbr:fc, lbr:late, lbr:fcpa, lbr:eight (a local best response: a lower bound on villain's exploitability)"


def main(argv: Sequence[str] | None = None) -> None:
    """Run an evaluation from command-line arguments; raises `UserError` for those that make no sense."""
    given = list(sys.argv[1:] if argv is None else argv)
    command = shlex.join(["python", "recipes/evaluate.py", *given])
    if given[:1] == [TOURNAMENT]:
        play_round_robin(given[1:], command)
    else:
        judge(given, command)


def judge(argv: Sequence[str], command: str) -> None:
    """Play hero against villain."""
    parser = Parser(description=__doc__)
    _add_common(parser)
    specs = ", ".join(PLAYER_SPECS)
    parser.add_argument("--hero", required=True, help=f"the player to judge: {specs}, {LBR_SPECS}")
    parser.add_argument("--villain", default="cfr", help="its opponent, named the same way")
    parser.add_argument(
        "--capture",
        metavar="SETTINGS",
        help="hold'em: local best responses to measure hero's win by, such as fc,late,fcpa,eight, or none "
        f"(default: {DEFAULT_SETTING} where villain's policy is known)",
    )
    parser.add_argument("--compare", type=Path, metavar="DIR", help="an evaluation's output on the same decks")
    arguments = parser.parse_args(argv)

    game = make_game(arguments.game)
    if arguments.output is not None:
        output_folder(arguments.output)
    stored = StoredEvaluation.load(arguments.compare) if arguments.compare else None
    if stored is not None:
        stored.require_same_decks(game, arguments.seed)
    villain = make_player(arguments.villain, game)
    if arguments.hero.partition(":")[0] == "lbr":
        if stored is not None:
            raise UserError("--compare takes the hands of a match, and a local best response keeps none")
        bound = evaluate_lbr(game, arguments.hero, villain, arguments.hands, arguments.seed)
        Console().print(lbr_table(bound))
        if arguments.output is not None:
            write_lbr_results(arguments.output, bound, command)
        return
    hero = make_player(arguments.hero, game)
    references = _references(arguments.capture, game, villain)
    evaluation = evaluate(game, hero, villain, arguments.hands, arguments.seed, lbr=references)
    Console().print(summary_table(evaluation))
    comparison = compare(evaluation, stored) if stored else None
    if comparison is not None:
        Console().print(paired_table(evaluation, comparison))
    if arguments.output is not None:
        record = write_results(arguments.output, evaluation, command, comparison)
        write_report(arguments.output, evaluation, record)


def play_round_robin(argv: Sequence[str], command: str) -> None:
    """Play every pair of players."""
    parser = Parser(description="Play every pair of players on the same decks and print a cross table.")
    _add_common(parser)
    parser.add_argument(
        "--players", required=True, nargs="+", help="their specs with commas between them, or as separate arguments"
    )
    arguments = parser.parse_args(argv)
    game = make_game(arguments.game)
    if arguments.output is not None:
        output_folder(arguments.output)
    specs = arguments.players if len(arguments.players) > 1 else arguments.players[0].split(",")
    players = [make_player(spec, game) for spec in specs]
    tournament = play_tournament(game, players, arguments.hands, arguments.seed)
    Console().print(cross_table(tournament))
    if arguments.output is not None:
        write_tournament(arguments.output, tournament, command)


def _add_common(parser: Parser) -> None:
    parser.add_argument("--game", default="holdem", help="kuhn, leduc or holdem[:stack=…,small_blind=…,big_blind=…]")
    parser.add_argument("--hands", type=int, default=2_000, help="of a match, rounded up to an even number")
    parser.add_argument("--seed", type=int, default=0, help="names the decks")
    parser.add_argument("--output", type=Path, help="folder to save everything in")


def _references(argument: str | None, game: Game, villain: Player) -> Sequence[str]:
    """The LBR settings to play against villain."""
    if argument is not None:
        return () if argument == "none" else tuple(dict.fromkeys(argument.split(",")))
    return (DEFAULT_SETTING,) if game.name == "holdem" and knows_ranges(villain) else ()


if __name__ == "__main__":
    run(main)
