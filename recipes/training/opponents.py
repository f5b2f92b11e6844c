"""Whom hero plays against, epoch by epoch: the same player all the time, or itself as it was."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from poker_env.players.base import Player
from poker_env.players.hub import epoch_folder
from poker_env.players.llm import LLMPlayer
from poker_env.players.mixture import MixturePlayer, mixture_spec, parse_mixture
from recipes.options.config import ExploitConfig
from recipes.options.villains import SELF, parts_of
from recipes.training.processes import everywhere


class Opponents:
    """The players that are a run's villain. Language models answer with the menu's tokens alone, in one look, but for
    those that think first.
    """

    def __init__(self, config: ExploitConfig) -> None:
        self._config = config
        self._changes = SELF in parts_of(config.villain)
        self.constant = None if self._changes else self._make(config.villain)
        """The one for all epochs, None where they change."""
        self._latest: tuple[int, Player] | None = None

    def at(self, epoch: int) -> Player:
        """The one of an epoch, counted from 0; all processes ask together.

        `self` is hero after the last multiple of `self_every` epochs, as it was saved then.
        """
        if self.constant is not None:
            return self.constant
        since = epoch - epoch % self._config.self_every
        if self._latest is None or self._latest[0] != since:
            everywhere(None)  # the main process has saved it
            hero = f"llm:{epoch_folder(Path(str(self._config.output_dir)), since)}"
            self._latest = since, self._make(_with_hero(self._config.villain, hero))
        return self._latest[1]

    def _make(self, spec: str) -> Player:
        player = self._config.make_player(spec)
        for model in _models_of(player):
            model.answers = "menu"
        return player


def _models_of(player: Player) -> Iterator[LLMPlayer]:
    if isinstance(player, LLMPlayer):
        yield player
    if isinstance(player, MixturePlayer):
        yield from chain(*map(_models_of, player.components))


def _with_hero(villain: str, hero: str) -> str:
    """A villain's spec with `hero` in the place of `self`."""
    if villain == SELF:
        return hero
    weights = parse_mixture(villain)
    return mixture_spec({hero if part == SELF else part: weight for part, weight in weights.items()})
