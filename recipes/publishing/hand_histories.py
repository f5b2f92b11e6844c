"""Hand histories from elsewhere as a folder of ours: records, habits, charts and a replayer."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poker_env.evaluation.estimates import estimate
from poker_env.evaluation.hud import habits
from poker_env.evaluation.progress_bar import watched
from poker_env.evaluation.results import versions
from poker_env.files import whole_folder, write_atomically
from poker_env.games import DEFAULTS, Game
from poker_env.hand import Hand, write_hands
from poker_env.histories.phh import write_phhs
from poker_env.histories.reading import Histories, read_histories
from poker_env.report.page import draw_charts, page
from poker_env.state import position

NAMED = 3
"""Places that are named of each reason to leave hands out; `left_out.jsonl` has them all."""

LINES = 20
"""Broken hands that have a line on the terminal."""


@dataclass(frozen=True)
class _Played:
    """See `poker_env.report.page.Played`."""

    game: Game
    hands: Sequence[Hand]


def convert_histories(paths: Sequence[Path], folder: Path, hero: str | None) -> list[str]:
    """Write what files tell of hero's hands as a new folder, and return what to say of it, line by line.

    Raises `UserError` when no hand fits, or the folder is in use.
    """
    with whole_folder(folder) as temporary:
        found = read_histories(paths, hero, lambda pieces: watched(pieces, "reading", lambda _: 1))
        command = ["python", "recipes/convert.py", "hands", *map(str, paths), "--output", str(folder)]
        record = _record(found, shlex.join(command + (["--hero", hero] if hero is not None else [])))
        write_hands(temporary / "hands.jsonl", found.hands)
        write_phhs(temporary / "hands.phhs", found.hands)
        write_atomically(temporary / "results.json", json.dumps(record, indent=2) + "\n")
        write_atomically(temporary / "left_out.jsonl", "".join(json.dumps(row) + "\n" for row in _left_out(found)))
        _write_report(temporary, found.hands, record)
    return [*_summary(found, record, folder), *_complaints(found)]


def _record(found: Histories, command: str) -> dict[str, Any]:
    """In the form of `poker_env.evaluation.results.results`: every hand is a deck of its own."""
    hands, mbb = found.hands, _mbb(found.hands)
    seats = np.array([hand.hero_seat for hand in hands])
    decisions = [decision for hand in hands for decision in hand.hero_decisions]
    game = DEFAULTS["holdem"]
    return {
        "game": _stakes(hands),
        "hero": " and ".join(found.heroes),
        "villain": next(iter(found.villains)) if len(found.villains) == 1 else f"{len(found.villains):,} players",
        "seed": None,
        "hands": len(hands),
        "deals": len(hands),
        "win_rate": sum(hand.payoff > 0 for hand in hands) / len(hands),
        "legal_rate": sum(decision.legal for decision in decisions) / max(1, len(decisions)),
        "headline": "raw",
        "estimates": {"raw": asdict(estimate(mbb, len(hands)))},
        "by_seat": {
            position(game, seat): asdict(estimate(mbb[seats == seat], int((seats == seat).sum())))
            for seat in (0, 1)
            if (seats == seat).any()
        },
        "rake": {"raked_hands": found.raked, "mbb_per_hand": round(1000 * float(found.rake) / len(hands), 3)},
        "left_out": {reason: len(places) for reason, places in found.left_out.items()},
        "broken": len(found.broken) or None,
        "hud": habits(hands, game),
        "versions": versions(),
        "command": command,
    }


def _write_report(folder: Path, hands: Sequence[Hand], record: dict[str, Any]) -> None:
    played = _Played(DEFAULTS["holdem"], hands)
    charts = draw_charts(played, record["hud"], {"raw": _mbb(hands)}, per_deck=1)
    for chart in charts:
        write_atomically(folder / f"{chart.name}.png", chart.png)
    write_atomically(folder / "report.html", page(played, record, record["hud"], charts))


def _mbb(hands: Sequence[Hand]) -> np.ndarray:
    """(hands,): what hero won."""
    return np.array([1000 * hand.payoff_bb for hand in hands])


def _stakes(hands: Sequence[Hand]) -> str:
    """One game by its spec, several in words; chips."""
    games = {hand.game for hand in hands}
    if len(games) == 1:
        return str(games.pop())
    blinds = {(game.small_blind, game.big_blind) for game in games}
    named = ", ".join(f"{small:,}/{big:,}" for small, big in sorted(blinds)[:NAMED])
    more = f" and {len(blinds) - NAMED:,} more" if len(blinds) > NAMED else ""
    depths = sorted(game.stack / game.big_blind for game in games)
    return f"holdem, blinds of {named}{more}, {depths[0]:.3g} to {depths[-1]:.3g} big blinds deep"


def _left_out(found: Histories) -> list[dict[str, str]]:
    rows = [{"hand": place, "reason": reason} for reason, places in found.left_out.items() for place in places]
    return rows + [{"broken": line} for line in found.broken]


def _summary(found: Histories, record: Mapping[str, Any], folder: Path) -> list[str]:
    hands, estimates = found.hands, record["estimates"]["raw"]
    decisions = sum(len(hand.hero_decisions) for hand in hands)
    interval = estimates["ci95"]
    margin = "" if interval is None else f" [{interval[0]:+,.0f}, {interval[1]:+,.0f}]"
    lines = [
        f"{folder}: {len(hands):,} hands of {record['hero']} against {record['villain']}, {decisions:,} decisions",
        f"{record['game']} (chips)",
        f"won {estimates['mbb_per_hand']:+,.0f}{margin} mbb/hand (95 %), before rake; see report.html",
    ]
    if found.raked:
        rake = record["rake"]["mbb_per_hand"]
        lines.append(f"{found.raked:,} pots were raked, by {rake:,.0f} mbb/hand in all: payoffs are before that")
    hidden = sum(not hand.shows(1 - hand.hero_seat) for hand in hands)
    if hidden:
        lines.append(f"villain's cards were never shown in {hidden:,} hands: they are ?? there")
    return lines


def _complaints(found: Histories) -> list[str]:
    """What was left out, by reason, and what is broken."""
    lines = []
    for reason, places in sorted(found.left_out.items(), key=lambda item: -len(item[1])):
        more = f" and {len(places) - NAMED:,} more" if len(places) > NAMED else ""
        lines.append(f"left out: {len(places):,} ({reason}): {'; '.join(places[:NAMED])}{more}")
    lines += [f"broken: {line}" for line in found.broken[:LINES]]
    if len(found.broken) > LINES:
        lines.append(f"broken: {len(found.broken) - LINES:,} more, see left_out.jsonl")
    return lines
