"""The fake as tests use it: a server in a thread, and the `modal` command line talking to it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from fake_modal.blocks import Blocks
from fake_modal.containers import PROJECT
from fake_modal.rpc import serve
from fake_modal.server import Attempt, ControlPlane
from fake_modal.volumes import VolumeRPCs

T = TypeVar("T")


class Cloud:
    """Make one with `running_cloud`."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self.blocks = Blocks()
        self._volumes = VolumeRPCs(folder / "volumes", self.blocks)
        self.control = ControlPlane(folder / "containers", self.blocks, self._volumes)
        self.url = ""

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something on the server's thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def volume(self, name: str) -> Path:
        """The committed files of a volume."""
        return self._volumes.named(name).folder

    @property
    def attempts(self) -> list[Attempt]:
        """All containers that were started."""
        return self.control.attempts

    def popen(self, *arguments: str, module: str = "modal", cwd: Path = PROJECT) -> subprocess.Popen[str]:
        """Start `modal ARGUMENTS`, or another module that talks to Modal."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MODAL_")}
        environment |= {
            "MODAL_SERVER_URL": self.url,
            "MODAL_TOKEN_ID": "ak-fake",
            "MODAL_TOKEN_SECRET": "as-fake",
            "MODAL_CONFIG_PATH": "/dev/null",
            "MODAL_BUILD_VALIDATION": "ignore",  # else it is an error to edit a file while tests run
            "COLUMNS": "200",
        }
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def modal(self, *arguments: str, code: int = 0, module: str = "modal", cwd: Path = PROJECT) -> str:
        """Run `modal ARGUMENTS`, or another module, expect its exit code, and return what it printed."""
        process = self.popen(*arguments, module=module, cwd=cwd)
        output, _ = process.communicate(timeout=600)
        assert process.returncode == code, f"{module} {' '.join(arguments)} ended with {process.returncode}:\n{output}"
        return output

    @staticmethod
    def wait_for(condition: Callable[[], T], seconds: float = 300, every: float = 0.005) -> T:
        """Wait until something is true, and return it."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, "waited too long"
            time.sleep(every)
        return found

    async def _start(self) -> None:
        await self.blocks.start()
        self._server, self.url = await serve(self.control, self._volumes, self.blocks)

    async def _stop(self) -> None:
        await self.control.stop()
        self._server.close()
        await self.blocks.stop()


@contextmanager
def running_cloud(folder: Path) -> Iterator[Cloud]:
    """A cloud that keeps its files in a folder."""
    cloud = Cloud(folder)
    thread = threading.Thread(target=cloud._loop.run_forever, daemon=True)
    thread.start()
    try:
        cloud.call(cloud._start())
        yield cloud
    finally:
        cloud.call(cloud._stop())
        cloud._loop.call_soon_threadsafe(cloud._loop.stop)
        thread.join()
