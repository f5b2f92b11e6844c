"""Headless Chromium, driven over a pipe by its DevTools protocol: enough for screenshots and tests of the web player.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)
PATIENCE = 60.0
"""Seconds to wait for anything."""


@dataclass
class Page:
    """A browser's one page."""

    _to: int
    _from: int
    _buffer: bytes = b""
    _number: int = 0
    _session: str = ""
    requests: list[str] = field(default_factory=list)
    """Every address it asked for, `data:` and the like left out."""
    errors: list[str] = field(default_factory=list)
    """Uncaught exceptions of its scripts."""

    def open(self, width: int, height: int, mobile: bool = False, scale: float = 1.0) -> None:
        """Make the page, with a window of that size in CSS pixels."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self._call(f"{domain}.enable")
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )

    def goto(self, url: str) -> None:
        """Load a page."""
        self._call("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """What a JavaScript expression is; raises `RuntimeError` when it throws."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, script: str) -> Any:
        """Wait until an expression is true, and return it; raises `TimeoutError` when it never is."""
        until = time.monotonic() + PATIENCE
        while not (value := self.evaluate(script)):
            if time.monotonic() > until:
                raise TimeoutError(f"never true: {script}\n{self.evaluate('document.body.innerText')}")
            time.sleep(0.05)
        return value

    def settle(self) -> None:
        """Let the page draw what it has got: a framework changes one part after another."""
        self.evaluate("new Promise(done => setTimeout(done, 250))")

    def click(self, selector: str) -> None:
        """Press the mouse on the middle of an element, waiting for it; it is scrolled into view."""
        self.wait(f"!!document.querySelector({json.dumps(selector)})")
        where = self.evaluate(
            f"(() => {{ const it = document.querySelector({json.dumps(selector)});"
            "it.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const box = it.getBoundingClientRect();"
            "return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **where)

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """Save what the window shows, or the whole page, as PNG."""
        answer = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Network.requestWillBeSent":
            url = event["params"]["request"]["url"]
            if url.startswith(("http", "ws")):
                self.requests.append(url)
        if event.get("method") == "Network.webSocketCreated":
            self.requests.append(event["params"]["url"])
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(event["params"]["exceptionDetails"]))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._from], [], [], PATIENCE)[0]:
                raise TimeoutError("the browser is silent")
            read = os.read(self._from, 1 << 20)
            if not read:
                raise RuntimeError("the browser is gone")
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


@contextlib.contextmanager
def browser(width: int, height: int, mobile: bool = False, scale: float = 1.0) -> Iterator[Page]:
    """A page in a browser of its own, which ends with the context. Raises `RuntimeError` without a Chromium."""
    if CHROMIUM is None:
        raise RuntimeError("needs chromium, chromium-browser or google-chrome on the PATH")
    browser_reads, to = os.pipe()
    back, browser_writes = os.pipe()

    def connect() -> None:
        """In the child: Chromium reads commands from file 3 and writes answers to file 4."""
        reads, writes = (fcntl.fcntl(file, fcntl.F_DUPFD, 10) for file in (browser_reads, browser_writes))
        os.dup2(reads, 3)
        os.dup2(writes, 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(
            command, preexec_fn=connect, close_fds=False, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        os.close(browser_reads)
        os.close(browser_writes)
        try:
            page = Page(to, back)
            page.open(width, height, mobile, scale)
            yield page
        finally:
            os.close(to)  # which ends it
            os.close(back)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
