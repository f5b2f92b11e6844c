"""Serving some of Modal's RPCs from plain methods of the same names."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from grpclib import GRPCError, Status
from grpclib.server import Server, Stream
from modal_proto.api_grpc import ModalClientBase


async def serve(*handlers: object) -> tuple[Server, str]:
    """A server on a free port of loopback, and its URL.

    An RPC is answered by the first handler that has a method of its name, `async (request) -> response`, or an async
    generator of responses.
    """
    methods = {name: _bridge(name, handlers) for name in ModalClientBase.__abstractmethods__}
    server = Server([type("Servicer", (ModalClientBase,), methods)()])
    await server.start("127.0.0.1", 0)
    port = server._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    return server, f"http://127.0.0.1:{port}"


def _bridge(name: str, handlers: tuple[object, ...]) -> Callable[[Any, Stream[Any, Any]], Awaitable[None]]:
    function = next((getattr(handler, name) for handler in handlers if hasattr(handler, name)), None)

    async def method(self: object, stream: Stream[Any, Any]) -> None:
        if function is None:
            raise GRPCError(Status.UNIMPLEMENTED, f"the fake has no {name}")
        request = await stream.recv_message()
        try:
            if inspect.isasyncgenfunction(function):
                async for message in function(request):
                    await stream.send_message(message)
            else:
                await stream.send_message(await function(request))
        except GRPCError:
            raise
        except Exception as error:  # an unhandled one would be UNKNOWN, which the client tries again
            raise GRPCError(Status.INVALID_ARGUMENT, traceback.format_exc()) from error

    return method
