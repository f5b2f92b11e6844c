"""A local best response as hero of an evaluation: `lbr:SETTING` against a player, saved and shown like a match."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from poker_env.errors import UserError
from poker_env.evaluation.lbr import DEFAULT_SETTING, LocalBestResponse, local_best_response
from poker_env.evaluation.progress_bar import watched
from poker_env.evaluation.results import checkpoints, versions
from poker_env.files import write_atomically
from poker_env.games import Game
from poker_env.knowledge.ranges import LONG_RUN, RangePolicy, range_policy_of
from poker_env.players.base import Player
from poker_env.state import position

KIND = "lbr"  # of player specs: lbr, lbr:SETTING


@dataclass(frozen=True)
class LBREvaluation:
    """A local best response against a villain."""

    game: Game
    villain: Player
    seed: int
    result: LocalBestResponse

    @property
    def hero(self) -> str:
        """The spec of the setting."""
        return f"{KIND}:{self.result.setting}"


def evaluate_lbr(
    game: Game, hero: str, villain: Player, hands: int, seed: int = 0, progress: bool = True
) -> LBREvaluation:
    """Play hero's spec, `lbr` or `lbr:SETTING`, against villain.

    Raises `UserError` for an unknown setting, a game other than hold'em, or a villain whose policy isn't known.
    """
    kind, _, setting = hero.partition(":")
    if kind != KIND:
        raise UserError(f"player {hero!r} is no local best response: take {KIND}:SETTING")
    policy = range_policy_of(villain, long_run=hands >= LONG_RUN, ask=True)

    def watch(deals: range) -> Iterator[int]:
        return watched(deals, f"{hero} against {villain.name}", lambda _: 2, progress)

    result = local_best_response(game, policy, setting or DEFAULT_SETTING, hands, seed, watch)
    return LBREvaluation(game, villain, seed, result)


def lbr_summary(
    game: Game, policy: RangePolicy, hands: int = 2_000, seed: int = 0
) -> dict[str, dict[str, float | None]]:
    """What the settings fc, late and fcpa win against a strategy, as a record for JSON.

    At 2,000 hands the standard errors are above 100 mbb/hand: enough to tell a sound strategy from a broken one.
    """
    summary: dict[str, dict[str, float | None]] = {}
    for setting in ("fc", "late", "fcpa"):
        result = local_best_response(game, policy, setting, hands, seed)
        error = result.estimate.standard_error
        summary[setting] = {
            "mbb_per_hand": round(result.estimate.mbb_per_hand, 1),
            "standard_error": None if error is None else round(error, 1),
            "hands": result.estimate.hands,
        }
    return summary


def write_lbr_results(folder: Path, evaluation: LBREvaluation, command: str) -> None:
    """Write `results.json`; raises `UserError` when the folder can't be written."""
    write_atomically(folder / "results.json", json.dumps(lbr_results(evaluation, command), indent=2) + "\n")


def lbr_results(evaluation: LBREvaluation, command: str) -> dict[str, Any]:
    """An evaluation as a record for JSON, with a match's keys; a hand has no winner where villain stays a range."""
    result = evaluation.result
    return {
        "game": str(evaluation.game),
        "hero": evaluation.hero,
        "villain": evaluation.villain.name,
        "seed": evaluation.seed,
        "hands": result.estimate.hands,
        "deals": result.estimate.units,
        "seconds": round(result.seconds, 3),
        "win_rate": None,
        "legal_rate": 1.0,
        "headline": KIND,
        "estimates": {KIND: {**asdict(result.estimate), "standard_error": result.estimate.standard_error}},
        "by_seat": {position(evaluation.game, seat): asdict(result.by_seat[seat]) for seat in (0, 1)},
        "checkpoints": checkpoints(evaluation.villain),
        "versions": versions(),
        "command": command,
    }


def lbr_table(evaluation: LBREvaluation) -> Table:
    """An evaluation for the terminal."""
    result = evaluation.result
    table = Table(title=f"{evaluation.hero} against {evaluation.villain.name}\n{evaluation.game}")
    table.add_column("")
    for column in ("mbb/hand", "± 95 %", "SE", "hands"):
        table.add_column(column, justify="right")
    seats = {position(evaluation.game, seat): result.by_seat[seat] for seat in (0, 1)}
    for name, estimate in {KIND: result.estimate, **seats}.items():
        error = "" if estimate.standard_error is None else f"{estimate.standard_error:,.0f}"
        margin = "" if estimate.margin is None else f"{estimate.margin:,.0f}"
        table.add_row(name, f"{estimate.mbb_per_hand:+,.0f}", margin, error, f"{estimate.hands:,}")
    table.caption = "a lower bound on what a best response wins"
    return table
