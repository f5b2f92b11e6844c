"""Two evaluations on the same decks: side by side, and their difference in pairs, where the decks' luck cancels."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from poker_env.errors import UserError
from poker_env.evaluation.estimates import Estimate, deck_estimate
from poker_env.evaluation.match import Evaluation
from poker_env.games import Game

VALUES = "values.csv"
ESTIMATORS = {"payoff": "duplicate", "all_in": "all_in", "chance_corrected": "chance_corrected", "aivat": "aivat"}
"""Columns of `VALUES`, and what estimates from them are called."""


@dataclass(frozen=True)
class StoredEvaluation:
    """An evaluation as it was saved."""

    folder: str
    game: str
    hero: str
    villain: str
    seed: int
    values: Mapping[str, np.ndarray]
    """By column, mbb of each hand (hands,), see `Evaluation.values`."""

    @staticmethod
    def load(folder: Path) -> StoredEvaluation:
        """Raises `UserError` when the folder doesn't hold a match's `results.json` and `values.csv`."""
        try:
            record = json.loads((folder / "results.json").read_text(encoding="utf-8"))
            with (folder / VALUES).open(encoding="utf-8", newline="") as lines:
                rows = list(csv.DictReader(lines))
            if not rows:
                raise ValueError(f"{VALUES} has no hands")
            names = [name for name in rows[0] if name in ESTIMATORS]
            values = {name: np.array([float(row[name]) for row in rows]) for name in names}
            if len(rows) % 2 or "payoff" not in values:
                raise ValueError("not two hands of each deck")
            about = {name: str(record[name]) for name in ("game", "hero", "villain")}
            return StoredEvaluation(str(folder), seed=int(record["seed"]), values=values, **about)
        except OSError as error:
            raise UserError(f"{folder} holds no evaluation: can't read {error.filename}: {error.strerror}") from error
        except (ValueError, LookupError, TypeError) as error:
            raise UserError(f"{folder} holds no whole evaluation of a match: {error}") from error

    def require_same_decks(self, game: Game, seed: int) -> None:
        """Raises `UserError` when an evaluation of that game and seed plays other decks."""
        if (self.game, self.seed) != (str(game), seed):
            raise UserError(
                f"{self.folder} played other decks ({self.game}, seed {self.seed}): use --game {self.game} "
                f"--seed {self.seed} to compare with it"
            )


@dataclass(frozen=True)
class Comparison:
    """An evaluation against a stored one, on the decks that both played."""

    folder: str
    hero: str
    villain: str
    """Who played there."""
    deals: int
    """How many decks both played."""
    own: Mapping[str, Estimate]
    """By estimator, on these decks."""
    other: Mapping[str, Estimate]
    """The stored one's."""
    difference: Mapping[str, Estimate]
    """Own less other, deck by deck."""


def compare(evaluation: Evaluation, stored: StoredEvaluation) -> Comparison:
    """The paired difference; raises `UserError` when not the same decks were played."""
    stored.require_same_decks(evaluation.game, evaluation.seed)
    hands = min(len(evaluation.hands), len(stored.values["payoff"]))
    own = {name: values[:hands] for name, values in evaluation.values.items() if name in stored.values}
    other = {name: stored.values[name][:hands] for name in own}
    return Comparison(
        folder=stored.folder,
        hero=stored.hero,
        villain=stored.villain,
        deals=hands // 2,
        own={ESTIMATORS[name]: deck_estimate(own[name]) for name in own},
        other={ESTIMATORS[name]: deck_estimate(other[name]) for name in own},
        difference={ESTIMATORS[name]: deck_estimate(own[name] - other[name]) for name in own},
    )


def gain(own: StoredEvaluation, other: StoredEvaluation, estimator: str) -> Estimate:
    """How much more `own` won than `other`, deck by deck; both played the same ones. `estimator` is one of both's."""
    column = _column(estimator)
    return deck_estimate(own.values[column] - other.values[column])


def gains_table(folders: Sequence[Path], over: Sequence[Path]) -> Table:
    """What evaluations on the same decks won, each and in their mean, and how much more than those `over` did.

    `over` are as many, or one for all, or none. By AIVAT where all have it, else by what was paid out. Raises
    `UserError` for another number, for folders that hold no evaluation, and for other decks.
    """
    if len(over) not in (0, 1, len(folders)):
        raise UserError(f"--over names {len(over)} folders: give one for each of {len(folders)}, or one for all")
    ones, others = ([StoredEvaluation.load(folder) for folder in some] for some in (folders, over))
    decks = {(stored.game, stored.seed, len(stored.values["payoff"])) for stored in (*ones, *others)}
    if len(decks) > 1:
        played = ", ".join(f"{hands:,} hands of {game} with seed {seed}" for game, seed, hands in sorted(decks))
        raise UserError(f"these evaluations played other decks than each other ({played}): their hands make no pairs")
    estimator = "aivat" if all("aivat" in stored.values for stored in (*ones, *others)) else "duplicate"
    column = _column(estimator)
    bases: list[StoredEvaluation] | list[None] = others * (len(ones) // len(others)) if others else [None] * len(ones)
    pairs = [*zip(ones, bases, strict=True)]
    table = Table(title=f"mbb/hand [95 %] by {estimator}: {decks.pop()[2]:,} hands each, on the same decks")
    for name in ("", "won", "over", "gain")[: 4 if over else 2]:
        table.add_column(name, overflow="fold", justify="right" if name in ("won", "gain") else "left")
    won = np.array([own.values[column] for own, _ in pairs])
    more = np.array([own.values[column] - other.values[column] for own, other in pairs if other])
    for place, (own, other) in enumerate(pairs):
        gained = (other.folder, deck_estimate(more[place]).with_interval) if other else ()
        table.add_row(own.folder, deck_estimate(won[place]).with_interval, *gained)
    if len(pairs) > 1:
        table.add_section()
        gained = ("", deck_estimate(more.mean(axis=0)).with_interval) if over else ()
        table.add_row("their mean", deck_estimate(won.mean(axis=0)).with_interval, *gained)
    return table


def _column(estimator: str) -> str:
    return next(name for name, called in ESTIMATORS.items() if called == estimator)


def paired_table(evaluation: Evaluation, comparison: Comparison) -> Table:
    """A comparison for the terminal."""
    table = Table(title=f"mbb/hand ± 95 % on the {comparison.deals:,} decks that both played")
    table.add_column("")
    table.add_column(f"{evaluation.hero.name} against {evaluation.villain.name}", justify="right")
    table.add_column(f"{comparison.hero} against {comparison.villain} ({comparison.folder})", justify="right")
    table.add_column("difference", justify="right")
    for name in comparison.difference:
        sides = (comparison.own, comparison.other, comparison.difference)
        table.add_row(name, *(str(side[name]) for side in sides))
    return table
