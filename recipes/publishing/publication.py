"""A published adapter, and what is known of it: what its card is written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from poker_env.language_model.bundled import BUNDLED
from poker_env.players.poker_config import PokerConfig
from recipes.runs.record import RunRecord

Record = Mapping[str, Any]
"""What `poker_env.evaluation.results.results` says of an evaluation."""


@dataclass(frozen=True)
class Publication:
    """An adapter and what is known of it."""

    repo: str
    """On the Hub, as `org/name`."""
    base_model: str
    """Its Hub id; of the bundled model, that of the one it was made from."""
    trained_on: str
    """The base model as training named it."""
    poker: PokerConfig
    sha256: str
    """Of the adapter's weights."""
    evaluations: Sequence[Record] = ()
    """Of this adapter; the first is the one to quote."""
    before: Record | None = None
    """Of what training began with, on the same decks as the first of `evaluations`."""
    run: RunRecord | None = None
    """How its run was started; None where that wasn't kept."""
    epochs: int | None = None
    """Of its run after which it was saved; None where that isn't known."""
    revision: str | None = None
    """The branch it is on; None: the main one."""
    pictures: Sequence[str] = ()
    """Paths in the repository."""
    licence: Mapping[str, str] | None = None
    """The card's `license`, and where that is `other` its `license_name` and `license_link`."""
    merged: float | None = None
    """Where the base model's weights with the adapter in them are published, not the adapter: how far that moved the
    probability of any action."""
    on_hub: Record | None = None
    """An evaluation on `base_model`'s weights, where those are not what it was trained on."""

    @property
    def name(self) -> str:
        """Without the namespace."""
        return self.repo.rpartition("/")[2]

    @property
    def player(self) -> str:
        """Its spec as a player."""
        return f"llm:{self.repo}" + (f"@{self.revision}" if self.revision else "")

    @property
    def other_weights(self) -> bool:
        """Whether `base_model`'s weights on the Hub are known not to be those it was trained on."""
        return self.trained_on == BUNDLED

    @property
    def villain(self) -> str | None:
        """Whom it was trained against."""
        return self.run["villain"] if self.run else None
