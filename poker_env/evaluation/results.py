"""What an evaluation is saved as (`results.json`, `values.csv`, `hands.jsonl`) and shown as (tables)."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rich.table import Table

from poker_env.evaluation.capture import Capture
from poker_env.evaluation.compare import VALUES, Comparison
from poker_env.evaluation.estimates import Estimate
from poker_env.evaluation.hud import habits
from poker_env.evaluation.match import Evaluation
from poker_env.files import write_atomically
from poker_env.hand import write_hands
from poker_env.players.base import Player
from poker_env.players.mixture import MixturePlayer
from poker_env.players.poker_config import PokerConfig
from poker_env.prompts import ODDS

PACKAGES = ("exploitative-poker", "open_spiel", "pokerkit", "numpy", "torch", "transformers", "trl", "peft")


@runtime_checkable
class _FromFile(Protocol):
    """A player made from a file."""

    sha256: str | None


def results(
    evaluation: Evaluation,
    command: str,
    comparison: Comparison | None = None,
    exploitability: Mapping[str, Estimate] | None = None,
) -> dict[str, Any]:
    """An evaluation as a record for JSON; `headline` names the one of `estimates` to quote.

    `exploitability` is what best responses win from hero, by their names; in Kuhn and Leduc that is in `exact`.
    """
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
        **({} if evaluation.cut_off_rate is None else {"cut_off_rate": evaluation.cut_off_rate}),
        "headline": evaluation.headline,
        "estimates": _records(evaluation.estimates),
        "by_seat": _records(evaluation.by_seat),
        "capture": _records(evaluation.captures),
        "gains": _records(evaluation.gains),
        "off_tree_hands": None if evaluation.off_tree is None else float(evaluation.off_tree.mean()),
        "exploitability": _records(exploitability or {}),
        "exact": asdict(evaluation.exact) if evaluation.exact else None,
        "comparison": asdict(comparison) if comparison else None,
        "differences": {name: _difference(found) for name, found in evaluation.differences.items()},
        "value_function": asdict(evaluation.value_function) if evaluation.value_function else None,
        "action_mix": evaluation.action_mix,
        "hud": habits(evaluation.hands, evaluation.game),
        "checkpoints": checkpoints(evaluation.hero, evaluation.villain),
        "prompts": prompts(evaluation.hero, evaluation.villain),
        "versions": versions(),
        "command": command,
    }


def write_results(
    folder: Path,
    evaluation: Evaluation,
    command: str,
    comparison: Comparison | None = None,
    exploitability: Mapping[str, Estimate] | None = None,
) -> dict[str, Any]:
    """Write `results.json`, `values.csv` and `hands.jsonl`, and return what is in the first; see `results`.

    Raises `UserError` when the folder can't be written.
    """
    record = results(evaluation, command, comparison, exploitability)
    write_hands(folder / "hands.jsonl", evaluation.hands)
    write_atomically(folder / VALUES, values_csv(evaluation))
    write_atomically(folder / "results.json", json.dumps(record, indent=2) + "\n")
    return record


def values_csv(evaluation: Evaluation) -> str:
    """One line per hand: its deck's number, hero's seat, and in mbb what each estimator and local best response says.

    All estimates can be worked out from that: the decks are the independent samples.
    """
    columns = {name: [f"{value:.3f}" for value in values] for name, values in evaluation.values.items()}
    columns |= {f"lbr:{name}": [f"{v:.3f}" for v in values] for name, values in evaluation.references.items()}
    if evaluation.off_tree is not None:
        columns["off_tree"] = [str(int(left)) for left in evaluation.off_tree]
    lines = [",".join(("deck", "seat", *columns))]
    for index, (hand, *row) in enumerate(zip(evaluation.hands, *columns.values(), strict=True)):
        lines.append(",".join((str(index // 2), str(hand.hero_seat), *row)))
    return "\n".join(lines) + "\n"


def summary_table(evaluation: Evaluation) -> Table:
    """An evaluation's win rates for the terminal."""
    gains = {f"{name.replace('_', '-')} hands": gain for name, gain in evaluation.gains.items()}
    title = f"{evaluation.hero.name} against {evaluation.villain.name}\n{evaluation.game}"
    return rates_table(title, evaluation.headline, evaluation.estimates, {**evaluation.by_seat, **gains})


def rates_table(title: str, headline: str, estimates: Mapping[str, Estimate], parts: Mapping[str, Estimate]) -> Table:
    """Estimates of a win rate, the headline's with an asterisk, then those of parts of the hands, for the terminal."""
    table = Table(title=title)
    table.add_column("")
    for column in ("mbb/hand", "95 % interval", "sd", "hands"):
        table.add_column(column, justify="right")
    named = {f"{name} *" if name == headline else name: estimate for name, estimate in estimates.items()}
    for name, estimate in {**named, **parts}.items():
        sd = "" if estimate.sd is None else f"{estimate.sd:,.0f}"
        interval = "unknown" if estimate.ci95 is None else f"{estimate.ci95[0]:+,.0f} to {estimate.ci95[1]:+,.0f}"
        table.add_row(name, f"{estimate.mbb_per_hand:+,.0f}", interval, sd, f"{estimate.hands:,}")
    return table


