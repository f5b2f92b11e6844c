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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psutil

from modal_app.common import ROOT
from poker_env.errors import first_line

GRACE = 15.0
"""Seconds a recipe has to stop by itself: less than the half minute that a preempted container is said to have."""

ENDS = (signal.SIGINT, signal.SIGUSR1)
"""How Modal's runtime hears that a container is preempted or stopped, and that a call is cancelled: it raises
KeyboardInterrupt and `modal.exception.InputCancellation` in the main thread."""


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
    how = ["--mixed_precision", "no", "--dynamo_backend", "no"]  # the recipe chooses by the GPU, which counts
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

    After `seconds` it is stopped: SIGTERM to all its processes, SIGKILL to those that are there after `GRACE`. So it
    is by whatever is raised here, as in a container that is to end; that is raised again when all is kept.
    """
    last, ended, stopped = saved(), threading.Event(), False
    tail: collections.deque[str] = collections.deque(maxlen=200)
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # what interrupts this process is no business of the recipe's
    )

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
    try:
        watcher.start()
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            tail.append(line.rstrip())
        process.wait()
    finally:  # also when this process is to end
        with undisturbed():
            _stop(process)
            ended.set()
            watcher.join()
            keep()
    error = _user_error(tail) if process.returncode and not stopped else ""
    return Outcome(process.returncode, error, stopped)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """What is done in it isn't broken off by a second call to end, which may come while the first is obeyed."""
    if threading.current_thread() is not threading.main_thread():  # signals only reach that one
        yield
        return
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in ENDS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _stop(process: subprocess.Popen[str]) -> None:
    """End it with all its processes, by force if that takes too long.

    Those of several GPUs have sessions of their own, which no signal to the recipe's process group reaches.
    """
    group = [one for one in psutil.process_iter() if _session(one) == process.pid]  # its launcher may be gone
    others = {child for one in group for child in _children(one)}.difference(group)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        for one in others:
            with contextlib.suppress(psutil.Error):
                one.send_signal(number)
        limit = time.monotonic() + GRACE
        while process.poll() is None or any(map(_runs, (*group, *others))):
            if time.monotonic() > limit:
                break
            time.sleep(0.02)
        else:
            return


def _session(process: psutil.Process) -> int:
    try:
        return os.getsid(process.pid)
    except OSError:
        return 0


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _runs(process: psutil.Process) -> bool:
    """Whether it does; one that has ended stays as a zombie where nobody waits for it."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _user_error(tail: Sequence[str]) -> str:
    """What trying again wouldn't change; empty for a crash."""
    if any("CUDA out of memory" in line for line in tail):
        return "the GPU ran out of memory: choose a larger --gpu, or set gradient_checkpointing: true in the --config"
    for line in reversed(tail):  # `accelerate launch` turns the recipes' exit code 2 into 1
        if line.startswith("error: "):
            return line.removeprefix("error: ")
        if line.startswith("Traceback"):
            break
    return ""
