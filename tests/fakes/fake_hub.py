"""A Hub on loopback: as much of the Hugging Face Hub's HTTP API as its own client needs to push and to load."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

TOKEN = "hf_write_token_of_the_tests"
USER = "tester"


@dataclass
class FakeHub:
    """Repositories in memory. A repository is its files; a commit replaces all it names at once.

    `org/name` is its main branch, `org/name@branch` another one.
    """

    url: str = ""
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    commits: dict[str, list[str]] = field(default_factory=dict)
    """Commit messages, by repository."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    fails_at: str | None = None
    """Requests with this in their path are answered with 500."""

    def environment(self, home: Path, token: str | None = TOKEN) -> dict[str, str]:
        """What a process needs to talk to this Hub, and to no other."""
        told = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        return told | ({"HF_TOKEN": token} if token else {})

    def branch(self, repo: str, revision: str | None) -> str | None:
        """The key of the branch of that name, or with that last commit; None where there is none."""
        branches = {key.partition("@")[2] or "main": key for key in self.repos if key.partition("@")[0] == repo}
        commits = {self.oid(key): key for key in branches.values()}
        return branches.get(revision or "main") or commits.get(revision or "")

    def oid(self, repo: str) -> str:
        """A branch's last commit's."""
        return hashlib.sha1(repr((repo, self.commits[repo])).encode()).hexdigest()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: object = None, **headers: str) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def read(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def handle_any(self) -> None:
            body, path = self.read(), self.path.partition("?")[0]
            hub.requests.append(f"{self.command} {path}")
            if hub.fails_at and hub.fails_at in path:
                self.answer(400, {"error": "the test's Hub is out of order"})
                return
            for method, pattern, action in ROUTES:
                found = re.fullmatch(pattern, path)
                if found and self.command in method:
                    if (
                        "PUT" not in method
                        and "POST" in method
                        and self.headers.get("Authorization") != f"Bearer {TOKEN}"
                    ):
                        self.answer(401, {"error": "Invalid username or password."})
                    else:
                        action(self, body, *found.groups())
                    return
            self.answer(404, {"error": f"no such route: {self.command} {path}"})

        do_GET = do_HEAD = do_POST = do_PUT = handle_any

        def create(self, body: bytes) -> None:
            asked = json.loads(body)
            repo = f"{asked['organization'] or USER}/{asked['name']}"
            status = 409 if repo in hub.repos else 200
            if status == 200:
                hub.repos[repo], hub.commits[repo] = {}, []
                hub.private[repo] = asked.get("visibility") == "private"
            self.answer(status, {"url": f"{hub.url}/{repo}", "name": repo})

        def validate(self, body: bytes) -> None:
            metadata = yaml.safe_load(json.loads(body)["content"].split("---")[1])
            wrong = [key for key in ("base_model", "library_name", "tags") if key not in metadata]
            errors = [{"message": f"{key} is missing"} for key in wrong]
            self.answer(400 if errors else 200, {"errors": errors, "warnings": []})

        def branch(self, _: bytes, repo: str, name: str) -> None:
            hub.repos.setdefault(f"{repo}@{name}", dict(hub.repos[repo]))
            hub.commits.setdefault(f"{repo}@{name}", list(hub.commits[repo]))
            self.answer(200, {})

        def preupload(self, body: bytes, repo: str, revision: str) -> None:
            if hub.branch(repo, revision) is None:
                self.answer(404, {"error": "not found"}, **{"X-Error-Code": "RepoNotFound"})
                return
            files = [
                {"path": file["path"], "uploadMode": self.mode(file["path"]), "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self.answer(200, {"files": files})

        def mode(self, path: str) -> str:
            return "lfs" if path.endswith((".safetensors", ".png")) else "regular"

        def batch(self, body: bytes, _: str) -> None:
            objects = [
                {**item, "actions": {"upload": {"href": f"{hub.url}/lfs/{item['oid']}"}}}
                for item in json.loads(body)["objects"]
            ]
            self.answer(200, {"objects": objects})

        def store(self, body: bytes, oid: str) -> None:
            assert hashlib.sha256(body).hexdigest() == oid
            hub.blobs[oid] = body
            self.answer(200, {})

        def who(self, _: bytes) -> None:
            known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            self.answer(200 if known else 401, {"name": USER, "type": "user"} if known else {"error": "who are you?"})

        def commit(self, body: bytes, repo: str, revision: str) -> None:
            branch = hub.branch(repo, revision)
            assert branch is not None
            lines = [json.loads(line) for line in body.splitlines()]
            values = {
                kind: [line["value"] for line in lines if line["key"] == kind]
                for kind in ("header", "file", "lfsFile", "deletedFile")
            }
            files = {file["path"]: base64.b64decode(file["content"]) for file in values["file"]}
            files |= {file["path"]: hub.blobs[file["oid"]] for file in values["lfsFile"]}
            gone = {file["path"] for file in values["deletedFile"]}
            hub.repos[branch] = {name: data for name, data in hub.repos[branch].items() if name not in gone} | files
            hub.commits[branch].append(values["header"][0]["summary"])
            self.answer(200, {"commitUrl": f"{hub.url}/{repo}/commit/1", "commitOid": hub.oid(branch)})

        def info(self, _: bytes, repo: str, revision: str | None = None) -> None:
            branch = hub.branch(repo, revision)
            if branch is None:
                self.answer(404, {"error": "not found"}, **{"X-Error-Code": "RepoNotFound"})
                return
            files = hub.repos[branch]
            card = files.get("README.md", b"").decode().split("---")
            self.answer(
                200,
                {
                    "id": repo,
                    "sha": hub.oid(branch),
                    "siblings": [{"rfilename": name} for name in files],
                    "cardData": yaml.safe_load(card[1]) if len(card) > 2 else None,
                },
            )

        def tree(self, _: bytes, repo: str, revision: str, folder: str | None) -> None:
            files = hub.repos.get(hub.branch(repo, revision) or "", {})
            self.answer(
                200,
                [
                    {"type": "file", "path": name, "size": len(data), "oid": "0"}
                    for name, data in files.items()
                    if name.startswith(folder or "")
                ],
            )

        def resolve(self, _: bytes, repo: str, revision: str, name: str) -> None:
            branch = hub.branch(repo, revision)
            if branch is None or name not in hub.repos[branch]:
                missing = "RevisionNotFound" if repo in hub.repos else "RepoNotFound"
                code = missing if branch is None else "EntryNotFound"
                self.answer(404, {"error": "not found"}, **{"X-Error-Code": code})
                return
            data = hub.repos[branch][name]
            headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": hub.oid(branch)}
            self.answer(200, data, **headers, **{"Content-Length": str(len(data)), "Accept-Ranges": "bytes"})

    repo = "([^/]+/[^/]+)"
    ROUTES = [
        ("GET", "/api/whoami-v2", Handler.who),
        ("POST", "/api/repos/create", Handler.create),
        ("POST", "/api/validate-yaml", Handler.validate),
        ("POST", f"/api/models/{repo}/branch/(.+)", Handler.branch),
        ("POST", f"/api/models/{repo}/preupload/(.+)", Handler.preupload),
        ("POST", rf"/{repo}\.git/info/lfs/objects/batch", Handler.batch),
        ("PUT", "/lfs/(.+)", Handler.store),
        ("POST", f"/api/models/{repo}/commit/(.+)", Handler.commit),
        ("GET", f"/api/models/{repo}(?:/revision/(.+))?", Handler.info),
        ("GET", f"/api/models/{repo}/tree/([^/]+)(?:/(.+))?", Handler.tree),
        ("GET HEAD", f"/{repo}/resolve/([^/]+)/(.+)", Handler.resolve),
    ]
    return Handler


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    """A running Hub without repositories."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield hub
    server.shutdown()
    server.server_close()
