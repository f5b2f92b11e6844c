"""Measurements in processes of their own: what one takes, another doesn't have in its memory or its caches."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from poker_env.errors import UserError
from recipes.studies.speed.probe import megabytes

T = TypeVar("T")

ONE_CORE = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""Set where the environment doesn't say otherwise: seconds of processor time then are those of one core."""


def in_child(work: Callable[..., T], *arguments: Any) -> T:
    """What `work` returns in a new process; exceptions are raised here."""
    for name, value in ONE_CORE.items():
        os.environ.setdefault(name, value)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


@dataclass(frozen=True)
class Usage:
    """What a command took."""

    processor_seconds: float
    peak_mb: float


def run_command(command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> Usage:
    """Run a command in a folder, what it prints going to `log`.

    Raises `UserError` with its last line when it fails.
    """
    variables = {**ONE_CORE, **os.environ, **environment}
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=output, stderr=subprocess.STDOUT)
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] or ["it said nothing"]
        complaint = next((line.removeprefix("error: ") for line in said if line.startswith("error: ")), said[-1])
        raise UserError(complaint)
    return Usage(used.ru_utime + used.ru_stime, megabytes(used.ru_maxrss))
