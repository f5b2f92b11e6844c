"""HTTP for a `Host`: Slumbot's protocol, `POST /api/new_hand` and `POST /api/act` with JSON in and out."""

from __future__ import annotations

import json
import socketserver
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from poker_env.errors import UserError
from poker_env.services.host import BadRequest, Host

LARGEST_REQUEST = 4096
"""Bytes."""
IDLE_SECONDS = 60.0
"""Until a connection that says nothing is closed."""


class Server(ThreadingHTTPServer):
    """Serves a host until `shutdown`; each connection has a thread of its own."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: Host, address: str, port: int) -> None:
        """Listen at an address and a port (0: a free one, see `url`). Raises `UserError` where that can't be."""
        self.host = host
        try:
            super().__init__((address, port), _Handler)
        except (OSError, OverflowError) as error:
            raise UserError(f"can't listen at {address}:{port} ({error}): give another --host or --port") from error

    def server_bind(self) -> None:
        """Without asking the network what this machine is called, as the parent does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """What clients put before `/new_hand` and `/act`."""
        return f"http://{self.server_name}:{self.server_port}/api"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "exploitative-poker", ""
    timeout = IDLE_SECONDS

    def do_POST(self) -> None:
        """Answer a request."""
        request = self._request()
        if request is None:
            return
        call = {"/new_hand": self.server.host.new_hand, "/act": self.server.host.act}.get(self._endpoint())
        if self._endpoint() == "/login":
            self._send(200, {"error_msg": "There are no accounts here: play without one"})
        elif call is None:
            self._send(404, {"error_msg": "No such endpoint: there are /api/new_hand and /api/act"})
        else:
            try:
                self._send(200, call(request))
            except BadRequest as error:
                self._send(200, {"error_msg": str(error)})

    def do_GET(self) -> None:
        """Nothing is there to be got."""
        self._send(405, {"error_msg": "Send a POST request to /api/new_hand or /api/act"})

    def _endpoint(self) -> str:
        path = self.path.partition("?")[0].removeprefix("/slumbot")
        return path.removeprefix("/api") if path.startswith("/api/") else ""

    def _request(self) -> dict[str, Any] | None:
        """The request's JSON object; None after an answer that says what is wrong with it."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length[:9]) > LARGEST_REQUEST:
            self.close_connection = True  # what is still to come is no request
            self._send(400, {"error_msg": f"Badly formed request: a body of up to {LARGEST_REQUEST} bytes"})
            return None
        try:
            request = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            self._send(400, {"error_msg": "Badly formed request: the body has to be a JSON object"})
            return None
        return request

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each request."""
