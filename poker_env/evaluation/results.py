"""What an evaluation is saved as (`results.json`, `hands.jsonl`) and shown as (tables)."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rich.table import Table

from poker_env.evaluation.estimates import Estimate
from poker_env.evaluation.match import Evaluation
from poker_env.files import write_atomically
from poker_env.hand import write_hands
from poker_env.players.base import Player

PACKAGES = ("exploitative-poker", "open_spiel", "pokerkit", "numpy", "torch", "transformers", "trl", "peft")


@runtime_checkable
class _FromFile(Protocol):
    """A player made from a file."""

    sha256: str | None


def results(evaluation: Evaluation, command: str) -> dict[str, Any]:
    """An evaluation as a record for JSON; `headline` names the one of `estimates` to quote."""
    return {
        "game": str(evaluation.game),
        "hero": evaluation.hero.name,
        "villain": evaluation.villain.name,
        "seed": evaluation.seed,
        "hands": len(evaluation.hands),
        "deals": evaluation.deals,
        "seconds": round(evaluation.seconds, 3),
        "win_rate": evaluation.win_rate,
        "legal_rate": evaluation.legal_rate,
        "headline": evaluation.headline,
        "estimates": {name: asdict(estimate) for name, estimate in evaluation.estimates.items()},
        "by_seat": {seat: asdict(estimate) for seat, estimate in evaluation.by_seat.items()},
        "action_mix": evaluation.action_mix,
        "checkpoints": checkpoints(evaluation.hero, evaluation.villain),
        "versions": versions(),
        "command": command,
    }


def write_results(folder: Path, evaluation: Evaluation, command: str) -> None:
    """Write `results.json` and `hands.jsonl`; raises `UserError` when the folder can't be written."""
    write_hands(folder / "hands.jsonl", evaluation.hands)
    write_atomically(folder / "results.json", json.dumps(results(evaluation, command), indent=2) + "\n")


def summary_table(evaluation: Evaluation) -> Table:
    """An evaluation for the terminal."""
    table = Table(title=f"{evaluation.hero.name} against {evaluation.villain.name}\n{evaluation.game}")
    table.add_column("")
    for column in ("mbb/hand", "± 95 %", "sd", "hands"):
        table.add_column(column, justify="right")
    for name, estimate in {**evaluation.estimates, **evaluation.by_seat}.items():
        sd = "" if estimate.sd is None else f"{estimate.sd:,.0f}"
        table.add_row(name, f"{estimate.mbb_per_hand:+,.0f}", _margin(estimate), sd, f"{estimate.hands:,}")
    mix = ", ".join(f"{action} {share:.1%}" for action, share in evaluation.action_mix.items() if share)
    table.caption = (
        f"hands won {evaluation.win_rate:.1%}, legal answers {evaluation.legal_rate:.1%}\nhero's play: {mix}"
    )
    return table


def comparison_table(evaluations: Mapping[str, Evaluation]) -> Table:
    """Evaluations side by side for the terminal, say before and after training; keys are their labels."""
    table = Table()
    table.add_column("")
    for column in ("mbb/hand", "± 95 %", "hands won", "legal answers", "hands"):
        table.add_column(column, justify="right")
    for label, evaluation in evaluations.items():
        estimate = evaluation.estimates[evaluation.headline]
        rates = (f"{evaluation.win_rate:.1%}", f"{evaluation.legal_rate:.1%}")
        table.add_row(label, f"{estimate.mbb_per_hand:+,.0f}", _margin(estimate), *rates, f"{estimate.hands:,}")
    return table


def _margin(estimate: Estimate) -> str:
    return "unknown" if estimate.half_width is None else f"{estimate.half_width:,.0f}"


def checkpoints(*players: Player) -> dict[str, str]:
    """SHA-256 of the files that players were made from, by player."""
    return {player.name: player.sha256 for player in players if isinstance(player, _FromFile) and player.sha256}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # the trainer's packages are optional
            continue
    return found
