"""What the scripts share: one clear line and exit code 2 for what a user got wrong."""

from __future__ import annotations

import argparse
import atexit
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from poker_env.errors import UserError

PATIENCE = 5.0
"""Seconds until a process says what may be another one's doing. When that one ends, the launcher ends this one."""

GAME_HELP = (
    "kuhn, leduc or holdem[:stack=…,small_blind=…,big_blind=…]; where none is named, what a trained adapter among the "
    "players was trained on, else holdem"
)
"""Of `--game` where `poker_env.player_specs.game_of` says what is meant without it."""


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults beside the options, and the lines of a script's docstring, commands among them, as they are."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are `UserError`s, and whose help shows the defaults."""

    def __init__(self, description: str | None) -> None:
        super().__init__(description=description, formatter_class=_Help)

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        """As any parser's, with the home folder in the place of a path's `~`."""
        given, rest = super().parse_known_args(*args, **kwargs)
        for name, value in vars(given).items():
            if isinstance(value, Path):
                setattr(given, name, value.expanduser())
            elif isinstance(value, list):
                setattr(given, name, [each.expanduser() if isinstance(each, Path) else each for each in value])
        return given, rest

    def error(self, message: str) -> NoReturn:
        """Raise the complaint as a `UserError`."""
        raise UserError(f"{message} (see --help)")


def choose_command(
    commands: Mapping[str, Callable[[Sequence[str]], None]], argv: Sequence[str] | None, description: str | None
) -> None:
    """Run the one of a script's commands that comes first, with what comes after it.

    Raises `UserError` where none of them does.
    """
    command, *given = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if command in commands:
        commands[command](given)
        return
    parser = Parser(description)
    parser.add_argument("command", choices=commands, help="the rest depends on it: see COMMAND --help")
    parser.parse_args([command])


def bucket_counts(text: str) -> tuple[int, int, int]:
    """`1024` or `800,550,450`: buckets on the flop, turn and river. Raises `ArgumentTypeError` for anything else."""
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if len(counts) not in (1, 3) or min(counts) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give one number above 0, or three for flop, turn and river")
    flop, turn, river = counts * (3 // len(counts))
    return flop, turn, river


def listen(host: str, port: int) -> tuple[socket.socket, str]:
    """A socket that listens there, and its URL; port 0 is any free one. Raises `UserError` when it can't be had."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()
    except (OSError, OverflowError, TypeError, ValueError) as error:
        listening.close()
        raise UserError(f"can't listen at {host}, port {port} ({error}): give another --port, or --host") from error
    return listening, f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"


def run(main: Callable[[], None]) -> NoReturn:
    """Run a script's `main` and exit: 0, 2 after the one line of a `UserError`, 130 after Ctrl-C, 141 unread.

    Of several processes the main one says what is wrong. Another one does where it alone met it.
    Any other exception is raised.
    """
    process, processes = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
    if process > 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # even where it waits for the others, and without a word
    try:
        main()
    except UserError as error:
        if process > 0:
            time.sleep(PATIENCE)  # what ends the main process ends this one, too
        said = f"error in process {process}:" if process > 0 else "error:"
        print(said, *str(error).splitlines(), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # who reads what is printed has seen enough, say `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit would complain
        sys.exit(141)
    except Exception:
        if processes > 1:  # it may be that another process, which has said why, is gone
            time.sleep(PATIENCE)
        raise
    if processes > 1:
        _leave()
    sys.exit(0)


def _leave() -> NoReturn:
    """Exit without taking the interpreter apart, as one process of several.

    A thread of the group may still hold the last tensor that was sent. It needs the interpreter to give it back, and
    aborts the process, whose work is done, where that is going away.
    """
    atexit._run_exitfuncs()  # trackers finish their runs there
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
