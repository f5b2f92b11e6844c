"""Checkpoint files: a compressed npz that never executes code, with its provenance and a hash of its content."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from poker_env.errors import UserError, first_line
from poker_env.files import write_atomically
from poker_env.games import Game

FORMAT = "exploitative-poker strategy 1"


@dataclass(frozen=True)
class Provenance:
    """Where a strategy comes from."""

    algorithm: str
    iterations: int
    seconds: float
    seed: int
    command: str
    commit: str
    """Git commit of the code that solved it, empty outside a repository."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file. `kind` says what wrote it; `settings` and `arrays` are that kind's own."""

    kind: str
    game: Game
    provenance: Provenance
    settings: Mapping[str, Any]
    """JSON values."""
    arrays: Mapping[str, np.ndarray]

    @property
    def digest(self) -> str:
        """SHA-256 of everything in it, independent of how the file is compressed."""
        return _digest(self._header(), self.arrays)

    def _header(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "kind": self.kind,
            "game": asdict(self.game),
            "provenance": asdict(self.provenance),
            "settings": dict(self.settings),
        }

    def save(self, path: Path, compress: bool = True) -> None:
        """Write the file, never half of it; raises `UserError` where that's impossible."""
        header = self._header()
        header["sha256"] = _digest(header, self.arrays)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA if compress else zipfile.ZIP_STORED) as archive:
            for name, array in {"header": np.array(json.dumps(header)), **self.arrays}.items():
                # A fixed date, so that the same content makes the same file.
                entry = zipfile.ZipInfo(f"{name}.npy")
                entry.compress_type = archive.compression
                with archive.open(entry, "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)
        write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and verify a checkpoint file; raises `UserError` when it is missing, damaged or no checkpoint."""
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    try:
        arrays = _read_arrays(path)
        header = json.loads(arrays.pop("header").item())
        digest = header.pop("sha256")
        if header["format"] != FORMAT:
            raise ValueError(f"unknown format {header['format']!r}")
        if digest != _digest(header, arrays):
            raise ValueError("its hash doesn't match its content")
        return Checkpoint(
            header["kind"],
            Game(**header["game"]),
            Provenance(**header["provenance"]),
            header["settings"],
            arrays,
        )
    except _PickleError as error:
        raise UserError(f"{path} is refused: it is a pickle, which can run code when opened") from error
    except Exception as error:  # zip, lzma, npy, JSON: whatever a damaged file makes them raise, it is the user's file
        raise UserError(f"{path} is damaged or no strategy checkpoint of this project: {first_line(error)}") from error


def load_run(path: Path, kind: str, identity: Mapping[str, Any]) -> Checkpoint:
    """A saved run to be gone on with; raises `UserError` for another kind, or when its identity is another."""
    saved = load_checkpoint(path)
    if saved.kind != kind:
        raise UserError(f"{path} holds a {saved.kind!r}, no run that can be resumed")
    for name, value in identity.items():
        if saved.settings.get(name) != value:
            raise UserError(f"{path} can't be resumed: its {name} is {saved.settings.get(name)}, not {value}")
    return saved


class _PickleError(ValueError):
    pass


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        start = file.read(10)
        if start[:1] == b"\x80":
            raise _PickleError
        if start[:6] == np.lib.format.MAGIC_PREFIX:
            raise ValueError("a single array")
        arrays = {}
        with zipfile.ZipFile(file) as archive:
            for entry in archive.namelist():
                if entry.endswith(".pkl"):  # PyTorch's files
                    raise _PickleError
                if not entry.endswith(".npy"):
                    raise ValueError(f"it holds {entry!r}")
                with archive.open(entry) as member:
                    arrays[entry.removesuffix(".npy")] = _read_array(member)
        if "header" not in arrays:
            raise ValueError("no header")
        return arrays


def _read_array(file: IO[bytes]) -> np.ndarray:
    try:
        return np.lib.format.read_array(file, allow_pickle=False)
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise _PickleError from error
        raise


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as `sha256sum` prints it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def git_commit() -> str:
    """The commit of the code that runs, empty when it isn't in a git repository."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _digest(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    state = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        state.update(f"{name}{array.dtype.str}{array.shape}".encode())
        state.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return state.hexdigest()
