"""Play against a model or a bot, in the terminal or in a browser.

    python recipes/play.py --against llm:runs/quickstart/best

    python recipes/play.py --against cfr --web

    python recipes/play.py --hero tag --against cfr --hands 3 --thoughts

The first sits you down in the terminal: a menu with numbers, `r 300` for any other size, `h` for help. The second
serves the same table to browsers at http://127.0.0.1:7860. The third lets you watch two players. Finished hands are
saved as JSON lines and PHH at once, in --output. docs/play.md tells more.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from poker_env.errors import UserError
from poker_env.files import output_folder
from poker_env.games import make_game
from poker_env.player_specs import PLAYER_SPECS, game_of, load_advisor, make_player
from recipes.cli import GAME_HELP, Parser, run
from recipes.frontends.sitting import SITTING, Sitting, tells_thoughts
from recipes.frontends.terminal import Ask, play_in_terminal, speak_plainly

HUMAN = "human"


def main(argv: Sequence[str] | None = None, ask: Ask = input) -> None:
    """Play as command-line arguments say; raises `UserError` for those that make no sense."""
    arguments = _parser().parse_args(sys.argv[1:] if argv is None else argv)
    if arguments.hands is not None and arguments.hands < 1:
        raise UserError(f"--hands {arguments.hands}: play at least 1, or leave it out to play as long as you like")
    if arguments.seed is not None and arguments.seed < 0:
        raise UserError(f"--seed {arguments.seed} must be 0 or above")
    if arguments.against == HUMAN:
        raise UserError("--against human: people play as hero, against a bot or a model")
    if arguments.web and arguments.hero != HUMAN:
        raise UserError(f"--web seats people: leave --hero {arguments.hero} out, or watch in the terminal")
    if arguments.web and arguments.hands is not None:
        raise UserError(
            f"--hands {arguments.hands}: a browser's visitors leave when they like, leave it out with --web"
        )
    game = make_game(arguments.game or game_of([arguments.against, arguments.hero]))
    folder = arguments.output or Path("runs") / f"play-{time.strftime('%Y%m%d-%H%M%S')}"
    if arguments.web:
        from recipes.frontends.web import Room, serve  # gradio takes seconds to import, and not everybody has it
    villain = make_player(arguments.against, game)
    hero = None if arguments.hero == HUMAN else make_player(arguments.hero, game)
    if arguments.thoughts and not tells_thoughts(villain):
        raise UserError(f"--thoughts: {villain.name} can't say how probable its actions were, leave it out")
    advisor = load_advisor(arguments.against, game) if arguments.advice else None
    output_folder(folder)
    taken = next((name for name in ("hands.jsonl", SITTING) if (folder / name).exists()), None)
    if taken is not None:
        raise UserError(f"{folder} holds hands already ({taken}): give another --output")
    if arguments.web:
        serve(Room(game, villain, arguments.seed, advisor, folder, arguments.thoughts), arguments.host, arguments.port)
        return
    seed = secrets.randbelow(10**9) if arguments.seed is None else arguments.seed
    sitting = Sitting(game, villain, seed, hero)
    play_in_terminal(
        sitting, Console(markup=False, highlight=False), ask, arguments.hands, folder, arguments.thoughts, advisor
    )


def _parser() -> Parser:
    parser = Parser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    specs = ", ".join(PLAYER_SPECS)
    parser.add_argument("--against", required=True, metavar="PLAYER", help=f"your opponent: {specs}")
    parser.add_argument("--hero", default=HUMAN, metavar="PLAYER", help="who plays it: human (default), or a player")
    parser.add_argument("--game", help=GAME_HELP)
    parser.add_argument("--seed", type=int, help="names the cards (default: new ones each time)")
    parser.add_argument("--hands", type=int, help="leave the table after so many (default: when you like)")
    parser.add_argument("--output", type=Path, help="folder for the hands (default: runs/play-DATE-TIME)")
    parser.add_argument("--thoughts", action="store_true", help="after each hand: how probable villain's actions were")
    parser.add_argument(
        "--advice", action="store_true", help="before each choice: equity, pot odds, how often it folds"
    )
    parser.add_argument("--web", action="store_true", help="serve the table to browsers (pip install '.[play]')")
    parser.add_argument("--host", default="127.0.0.1", help="with --web: the address to listen at (this machine only)")
    parser.add_argument("--port", type=int, default=7860, help="with --web: its port")
    return parser


if __name__ == "__main__":
    speak_plainly()
    run(main)
