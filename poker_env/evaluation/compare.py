"""Two evaluations on the same decks: side by side, and their difference in pairs, where the decks' luck cancels."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
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
    column = next(name for name, called in ESTIMATORS.items() if called == estimator)
    return deck_estimate(own.values[column] - other.values[column])


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
