"""Offer a player to others' programs, behind Slumbot's protocol.

    python recipes/serve.py --player cfr --port 8080

    python recipes/serve.py --player llm:runs/quickstart/final --seed 1 --hands-file runs/served.jsonl

Whoever has a client for slumbot.com plays it by changing the address to http://127.0.0.1:8080. Blinds are 50/100,
stacks 20,000 in every hand. docs/services.md tells more.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from poker_env.errors import UserError
from poker_env.games import DEFAULTS
from poker_env.hand import Hand
from poker_env.player_specs import PLAYER_SPECS, make_player
from poker_env.services.host import Host
from poker_env.services.server import Server
from recipes.cli import Parser, run


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until interrupted; raises `UserError` for arguments that make no sense."""
    arguments = _parser().parse_args(sys.argv[1:] if argv is None else argv)
    if arguments.seed is not None and arguments.seed < 0:
        raise UserError(f"--seed {arguments.seed} must be 0 or above")
    if not 0 <= arguments.port < 65_536:
        raise UserError(f"--port {arguments.port} is none: give 1 to 65535, or 0 for a free one")
    game = DEFAULTS["holdem"]
    player = make_player(arguments.player, game)
    seed = secrets.randbelow(10**9) if arguments.seed is None else arguments.seed
    keep = _HandsFile(arguments.hands_file).add if arguments.hands_file else None
    with Server(Host(game, player, seed, keep), arguments.host, arguments.port) as server:
        Console().print(f"{player.name} plays at {server.url} (seed {seed}); Ctrl-C ends it", soft_wrap=True)
        server.serve_forever()


class _HandsFile:
    """Finished hands, a line of JSON each, added to those that are there."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise UserError(f"can't write {path}: {error.strerror}") from error

    def add(self, hand: Hand) -> None:
        os.write(self._file, (hand.to_json() + "\n").encode())


def _parser() -> Parser:
    parser = Parser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--player", required=True, help=f"who plays: {', '.join(PLAYER_SPECS)}")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: this machine only)")
    parser.add_argument("--port", type=int, default=8080, help="its port (default: 8080; 0: a free one)")
    parser.add_argument("--seed", type=int, help="names the cards (default: new ones each time)")
    parser.add_argument("--hands-file", type=Path, help="where finished hands go, the client being hero")
    return parser


if __name__ == "__main__":
    run(main)
