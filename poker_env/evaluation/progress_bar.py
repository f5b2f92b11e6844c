"""A progress bar for long evaluations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Item = TypeVar("Item")


def watched(items: Sequence[Item], label: str, hands: Callable[[Item], int], show: bool = True) -> Iterator[Item]:
    """The items one by one, while a bar on standard error says how many hands are played; `hands` are those of one."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("hands"))
    clock = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, *clock, console=Console(stderr=True), disable=not show) as bar:
        task = bar.add_task(label, total=sum(map(hands, items)))
        for item in items:
            yield item
            bar.advance(task, hands(item))
