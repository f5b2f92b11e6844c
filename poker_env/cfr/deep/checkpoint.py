"""Files of networks: PyTorch's format with tensors and plain values alone, so that nothing in one can run code."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from poker_env.cfr.checkpoint import Provenance
from poker_env.cfr.deep.game import DeepGame
from poker_env.cfr.deep.network import PokerNetwork, new_network
from poker_env.cfr.tree import TreeConfig
from poker_env.errors import UserError, first_line
from poker_env.files import write_atomically
from poker_env.games import Game, make_game

KIND = "deep_cfr"
FORMAT = "exploitative-poker network 3"
MAX_WIDTH = 4_096


@dataclass(frozen=True)
class NetworkCheckpoint:
    """The average strategy's network, and where it comes from."""

    deep: DeepGame
    network: PokerNetwork
    width: int
    """Of its layers."""
    threshold: float
    """Of what is played, see `NetworkStrategy`."""
    provenance: Provenance
    settings: Mapping[str, Any]
    """Plain values, of whoever made it."""

    @property
    def game(self) -> Game:
        """At its stakes."""
        return self.deep.game

    def save(self, path: Path) -> None:
        """Write the file, never half of it; raises `UserError` where that's impossible."""
        record = {
            "format": FORMAT,
            "kind": KIND,
            "game": asdict(self.game),
            "tree": None if self.deep.config is None else self.deep.config.to_json(),
            "width": self.width,
            "threshold": self.threshold,
            "provenance": asdict(self.provenance),
            "versions": {package: version(package) for package in ("torch", "numpy", "open_spiel")},
            "settings": dict(self.settings),
            "network": {name: tensor.cpu() for name, tensor in self.network.state_dict().items()},
        }
        buffer = io.BytesIO()
        torch.save(record, buffer)
        write_atomically(path, buffer.getvalue())

    @staticmethod
    def from_record(record: Mapping[str, Any], path: Path) -> NetworkCheckpoint:
        """What `read_record` found; raises `UserError` when its parts don't fit together."""
        try:
            game, config, width = Game(**record["game"]), record["tree"], int(record["width"])
            if make_game(str(game)) != game or (config is None) == (game.name == "holdem"):
                raise ValueError(f"no such game as {game}")
            if not 0 < width <= MAX_WIDTH:
                raise ValueError(f"layers of width {width}")
            threshold = float(record["threshold"])
            if not 0 <= threshold <= 1:
                raise ValueError(f"a threshold of {threshold}")
            deep = DeepGame.of(game, None if config is None else TreeConfig.from_json(config))
            network = new_network(deep, width, 0)
            network.load_state_dict(record["network"])
            if not all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values()):
                raise ValueError("some of its weights are no numbers")
            provenance = Provenance(**record["provenance"])
            network.requires_grad_(False)
            return NetworkCheckpoint(deep, network, width, threshold, provenance, record["settings"])
        except Exception as error:  # whatever a file of another layout makes them raise, it is the user's file
            raise UserError(f"{path} holds no whole network of Deep CFR: {first_line(error)}") from error


def read_record(path: Path) -> dict[str, Any]:
    """A `.pt` file's content: tensors and plain values, with a `format`, a `kind` and a `game`.

    Raises `UserError` when it is missing, damaged, or anything more than that, which is never executed.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    refused = f"{path} is refused: beside weights it holds code, which would run when opened"
    if _first_byte(path) == b"\x80":  # a bare pickle, as old versions of PyTorch wrote them
        raise UserError(refused)
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise ValueError(f"its format isn't {FORMAT!r}")
        Game(**record["game"])
        return record
    except pickle.UnpicklingError as error:
        if "unsupported global" in str(error).lower():
            raise UserError(refused) from error
        raise UserError(f"{path} is damaged or no network of this project") from error
    except Exception as error:  # zip, pickle, lookups: whatever a damaged file makes them raise, it is the user's file
        raise UserError(f"{path} is damaged or no network of this project: {first_line(error)}") from error


def _first_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1)
