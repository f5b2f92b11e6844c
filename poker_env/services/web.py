"""JSON over HTTP with what goes wrong on a network told apart: was a request taken, refused, or nobody knows?

A connection for each request: one that is kept may be closed by the other side just when the next request is sent, and
then nobody knows. Requests that weren't taken are sent again, with growing pauses, or after the pause that the service
asks for.
"""

from __future__ import annotations

import http.client
import json
import random
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from poker_env.errors import UserError, first_line, note

TIMEOUT = 60.0
"""Seconds without a byte until an answer counts as lost."""
PATIENCE = 600.0
"""Seconds that a request is sent again and again for, while nobody takes it."""
LONGEST_PAUSE = 60.0
LARGEST_ANSWER = 1 << 20
"""Bytes."""
BUSY = (429, 503)
"""HTTP's words for a request that wasn't taken: come back later."""


class Lost(Exception):
    """A request was sent, and what became of it isn't known. One line."""


class Refused(Exception):
    """The service says no to a request, and did nothing. One line."""

    def __init__(self, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.status = status
        """HTTP's."""


class NotTaken(UserError):
    """The service didn't take a request for as long as was waited: unreachable, busy, or no more wanted."""


class Web:
    """A service's address. Any number of threads may ask it at once."""

    def __init__(
        self,
        url: str,
        variable: str,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
    ) -> None:
        """`variable` is what an environment variable with another address is called.

        Raises `UserError` for an address that is none.
        """
        if not _is_address(url):
            raise UserError(f"{variable}={url!r} is no address: it begins with https:// or http://")
        self.url, self._variable = url.rstrip("/"), variable
        self._headers = {"Accept": "application/json", "User-Agent": "exploitative-poker", **(headers or {})}
        self._timeout, self._patience = timeout, patience
        self._reached = False
        self._not_before = 0.0
        self._closing = threading.Event()

    def close(self) -> None:
        """Send nothing more: requests that wait for their turn end as `NotTaken`."""
        self._closing.set()

    def get(self, path: str) -> Any:
        """What the service answers; raises as `post` does."""
        return self._ask("GET", path, None, BUSY)

    def post(self, path: str, body: Mapping[str, Any], busy: Collection[int] = BUSY) -> Any:
        """What the service answers to a request; `busy` are the HTTP statuses that mean it wasn't taken.

        Raises `Lost`, `Refused` or `NotTaken`.
        """
        return self._ask("POST", path, json.dumps(body).encode(), busy)

    def _ask(self, method: str, path: str, body: bytes | None, busy: Collection[int]) -> Any:
        headers = {**self._headers, **({"Content-Type": "application/json"} if body is not None else {})}
        request = urllib.request.Request(f"{self.url}{path}", data=body, headers=headers, method=method)
        started = next_try = time.monotonic()
        tries = 0
        while True:
            self._wait(next_try)
            try:
                with _OPENER.open(request, timeout=self._timeout) as answer:
                    self._reached = True
                    return _read_json(answer.read(LARGEST_ANSWER + 1))
            except urllib.error.HTTPError as error:
                self._reached = True
                if error.code not in busy:
                    raise _failure(error) from error
                reason, pause = f"HTTP {error.code}", asked_pause(error.headers.get("Retry-After"))
                all_wait = error.code in BUSY
            except urllib.error.URLError as error:
                if not _never_sent(error.reason):
                    raise Lost(f"the connection broke: {error.reason}") from error
                reason, pause, all_wait = str(error.reason), None, True
                if not self._reached:
                    raise NotTaken(
                        f"can't reach {self.url} ({reason}): check the network, or {self._variable}"
                    ) from error
            except (OSError, http.client.HTTPException) as error:
                raise Lost(f"no answer: {first_line(error)}") from error
            tries += 1
            pause = min(LONGEST_PAUSE, 2.0**tries * random.uniform(0.5, 1)) if pause is None else pause
            if time.monotonic() - started + pause > self._patience:
                raise NotTaken(
                    f"{self.url} takes no requests ({reason}, {tries} tries): repeat the command later, it goes on"
                )
            note(f"{self.url} takes no requests for now ({reason}): waiting")
            next_try = time.monotonic() + pause
            if all_wait:
                self._not_before = max(self._not_before, next_try)

    def _wait(self, until: float) -> None:
        while (left := max(until, self._not_before) - time.monotonic()) > 0 and not self._closing.is_set():
            self._closing.wait(left)
        if self._closing.is_set():
            raise NotTaken(f"{self.url} is asked for nothing more")


class _StayHere(urllib.request.HTTPRedirectHandler):
    """What is sent is for the address that was named, a key above all."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_StayHere)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _read_json(data: bytes) -> Any:
    try:
        if len(data) > LARGEST_ANSWER:
            raise ValueError(f"more than {LARGEST_ANSWER:,} bytes")
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Lost(f"no JSON in an answer ({first_line(error)})") from error


def _failure(error: urllib.error.HTTPError) -> Exception:
    """What an HTTP status says that isn't one of success."""
    try:
        text = error.read(4096).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        text = ""
    if error.code >= 500:
        return Lost(f"HTTP {error.code}")
    return Refused(said_in(text) or f"HTTP {error.code}", error.code)


def said_in(text: str) -> str:
    """The message in an error's body, in one line: `error_msg` or `detail` where it is JSON."""
    try:
        record = json.loads(text)
        text = str(record.get("error_msg") or record.get("detail") or text)
    except (ValueError, AttributeError, RecursionError):
        pass
    return " ".join(text.split())[:200]


def asked_pause(retry_after: str | None) -> float | None:
    """Seconds, of HTTP's `Retry-After`: a number of them, or a date."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _never_sent(reason: object) -> bool:
    """Whether a connection failed before anything went over it. Raises `UserError` where it isn't to be trusted."""
    if isinstance(reason, ssl.SSLCertVerificationError):
        raise UserError(f"the service's certificate is not to be trusted: {first_line(reason)}")
    # A name that isn't known, a refusal, or no connection in time (also: none was made before the time was up).
    return isinstance(reason, (ConnectionRefusedError, TimeoutError)) or type(reason).__name__ == "gaierror"
