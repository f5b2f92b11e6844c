"""As much of the Hugging Face Hub as pushing an adapter needs, on loopback."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_fake"


class Hub(ThreadingHTTPServer):
    """Keeps the files of commits by repository and path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, dict[str, bytes]] = {}

    @property
    def url(self) -> str:
        """For HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self._answer({"name": "somebody", "type": "user"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = self.path.strip("/").split("/")  # api/models/OWNER/NAME/ACTION/main
        if self.path == "/api/repos/create":
            given = json.loads(body)
            name = f"{given.get('organization') or 'somebody'}/{given['name']}"
            self.server.files.setdefault(name, {})
            self._answer({"url": f"{self.server.url}/{name}"})
        elif parts[4] == "preupload":
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self._answer({"files": files})
        elif parts[4] == "commit":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.server.files[f"{parts[2]}/{parts[3]}"][line["value"]["path"]] = content
            self._answer({"commitUrl": f"{self.server.url}/{parts[2]}/{parts[3]}/commit/0", "commitOid": "0" * 40})
        else:
            self._answer({"error": f"the fake has no {self.path}"}, 404)

    def _answer(self, content: object, status: int = 200) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            status, content = 401, {"error": "who are you?"}
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A Hub in a thread."""
    with Hub() as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()
