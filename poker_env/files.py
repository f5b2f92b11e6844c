"""Writing files so that nobody ever meets half of one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from poker_env.errors import UserError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write to a temporary name beside `path`, then rename. Raises `UserError` when the place can't be written."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise UserError(f"can't write {path}: {error.strerror}") from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Of the processes of a machine only one at a time comes past here; the lock ends with its process."""
    with path.open("w") as file:
        with contextlib.suppress(ImportError):  # where there is no such lock, they may do the same work twice
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
