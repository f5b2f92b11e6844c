"""Files of the earlier bot's opponent: its own checkpoints are read, converted ones written and read back.

Both are PyTorch files, opened with `weights_only=True`: nothing in them can run code.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from poker_env.cfr.checkpoint import file_sha256, git_commit
from poker_env.cfr.deep.checkpoint import FORMAT
from poker_env.errors import UserError, first_line
from poker_env.files import write_atomically
from poker_env.games import Game
from poker_env.pokerbot.layouts import LAYOUTS, Layout, find_layout
from poker_env.pokerbot.network import PolicyNetwork
from poker_env.pokerbot.spots import GAME, can_be_met
from poker_env.pokerbot.strategy import MemoryChooser, NetworkChooser, PokerbotStrategy

KIND = "pokerbot"
SUFFIX = ".pt"
REPOSITORY = "https://github.com/jonrxu/pokerbot"

Memory = dict[str, dict[int, float]]


@dataclass(frozen=True)
class Converted:
    """What a conversion made."""

    layout: Layout
    iteration: int | None
    """Of that program's training, where the file says it."""
    n_remembered: int | None
    """Situations that its memory has and a hand of ours can come to; None where the network decides."""


def convert_opponent(source: Path, output: Path, by_network: bool = False) -> Converted:
    """Write the player of a checkpoint of that program's.

    It decides by the file's `strategy_memory` where there is one, unless `by_network`, else by its policy network; see
    `MemoryChooser` and `NetworkChooser`. Raises `UserError` where the file can't be read, isn't of a layout in
    `LAYOUTS`, holds impossible numbers or code, or the output can't be written.
    """
    if output.suffix != SUFFIX:
        raise UserError(f"the player {output} needs a name that ends in {SUFFIX}, say {output.with_suffix(SUFFIX)}")
    if output.exists():
        raise UserError(f"{output} exists already: name a new file")
    found = read_tensors(source)
    weights = found.get("policy_net_state")
    if not isinstance(weights, dict) or (layout := _layout(found, weights)) is None:
        raise UserError(f"{source} has no layout of {REPOSITORY} that is known here: it holds {_outline(found)}")
    iteration = found["iteration"] if isinstance(found.get("iteration"), int) else None
    try:
        network = PolicyNetwork(layout, weights)
        memory = None if by_network else _memory(found.get("strategy_memory") or None)
    except ValueError as error:
        raise UserError(f"{source} is damaged: {error}") from error
    _save(
        output,
        {
            "format": FORMAT,
            "kind": KIND,
            "game": asdict(GAME),
            "layout": layout.name,
            "memory": memory,
            "network": {} if memory is not None else dict(network.tensors),
            "source": {"repository": REPOSITORY, "file": source.name, "sha256": file_sha256(source)},
            "provenance": {"command": "recipes/convert.py opponent", "commit": git_commit(), "iteration": iteration},
        },
    )
    return Converted(layout, iteration, None if memory is None else len(memory))


def load_opponent(path: Path, content: Mapping[str, Any]) -> tuple[Game, PokerbotStrategy]:
    """The game and the strategy of a converted file, from its record, as `read_record` has it.

    Raises `UserError` where it is damaged.
    """
    try:
        layout, memory = LAYOUTS[content["layout"]], _memory(content["memory"])
        if memory is not None:
            return Game(**content["game"]), PokerbotStrategy(layout, MemoryChooser(memory))
        chooser = NetworkChooser(layout, PolicyNetwork(layout, content["network"]))
        return Game(**content["game"]), PokerbotStrategy(layout, chooser)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged: {error} (make it again: recipes/convert.py opponent)") from error


def read_tensors(path: Path) -> dict[Any, Any]:
    """What a PyTorch file holds: tensors, plain containers. Raises `UserError` where that can't be without code."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: name a checkpoint file")
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    try:
        with torch.serialization.safe_globals(_STAND_INS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that torch didn't write
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # zip, pickle, storage: whatever a damaged file makes torch raise, it is the user's file
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        asked = f" that asks for {named[1]}" if named else ""
        if asked or "Unpickl" in type(error).__name__ or _starts_as_pickle(path):
            raise UserError(
                f"{path} is refused: it is a pickle{asked}, which can run code when opened, and no plain PyTorch file"
            ) from error
        raise UserError(f"{path} is damaged or no PyTorch file: {first_line(error)}") from error
    return content if isinstance(content, dict) else {type(content).__name__: content}


def is_original(path: Path) -> bool:
    """Whether that program wrote a file."""
    try:
        return "policy_net_state" in read_tensors(path)
    except UserError:
        return False


def _starts_as_pickle(path: Path) -> bool:
    """Whether a file isn't even the archive that PyTorch has written since 1.6."""
    with path.open("rb") as file:
        return file.read(1) == pickle.PROTO


class _Nothing:
    """Stands for a number that is of no use here."""

    def __init__(self, *args: object) -> None:
        """Takes what NumPy's own would."""

    def __setstate__(self, state: object) -> None:
        """As above."""


def _plain_dict(*args: object) -> dict[Any, Any]:
    return {}


# In that program's files memories are defaultdicts and some metrics NumPy numbers. `weights_only` refuses both; what
# stands for their names here makes a dict and nothing, and calls neither of them.
_STAND_INS: list[Any] = [
    (_plain_dict, "collections.defaultdict"),
    (float, "builtins.float"),
    (_Nothing, "numpy.dtype"),
    (_Nothing, "numpy.core.multiarray.scalar"),
    (_Nothing, "numpy._core.multiarray.scalar"),
]


def _layout(found: Mapping[Any, Any], weights: Mapping[Any, Any]) -> Layout | None:
    first = weights.get("input_proj.weight")
    if not isinstance(first, torch.Tensor) or first.dim() != 2:
        return None
    return find_layout(first.shape[1], "input_bn.running_mean" in weights, "strategy_memory" in found)


def _memory(found: Any) -> Memory | None:
    """What a hand of ours can come to; None for no memory. Raises `ValueError` for anything else."""
    if found is None:
        return None
    if not isinstance(found, dict):
        raise ValueError(f"its strategy_memory is a {type(found).__name__}")
    return {key: _weights(key, weights) for key, weights in found.items() if can_be_met(str(key))}


def _weights(key: str, weights: Any) -> dict[int, float]:
    plain = isinstance(weights, dict) and all(
        type(place) is int and place >= 0 and isinstance(weight, int | float) and 0 <= weight < math.inf
        for place, weight in weights.items()
    )
    if not plain:
        raise ValueError(f"strategy_memory has impossible weights at {str(key)[:60]!r}")
    return {place: float(weight) for place, weight in weights.items()}


def _outline(found: Mapping[Any, Any]) -> str:
    """Its keys, and where there is a network, what shape goes in."""
    keys = ", ".join(map(str, found))[:300] or "nothing"
    weights = found.get("policy_net_state")
    first = weights.get("input_proj.weight") if isinstance(weights, dict) else None
    return f"{keys} (input_proj.weight {tuple(first.shape)})" if isinstance(first, torch.Tensor) else keys


def _save(path: Path, content: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())
