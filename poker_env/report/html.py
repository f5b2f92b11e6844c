"""Bits of HTML: escaped text, tables, and any JSON value as a table."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any


class Markup(str):
    """Text that is HTML already."""


def escape(value: object) -> Markup:
    """Text for HTML, safe in attributes, too; `Markup` stays as it is."""
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(str(value).encode("utf-8", "replace").decode()))


def table(header: Sequence[object], rows: Sequence[Sequence[object]]) -> Markup:
    """A table that scrolls sideways when there is no room; the first column holds names."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return Markup(
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n'
    )


def facts(rows: Sequence[tuple[object, object]]) -> Markup:
    """A table of names and values, long ones broken into lines."""
    body = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>\n" for name, value in rows)
    return Markup(f'<table class="facts"><tbody>\n{body}</tbody></table>\n')


def details(summary: str, content: Markup) -> Markup:
    """Something to unfold."""
    return Markup(f"<details><summary>{escape(summary)}</summary>\n{content}</details>\n")


def render(value: Any) -> Markup:
    """Any JSON value: objects of plain values as tables, what is nested under headings."""
    if isinstance(value, Mapping):
        if value and all(isinstance(item, Mapping) and all(map(_plain, item.values())) for item in value.values()):
            return _grid([(title(key), item) for key, item in value.items()])
        plain = [(title(key), text(item)) for key, item in value.items() if _plain(item)]
        nested = [f"<h3>{escape(title(key))}</h3>\n{render(item)}" for key, item in value.items() if not _plain(item)]
        return Markup((facts(plain) if plain else "") + "".join(nested))
    if isinstance(value, list | tuple) and not _plain(value):
        if all(isinstance(item, Mapping) and all(map(_plain, item.values())) for item in value):
            return _grid([(str(number), item) for number, item in enumerate(value, start=1)])
        return Markup("".join(render(item) for item in value))
    return Markup(f"<p>{escape(text(value))}</p>\n")


def title(key: object) -> str:
    """A key for people: `mbb_per_hand` as `mbb per hand`."""
    return str(key).replace("_", " ")


def text(value: Any) -> str:
    """A plain value: numbers with four digits or so, missing ones as a dash, lists with commas."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(text(item) for item in value) or "–"
    return str(value)


def _grid(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Markup:
    columns = list(dict.fromkeys(key for _, row in rows for key in row))
    cells = [[name, *(text(row.get(column)) for column in columns)] for name, row in rows]
    return table(["", *map(title, columns)], cells)


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(not isinstance(item, list | tuple | Mapping) for item in value)
    return not isinstance(value, Mapping)