def summary_lines(evaluation: Evaluation, exploitability: Mapping[str, Estimate] | None = None) -> list[str]:
    """What to say below `summary_table`; `exploitability` as in `results`."""
    big_blind, exact = evaluation.game.big_blind, evaluation.exact
    mix = ", ".join(f"{action} {share:.1%}" for action, share in evaluation.action_mix.items() if share)
    lines = [
        "* the headline",
        f"hands won {evaluation.win_rate:.1%}, legal answers {evaluation.legal_rate:.1%}"
        + ("" if evaluation.cut_off_rate is None else f", thoughts cut off {evaluation.cut_off_rate:.1%}"),
        f"hero's play: {mix}",
    ]
    if evaluation.off_tree is not None:
        share = evaluation.off_tree.mean()
        lines.append(f"bets that villain's blueprint doesn't know (off-tree) in {share:.1%} of hands")
    lines += [f"capture of {name}: {_capture(capture)}" for name, capture in evaluation.captures.items()]
    if exact and exact.exploitability is not None:
        lines.append(f"a best response to hero wins {1000 * exact.exploitability / big_blind:,.1f} mbb/hand")
    for name, found in (exploitability or {}).items():
        lines.append(f"a best response to hero wins {found} mbb/hand or more ({name}, {found.hands:,} hands)")
    return lines


def comparison_table(records: Mapping[str, Mapping[str, Any]], gains: Mapping[str, Estimate] | None = None) -> Table:
    """Evaluations on the same decks, one below the other for the terminal: what `results` says, by label.

    `gains` are what was won more than in the one above, deck by deck; those of other labels have lines of their own.
    """
    gains, hands = gains or {}, next(iter(records.values()))["hands"]
    table = Table(caption=f"{hands:,} hands each on the same decks; gains deck by deck")
    table.add_column("")
    for column in ("mbb/hand [95 %]", "gain [95 %]", "legal"):  # in 80 columns
        table.add_column(column, justify="right")
    for label in dict.fromkeys((*records, *gains)):
        gain = gains[label].with_interval if label in gains else ""
        if label in records:
            record = records[label]
            headline = Estimate(**record["estimates"][record["headline"]])
            table.add_row(label, headline.with_interval, gain, f"{record['legal_rate']:.1%}")
        else:
            table.add_row(label, "", gain, "")
    return table


def _records(items: Mapping[str, Any]) -> dict[str, Any]:
    return {name: asdict(item) for name, item in items.items()}


def _difference(estimate: Estimate) -> dict[str, Any]:
    """Of two estimators, with how many standard errors it is from 0; None where both say the same of every deck."""
    error = estimate.standard_error or 0.0
    return {**asdict(estimate), "standard_errors": round(estimate.mbb_per_hand / error, 2) if error > 1e-6 else None}


def _capture(capture: Capture) -> str:
    best = f"of {capture.best_response_mbb:+,.0f} mbb/hand"
    if capture.value is None:
        return f"unknown {best}"
    interval = "" if capture.ci95 is None else f" [{capture.ci95[0]:.1%}, {capture.ci95[1]:.1%}]"
    return f"{capture.value:.1%}{interval} {best}"


def checkpoints(*players: Player) -> dict[str, str]:
    """SHA-256 of the files that players, or a mixture's components, were made from, by player."""
    mixed = [player.components if isinstance(player, MixturePlayer) else (player,) for player in players]
    return {player.name: player.sha256 for player in chain(*mixed) if isinstance(player, _FromFile) and player.sha256}


def judged_sha256(record: Mapping[str, Any]) -> str | None:
    """Of what `results` says of an evaluation: SHA-256 of the file that hero was made from, None where it was none."""
    sha256: str | None = record["checkpoints"].get(record["hero"])
    return sha256


def prompts(*players: Player) -> dict[str, dict[str, str | float | None]]:
    """How language models were asked, by player: style, whom they were given advice about, temperature, answers.

    And, of those that think first, how many tokens they have for that and for the answer.
    """
    asked = {player.name: (getattr(player, "config", None), getattr(player, "answers", None)) for player in players}
    return {
        name: {
            "style": config.style,
            "advisor": config.advisor,
            "advice": None if config.advisor is None else ",".join((ODDS, *config.advice)),
            "temperature": config.temperature,
            "answers": answers,
            **({"thinking_tokens": config.max_new_tokens} if config.thinking else {}),
        }
        for name, (config, answers) in asked.items()
        if isinstance(config, PokerConfig)
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # the trainer's packages are optional
            continue
    return found
