"""A solver's progress bar, which also says when to stop."""

from __future__ import annotations

import time
from types import TracebackType

from rich import progress as bars
from rich.console import Console


class Progress:
    """Counts iterations towards a number of them, or minutes, whichever ends first; None sets no such limit.

    A resumed run has done `seconds_before` already, which count.
    """

    def __init__(
        self,
        name: str,
        iterations: int | None,
        minutes: float | None,
        console: Console,
        seconds_before: float = 0.0,
    ) -> None:
        self._iterations, self._seconds_before = iterations, seconds_before
        self._seconds = None if minutes is None else 60 * minutes
        self._started = time.monotonic()
        self._bar = bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.TaskProgressColumn(),
            bars.TextColumn("{task.fields[rate]} iterations/s"),
            bars.TimeElapsedColumn(),
            bars.TextColumn("ETA"),
            bars.TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task(f"solving {name}", total=1.0, rate="0")
        self._first: int | None = None

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    @property
    def seconds(self) -> float:
        """Seconds of solving so far."""
        return self._seconds_before + time.monotonic() - self._started

    def keep_going(self, iterations: int) -> bool:
        """Show that so many iterations are done; whether there are more to do."""
        if self._first is None:  # a resumed run doesn't start at 0
            self._first = iterations
        shares = [0.0]
        if self._iterations is not None:
            shares.append(iterations / self._iterations)
        if self._seconds is not None:
            shares.append(self.seconds / self._seconds)
        rate = (iterations - self._first) / max(self.seconds - self._seconds_before, 1e-9)
        self._bar.update(self._task, completed=min(1.0, max(shares)), rate=f"{rate:,.{0 if rate > 9 else 2}f}")
        return max(shares) < 1
