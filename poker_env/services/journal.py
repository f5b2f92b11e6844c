"""The journal of a match against a service: all that was asked and answered, a line of JSON each, as it happens.

A request is written before it is sent, its answer before anything is done with it. So a match that was killed goes on
where it was: nothing is lost, nothing counts twice, and where nobody knows what became of a request it says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from poker_env.errors import UserError
from poker_env.files import hold
from poker_env.hand import Answer

FILE = "journal.jsonl"


@dataclass
class Record:
    """What is known of a hand."""

    number: int
    """Of the match, from 0."""
    answers: list[Answer] = field(default_factory=list)
    """Hero's, decision by decision, as they were sent."""
    answer: dict[str, Any] | None = None
    """The service's latest."""
    pending: bool = False
    """Whether a request is out that nothing is known of."""
    voided: str | None = None
    """Why the hand doesn't count."""
    over: bool = False

    @property
    def live(self) -> bool:
        """Whether it is to be played on."""
        return not self.over and self.voided is None


class Journal:
    """A match's journal, on disk and as what it says of each hand."""

    def __init__(self, path: Path, match: Mapping[str, Any]) -> None:
        """Open a journal; `match` says what is played, and a journal that is there has to say the same.

        Raises `UserError` when it says something else, can't be read or written, or another process writes it.
        """
        self.hands: dict[int, Record] = {}
        """By number, those that were begun."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            _lock(self._file, path)
            self._read(path, json.loads(json.dumps(match)))
        except OSError as error:
            raise UserError(f"can't write {path}: {error.strerror}") from error

    def close(self) -> None:
        """Let others write it."""
        os.close(self._file)

    def requested(self, number: int, answer: Answer | None, turn: int = 0, **request: Any) -> None:
        """A request is about to be sent for a hand; `answer` is hero's decision number `turn`, None of a new hand."""
        decision = None if answer is None else asdict(answer)
        self._write({"event": "request", "hand": number, **request, "turn": turn, "decision": decision})

    def answered(self, number: int, answer: Mapping[str, Any], over: bool) -> None:
        """The service says how a hand stands; `over`: that it is."""
        self._write({"event": "answer", "hand": number, "over": over, "answer": answer})

    def withdrawn(self, number: int) -> None:
        """The last request for a hand was not taken: all is as before it."""
        self._write({"event": "withdrawn", "hand": number})

    def voided(self, number: int, reason: str) -> None:
        """A hand doesn't count."""
        self._write({"event": "void", "hand": number, "reason": reason})

    def _write(self, event: Mapping[str, Any]) -> None:
        line = json.dumps(event, separators=(",", ":")) + "\n"
        os.write(self._file, line.encode())
        self._take(event)

    def _take(self, event: Mapping[str, Any]) -> None:
        """What an event says of its hand."""
        number, kind = event["hand"], event["event"]
        record = self.hands.setdefault(number, Record(number))
        if kind == "request":
            record.pending = True
            if event["decision"] is not None:
                fields = event["decision"]
                answer: dict[str, Any] = {
                    key: tuple(each) if isinstance(each, list) else each for key, each in fields.items()
                }
                record.answers[event["turn"] :] = [Answer(**answer)]
        elif kind == "answer":
            record.answer, record.over, record.pending = event["answer"], event["over"], False
        elif kind == "withdrawn":
            record.pending = False
            if record.answer is None:
                del self.hands[number]
        else:
            record.voided, record.pending = event["reason"], False

    def _read(self, path: Path, match: Mapping[str, Any]) -> None:
        with open(self._file, "rb", closefd=False) as file:
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]  # a line that was cut off never counted
        if len(whole) < len(data):
            os.ftruncate(self._file, len(whole))
        lines = whole.splitlines()
        if not lines:
            os.write(self._file, (json.dumps({"event": "match", **match}) + "\n").encode())
            return
        try:
            first, *events = map(json.loads, lines)
            differing = [key for key in match if first.get(key) != match[key]]
            if differing:
                key = differing[0]
                raise UserError(
                    f"{path} is of another match ({key} {first.get(key)!r}, not {match[key]!r}): give another --output"
                )
            for event in events:
                self._take(event)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is no journal of a match ({type(error).__name__} {error})") from error


def _lock(file: int, path: Path) -> None:
    """Keep other processes out; the lock ends with the process."""
    try:
        hold(file)
    except OSError as error:
        raise UserError(f"{path} is being written by another process: let it end, or give another --output") from error
