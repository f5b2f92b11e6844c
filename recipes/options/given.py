"""What is given to a training script: options in a YAML file and on the command line, as they are written."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import Field
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin

from poker_env.errors import UserError
from poker_env.player_specs import expand_home
from recipes.options.values import read_yaml, shown, suggestion

CONFIGS = Path(__file__).parents[1] / "configs"


def shipped_configs() -> list[str]:
    """Names of the configs that come with the package."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def find_config(name: str) -> str:
    """The path of a config: `name` itself, where it isn't the name of one that comes with the package."""
    name = expand_home(name)
    return str(CONFIGS / f"{name}.yaml") if name in shipped_configs() and not Path(name).is_file() else name


def read_config(path: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a YAML file; environment variables under `env` are set. Raises `UserError` for unknown ones."""
    found = read_yaml(path)
    variables = found.pop("env", None) or {}
    for name in found:
        if name not in known:
            raise UserError(f"unknown option {name} in config {path}{suggestion(str(name), known)}")
    if not isinstance(variables, Mapping):
        raise UserError(f"env {shown(variables)} must be a mapping {{NAME: value}}")
    os.environ.update({str(name): str(value) for name, value in variables.items()})
    return found


def read_command_line(argv: Sequence[str], options: Sequence[Field[Any]], types: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that are given, and `config` where it is. Raises `UserError` for unknown ones."""
    given, rest = _parser(options, types).parse_known_args(list(argv))
    if rest:
        name = next((word for word in rest if word.startswith("--")), rest[0]).partition("=")[0]
        raise UserError(f"unknown options {' '.join(rest)}{suggestion(name, types)} (see --help)")
    return vars(given)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see --help)")


def _parser(options: Sequence[Field[Any]], types: Mapping[str, Any]) -> _Parser:
    """Reads the command line's options as text; those that aren't given have no value."""
    parser = _Parser(argument_default=argparse.SUPPRESS)
    parser.add_argument("--config", nargs="?", const="", help="a YAML file, or the name of one of ours")
    for option in options:
        kinds = (types[option.name], *get_args(types[option.name]))
        names = dict.fromkeys((f"--{option.name}", f"--{option.name.replace('_', '-')}"))
        told: dict[str, Any] = {"dest": option.name, "help": option.metadata.get("help")}
        if any((get_origin(kind) or kind) is list for kind in kinds):
            told |= {"nargs": "*", "action": _Words}
        elif bool in kinds and str not in kinds:
            told |= {"nargs": "?", "const": True}
            if option.default is True:
                off = dict.fromkeys((f"--no_{option.name}", f"--no-{option.name.replace('_', '-')}"))
                parser.add_argument(*off, dest=option.name, action="store_false")
        parser.add_argument(*names, **told)
    return parser


class _Words(argparse.Action):
    """A list's words; one alone is read as what a list may be in a text."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, values[0] if len(values) == 1 else values)
