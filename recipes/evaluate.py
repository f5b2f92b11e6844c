"""Judge a player against another: win rate in mbb/hand with its 95 % interval, every deck played in both seats.

    python recipes/evaluate.py --game holdem --hero tag --villain cfr --hands 2000 --seed 1 --output runs/tag

    python recipes/evaluate.py --hero lag --villain cfr --hands 2000 --seed 1 --compare runs/tag

    python recipes/evaluate.py --hero lbr:fcpa --villain cfr --hands 20000

    python recipes/evaluate.py tournament --players tag,lag,cfr --hands 2000 --output runs/tournament

    python recipes/evaluate.py gains runs/tag runs/lag --over runs/call

    python recipes/evaluate.py players

Prints a table; with --output also writes results.json, values.csv, hands.jsonl, report.html and more there. The second
line adds the difference to an evaluation on the same decks. The third plays no match but bounds how exploitable
villain is: it knows the strategy of villain (a cfr player, fold or call) and keeps no hands. The fourth plays a round
robin. The fifth plays nothing: it says what saved evaluations won, together, too, and how much more than others did on
the same decks. The sixth lists the players there are. docs/evaluation.md explains the numbers.
--villain slumbot and --villain gtowizard play over the network (docs/services.md).
"""

from __future__ import annotations

import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from poker_env.errors import UserError
from poker_env.evaluation.capture import knows_ranges, usual_settings
from poker_env.evaluation.compare import StoredEvaluation, compare, gains_table, paired_table
from poker_env.evaluation.lbr import DEFAULT_SETTING
from poker_env.evaluation.lbr_report import KIND, evaluate_lbr, lbr_table, write_lbr_results
from poker_env.evaluation.match import evaluate
from poker_env.evaluation.results import summary_lines, summary_table, write_results
from poker_env.evaluation.tournament import cross_table, play_tournament, write_tournament
from poker_env.files import output_folder
from poker_env.games import Game, make_game
from poker_env.knowledge.ranges import range_policy_of
from poker_env.player_specs import (
    BUILT_IN,
    PLAYER_SPECS,
    about,
    game_of,
    make_player,
    player_offers,
    spec_form,
)
from poker_env.players.base import Player
from poker_env.players.poker_config import Answers, PokerConfig
from poker_env.plugins import import_callable
from poker_env.prompts import ODDS
from poker_env.report.page import write_report
from recipes.cli import GAME_HELP, Parser, run
from recipes.evaluate_service import judge_against_service, service_of

TOURNAMENT, GAINS, PLAYERS = "tournament", "gains", "players"
CHARTS = ("asked", "played")
LBR_SPECS = "lbr:fc, lbr:late, lbr:fcpa, lbr:eight (a local best response: a lower bound on villain's exploitability)"


