"""What `evaluate.py` does where villain is a service on the network: `--villain slumbot`, `--villain gtowizard`."""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from poker_env.errors import UserError
from poker_env.evaluation.results import checkpoints, prompts
from poker_env.files import output_folder
from poker_env.games import DEFAULTS, make_game
from poker_env.player_specs import PLAYER_SPECS, SERVICES, game_of, make_player
from poker_env.players.base import Player
from poker_env.players.poker_config import Answers
from poker_env.services.gtowizard import GTOWizard
from poker_env.services.journal import FILE, Journal
from poker_env.services.judgement import judge, results, summary_lines, summary_table, write_results
from poker_env.services.match import Service, ServiceMatch
from poker_env.services.slumbot import Slumbot
from recipes.cli import GAME_HELP, Parser

Instruct = Callable[[Player, float | None, Answers | None, str | None], None]
"""Tell a language model how to answer: temperature, answers, advice."""

ELSEWHERE = {
    "seed": "the service deals its own cards",
    "capture": "nobody else knows how the service plays",
    "exploitability": "that is a match of its own, against a player of ours",
    "compare": "no two matches are on the same cards",
    "charts": "there is no report",
}
"""Options of other evaluations, and why they are none here."""


def service_of(argv: Sequence[str]) -> str | None:
    """The service that command-line arguments name as villain, None where it is none."""
    words = [part for word in argv for part in word.split("=", 1)]
    named = (
        value
        for option, value in itertools.pairwise(words)
        if option.startswith("--v") and "--villain".startswith(option) and value in SERVICES
    )
    return next(named, None)


def judge_against_service(argv: Sequence[str], command: str, instruct: Instruct) -> None:
    """Play hero against a service, go on where a match was stopped, and judge what was played."""
    arguments = _parser().parse_args(argv)
    for option, reason in ELSEWHERE.items():
        if getattr(arguments, option) is not None:
            raise UserError(f"--{option} doesn't go with --villain {arguments.villain}, as {reason}: leave it out")
    game = make_game(arguments.game or game_of([arguments.hero]))
    if game != DEFAULTS["holdem"]:
        raise UserError(
            f"{arguments.villain} plays {DEFAULTS['holdem']} alone, not {game}: leave --game out, or say so"
        )
    if arguments.hands < 1:
        raise UserError(f"--hands {arguments.hands}: play at least 1")
    service: Service = Slumbot() if arguments.villain == Slumbot.name else GTOWizard()
    tables = service.usual_tables if arguments.tables is None else arguments.tables
    if not 1 <= tables <= service.most_tables:
        raise UserError(f"--tables {tables}: {service.name} is asked for 1 to {service.most_tables} hands at once")
    folder = output_folder(arguments.output)
    hero = make_player(arguments.hero, game)
    instruct(hero, arguments.temperature, arguments.answers, arguments.advice)
    match = {
        "service": service.name,
        "url": service.web.url,
        "game": str(game),
        "hero": hero.name,
        "checkpoints": checkpoints(hero),
        "prompts": prompts(hero),
    }
    started = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("hands"))
    clock = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with closing(Journal(folder / FILE, match)) as journal:
        with Progress(*columns, *clock, console=Console(stderr=True)) as bar:
            over = sum(record.over for record in journal.hands.values())
            task = bar.add_task(
                f"{hero.name} against {service.name}", total=max(over, arguments.hands), completed=over
            )
            ServiceMatch(game, hero, service, journal, tables, lambda: bar.advance(task)).play(arguments.hands)
        evaluation = judge(game, hero, service, journal.hands)
    if evaluation is None:
        raise UserError(f"no hand of {folder} counts: see {FILE} there for what went wrong")
    Console().print(summary_table(evaluation), *summary_lines(evaluation), sep="\n")
    write_results(folder, evaluation, results(evaluation, service, command, time.monotonic() - started))


def _parser() -> Parser:
    parser = Parser(description=__doc__)
    parser.add_argument("--hero", required=True, help=f"the player to judge: {', '.join(PLAYER_SPECS)}")
    parser.add_argument("--villain", required=True, choices=SERVICES, help="the service")
    parser.add_argument("--game", help=GAME_HELP)
    parser.add_argument("--hands", type=int, default=2_000, help="of the match, those played before included")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="folder to save everything in; a match that is there already goes on",
    )
    parser.add_argument("--tables", type=int, help="hands at once (default: 1 of slumbot, 5 of gtowizard)")
    parser.add_argument("--temperature", type=float, help="of the language model that is hero")
    parser.add_argument("--answers", choices=get_args(Answers), help="of the language model that is hero")
    parser.add_argument("--advice", metavar="PARTS", help="what the language model that is hero is told")
    for option in ELSEWHERE:
        parser.add_argument(f"--{option}", help=argparse.SUPPRESS)
    return parser
