"""Running a recipe as a process of its own, and keeping what it has saved when it ends or is ended."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modal_app.common import ROOT
from poker_env.errors import first_line

GRACE = 15.0
"""Seconds a recipe has to stop by itself: less than the half minute that a preempted container is said to have."""


@dataclass(frozen=True)
class Outcome:
    """How a recipe ended."""

    code: int
    error: str = ""
    """The user's error it ended with, in one line."""
    stopped: bool = False
    """Whether it was stopped because its time was up."""

    @property
    def crashed(self) -> bool:
        """Whether trying again may help."""
        return bool(self.code) and not self.error and not self.stopped

    def user_error(self) -> str:
        """Its error, empty when there is none. Raises when it crashed, so that Modal tries again."""
        if self.crashed:
            raise RuntimeError(f"the recipe ended with exit code {self.code}, see its last lines")
        return self.error


def python(script: str, *arguments: str) -> list[str]:
    """The command of a recipe."""
    return [sys.executable, str(ROOT / "recipes" / script), *arguments]


def accelerate(processes: int, script: str, *arguments: str) -> list[str]:
    """The command of a recipe on all GPUs of this machine, as `make train` has it on one."""
    launch = ["-m", "accelerate.commands.launch", "--quiet", "--num_processes", str(processes), "--num_machines", "1"]
    several = ["--multi_gpu"] if processes > 1 else []
    how = ["--mixed_precision", "no", "--dynamo_backend", "no"]  # the recipe itself chooses bfloat16
    return [sys.executable, *launch, *several, *how, *python(script, *arguments)[1:]]


def gpus_here() -> list[str]:
    """What `nvidia-smi` calls this machine's GPUs."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []


def supervise(
    command: Sequence[str],
    saved: Callable[[], object],
    keep: Callable[[], None],
    seconds: float | None = None,
    every: float = 1.0,
) -> Outcome:
    """Run a command and echo what it prints; call `keep` whenever what `saved` returns has changed, and at the end.

    After `seconds` it is stopped. A KeyboardInterrupt, which is how a container hears of its end, stops it, too, and
    is raised again when all is kept.
    """
    last = saved()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that all its processes can be stopped together
    )
    ended, stopped = threading.Event(), False

    def watch() -> None:
        nonlocal last, stopped
        end = None if seconds is None else time.monotonic() + seconds
        while not ended.wait(every):
            if end is not None and time.monotonic() > end:
                stopped, end = True, None
                _stop(process)
            if (now := saved()) != last:
                try:
                    keep()
                    last = now
                except Exception as error:  # the network's, say: tried again at the next look
                    print(f"not kept yet: {first_line(error)}", flush=True)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    tail: collections.deque[str] = collections.deque(maxlen=200)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
            tail.append(line.rstrip())
        code = process.wait()
    finally:  # also when this process is to end
        _stop(process)
        ended.set()
        watcher.join()
        keep()
    error = _user_error(tail) if code and not stopped else ""
    return Outcome(code, error, stopped)


def _stop(process: subprocess.Popen[str]) -> None:
    """End it with all its processes, by force if it takes too long."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, how)
            process.wait(GRACE)


def _user_error(tail: Sequence[str]) -> str:
    """What trying again wouldn't change; empty for a crash."""
    if any("CUDA out of memory" in line for line in tail):
        return (
            "the GPU ran out of memory: lower per_device_train_batch_size or episodes_per_epoch in the --config, "
            "or choose a larger --gpu"
        )
    for line in reversed(tail):  # `accelerate launch` turns the recipes' exit code 2 into 1
        if line.startswith("error: "):
            return line.removeprefix("error: ")
        if line.startswith("Traceback"):
            break
    return ""
