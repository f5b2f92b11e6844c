"""The one error type meant for users, and what they are told beside a program's output."""

from __future__ import annotations

import functools
import os
import sys


class UserError(Exception):
    """What a user asked for can't be done.

    The message is one line: what is wrong, with the value, and what to do. The recipes print it without a traceback
    and exit with code 2.
    """


def first_line(error: BaseException) -> str:
    """What another library's exception says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@functools.cache
def note(line: str) -> None:
    """Tell a user something in one line, once; of several processes, the first one does."""
    if os.environ.get("RANK", "0") == "0":
        print(f"note: {line}", file=sys.stderr, flush=True)
