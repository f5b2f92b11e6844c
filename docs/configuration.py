"""Write docs/configuration.md: every option of a training config, from the dataclasses that define them.

python docs/configuration.py
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import transformers
import trl
from transformers import TrainingArguments
from trl import GRPOConfig

from poker_env.files import write_atomically
from recipes.options.config import ExploitConfig
from recipes.options.trl_options import CISPO_BOUND, REFUSED, SET, WORKS, default_of

PAGE = Path(__file__).with_name("configuration.md")

INTRODUCTION = """\
# Configuration

What `recipes/train.py` and `recipes/warm_start.py` can be told. This page is made from the dataclasses by
`python docs/configuration.py`.

Each option is a key in a YAML file and an option on the command line, which overrides the YAML:

    accelerate launch recipes/train.py --config recipes/configs/kuhn.yaml --villain cfr --output_dir runs/cfr

`--config` takes a file, or the name of one that comes with the package (`--config kuhn`). Lists are `[a, b]` in YAML
and `--rewards chips illegal` on the command line; one entry needs no list, and `none` or nothing at all is an empty
one. Switches are `true` or `false`. Whole numbers may be written `10`, `10.0` or `1e1`, all numbers in quotes. A `~`
at the beginning of a path is the home folder. A mapping on the command line is YAML in quotes: `--villain '{cfr: 1}'`.

What isn't obviously meant ends in one line with the option and the value: an option that doesn't exist or is there
twice, text where a number is expected, a number where text is (quotes make it text), one out of its bounds."""

LIBRARIES = """\
## TRL's and transformers'

The options of [TRL](https://huggingface.co/docs/trl)'s `GRPOConfig`, and of transformers' `TrainingArguments` under
it, are of three kinds. `recipes/options/trl_options.py` says of each which it is."""

WORKING = """\
### These work as they do there

`loss_type` is `dapo` or `cispo`; with `cispo` the cap of the probability ratio, `epsilon_high`, is {cispo:g} unless it
is set, and `epsilon` and `delta` do nothing, so they are refused. `hub_strategy` is `end` or `every_save`: the final
adapter alone is pushed, see [hub.md](hub.md). `--help` tells what they are.

| | Options and their defaults |
|---|---|"""

DERIVED = """\
### These a run sets

To give one another value than the run sets ends in a line that says what it follows from.

| Option | |
|---|---|"""

REFUSING = """\
### These are refused

To give one another value than its default ends in a line that says why. So do a `villain` that is a language model or
a person, and `scale_rewards: group` (a group is the whole batch).

| Options | Why |
|---|---|"""


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_sections(), LIBRARIES, *_kinds()])


def _sections() -> Iterable[str]:
    """A table for each comment between the fields of `ExploitConfig`."""
    known = {field.name: field for field in fields(ExploitConfig)}
    theirs = {field.name: field for field in fields(GRPOConfig)}
    for line in inspect.getsource(ExploitConfig).splitlines():
        if comment := re.fullmatch(r"    # (.+)", line):
            yield f"## {comment[1]}\n\n| Option | Type | Default | |\n|---|---|---|---|"
        elif option := re.match(r"    (\w+): (.+?) = field\(", line):
            name, kind = option.groups()
            help_text = known[name].metadata["help"].replace("|", "\\|")
            if name in theirs:
                help_text += f" ({_owner(name)}, there {_default(theirs[name])})"
            yield f"| `{name}` | {kind.replace(' | ', ' or ')} | {_default(known[name])} | {help_text} |"
        elif line.startswith("    def "):
            return
        elif not line.strip():
            yield ""


def _kinds() -> Iterable[str]:
    """A table for each kind of the libraries' options."""
    known = {field.name: field for field in fields(GRPOConfig)}
    yield f"\n{trl.__name__} {trl.__version__}, {transformers.__name__} {transformers.__version__}\n"
    yield WORKING.format(cispo=CISPO_BOUND)
    for family, names in WORKS.items():
        yield f"| {family} | {' · '.join(f'`{name}` {_default(known[name])}' for name in names)} |"
    yield f"\n{DERIVED}"
    for name, why in SET.items():
        yield f"| `{name}` | {why} |"
    yield f"\n{REFUSING}"
    for why in dict.fromkeys(REFUSED.values()):
        yield f"| {', '.join(f'`{name}`' for name in REFUSED if REFUSED[name] == why)} | {why} |"
    yield ""


def _owner(name: str) -> str:
    return "transformers'" if name in {field.name for field in fields(TrainingArguments)} else "TRL's"


def _default(field: Field[Any]) -> str:
    value = default_of(field)
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


if __name__ == "__main__":
    write_atomically(PAGE, page())
