"""Write docs/configuration.md: every option of a training config, from the dataclasses that define them.

python docs/configuration.py
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import transformers
import trl
from transformers import TrainingArguments
from trl import GRPOConfig

from poker_env.files import write_atomically
from recipes.config import ExploitConfig

PAGE = Path(__file__).with_name("configuration.md")

INTRODUCTION = """\
# Configuration

What `recipes/train.py` and `recipes/warm_start.py` can be told. This page is made from the dataclasses by
`python docs/configuration.py`.

Each option is a key in a YAML file and an option on the command line, which overrides the YAML:

    accelerate launch recipes/train.py --config recipes/configs/kuhn.yaml --villain cfr --output_dir runs/cfr

`--config` takes a file, or the name of one that comes with the package (`--config kuhn`). Lists are `[a, b]` in YAML
and `--rewards chips illegal` on the command line; switches are `true` or `false`. An option that doesn't exist, or a
value that makes no sense, ends in one line that says so."""

DERIVED = """\
## Set by the options above

Whatever is given for these is overwritten:"""

REFUSED = """\
## Refused

What would bias the gradient, or has no meaning where a whole epoch is one group, ends in a line that says why:
`top_p`, `top_k` and `min_p` (they reshape the distribution that answers are drawn from),
`mask_truncated_completions`, `scale_rewards: group`, a `loss_type` other than `dapo` and `cispo`, another
`multi_objective_aggregation`, `use_vllm`, and a `villain` that is a language model or a person.
"""


def page() -> str:
    """The whole page."""
    derived = _wrapped(", ".join(f"`{name}`" for name in _derived()))
    return "\n".join([INTRODUCTION, *_sections(), f"{DERIVED}\n{derived}\n", REFUSED, *_libraries()])


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


def _derived() -> Sequence[str]:
    """The libraries' options that `ExploitConfig.__post_init__` sets."""
    own, theirs = set(ExploitConfig.__annotations__), {field.name for field in fields(GRPOConfig)}
    assigned = [
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(ExploitConfig)))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr in theirs - own
    ]
    return list(dict.fromkeys(assigned))


def _libraries() -> Iterable[str]:
    """Names and defaults of what is passed on as it is."""
    said = {*ExploitConfig.__annotations__, *_derived()}
    yield (
        "## TRL's and transformers'\n\nThe others of [TRL](https://huggingface.co/docs/trl)'s `GRPOConfig` work as "
        "they do there;\n`--help` tells what they are. With their defaults:\n"
    )
    for library, owner in ((trl, "TRL's"), (transformers, "transformers'")):
        rest = [field for field in fields(GRPOConfig) if field.name not in said and _owner(field.name) == owner]
        listed = _wrapped(" · ".join(f"`{field.name}` {_default(field)}" for field in rest))
        yield f"**{library.__name__} {library.__version__}**\n\n{listed}\n"


def _owner(name: str) -> str:
    return "transformers'" if name in {field.name for field in fields(TrainingArguments)} else "TRL's"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _default(field: Field[Any]) -> str:
    value = field.default_factory() if field.default_factory is not MISSING else field.default
    if value is MISSING:
        return "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


if __name__ == "__main__":
    write_atomically(PAGE, page())