def main(argv: Sequence[str] | None = None) -> None:
    """Run an evaluation from command-line arguments; raises `UserError` for those that make no sense."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("an evaluation plays in one process: start it with 'python recipes/evaluate.py'")
    given = list(sys.argv[1:] if argv is None else argv)
    command = shlex.join(["python", "recipes/evaluate.py", *given])
    if given[:1] == [TOURNAMENT]:
        play_round_robin(given[1:], command)
    elif given[:1] == [GAINS]:
        show_gains(given[1:])
    elif given[:1] == [PLAYERS]:
        list_players(given[1:])
    elif service_of(given):
        judge_against_service(given, command, _instruct)
    else:
        judge(given, command)


def judge(argv: Sequence[str], command: str) -> None:
    """Play hero against villain."""
    parser = Parser(description=__doc__)
    _add_common(parser)
    specs = ", ".join(PLAYER_SPECS)
    parser.add_argument("--hero", required=True, help=f"the player to judge: {specs}, {LBR_SPECS}")
    parser.add_argument("--villain", default="cfr", help="its opponent, named the same way, or slumbot or gtowizard")
    parser.add_argument(
        "--capture",
        metavar="SETTINGS",
        help="hold'em: local best responses to measure hero's win by, such as fc,late,fcpa,eight, or none "
        f"(default: {DEFAULT_SETTING} where villain's policy is known)",
    )
    parser.add_argument(
        "--exploitability",
        type=int,
        metavar="HANDS",
        help=f"hold'em: hands on which a local best response ({DEFAULT_SETTING}) plays hero; of a language model it "
        "asks 1,326 questions in every situation (default: --hands where hero's policy is known, else 0)",
    )
    parser.add_argument(
        "--charts",
        choices=CHARTS,
        default=CHARTS[0],
        help="hero's preflop charts: its probabilities where it can say them (338 questions to a language model), or "
        "what it did",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        help="of the language model that is hero: 1 is the policy that was trained, near 0 it always gives its "
        "likeliest answer (default: what its adapter was trained at)",
    )
    parser.add_argument(
        "--answers",
        choices=get_args(Answers),
        help="of the language model that is hero: free text (default); scored, text and the probabilities of its "
        "menu, so that the luck of its own choices comes off, too, in up to twice the time; or menu, drawn from those "
        "alone, in less time, any other answer counting as illegal",
    )
    parser.add_argument(
        "--advice",
        metavar="PARTS",
        help="what the language model that is hero is told of what it was trained with: odds; odds,folds; odds,worth; "
        "odds,folds,worth; or none",
    )
    parser.add_argument("--compare", type=Path, metavar="DIR", help="an evaluation's output on the same decks")
    arguments = parser.parse_args(argv)

    game = make_game(arguments.game or game_of([arguments.hero, arguments.villain]))
    if arguments.output is not None:
        output_folder(arguments.output)
    if arguments.hero.partition(":")[0] == KIND:
        bound_villain(arguments, game, command)
    else:
        play_match(arguments, game, command)


def bound_villain(arguments: Namespace, game: Game, command: str) -> None:
    """Play a local best response against villain."""
    for option in ("capture", "exploitability", "compare", "temperature", "answers", "advice"):
        if getattr(arguments, option) is not None:
            raise UserError(f"--{option} is for a match: leave it out where hero is a local best response")
    villain = make_player(arguments.villain, game)
    bound = evaluate_lbr(game, arguments.hero, villain, arguments.hands, arguments.seed)
    Console().print(lbr_table(bound))
    if arguments.output is not None:
        write_lbr_results(arguments.output, bound, command)


def play_match(arguments: Namespace, game: Game, command: str) -> None:
    """Play hero against villain, then a local best response against hero."""
    stored = StoredEvaluation.load(arguments.compare) if arguments.compare else None
    if stored is not None:
        stored.require_same_decks(game, arguments.seed)
    villain, hero = make_player(arguments.villain, game), make_player(arguments.hero, game)
    _instruct(hero, arguments.temperature, arguments.answers, arguments.advice)
    references = _references(arguments.capture, game, villain)
    against_hero = _hands_against_hero(arguments, game, hero)
    evaluation = evaluate(game, hero, villain, arguments.hands, arguments.seed, lbr=references)
    exploitability = {}
    if against_hero:
        bound = evaluate_lbr(game, f"{KIND}:{DEFAULT_SETTING}", hero, against_hero, arguments.seed)
        exploitability[bound.hero] = bound.result.estimate
    Console().print(summary_table(evaluation), *summary_lines(evaluation, exploitability), sep="\n")
    comparison = compare(evaluation, stored) if stored else None
    if comparison is not None:
        Console().print(paired_table(evaluation, comparison))
    if arguments.output is not None:
        record = write_results(arguments.output, evaluation, command, comparison, exploitability)
        write_report(arguments.output, evaluation, record, ask_hero=arguments.charts == CHARTS[0])


def play_round_robin(argv: Sequence[str], command: str) -> None:
    """Play every pair of players."""
    parser = Parser(description="Play every pair of players on the same decks and print a cross table.")
    _add_common(parser)
    parser.add_argument(
        "--players", required=True, nargs="+", help="their specs with commas between them, or as separate arguments"
    )
    arguments = parser.parse_args(argv)
    specs = arguments.players if len(arguments.players) > 1 else arguments.players[0].split(",")
    game = make_game(arguments.game or game_of(specs))
    if arguments.output is not None:
        output_folder(arguments.output)
    players = [make_player(spec, game) for spec in specs]
    tournament = play_tournament(game, players, arguments.hands, arguments.seed)
    Console().print(cross_table(tournament))
    if arguments.output is not None:
        write_tournament(arguments.output, tournament, command)


def show_gains(argv: Sequence[str]) -> None:
    """Print what saved evaluations won, and how much more than others."""
    parser = Parser(description="Compare saved evaluations on the same decks, deck by deck.")
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="an evaluation's --output")
    parser.add_argument(
        "--over", nargs="+", type=Path, default=[], metavar="DIR", help="what each of them is compared with, or one"
    )
    arguments = parser.parse_args(argv)
    Console().print(gains_table(arguments.folders, arguments.over))


def list_players(argv: Sequence[str]) -> None:
    """Print every player found: its spec, where it comes from, what it says of itself and of its speed."""
    Parser(description="List the players.").parse_args(argv)
    table = Table(caption="Any other one goes by package.module:NAME; see docs/opponents.md.")
    for column in ("player", "source", ""):
        table.add_column(column, overflow="fold")
    for name, maker in BUILT_IN.items():
        table.add_row(escape(spec_form(name, maker)), "built in", escape(about(maker)))
    for offer in player_offers():
        try:
            maker = import_callable(offer.path, "player")
            row = escape(spec_form(offer.name, maker)), escape(offer.source), escape(about(maker))
        except UserError as error:
            row = escape(offer.name), escape(offer.source), f"[red]{escape(str(error))}[/]"
        table.add_row(*row)
    Console().print(table)


def _add_common(parser: Parser) -> None:
    parser.add_argument("--game", help=GAME_HELP)
    parser.add_argument("--hands", type=int, default=2_000, help="of a match, rounded up to an even number")
    parser.add_argument("--seed", type=int, default=0, help="names the decks")
    parser.add_argument("--output", type=Path, help="folder to save everything in")


def _references(argument: str | None, game: Game, villain: Player) -> Sequence[str]:
    """The LBR settings to play against villain."""
    if argument is not None:
        return () if argument == "none" else tuple(dict.fromkeys(argument.split(",")))
    return usual_settings(game, villain)


def _instruct(hero: Player, temperature: float | None, answers: Answers | None, advice: str | None) -> None:
    """Tell a language model how to answer, and what it is told."""
    given = {"--temperature": temperature, "--answers": answers, "--advice": advice}
    config = getattr(hero, "config", None)
    for option, value in given.items():
        if value is not None and not isinstance(config, PokerConfig):
            raise UserError(f"{option} is for language models: leave it out where hero is {hero.name}")
    if answers is not None:
        hero.answers = answers  # type: ignore[attr-defined]
    if isinstance(config, PokerConfig):
        config = config if temperature is None else replace(config, temperature=temperature)
        hero.config = config if advice is None else _advised(config, advice)  # type: ignore[attr-defined]


def _advised(config: PokerConfig, advice: str) -> PokerConfig:
    """Hero's, told no more than `odds,folds,worth` or a part of that."""
    if advice == "none":
        return replace(config, advisor=None)
    if config.advisor is None:
        raise UserError(f"--advice {advice}: hero was trained without any, leave it out")
    first, *parts = advice.split(",")
    if first != ODDS or set(parts) - {*config.advice}:
        known = ", ".join((ODDS, *config.advice))
        raise UserError(f"--advice {advice}: hero was trained with {known}; give some, the first always, or none")
    return replace(config, advice=tuple(parts))


def _hands_against_hero(arguments: Namespace, game: Game, hero: Player) -> int:
    """How many hands a local best response plays against hero; raises `UserError` when it can't."""
    hands: int | None = arguments.exploitability
    if hands is None:
        return arguments.hands if game.name == "holdem" and knows_ranges(hero) else 0
    if game.name != "holdem":
        raise UserError(f"--exploitability is for holdem: in {game.name} what a best response wins is worked out")
    if hands < 0:
        raise UserError(f"--exploitability {hands}: give a number of hands, or 0 for none")
    if hands:
        range_policy_of(hero, ask=True)
    return hands


if __name__ == "__main__":
    run(main)
