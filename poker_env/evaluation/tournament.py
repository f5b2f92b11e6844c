"""Round robins: every player against every other on the same decks."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from poker_env.errors import UserError
from poker_env.evaluation.estimates import Estimate, by_deck, deck_estimate, estimate
from poker_env.evaluation.match import Evaluation, evaluate
from poker_env.evaluation.results import results
from poker_env.files import write_atomically
from poker_env.games import Game
from poker_env.players.base import Player


@dataclass(frozen=True)
class Tournament:
    """The matches of a round robin; each is played once, both sides' results being the same but for the sign."""

    game: Game
    players: tuple[str, ...]
    seed: int
    matches: Mapping[tuple[int, int], Evaluation]
    """By the players' places, the first one's as hero."""

    def won(self, player: int, other: int) -> Estimate:
        """A player's win rate against another, by the headline of their match."""
        return deck_estimate(self._values(player, other))

    def overall(self, player: int) -> Estimate:
        """A player's mean win rate against all others, a deck with all its matches being one sample."""
        others = [other for other in range(len(self.players)) if other != player]
        means = np.mean([by_deck(self._values(player, other)) for other in others], axis=0)
        return estimate(means, 2 * len(means) * len(others))

    def _values(self, player: int, other: int) -> np.ndarray:
        if (player, other) in self.matches:
            return self.matches[player, other].headline_values
        return -self.matches[other, player].headline_values


def play_tournament(game: Game, players: Sequence[Player], hands: int, seed: int, progress: bool = True) -> Tournament:
    """Play `hands` hands of every pair. Raises `UserError` for fewer than two players, or one that is there twice."""
    names = [player.name for player in players]
    if len(names) < 2:
        raise UserError(f"a tournament of {len(names)} players is none: name at least two")
    if len(set(names)) < len(names):
        raise UserError(f"players {', '.join(names)}: name each one once")
    matches = {
        (first, second): evaluate(game, players[first], players[second], hands, seed, progress)
        for first, second in itertools.combinations(range(len(players)), 2)
    }
    return Tournament(game, tuple(names), seed, matches)


def tournament_record(tournament: Tournament, command: str) -> dict[str, Any]:
    """A tournament as a record for JSON."""
    names, places = tournament.players, range(len(tournament.players))
    return {
        "game": str(tournament.game),
        "players": list(names),
        "seed": tournament.seed,
        "cross_table": {
            names[row]: {names[column]: asdict(tournament.won(row, column)) for column in places if column != row}
            for row in places
        },
        "overall": {names[place]: asdict(tournament.overall(place)) for place in places},
        "matches": [results(match, command) for match in tournament.matches.values()],
        "command": command,
    }


def write_tournament(folder: Path, tournament: Tournament, command: str) -> None:
    """Write `tournament.json`; raises `UserError` when the folder can't be written."""
    record = tournament_record(tournament, command)
    write_atomically(folder / "tournament.json", json.dumps(record, indent=2) + "\n")


def cross_table(tournament: Tournament) -> Table:
    """A tournament for the terminal, the best first."""
    places = range(len(tournament.players))
    ranking = sorted(places, key=lambda place: -tournament.overall(place).mbb_per_hand)
    table = Table(title=f"mbb/hand ± 95 % of the player in the row\n{tournament.game}")
    table.add_column("")
    for place in ranking:
        table.add_column(tournament.players[place], justify="right")
    table.add_column("overall", justify="right")
    for row in ranking:
        cells = ["" if row == column else str(tournament.won(row, column)) for column in ranking]
        table.add_row(tournament.players[row], *cells, str(tournament.overall(row)))
    headlines: dict[str, list[str]] = {}
    for match in tournament.matches.values():
        headlines.setdefault(match.headline, []).append(f"{match.hero.name} against {match.villain.name}")
    estimators = [f"{name} of {', '.join(pairs)}" if len(headlines) > 1 else name for name, pairs in headlines.items()]
    table.caption = "; ".join([*estimators, "every match on the same decks"])
    return table
