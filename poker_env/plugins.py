"""What others bring: found by an entry point's name, or as `package.module:name`; and what it did when it failed."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from typing import Any

from poker_env.errors import UserError, first_line


@dataclass(frozen=True)
class Offer:
    """Something that can be asked for by a short name. It is not imported yet."""

    name: str
    source: str
    """The package it comes with, and its version."""
    path: str
    """As `package.module:name`."""


def offers(group: str, built_in: Iterable[str]) -> list[Offer]:
    """What installed packages offer under a group of entry points.

    A name that is taken (by one of `built_in`, or by two packages) is given up for the dotted path.
    """
    points = sorted(entry_points(group=group), key=lambda point: (point.name, point.value))
    taken = Counter([*built_in, *(point.name for point in points)])
    return [
        Offer(point.name if taken[point.name] == 1 else point.value, _package(point), point.value) for point in points
    ]


def import_callable(path: str, what: str) -> Any:
    """What can be called at `package.module:name`, of modules in the current directory too.

    Raises `UserError`, which calls it `what`, when it can't be imported or called.
    """
    module_name, _, name = path.partition(":")
    _look_here_too()
    try:
        found = attrgetter(name)(importlib.import_module(module_name))
    except (Exception, SystemExit) as error:  # the module is the user's own: its import may raise anything
        raise UserError(f"can't load {what} {path!r}: {failure(error)}") from error
    if not callable(found):
        raise UserError(f"can't load {what} {path!r}: {name} is not a function or class")
    return found


def is_module(name: str) -> bool:
    """Whether there is a module of that name, in the current directory too."""
    _look_here_too()
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # a package that isn't there, or no name at all
        return False


def _look_here_too() -> None:
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def failure(error: BaseException) -> str:
    """What went wrong in somebody else's code, in one line."""
    return f"{type(error).__name__}: {first_line(error)}"


def line_of(error: BaseException) -> str:
    """The line that raised, as `at bots.py, line 12`."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"at {Path(frame.filename).name}, line {frame.lineno}"


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an installed package"
