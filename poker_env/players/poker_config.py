"""`poker_config.json`: what an adapter was trained on, saved beside it so that it is asked the same way later."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any, Literal

from poker_env.errors import UserError
from poker_env.files import write_atomically
from poker_env.games import Game, make_game
from poker_env.language_model.init_kwargs import check_init_kwargs
from poker_env.menu import POT_FRACTIONS
from poker_env.prompts import ADVICE, STYLES

FILE_NAME = "poker_config.json"

Answers = Literal["free", "scored", "menu"]
"""How a model answers, see `LLMPlayer`."""

NOT_THOUGHT = 16
"""Tokens of an answer's length that are for tags and the answer itself."""

TOKENS_PER_WORD = 2
"""More than English has: a budget that is kept to the word must not be cut off."""


@dataclass(frozen=True)
class PokerConfig:
    """How a language model is asked for its decisions."""

    game: Game
    base_model: str
    """A path, a Hub id or a bundled name (see `poker_env.language_model.bundled`)."""
    style: str = "compact"
    """Prompt style, one of `prompts.STYLES`."""
    fractions: tuple[float, ...] = POT_FRACTIONS
    """The menu's bet sizes, as fractions of the pot after calling."""
    max_new_tokens: int = 6
    """Longest answer, in tokens."""
    temperature: float = 1.0
    """Sampling temperature; the policy that was trained is the one at this temperature."""
    advisor: str | None = None
    """The spec of the villain that prompts have advice about (`poker_env.knowledge.advisor`); None: they have none."""
    advice: tuple[str, ...] = ADVICE
    """What the advice says beside equity and pot odds, of `prompts.ADVICE`."""
    chat_template_kwargs: dict[str, Any] = field(default_factory=dict)
    """What the chat template is given beside the messages."""
    model_init_kwargs: dict[str, Any] = field(default_factory=dict)
    """What `from_pretrained` is given beside the base model's name and dtype."""
    date: str = "2026-01-01"
    """The date (ISO) that chat templates are told, some of which print today's: a prompt is the same on every day."""
    base_sha256: str | None = None
    """Of the weights that an adapter was trained on (`poker_env.language_model.base_weights`); None for a Hub id's."""
    thinking: bool = False
    """Whether it thinks before it answers, see `poker_env.thoughts`."""

    def __post_init__(self) -> None:
        if not isinstance(self.base_model, str):
            raise UserError(f"base_model {self.base_model!r} must be a path, a Hub id or a bundled name")
        if self.style not in STYLES:
            raise UserError(f"unknown prompt style {self.style!r}: choose one of {', '.join(STYLES)}")
        if not self.fractions or not all(0 < fraction < math.inf for fraction in self.fractions):
            raise UserError(f"menu fractions {list(self.fractions)} must be numbers above 0, and at least one")
        if len(self.fractions) > 7:
            raise UserError(f"menu fractions {list(self.fractions)}: at most 7, so that a token has one digit")
        if not isinstance(self.max_new_tokens, int) or self.max_new_tokens < 1:
            raise UserError(f"max_new_tokens {self.max_new_tokens!r} must be a whole number, at least 1")
        if not 0 < self.temperature < math.inf:
            raise UserError(f"temperature {self.temperature} must be above 0")
        if not (self.base_sha256 is None or isinstance(self.base_sha256, str)):
            raise UserError(f"base_sha256 {self.base_sha256!r} must be a SHA-256, or null")
        if not (self.advisor is None or isinstance(self.advisor, str)):
            raise UserError(f"advisor {self.advisor!r} must be the spec of a player, or null")
        if set(self.advice) - {*ADVICE}:
            raise UserError(f"advice {list(self.advice)} may hold {' and '.join(ADVICE)}")
        if not isinstance(self.thinking, bool):
            raise UserError(f"thinking {self.thinking!r} must be true or false")
        for name in ("chat_template_kwargs", "model_init_kwargs"):
            if not isinstance(getattr(self, name), dict):
                raise UserError(f"{name} {getattr(self, name)!r} must be a mapping of names to values")
        try:
            date.fromisoformat(self.date)
        except (TypeError, ValueError) as error:
            raise UserError(f"date {self.date!r} must be a day such as 2026-01-01") from error
        check_init_kwargs(self.model_init_kwargs, "model_init_kwargs")

    @property
    def think_words(self) -> int | None:
        """In how many words it is told to think; None where it doesn't."""
        return max(1, (self.max_new_tokens - NOT_THOUGHT) // TOKENS_PER_WORD) if self.thinking else None

    def save(self, folder: Path) -> None:
        """Write `poker_config.json` into a folder."""
        write_atomically(folder / FILE_NAME, json.dumps(asdict(self), indent=2) + "\n")

    @staticmethod
    def load(folder: Path) -> PokerConfig:
        """The config of an adapter's folder; raises `UserError` when the file is not one."""
        path = folder / FILE_NAME
        try:
            record = json.loads(path.read_text())
            known = {each.name for each in fields(PokerConfig)}
            if set(record) - known:
                raise UserError(
                    f"{path} has unknown keys {sorted(set(record) - known)}: was it written by a newer version?"
                )
            game = make_game(str(Game(**record["game"])))
            lists = {name: tuple(record[name]) for name in ("fractions", "advice") if name in record}
            return PokerConfig(**{**record, "game": game, **lists})
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"{path} is not a usable poker config: {error}") from error
