"""The control plane: apps, uploads, images, secrets, functions and their calls."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import shlex
from pathlib import Path
from typing import Literal

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2

from fake_modal.blocks import Blocks
from fake_modal.containers import Container
from fake_modal.volumes import VolumeRPCs

STATUS = api_pb2.GenericResult
ENDS = {STATUS.GENERIC_STATUS_SUCCESS: "ok", STATUS.GENERIC_STATUS_TERMINATED: "cancelled"}  # not tried again
BUILDER_VERSION = "2025.06"


@dataclasses.dataclass
class App:
    """An app and what its containers print."""

    id: str
    detached: bool
    lines: list[str] = dataclasses.field(default_factory=list)
    done: bool = False
    changed: asyncio.Condition = dataclasses.field(default_factory=asyncio.Condition)
    function_ids: dict[str, str] = dataclasses.field(default_factory=dict)

    async def notify(self) -> None:
        """Wake whoever waits for logs."""
        async with self.changed:
            self.changed.notify_all()


@dataclasses.dataclass
class Function:
    """A function as the client created it, or a variant of it."""

    id: str
    app: App
    definition: api_pb2.Function
    gpus: list[str]


@dataclasses.dataclass
class Attempt:
    """A container that ran a call's input, and how that ended."""

    function: Function
    container: Container
    ended: Literal["", "ok", "failed", "died", "timeout", "preempted", "cancelled"] = ""


@dataclasses.dataclass
class Call:
    """A call of a function."""

    id: str
    function: Function
    given: api_pb2.FunctionInput
    output: asyncio.Future[api_pb2.FunctionPutOutputsItem]
    task_id: str = ""


