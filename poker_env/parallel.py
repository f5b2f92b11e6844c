"""Long compiled work in threads, with a progress bar."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

Report = Callable[[float], None]
"""Hears the share of a piece of work that is done, 0 to 1."""


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def over_chunks(work: Callable[[slice], None], total: int, report: Report, chunk: int) -> None:
    """Call `work` on slices that cover range(total), on all cores: for compiled functions that release the GIL."""
    slices = [slice(start, min(start + chunk, total)) for start in range(0, total, chunk)]
    with ThreadPoolExecutor(available_cores()) as pool:
        for done, _ in enumerate(pool.map(work, slices), start=1):
            report(done / len(slices))


@contextlib.contextmanager
def progress_bars(show: bool) -> Iterator[Callable[[str], Report]]:
    """A function that opens a bar by its label; nothing is drawn unless `show`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not show) as progress:

        def open_bar(label: str) -> Report:
            task = progress.add_task(label, total=1.0)
            return lambda share: progress.update(task, completed=share)

        yield open_bar
