"""`poker_config.json`: what an adapter was trained on, saved beside it so that it is asked the same way later."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from poker_env.errors import UserError
from poker_env.files import write_atomically
from poker_env.games import Game
from poker_env.menu import POT_FRACTIONS
from poker_env.prompts import STYLES

FILE_NAME = "poker_config.json"


@dataclass(frozen=True)
class PokerConfig:
    """How a language model is asked for its decisions."""

    game: Game
    base_model: str
    """A path, a Hub id or a bundled name (see `poker_env.players.models`)."""
    style: str = "compact"
    """Prompt style, compact or classic."""
    fractions: tuple[float, ...] = POT_FRACTIONS
    """The menu's bet sizes, as fractions of the pot after calling."""
    max_new_tokens: int = 6
    """Longest answer, in tokens."""
    temperature: float = 1.0
    """Sampling temperature; the policy that was trained is the one at this temperature."""

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise UserError(f"unknown prompt style {self.style!r}: choose one of {', '.join(STYLES)}")
        if not self.fractions or not all(fraction > 0 for fraction in self.fractions):
            raise UserError(f"menu fractions {list(self.fractions)} must be above 0, and at least one")
        if len(self.fractions) > 7:
            raise UserError(f"menu fractions {list(self.fractions)}: at most 7, so that a token has one digit")
        if self.max_new_tokens < 1:
            raise UserError(f"max_new_tokens {self.max_new_tokens} must be at least 1")

    def save(self, folder: Path) -> None:
        """Write `poker_config.json` into a folder."""
        write_atomically(folder / FILE_NAME, json.dumps(asdict(self), indent=2) + "\n")

    @staticmethod
    def load(folder: Path) -> PokerConfig:
        """The config of an adapter's folder; raises `UserError` when the file is not one."""
        path = folder / FILE_NAME
        try:
            record = json.loads(path.read_text())
            known = {field.name for field in fields(PokerConfig)}
            if set(record) - known:
                raise UserError(
                    f"{path} has unknown keys {sorted(set(record) - known)}: was it written by a newer version?"
                )
            return PokerConfig(**{**record, "game": Game(**record["game"]), "fractions": tuple(record["fractions"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is not a usable poker config: {error}") from error