class ControlPlane:
    """Everything in memory; containers and volumes under `folder`."""

    def __init__(self, folder: Path, blocks: Blocks, volumes: VolumeRPCs) -> None:
        self.apps: dict[str, App] = {}
        self.functions: dict[str, Function] = {}
        self.attempts: list[Attempt] = []
        self.images: dict[str, api_pb2.Image] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.rates: dict[str, str] = {}
        self._folder, self._blocks, self._volumes = folder, blocks, volumes
        self._mounts: dict[str, dict[str, str]] = {}
        self._calls: dict[str, Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Kill all containers."""
        for attempt in self.attempts:
            attempt.container.kill()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Apps

    async def EnvironmentGetOrCreate(self, request) -> api_pb2.EnvironmentGetOrCreateResponse:
        settings = api_pb2.EnvironmentSettings(image_builder_version=BUILDER_VERSION)
        return api_pb2.EnvironmentGetOrCreateResponse(
            environment_id="en-0", metadata=api_pb2.EnvironmentMetadata(name="main", settings=settings)
        )

    async def AppCreate(self, request: api_pb2.AppCreateRequest) -> api_pb2.AppCreateResponse:
        app = App(f"ap-{len(self.apps)}", detached=request.app_state == api_pb2.APP_STATE_DETACHED)
        self.apps[app.id] = app
        return api_pb2.AppCreateResponse(app_id=app.id, app_page_url=f"https://modal.example/{app.id}")

    async def AppHeartbeat(self, request) -> Empty:
        return Empty()

    async def AppGetByDeploymentName(self, request) -> api_pb2.AppGetByDeploymentNameResponse:
        return api_pb2.AppGetByDeploymentNameResponse()  # every deployment is a new one

    async def AppPublish(self, request) -> api_pb2.AppPublishResponse:
        return api_pb2.AppPublishResponse()

    async def AppClientDisconnect(self, request: api_pb2.AppClientDisconnectRequest) -> Empty:
        app = self.apps[request.app_id]
        if not app.detached:
            running = [attempt.container for attempt in self.attempts if attempt.function.app is app]
            for container in running:
                container.interrupt()
            await asyncio.gather(*(container.gone.wait() for container in running))
        app.done = True
        await app.notify()
        return Empty()

    async def AppGetLogs(self, request: api_pb2.AppGetLogsRequest):
        app = self.apps[request.app_id]
        sent = int(request.last_entry_id or 0)
        while sent < len(app.lines) or not app.done:
            for line in app.lines[sent:]:
                sent += 1
                log = api_pb2.TaskLogs(data=line, file_descriptor=api_pb2.FILE_DESCRIPTOR_STDOUT)
                yield api_pb2.TaskLogsBatch(entry_id=str(sent), items=[log])
            async with app.changed:
                if sent == len(app.lines) and not app.done:
                    await app.changed.wait()
        yield api_pb2.TaskLogsBatch(app_done=True)

    # Uploads, images, secrets

    async def MountBatchedCheckExistence(self, request) -> api_pb2.MountBatchedCheckExistenceResponse:
        missing = [key for key in request.sha256_hex_hashes if key not in self._blocks.content]
        return api_pb2.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=missing)

    async def MountPutFile(self, request: api_pb2.MountPutFileRequest) -> api_pb2.MountPutFileResponse:
        if request.WhichOneof("data_oneof") == "data":
            self._blocks.content[request.sha256_hex] = request.data
        return api_pb2.MountPutFileResponse(exists=request.sha256_hex in self._blocks.content)

    async def MountGetOrCreate(self, request: api_pb2.MountGetOrCreateRequest) -> api_pb2.MountGetOrCreateResponse:
        mount_id = f"mo-{len(self._mounts)}"
        self._mounts[mount_id] = {file.filename: file.sha256_hex for file in request.files}
        return api_pb2.MountGetOrCreateResponse(mount_id=mount_id)

    async def ImageGetOrCreate(self, request: api_pb2.ImageGetOrCreateRequest) -> api_pb2.ImageGetOrCreateResponse:
        digest = hashlib.sha256(request.image.SerializeToString(deterministic=True)).hexdigest()
        image_id = f"im-{digest[:12]}"
        self.images[image_id] = request.image
        return api_pb2.ImageGetOrCreateResponse(
            image_id=image_id,
            result=STATUS(status=STATUS.GENERIC_STATUS_SUCCESS),
            metadata=api_pb2.ImageMetadata(image_builder_version=BUILDER_VERSION),
        )

    def dockerfile(self, image_id: str) -> list[str]:
        """The commands of an image, from its base on."""
        image = self.images[image_id]
        base = [line for base in image.base_images for line in self.dockerfile(base.image_id)]
        return [*base, *image.dockerfile_commands]

    async def SecretGetOrCreate(self, request: api_pb2.SecretGetOrCreateRequest) -> api_pb2.SecretGetOrCreateResponse:
        name = request.deployment_name
        if not name:
            name = f"unnamed{len(self.secrets)}"
            self.secrets[name] = dict(request.env_dict)
        if name not in self.secrets:
            raise GRPCError(Status.NOT_FOUND, f"Secret '{name}' not found in environment 'main'")
        missing = set(request.required_keys) - self.secrets[name].keys()
        if missing:
            raise GRPCError(Status.INVALID_ARGUMENT, f"Secret '{name}' is missing keys: {', '.join(sorted(missing))}")
        secret_id = f"st-{list(self.secrets).index(name)}"
        return api_pb2.SecretGetOrCreateResponse(secret_id=secret_id, metadata=api_pb2.SecretMetadata(name=name))

    async def WorkspaceNameLookup(self, request) -> api_pb2.WorkspaceNameLookupResponse:
        return api_pb2.WorkspaceNameLookupResponse(workspace_name="fake", username="nobody")

    async def WorkspaceBillingRates(self, request) -> api_pb2.WorkspaceBillingRatesResponse:
        if not self.rates:
            raise GRPCError(Status.PERMISSION_DENIED, "no billing rates for you")
        return api_pb2.WorkspaceBillingRatesResponse(rates=self.rates)

    # Functions

    async def FunctionPrecreate(self, request: api_pb2.FunctionPrecreateRequest) -> api_pb2.FunctionPrecreateResponse:
        app = self.apps[request.app_id]
        function_id = app.function_ids.setdefault(request.function_name, f"fu-{app.id[3:]}x{request.function_name}")
        metadata = api_pb2.FunctionHandleMetadata(
            function_name=request.function_name,
            function_type=request.function_type,
            function_schema=request.function_schema,
            supported_input_formats=request.supported_input_formats,
            supported_output_formats=request.supported_output_formats,
            definition_id=f"de-{function_id[3:]}",
            app_id=app.id,
        )
        return api_pb2.FunctionPrecreateResponse(function_id=function_id, handle_metadata=metadata)

    async def FunctionCreate(self, request: api_pb2.FunctionCreateRequest) -> api_pb2.FunctionCreateResponse:
        data = request.function_data
        if not data.ranked_functions:
            data = api_pb2.FunctionData(function_name=request.function.function_name)
            data.ranked_functions.add(function=request.function)
        definition = data.ranked_functions[0].function
        app = self.apps[request.app_id]
        function_id = app.function_ids[definition.function_name]
        gpus = [_gpu(ranked.function.resources) for ranked in data.ranked_functions]
        self.functions[function_id] = Function(function_id, app, definition, [gpu for gpu in gpus if gpu])
        return api_pb2.FunctionCreateResponse(
            function_id=function_id,
            function=definition,
            function_data=data,
            handle_metadata=_handle(function_id, app, definition),
        )

    async def FunctionBindParams(
        self, request: api_pb2.FunctionBindParamsRequest
    ) -> api_pb2.FunctionBindParamsResponse:
        base, options = self.functions[request.function_id], request.function_options
        definition = api_pb2.Function()
        definition.CopyFrom(base.definition)
        gpus = base.gpus
        if options.HasField("resources"):
            definition.resources.MergeFrom(options.resources)
            gpus = [_gpu(options.resources)] if _gpu(options.resources) else gpus
        if options.HasField("timeout_secs"):
            definition.timeout_secs = options.timeout_secs
        if options.HasField("retry_policy"):
            definition.retry_policy.CopyFrom(options.retry_policy)
        if options.replace_secret_ids:
            definition.secret_ids[:] = options.secret_ids
        function = Function(f"{base.id}x{len(self.functions)}", base.app, definition, gpus)
        self.functions[function.id] = function
        return api_pb2.FunctionBindParamsResponse(
            bound_function_id=function.id, handle_metadata=_handle(function.id, base.app, definition)
        )

    async def FunctionMap(self, request: api_pb2.FunctionMapRequest) -> api_pb2.FunctionMapResponse:
        call_id = f"fc-{len(self._calls)}"
        output = asyncio.get_running_loop().create_future()
        call = Call(call_id, self.functions[request.function_id], request.pipelined_inputs[0].input, output)
        self._calls[call_id] = call
        task = asyncio.create_task(self._run(call))
        self._tasks.add(task)
        return api_pb2.FunctionMapResponse(
            function_call_id=call_id,
            pipelined_inputs=[api_pb2.FunctionPutInputsResponseItem(idx=0, input_id=f"in-{call_id[3:]}")],
            retry_policy=call.function.definition.retry_policy,
            sync_client_retries_enabled=False,  # the server does them, for remote() and spawn() alike
        )

    async def FunctionGetOutputs(self, request) -> api_pb2.FunctionGetOutputsResponse:
        call = self._calls[request.function_call_id]
        await asyncio.wait([call.output], timeout=request.timeout)
        if not call.output.done():
            return api_pb2.FunctionGetOutputsResponse(num_unfinished_inputs=1)
        found = call.output.result()
        item = api_pb2.FunctionGetOutputsItem(
            result=found.result,
            idx=0,
            input_id=f"in-{call.id[3:]}",
            data_format=found.data_format,
            task_id=call.task_id,
        )
        return api_pb2.FunctionGetOutputsResponse(idxs=[0], outputs=[item], num_unfinished_inputs=0)

    # Running them

    async def _run(self, call: Call) -> None:
        """Attempts until one succeeds or the retries are used up; a preempted one doesn't count."""
        failures = 0
        while True:
            attempt = await self._attempt(call, failures)
            item = attempt.container.result.result() if attempt.container.result.done() else _lost(attempt.ended)
            failures += attempt.ended != "preempted"
            if attempt.ended in ENDS.values() or failures > call.function.definition.retry_policy.retries:
                call.task_id = attempt.container.task_id
                call.output.set_result(item)
                return

    async def _attempt(self, call: Call, retry_count: int) -> Attempt:
        function, number = call.function, len(self.attempts)
        app, definition = function.app, function.definition

        def log(line: str) -> None:
            app.lines.append(line)
            task = asyncio.create_task(app.notify())
            self._tasks.add(task)

        container = Container(
            f"ta-{number}",
            self._folder / f"ta-{number}",
            function.id,
            definition,
            self.uploaded(definition),
            self._volumes.volumes,
            log,
        )
        attempt = Attempt(function, container)
        self.attempts.append(attempt)
        given = api_pb2.FunctionGetInputsItem(
            input_id=f"in-{call.id[3:]}", input=call.given, function_call_id=call.id, retry_count=retry_count
        )
        running = asyncio.create_task(container.run(given, self._arguments(container), self._environment(definition)))
        self._tasks.add(running)
        await asyncio.wait(
            [running, container.result], timeout=definition.timeout_secs, return_when=asyncio.FIRST_COMPLETED
        )
        if container.result.done():
            attempt.ended = ENDS.get(container.result.result().result.status, "failed")
            if attempt.ended == "ok":  # the caller knows at once; the container's last commit comes after
                call.task_id = container.task_id
        elif not running.done():
            self.time_out(attempt)
        await running
        attempt.ended = attempt.ended or "died"
        return attempt

    def uploaded(self, definition: api_pb2.Function) -> dict[str, bytes]:
        """The files that a function's containers get, by absolute path."""
        mounts = [self._mounts[mount_id] for mount_id in definition.mount_ids]
        return {path: self._blocks.content[key] for files in mounts for path, key in files.items()}

    def time_out(self, attempt: Attempt) -> None:
        """End an attempt as if its function's timeout had passed."""
        attempt.ended = "timeout"
        attempt.container.kill()

    def preempt(self, attempt: Attempt) -> None:
        """Take an attempt's machine away: SIGINT, and the input starts over elsewhere."""
        attempt.ended = "preempted"
        attempt.container.interrupt()

    def _environment(self, definition: api_pb2.Function) -> dict[str, str]:
        """What the image's ENV lines and the secrets set."""
        found: dict[str, str] = {}
        for line in self.dockerfile(definition.image_id):
            if line.startswith("ENV ") and not line.startswith("ENV PATH="):  # the fake has its own interpreter
                name, _, value = line.removeprefix("ENV ").partition("=")
                found[name] = " ".join(shlex.split(value))
        for secret_id in definition.secret_ids:
            found |= list(self.secrets.values())[int(secret_id.removeprefix("st-"))]
        return found

    def _arguments(self, container: Container) -> api_pb2.ContainerArguments:
        """What a worker tells the runtime."""
        function = self.functions[container.function_id]
        objects = []
        for name, function_id in function.app.function_ids.items():
            metadata = _handle(function_id, function.app, self.functions[function_id].definition)
            objects.append(api_pb2.Object(object_id=function_id, function_handle_metadata=metadata))
            assert metadata.function_name == name
        for dependency in container.definition.object_dependencies:
            volume = self._volumes.volumes.get(dependency.object_id)
            metadata = {"volume_metadata": volume.metadata} if volume else {}
            objects.append(api_pb2.Object(object_id=dependency.object_id, **metadata))
        return api_pb2.ContainerArguments(
            task_id=container.task_id,
            function_id=container.function_id,
            app_id=function.app.id,
            function_def=container.definition,
            environment_name="main",
            app_layout=api_pb2.AppLayout(objects=objects, function_ids=function.app.function_ids),
        )


def _handle(function_id: str, app: App, definition: api_pb2.Function) -> api_pb2.FunctionHandleMetadata:
    label = definition.webhook_config.requested_suffix
    return api_pb2.FunctionHandleMetadata(
        web_url=f"https://fake--{label}.modal.example" if label else "",
        function_name=definition.function_name,
        function_type=definition.function_type,
        function_schema=definition.function_schema,
        supported_input_formats=definition.supported_input_formats,
        supported_output_formats=definition.supported_output_formats,
        definition_id=f"de-{function_id[3:]}",
        app_id=app.id,
    )


def _gpu(resources: api_pb2.Resources) -> str:
    config = resources.gpu_config
    return f"{config.gpu_type}:{config.count}" if config.count else ""


def _lost(ended: str) -> api_pb2.FunctionPutOutputsItem:
    """The output of an attempt that gave none."""
    status = STATUS.GENERIC_STATUS_TIMEOUT if ended == "timeout" else STATUS.GENERIC_STATUS_INTERNAL_FAILURE
    return api_pb2.FunctionPutOutputsItem(result=STATUS(status=status, exception=f"the container {ended}"))
