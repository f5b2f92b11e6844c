"""Writing files and folders so that nobody ever meets half of one."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
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


def output_folder(path: Path) -> Path:
    """Make the folder a long run will write to; raises `UserError` now, not at the end, when it can't be written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise UserError(f"can't write to {path}: {error.strerror}") from error


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write to; it takes its name when all is written, and vanishes when anything stops that.

    Raises `UserError` when there is something at the name already, or it can't be written.
    """
    if folder.exists():
        raise UserError(f"{folder} exists already: name a new folder")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.rename(folder)
    except OSError as error:
        raise UserError(f"can't write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Of the processes of a machine only one at a time comes past here; the lock ends with its process."""
    with path.open("w") as file:
        hold(file.fileno(), wait=True)  # where there is no such lock, they may do the same work twice
        yield


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes that come past here out of a folder; the lock ends with its process at the latest.

    Raises `UserError` where another one is at work in it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            hold(handle)
        except BlockingIOError as error:
            raise UserError(f"another process is at work in {folder}: let it end, or name another folder") from error
        except OSError:  # of a file system that has no locks
            pass
        yield
    finally:
        os.close(handle)


def hold(file: int, *, wait: bool = False) -> None:
    """Take the lock of an open file or folder, which ends with its process; none where Python has no such lock.

    Raises `BlockingIOError` where another process has it, unless asked to `wait`, and other `OSError`s where there is
    none to be had.
    """
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
