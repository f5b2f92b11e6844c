"""A JSON service on loopback with a network that fails as it is told to."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, object]
FAULTS = {
    "unheard": "the connection breaks before the request is read to",
    "mute": "the request is done, the connection breaks instead of an answer",
    "half": "the request is done, half of the answer comes",
    "garbage": "the request is done, the answer is no JSON",
    "html": "the request is done, a proxy says 502",
    "slow": "the answer takes a while",
    "stalled": "the request is done, the answer takes longer than anybody waits",
    "busy": "429, come back at once",
    "overloaded": "503, nothing is done",
}


class FaultyServer(ThreadingHTTPServer):
    """Asks `answer(method, path, headers, body)` for (status, JSON); `fault(number of the request)` may spoil it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        answer: Callable[..., Answer],
        fault: Callable[[int], str | None] = lambda number: None,
        location: str = "",
    ) -> None:
        """`location` is where redirections lead."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.location = location
        self.answer, self.fault = answer, fault
        self.lock = threading.Lock()
        self.requests = 0
        self.faults: Counter[str | None] = Counter()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Clients don't wait for what is stalled."""


class _Handler(BaseHTTPRequestHandler):
    server: FaultyServer

    def do_POST(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        server = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with server.lock:
            server.requests += 1
            fault = server.fault(server.requests)
            assert fault is None or fault in FAULTS
            server.faults[fault] += 1
            if fault not in ("unheard", "busy", "overloaded"):
                status, answer = server.answer(self.command, self.path, self.headers, body)
        if fault in ("unheard", "mute"):
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if fault in ("busy", "overloaded"):
            status, answer = {"busy": 429, "overloaded": 503}[fault], {"error_msg": "later"}
        time.sleep({"slow": 0.05, "stalled": 2.0}.get(fault, 0.0))
        data = b"<html>Bad gateway" if fault in ("garbage", "html") else json.dumps(answer).encode()
        self.send_response(502 if fault == "html" else status)
        if fault == "busy":
            self.send_header("Retry-After", "0")
        if server.location:
            self.send_header("Location", server.location)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if fault == "half" else data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running(server: FaultyServer) -> Iterator[FaultyServer]:
    """The server while it serves."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
