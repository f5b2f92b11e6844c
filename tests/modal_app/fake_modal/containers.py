"""A container: Modal's own runtime in a process of its own namespaces, with only what the client uploaded."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from fake_modal.rpc import serve
from fake_modal.volumes import Checkout, Volume

PROJECT = Path(__file__).parents[3]
STATUS = api_pb2.GenericResult


NAMESPACES = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child")
MOUNTS = ("mount -t tmpfs tmpfs /mnt", "mount -t proc proc /proc")


def unavailable() -> str | None:
    """Why containers can't be had here, None when they can."""
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
        subprocess.run([*NAMESPACES, "sh", "-ec", "\n".join(MOUNTS)], capture_output=True, text=True, check=True)
    except OSError as error:
        return f"loopback or unshare can't be had here: {error}"
    except subprocess.CalledProcessError as error:
        return f"user namespaces are not allowed here: {error.stderr.strip()}"
    return None


class Container:
    """Runs one input. `result` is set as soon as its output is known, `gone` when its processes are."""

    def __init__(
        self,
        task_id: str,
        folder: Path,
        function_id: str,
        definition: api_pb2.Function,
        files: dict[str, bytes],
        volumes: dict[str, Volume],
        log: Callable[[str], None],
    ) -> None:
        """`files` are the uploaded ones by absolute path, `volumes` those there are by id."""
        self.task_id, self.function_id, self.definition = task_id, function_id, definition
        self.result: asyncio.Future[api_pb2.FunctionPutOutputsItem] = asyncio.get_running_loop().create_future()
        self.gone = asyncio.Event()
        self._cancelled = asyncio.Event()
        self._folder, self._log = folder, log
        self._process: asyncio.subprocess.Process | None = None
        self._input: api_pb2.FunctionGetInputsItem | None = None
        self._cancellable = ""
        for name, content in files.items():
            path = folder / "files" / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self._mounts = {mount.mount_path: mount for mount in definition.volume_mounts}
        self._checkouts = {
            mount.volume_id: Checkout(volumes[mount.volume_id], folder / "volumes" / mount.volume_id)
            for mount in definition.volume_mounts
        }

    @property
    def name(self) -> str:
        """Of the function it runs."""
        return self.definition.function_name

    def inside(self, path: str) -> Path:
        """Where a path on one of its volumes is on this machine, uncommitted files included."""
        for mount_path, mount in self._mounts.items():
            if path == mount_path or path.startswith(mount_path + "/"):
                return self._checkouts[mount.volume_id].folder / path.removeprefix(mount_path).lstrip("/")
        raise ValueError(f"{path} is on no volume of {self.name}")

    def committed(self, path: str) -> Path:
        """Where the committed file of a path on one of its volumes is."""
        for mount_path, mount in self._mounts.items():
            if path == mount_path or path.startswith(mount_path + "/"):
                return self._checkouts[mount.volume_id].volume.folder / path.removeprefix(mount_path).lstrip("/")
        raise ValueError(f"{path} is on no volume of {self.name}")

    async def run(
        self, given: api_pb2.FunctionGetInputsItem, arguments: api_pb2.ContainerArguments, environment: dict[str, str]
    ) -> None:
        """Start, run the input and wait for the end."""
        self._input, self._cancellable = given, given.input_id
        server, url = await serve(self)
        arguments_path = self._folder / "arguments"
        arguments_path.write_bytes(arguments.SerializeToString())
        binaries = Path(sys.executable).parent
        self._process = await asyncio.create_subprocess_exec(
            *NAMESPACES,
            *("sh", "-ec", self._script()),
            env={
                "PATH": f"{binaries}:/usr/local/bin:/usr/bin:/bin",
                "LANG": "C.UTF-8",
                "HOME": "/root",
                "PYTHONPATH": "/root",
                "PYTHONDONTWRITEBYTECODE": "1",
                "OMP_NUM_THREADS": "1",
                "OMP_WAIT_POLICY": "PASSIVE",
                "MODAL_IS_REMOTE": "1",
                "MODAL_SERVER_URL": url,
                "MODAL_TASK_ID": self.task_id,
                "MODAL_CONTAINER_ARGUMENTS_PATH": str(arguments_path),
                "MODAL_CONFIG_PATH": "/dev/null",
                **environment,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                self._log(line.decode(errors="replace"))
            await self._process.wait()
        finally:
            self.kill()
            server.close()
            self.gone.set()

    def interrupt(self) -> None:
        """What a preempted container gets: SIGINT to its main process."""
        for child in self._children(self._process.pid if self._process else 0):
            os.kill(child, signal.SIGINT)

    def cancel(self) -> None:
        """Have the worker say that the call is cancelled; from any thread."""
        self.result.get_loop().call_soon_threadsafe(self._cancelled.set)

    def kill(self) -> None:
        """SIGKILL to all of it: the first process of a pid namespace takes the others along."""
        if self._process is not None and self._process.returncode is None:
            for process in self._children(self._process.pid) or [self._process.pid]:  # it may have none yet
                os.kill(process, signal.SIGKILL)

    def trainer(self) -> int:
        """The process that trains, 0 when there is none: a child of `accelerate launch`, not that itself."""
        unseen = [self._process.pid if self._process else 0]
        while unseen:
            unseen += (children := self._children(unseen.pop()))
            for pid in children:
                try:
                    command = Path(f"/proc/{pid}/cmdline").read_text()
                except OSError:  # it has just ended
                    continue
                if "recipes/train.py" in command and "accelerate" not in command:
                    return pid
        return 0

    @staticmethod
    def _children(pid: int) -> list[int]:
        try:
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:
            return []

    def _script(self) -> str:
        """Mounts the volumes, puts uploaded files where they belong, hides the project, then becomes the runtime."""
        lines = list(MOUNTS)
        for path, mount in self._mounts.items():
            place = shlex.quote(path)
            lines += [f"mkdir -p {place}", f"mount --bind {self._checkouts[mount.volume_id].folder} {place}"]
            if mount.read_only:
                lines.append(f"mount -o remount,bind,ro {place}")
        stage = self._folder / "interpreter"
        stage.mkdir()
        environment = Path(sys.prefix)
        distribution = Path(str(importlib.metadata.distribution("exploitative-poker").locate_file("")))
        empty = self._folder / "empty"
        empty.touch()
        for path in sorted(distribution.glob("__editable__*exploitative_poker*.pth")):
            lines.append(f"mount --bind {empty} {path}")
        if environment.is_relative_to(PROJECT):
            lines += [f"mount --rbind {environment} {stage}", f"mount -t tmpfs tmpfs {PROJECT}"]
            lines += [f"mkdir -p {environment}", f"mount --rbind {stage} {environment}"]
        home = self._folder / "files" / "root"
        home.mkdir(parents=True, exist_ok=True)
        base = Path(sys.base_prefix)
        if base.is_relative_to("/root"):
            inner = home / base.relative_to("/root")
            inner.mkdir(parents=True, exist_ok=True)
            lines.append(f"mount --rbind {base} {inner}")
        lines += [f"mount --rbind {home} /root", "cd /root", f"exec {sys.executable} -m modal._container_entrypoint"]
        return "\n".join(lines)

    # What the runtime asks its worker

    async def ContainerHello(self, request: Empty) -> Empty:
        return Empty()

    async def ContainerHeartbeat(
        self, request: api_pb2.ContainerHeartbeatRequest
    ) -> api_pb2.ContainerHeartbeatResponse:
        try:
            await asyncio.wait_for(self._cancelled.wait(), timeout=10)
        except TimeoutError:
            return api_pb2.ContainerHeartbeatResponse()
        self._cancelled.clear()
        event = api_pb2.CancelInputEvent(input_ids=[self._cancellable])
        return api_pb2.ContainerHeartbeatResponse(cancel_input_event=event)

    async def FunctionGetInputs(self, request: api_pb2.FunctionGetInputsRequest) -> api_pb2.FunctionGetInputsResponse:
        given, self._input = self._input, None
        item = api_pb2.FunctionGetInputsItem(kill_switch=True) if given is None else given
        return api_pb2.FunctionGetInputsResponse(inputs=[item])

    async def FunctionPutOutputs(self, request: api_pb2.FunctionPutOutputsRequest) -> Empty:
        self.result.set_result(request.outputs[0])
        return Empty()

    async def TaskResult(self, request: api_pb2.TaskResultRequest) -> Empty:
        self.result.set_result(api_pb2.FunctionPutOutputsItem(result=request.result))
        return Empty()

    async def VolumeCommit(self, request: api_pb2.VolumeCommitRequest) -> api_pb2.VolumeCommitResponse:
        self._checkouts[request.volume_id].commit()
        return api_pb2.VolumeCommitResponse(skip_reload=True)

    async def VolumeReload(self, request: api_pb2.VolumeReloadRequest) -> Empty:
        self._checkouts[request.volume_id].reload()
        return Empty()
