"""What people type, as an option's type wants it: the same from YAML, from a command line and from Python."""

from __future__ import annotations

import difflib
import math
import os
import re
import reprlib
import types
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from poker_env.errors import UserError

TRUE, FALSE = ("true", "yes", "on", "y", "t", "1"), ("false", "no", "off", "n", "f", "0")
NOTHING = ("", "none", "null", "~")
"""What says in text that an option is to have no value, or a list no entries."""

INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)$")
FLOAT = re.compile(
    r"[-+]?([0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?|\.[0-9][0-9_]*([eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|\.(inf|Inf|INF))$|\.(nan|NaN|NAN)$"
)


class _Loader(yaml.SafeLoader):
    """YAML with decimal numbers alone (`010` is no octal, `1:30` no ninety), `1e5` among them, and no dates.

    A key that is there twice is an error, not the last one's.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag.rpartition(":")[2] not in ("int", "float", "timestamp")]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))


def read_yaml(path: Path) -> dict[str, Any]:
    """The options of a YAML file, not converted yet. Raises `UserError`, with the line, for what is no such file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"can't read the config {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"config {path}{_complaint(error)}") from error
    found = parse_yaml(text, f"config {path}")
    if not found:
        raise UserError(f"config {path} is empty: give it options, such as 'game: kuhn'")
    return found


def parse_yaml(text: str, called: str) -> dict[str, Any]:
    """The options of a YAML text, not converted yet. Raises `UserError` for what is none."""
    try:
        found = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{called}{_complaint(error)}") from error
    if not isinstance(found, dict | None):
        raise UserError(f"{called} is no list of options 'NAME: VALUE': it holds {shown(found)}")
    return found or {}


def _complaint(error: Exception) -> str:
    """What YAML says is wrong and in which line, in one line."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or " ".join(str(error).split()) or type(error).__name__
    if "\\t" in problem:
        problem = "a tab where YAML takes only blanks: put blanks in its place"
    return f"{f', line {mark.line + 1}' if mark else ''} is not YAML: {problem}"


def shown(value: Any) -> str:
    """A value in a message: short, in one line, as YAML has it where that is short."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return f"{value!r}" if abs(value) < 1e16 or not isinstance(value, int) else f"{float(value):g}"
    return reprlib.repr(value)


def suggestion(name: str, known: Iterable[str]) -> str:
    """` (did you mean … ?)`, or nothing where no known name is like it."""
    close = difflib.get_close_matches(name.lstrip("-").replace("-", "_"), list(known), n=2, cutoff=0.6)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def chosen(name: str, value: str, choices: Collection[str]) -> str:
    """One of the choices; raises `UserError` for anything else."""
    if value in choices:
        return value
    hint = suggestion(value, choices)
    if not hint or len(choices) <= 12:
        hint += f": choose one of {', '.join(choices)}"
    raise UserError(f"unknown {name} {value!r}{hint}")


def converted(name: str, value: Any, kind: Any) -> Any:
    """A value as an option's type has it: `kind` is a type, a union of some, or a list of them.

    Numbers may be written as text, whole ones with a point and zeros; a list's only entry without a list; lists and
    mappings as YAML in a text. Raises `UserError`, with the option's name and the value, where nothing is obviously
    meant: that is any other type, and a number that is none or infinite.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    parts = _parts(kind)
    lists = [part for part in parts if (get_origin(part) or part) is list]
    holds_mappings = any(_is_dict(part) for part in [*parts, *(p for one in lists for p in _parts(*get_args(one)))])
    if isinstance(value, str):
        text = value.strip()
        if (text[:1] == "{" and holds_mappings) or (text[:1] == "[" and lists):
            try:
                return converted(name, yaml.load(text, _Loader), kind)
            except (yaml.YAMLError, ValueError) as error:
                raise UserError(f"{name} {shown(value)}{_complaint(error)}") from error
        if text.lower() in NOTHING and type(None) in parts:
            return None
    if value is None:
        if type(None) in parts:
            return None
        if lists:
            return []
    if value is None or (isinstance(value, str) and not value.strip() and not lists):
        raise UserError(f"{name} is empty: give it a value, or leave it out")
    for part in parts:
        if isinstance(part, type) and issubclass(part, Enum) and isinstance(value, str):
            return chosen(name, str(getattr(value, "value", value)), [member.value for member in part])
    own = _as_one_of(name, value, parts)
    if own is not None:
        return own
    if lists and not isinstance(value, Mapping | bool | set):
        return _as_list(name, value, get_args(lists[0])[0])
    raise UserError(f"{name} {shown(value)} must be {_wanted(parts)}{_quoting(value, parts)}")


def _as_one_of(name: str, value: Any, parts: Sequence[Any]) -> Any:
    """The value as one of the types that are no lists; None where it is none of them."""
    if isinstance(value, bool):
        return value if bool in parts else None
    if isinstance(value, Mapping):
        if not any(map(_is_dict, parts)):
            return None
        strange = [key for key in value if not isinstance(key, str)]
        if strange:
            raise UserError(f"{name} has the key {shown(strange[0])}: put quotes around it")
        return dict(value)
    if isinstance(value, str):
        if str in parts:
            return value
        if bool in parts and value.strip().lower() in (*TRUE, *FALSE):
            return value.strip().lower() in TRUE
    if isinstance(value, str | int | float):
        if int in parts:
            return _as_int(name, value)
        if float in parts:
            return _as_float(name, value)
    return bool(value) if bool in parts and value in (0, 1) else None


def _as_list(name: str, value: Any, kind: Any) -> list[Any]:
    if isinstance(value, str):
        value = [] if value.strip().lower() in NOTHING else [part.strip() for part in value.split(",")]
    entries = list(value) if isinstance(value, list | tuple) else [value]
    if any(entry in (None, "") for entry in entries):
        raise UserError(f"{name} {shown(value)} has an empty entry: take it out")
    return [converted(name, entry, kind) for entry in entries]


def _as_int(name: str, value: str | int | float) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?\d[\d_]*\s*", value, re.ASCII):
        return int(value)
    number = _as_float(name, value, "a whole number")
    if number != int(number):
        raise UserError(f"{name} {shown(value)} must be a whole number")
    return int(number)


def _as_float(name: str, value: str | int | float, wanted: str = "a number") -> float:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{name} {shown(value)} must be {wanted}")
    return number


def _parts(kind: Any) -> list[Any]:
    """The types of a union, or the only one."""
    if get_origin(kind) in (Union, types.UnionType):
        return [part for one in get_args(kind) for part in _parts(one)]
    return [str, *map(type, get_args(kind))] if get_origin(kind) is Literal else [kind]


def _is_dict(part: Any) -> bool:
    return (get_origin(part) or part) is dict


def _wanted(parts: Sequence[Any]) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    found = [names[part] for part in names if part in parts]
    if any((get_origin(part) or part) is list for part in parts):
        found.append("a list")
    if any(map(_is_dict, parts)):
        found.append("a mapping {name: value}")
    return " or ".join(found) or "left out"


def _quoting(value: Any, parts: Sequence[Any]) -> str:
    if str not in parts or not isinstance(value, bool | int | float):
        return ""
    return ": put quotes around it" + (" (YAML reads yes, no, on and off so)" if isinstance(value, bool) else "")
