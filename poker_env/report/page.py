"""An evaluation as a page: `report.html`, with its charts and hand histories beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Protocol

import numpy as np

from poker_env.evaluation.hud import actions_of, habits, habits_of
from poker_env.evaluation.match import Evaluation
from poker_env.files import write_atomically
from poker_env.games import Game
from poker_env.hand import Answer, Hand
from poker_env.histories.phh import write_phhs
from poker_env.histories.pokerstars import write_pokerstars
from poker_env.histories.steps import contested_pot, in_words, steps
from poker_env.players.base import Player
from poker_env.report.charts import action_mix_chart, pot_size_chart, preflop_chart, winnings_chart
from poker_env.report.html import Markup, details, escape, facts, render, table, text, title
from poker_env.report.preflop import facing_raise, opening
from poker_env.state import position

TEMPLATE = "report.html"
BIG_POTS = 50
"""How many of the biggest pots can be replayed, beside the first hands."""
FIRST_HANDS = 150
POTS_IN_WORDS = 10
LONGEST_TEXT = 2_000
"""Characters that are kept of a prompt or an answer, from its end and its beginning."""

_SHARES = {"win_rate": "Hands won", "legal_rate": "Legal answers", "cut_off_rate": "Thoughts cut off"}
ESTIMATORS = {
    "raw": "chips won, in one seat of each deck",
    "duplicate": "chips won, every deck in both seats",
    "all_in": "chips won, with equities in place of the cards dealt after an all-in",
    "chance_corrected": "chips won, less the luck of the cards",
    "aivat": "chips won, less the luck of the cards and of the decisions with known probabilities, Burch et al. 2018",
    "exact": "worked out, nothing sampled",
}
_SHOWN = {
    *("game", "hero", "villain", "seed", "hands", "deals", "seconds", "win_rate", "legal_rate", "headline"),
    "cut_off_rate",
    *("estimates", "by_seat", "action_mix", "hud", "habits", "checkpoints", "versions", "command"),
}
"""Keys of a record that have their own place on the page; others are shown as they are."""


_NOTES = {
    "differences": "Estimators of the same hands, one less the other: 0 but for chance, seldom 3 standard errors off.",
    "exploitability": "What the named best response wins from hero: a lower bound on what can be won.",
    "value_function": "What AIVAT takes for the value of a position. It was fixed before the first hand.",
    "capture": "Hero's share of what the named best response wins from villain; a dash where that may be nothing.",
    "gains": "The headline in two parts. Off tree: hands where hero made a bet that villain's blueprint doesn't know.",
    "off_tree_hands": "Share of hands in which hero made a bet that villain's blueprint doesn't know.",
}


@dataclass(frozen=True)
class Chart:
    """A picture on the page."""

    name: str
    """Of its file, without the ending."""
    caption: str
    png: bytes
    wide: bool = False
    """Whether it needs more room than a phone has."""


class Played(Protocol):
    """Hands with something to say of them: a match, or what somebody else has played."""

    @property
    def game(self) -> Game:
        """Of the hands; each may have stakes of its own."""
        ...

    @property
    def hands(self) -> Sequence[Hand]:
        """In the order they were played."""
        ...


def write_report(folder: Path, evaluation: Evaluation, record: dict[str, Any], ask_hero: bool = False) -> None:
    """Write `report.html`, its charts as PNG files and, of hold'em, the hands as `hands.phhs` and `hands.txt`.

    Numbers come from `record`, what `results` (see there) says of the evaluation; its other keys are shown, too. With
    `ask_hero` hero's preflop charts show its probabilities where it can say them (a model: 338 prompts), not what it
    did. Raises `UserError` when the folder can't be written.
    """
    figures = habits(evaluation.hands, evaluation.game)
    values = {"duplicate": evaluation.values["payoff"], evaluation.headline: evaluation.headline_values}
    hero, villain = evaluation.hero, evaluation.villain
    charts = draw_charts(evaluation, figures, values, hero=hero, villain=villain, ask_hero=ask_hero)
    for chart in charts:
        write_atomically(folder / f"{chart.name}.png", chart.png)
    if evaluation.game.name == "holdem":
        write_phhs(folder / "hands.phhs", evaluation.hands)
        write_pokerstars(folder / "hands.txt", evaluation.hands)
    write_atomically(folder / TEMPLATE, page(evaluation, record, figures, charts))


def draw_charts(
    played: Played,
    figures: dict[str, Any],
    values: Mapping[str, np.ndarray],
    per_deck: int = 2,
    hero: Player | None = None,
    villain: Player | None = None,
    ask_hero: bool = False,
) -> list[Chart]:
    """The charts that make sense in the game; `figures` are those of `habits`.

    `values` and `per_deck` are those of `winnings_chart`. Of players that are None there is only what they did.
    """
    game, hands = played.game, played.hands
    charts = [
        Chart(
            "winnings", "The win rate so far, and where the chips came from.", winnings_chart(hands, values, per_deck)
        ),
        Chart("pot_sizes", "What pots of each size add to the win rate.", pot_size_chart(hands)),
        Chart("action_mix", "What hero and villain do on each street.", action_mix_chart(figures, game), wide=True),
    ]
    if game.name == "holdem":
        for name, situation, caption in (
            ("preflop_open", opening, "First to act on the button."),
            ("preflop_facing_raise", facing_raise, "In the big blind, against the button's opening raise."),
        ):
            both = situation(hero, True, hands, ask_hero), situation(villain, False, hands, False)
            charts.append(Chart(name, caption, preflop_chart(*both), wide=True))
    return charts


def page(played: Played, record: dict[str, Any], figures: dict[str, Any], charts: Sequence[Chart]) -> str:
    """The page, in itself complete."""
    game, hands = played.game, played.hands
    pots = [contested_pot(hand) / hand.game.big_blind for hand in hands]
    biggest = sorted(range(len(hands)), key=lambda index: (-pots[index], index))
    replayed = sorted({*biggest[:BIG_POTS], *range(min(FIRST_HANDS, len(hands)))})
    extra = {key: value for key, value in record.items() if key not in _SHOWN and value not in (None, {}, [])}
    sections = [
        ("Result", _result(record)),
        *((title(key).capitalize(), _extra(key, value)) for key, value in extra.items()),
        ("Charts", Markup("".join(map(_figure, charts)))),
        ("Habits", _habits(figures, game)),
        ("Action mix", _action_mix(figures, game, record.get("action_mix", {}))),
        ("Biggest pots", _biggest_pots(hands, biggest[:POTS_IN_WORDS])),
        ("How it was made", _origin(record)),
    ]
    links = [*((f"part-{number}", name) for number, (name, _) in enumerate(sections)), ("replayer", "Hand replayer")]
    template = Template(files("poker_env.report").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(f"{record['hero']} against {record['villain']}, {game.name}"),
        headline=_headline(record),
        contents="".join(f'<a href="#{anchor}">{escape(name)}</a>' for anchor, name in links),
        sections="".join(
            f'<section id="part-{number}">\n<h2>{escape(name)}</h2>\n{content}</section>\n'
            for number, (name, content) in enumerate(sections)
        ),
        replayer_note=escape(_replayer_note(len(hands), len(replayed))),
        hands=_script_json([_replay(hands[index], index + 1) for index in replayed]),
        footer=escape(
            "Exploitative Poker. mbb/hand: thousandths of a big blind per hand; in Kuhn and Leduc, of an ante."
        ),
    )


def _headline(record: dict[str, Any]) -> Markup:
    estimate = record["estimates"][record["headline"]]
    mean, interval = estimate["mbb_per_hand"], estimate.get("ci95")
    verdict, kind = "Hero's win rate can't be told from 0 yet.", ""
    if interval and interval[0] > 0:
        verdict, kind = "Hero wins.", "good"
    elif interval and interval[1] < 0:
        verdict, kind = "Hero loses.", "bad"
    bounds = f"95 % interval: {_signed(interval[0])} to {_signed(interval[1])}. " if interval else ""
    played = f"{record['hands']:,} hands"
    if record["seed"] is not None:
        played += f" on {record['deals']:,} decks, seed {record['seed']}"
    name = record["headline"]
    meaning = f" ({ESTIMATORS[name]})" if name in ESTIMATORS else ""
    hashes = [f"{player}: {digest[:12]}…" for player, digest in record.get("checkpoints", {}).items()]
    origin = "; ".join([*hashes, record.get("command", "")])
    return Markup(
        f'<div class="headline"><strong class="{kind}">{_signed(mean)} mbb/hand</strong>\n'
        f"<p>{escape(bounds + verdict)}</p>\n"
        f'<p class="quiet">Estimator: {escape(title(name) + meaning)}. {escape(played)}.</p>\n'
        f'<p class="quiet"><code>{escape(origin)}</code></p></div>'
    )


def _result(record: dict[str, Any]) -> Markup:
    meanings = {name: f"<small>{escape(ESTIMATORS.get(name, ''))}</small>" for name in record["estimates"]}
    estimates: dict[str, Any] = {
        Markup(escape(title(name)) + meanings[name]): row for name, row in record["estimates"].items()
    }
    shares = facts(
        [(label, f"{record[key]:.1%}") for key, label in _SHARES.items() if isinstance(record.get(key), float)]
    )
    return Markup(f"{_estimates(estimates)}<h3>By seat</h3>\n{_estimates(record['by_seat'])}{shares}")


def _extra(key: str, value: Any) -> Markup:
    """A part of the record that has no place of its own."""
    note = Markup(f'<p class="quiet">{escape(_NOTES[key])}</p>\n' if key in _NOTES else "")
    if key == "comparison":
        return _comparison(value)
    if isinstance(value, dict) and all(isinstance(row, dict) and "mbb_per_hand" in row for row in value.values()):
        return Markup(note + _estimates({title(name): row for name, row in value.items()}))
    return Markup(note + render(value))


def _comparison(record: dict[str, Any]) -> Markup:
    other = f"{record['hero']} against {record['villain']}"
    rows = []
    for name, difference in record["difference"].items():
        own, others = (record[side][name]["mbb_per_hand"] for side in ("own", "other"))
        rows.append([title(name), _signed(own), _signed(others), *_interval(difference)])
    note = f"Both on the {record['deals']:,} decks that {other} played, too, in {record['folder']}."
    header = ["mbb/hand", "this one", other, "difference", "95 % interval"]
    return Markup(f'<p class="quiet">{escape(note)}</p>\n{table(header, rows)}')


def _interval(row: dict[str, Any]) -> tuple[str, str]:
    """The mean and the 95 % interval of an estimate."""
    interval = row.get("ci95")
    return _signed(row["mbb_per_hand"]), f"{_signed(interval[0])} to {_signed(interval[1])}" if interval else "–"


def _estimates(rows: dict[str, dict[str, Any]]) -> Markup:
    known = ("mbb_per_hand", "ci95", "sd", "hands", "units")
    others = list(dict.fromkeys(key for row in rows.values() for key in row if key not in known))
    cells = []
    for name, row in rows.items():
        sd = "–" if row.get("sd") is None else f"{row['sd']:,.0f}"
        counts = [text(row.get(key)) for key in ("hands", "units")]
        rest = [text(row.get(key)).replace("-", "\N{MINUS SIGN}") for key in others]
        cells.append([name, *_interval(row), sd, *counts, *rest])
    header = ["", "mbb/hand", "95 % interval", "sd per hand", "hands", "independent samples", *map(title, others)]
    return table(header, cells)


def _habits(figures: dict[str, Any], game: Game) -> Markup:
    columns = [(who, where) for where in figures["hero"] for who in ("hero", "villain")]
    rows: list[list[object]] = [["hands", *(f"{figures[who][where]['hands']:,}" for who, where in columns)]]
    for habit in habits_of(game):
        rows.append([habit.label, *(_rate(figures[who][where][habit.key]) for who, where in columns)])
    rows.append(["Aggression factor", *(_factor(figures[who][where]["aggression_factor"]) for who, where in columns)])
    header = ["", *(who if where == "all" else f"{who}, {where}" for who, where in columns)]
    after = "after the flop" if game.name == "holdem" else "on all streets"
    meanings = [(habit.label, habit.meaning) for habit in habits_of(game)]
    meanings.append(("Aggression factor", f"Bets and raises for each call, {after}."))
    legend = "".join(f"<dt>{escape(label)}</dt><dd>{escape(meaning)}</dd>\n" for label, meaning in meanings)
    note = Markup("<p class='quiet'>Small print: 95 % interval, and of how many opportunities.</p>\n")
    return Markup(table(header, rows) + note + details("What the figures mean", Markup(f"<dl>\n{legend}</dl>\n")))


def _rate(rate: dict[str, Any]) -> Markup:
    if rate["share"] is None:
        return Markup("–")
    low, high = rate["ci95"]
    return Markup(f"{rate['share']:.1%}<small>{100 * low:.0f}–{high:.0%} of {rate['opportunities']:,}</small>")


def _factor(factor: dict[str, Any]) -> Markup:
    value = "–" if factor["value"] is None else f"{factor['value']:.2f}"
    return Markup(f"{value}<small>{factor['bets_and_raises']:,} to {factor['calls']:,}</small>")


def _action_mix(figures: dict[str, Any], game: Game, overall: dict[str, float]) -> Markup:
    mix = ", ".join(f"{action} {share:.1%}" for action, share in overall.items() if share)
    intro = Markup(f"<p>Hero's play on all streets: {escape(mix)}.</p>\n") if mix else Markup()
    seats = [where for where in figures["hero"] if where != "all"]
    by_seat = "".join(f"<h3>{escape(seat)}</h3>\n{_mix_table(figures, game, seat)}" for seat in seats)
    return Markup(intro + _mix_table(figures, game, "all") + details("By seat", Markup(by_seat)))


def _mix_table(figures: dict[str, Any], game: Game, where: str) -> Markup:
    rows: list[list[object]] = []
    for street in game.streets:
        for who in ("hero", "villain"):
            mix = figures[who][where]["action_mix"][street]
            shares = [mix["actions"][action]["share"] for action in actions_of(game)]
            cells = ["" if not share else f"{share:.1%}" for share in shares]
            rows.append([f"{street}, {who}", f"{mix['decisions']:,}", *cells])
    return table(["", "decisions", *actions_of(game)], rows)


def _figure(chart: Chart) -> Markup:
    data = base64.b64encode(chart.png).decode()
    image = f'<img alt="{escape(chart.caption)}" src="data:image/png;base64,{data}">'
    kind = ' class="wide"' if chart.wide else ""
    caption = f"<figcaption>{escape(chart.caption)}</figcaption>"
    return Markup(f'<figure{kind}><div class="scroll">{image}</div>{caption}</figure>\n')


def _biggest_pots(hands: Sequence[Hand], indices: Sequence[int]) -> Markup:
    parts = [
        f'<h3>{escape(_hand_title(hands[index], index + 1))} <a href="#hand-{index + 1}">replay</a></h3>\n'
        f"<pre>{escape(in_words(hands[index]))}</pre>\n"
        for index in indices
    ]
    return Markup("".join(parts))


def _origin(record: dict[str, Any]) -> Markup:
    rows: list[tuple[object, object]] = [
        (key.capitalize(), text(record[key])) for key in ("game", "hero", "villain", "command") if key in record
    ]
    rows += [(f"SHA-256 of {name}", digest) for name, digest in record.get("checkpoints", {}).items()]
    rows += [("Seed", str(record["seed"]))] if record["seed"] is not None else []
    rows += [("Seconds", text(record["seconds"]))] if "seconds" in record else []
    rows.append(("Versions", ", ".join(f"{name} {value}" for name, value in record.get("versions", {}).items())))
    return facts(rows)


def _replayer_note(hands: int, replayed: int) -> str:
    if replayed == hands:
        return f"All {hands:,} hands."
    return f"{replayed:,} of {hands:,} hands: the first ones and the biggest pots."


def _replay(hand: Hand, number: int) -> dict[str, Any]:
    """What the page's script needs; pairs are hero's, then villain's."""
    hero, villain = hand.hero_seat, 1 - hand.hero_seat
    told = []
    for step in steps(hand):
        answer = step.decision.answer if step.decision and step.decision.seat == hero else None
        told.append(
            {
                "text": step.text,
                "board": step.board,
                "pot": step.pot,
                "stacks": [step.stacks[hero], step.stacks[villain]],
                "bets": [step.bets[hero], step.bets[villain]],
                "actor": [hero, villain].index(step.decision.seat) if step.decision else None,
                **({"asked": _cut(answer.prompt), "answered": _cut(answer.completion)} if answer else {}),
                **({"thought": _thought(answer)} if answer and answer.thought is not None else {}),
            }
        )
    return {
        "number": number,
        "title": _hand_title(hand, number),
        "hole": [hand.hole[hero], hand.hole[villain]],
        "seats": [position(hand.game, hero), position(hand.game, villain)],
        "steps": told,
    }


def _hand_title(hand: Hand, number: int) -> str:
    unit = "bb" if hand.game.name == "holdem" else "antes"
    pot, won = contested_pot(hand) / hand.game.big_blind, hand.payoff_bb
    return f"Hand {number:,}: pot {pot:.4g} {unit}, hero {_signed(won, '.4g')} {unit}"


def _thought(answer: Answer) -> str:
    """What was thought before an answer, as long as it is."""
    return f"{answer.thought}{' … (cut off: it never answered)' if answer.cut_off else ''}"


def _cut(words: str) -> str:
    if len(words) <= LONGEST_TEXT:
        return words
    half = LONGEST_TEXT // 2
    return f"{words[:half]}\n[… {len(words) - 2 * half:,} characters …]\n{words[-half:]}"


def _script_json(value: Any) -> str:
    """JSON that no HTML parser can mistake for the end of its script element."""
    dumped = json.dumps(value, separators=(",", ":"))
    return dumped.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _signed(value: float, form: str = ",.0f") -> str:
    return f"{value:+{form}}".replace("-", "\N{MINUS SIGN}") if value else "0"
