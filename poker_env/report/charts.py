"""Charts of an evaluation, each as the bytes of a PNG picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from poker_env.evaluation.estimates import by_deck, margins
from poker_env.evaluation.hud import Z, actions_of
from poker_env.games import Game
from poker_env.hand import Hand
from poker_env.histories.steps import contested_pot
from poker_env.report.preflop import ANSWERS, PreflopChart, class_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by colour-blind readers, too: quiet actions cold, aggressive ones warm, the darker the larger.
_FOLD, _CHECK, _CALL, _ALL_IN, _ILLEGAL = "#9db7d5", "#d5e3d0", "#5aa469", "#7a0c2e", "#222222"
_SIZES = ("#fddc9a", "#fdb863", "#f58b4c", "#e0592f", "#b8312f")
_SMALL_GAME_COLOURS = (_FOLD, _CHECK, _CALL, _SIZES[2], _SIZES[4], _ILLEGAL)
_HOLDEM_COLOURS = (_FOLD, _CHECK, _CALL, *_SIZES, _ALL_IN, _ILLEGAL)
_ANSWER_COLOURS = dict(zip(ANSWERS, (_FOLD, _CALL, _SIZES[3], _ALL_IN, _ILLEGAL), strict=True))
_UNSEEN = "#e6e6e6"
_POT_EDGES = (0, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)  # big blinds


def winnings_chart(hands: Sequence[Hand], values: Mapping[str, np.ndarray], per_deck: int = 2) -> bytes:
    """The win rate so far with its 95 % band, and chips won so far, with and without showdown.

    `hands` come in pairs that share a deck, or each with its own (`per_deck` 1); the deck is the sampling unit.
    `values` are mbb of each hand (hands,) by the name of the estimator.
    """
    figure = _figure(11, 4.2)
    rate_axes, won_axes = figure.subplots(1, 2)
    payoffs = np.array([hand.payoff_bb for hand in hands])
    ends = [0.0]  # of the bands once they have settled: earlier ones would set the scale
    for name, mbb in values.items():
        after, mean, low, high = _running_mean(mbb, per_deck)
        rate_axes.fill_between(after, low, high, alpha=0.2, linewidth=0)
        rate_axes.plot(after, mean, label=name)
        settled = len(after) // 3
        ends += [low[settled:].min(), high[settled:].max()]
    room = 0.05 * (max(ends) - min(ends)) or 1.0
    rate_axes.set_ylim(min(ends) - room, max(ends) + room)
    rate_axes.legend(loc="upper right")
    rate_axes.set_title("hero's win rate so far, mbb/hand, 95 % band")
    played = np.arange(len(hands) + 1)
    showdown = np.array([hand.showdown for hand in hands])
    for label, counted, colour in (
        ("at showdown", showdown, "#3b75af"),
        ("without showdown", ~showdown, "#c23b3b"),
        ("all hands", np.ones(len(hands), bool), "#2f8f4e"),
    ):
        won_axes.plot(played, np.concatenate([[0], (payoffs * counted).cumsum()]), color=colour, label=label)
    won_axes.legend(loc="upper left")
    won_axes.set_title(f"{_unit(hands[0].game)} won so far")
    for axes in (rate_axes, won_axes):
        axes.axhline(0, color="grey", linewidth=0.8)
        axes.set_xlabel("hands")
    return _png(figure)


def _running_mean(mbb: np.ndarray, per_deck: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Hands played, and after so many the mean and both ends of its 95 % interval, as `estimate` has them.

    The first twentieth is left out.
    """
    decks = by_deck(mbb) if per_deck == 2 else mbb
    first = min(max(1, len(decks) // 20), len(decks) - 1)
    units = np.arange(1, len(decks) + 1)
    mean, square, cube = (((decks - decks.mean()) ** power).cumsum() / units for power in (1, 2, 3))
    variance = np.maximum(square - mean**2, 0)
    third = cube - 3 * mean * square + 2 * mean**3
    skewness = np.divide(third, variance**1.5, out=np.zeros(len(decks)), where=variance > 1e-9)
    n = np.maximum(units, 2)
    below, above = margins(np.sqrt(variance * n / (n - 1)), skewness, n)
    mean = mean + decks.mean()
    return per_deck * units[first:], mean[first:], (mean - below)[first:], (mean + above)[first:]


def action_mix_chart(habits: dict[str, Any], game: Game) -> bytes:
    """What hero and villain do on each street, from `habits`."""
    bars = [(street, who) for street in game.streets for who in ("hero", "villain")]
    figure = _figure(11, 1.2 + 0.42 * len(bars))
    axes = figure.subplots()
    mixes = [habits[who]["all"]["action_mix"][street] for street, who in bars]
    places = [index + 0.5 * (index // 2) for index in range(len(bars))]
    left = np.zeros(len(bars))
    for action, colour in zip(actions_of(game), _colours(game), strict=True):
        shares = np.array([100 * (mix["actions"][action]["share"] or 0.0) for mix in mixes])
        drawn = axes.barh(places, shares, left=left, color=colour, label=action, height=0.8)
        dark = action in ("all-in", "illegal") or colour in _SIZES[3:]
        labels = [f"{share:.0f}" if share >= 4 else "" for share in shares]
        axes.bar_label(drawn, labels, label_type="center", fontsize=8, color="white" if dark else "black")
        left += shares
    axes.set_yticks(places, [f"{street}, {who}" for street, who in bars])
    for place, mix in zip(places, mixes, strict=True):
        axes.text(101, place, f"{mix['decisions']:,}", va="center", fontsize=9)
    axes.text(101, -1, "decisions", va="center", fontsize=9)
    axes.set_xlim(0, 100)
    axes.set_ylim(places[-1] + 0.6, -0.6)
    axes.set_xlabel(
        "% of decisions" + ("; bets and raises by their share of the pot" if game.name == "holdem" else "")
    )
    figure.legend(loc="outside lower center", ncols=len(actions_of(game)), fontsize=8, frameon=False)
    return _png(figure)


def pot_size_chart(hands: Sequence[Hand]) -> bytes:
    """Where hero's win rate comes from: the part of it won in pots of each size (an uncalled bet left out)."""
    game = hands[0].game
    pots = np.array([contested_pot(hand) / hand.game.big_blind for hand in hands])
    payoffs = np.array([1000 * hand.payoff_bb for hand in hands])
    if game.name == "holdem":
        within = [(f"{low}-{high}", (pots > low) & (pots <= high)) for low, high in _pot_ranges(pots.max())]
    else:
        within = [(f"{pot:g}", pots == pot) for pot in np.unique(pots)]
    parts = np.array([np.where(chosen, payoffs, 0) for _, chosen in within])
    margins = Z * parts.std(axis=1) / len(hands) ** 0.5
    figure = _figure(11, 4)
    axes = figure.subplots()
    means = parts.mean(axis=1)
    colours = ["#2f8f4e" if mean >= 0 else "#c23b3b" for mean in means]
    axes.bar(range(len(within)), means, yerr=margins, color=colours, ecolor="#555555", capsize=3)
    axes.set_xticks(range(len(within)), [f"{name}\n{chosen.sum():,} hands" for name, chosen in within])
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set_title("hero's win rate by size of the pot: each bar's part of mbb/hand, 95 % interval")
    axes.set_xlabel(f"pot, {_unit(game)}")
    return _png(figure)


def preflop_chart(hero: PreflopChart, villain: PreflopChart) -> bytes:
    """The 169 hands of both players in one situation: pairs on the diagonal, suited hands above it."""
    figure = _figure(14, 7.9)
    for axes, who, chart in zip(figure.subplots(1, 2), ("hero", "villain"), (hero, villain), strict=True):
        _draw_chart(axes, who, chart)
    from matplotlib.patches import Patch

    legend = [Patch(color=colour, label=answer) for answer, colour in _ANSWER_COLOURS.items()]
    legend.append(Patch(color=_UNSEEN, label="unseen"))
    figure.legend(handles=legend, loc="outside lower center", ncols=len(legend), frameon=False)
    return _png(figure)


def _draw_chart(axes: Axes, who: str, chart: PreflopChart) -> None:
    from matplotlib.collections import PolyCollection

    rows, columns = np.divmod(np.arange(169), 13)
    top, left = 12 - rows, 12 - columns  # aces first; suited hands, whose row is the higher rank, above the diagonal
    rectangles = [(left, np.where(chart.counts > 0, 0.0, 1.0), _UNSEEN)]
    start = left.astype(float)
    for answer in ("all-in", "raise", "call", "fold", "illegal"):
        width = chart.shares[:, ANSWERS.index(answer)]
        rectangles.append((start, width, _ANSWER_COLOURS[answer]))
        start = start + width
    for from_x, width, colour in rectangles:
        corners = [
            [(x, y), (x + w, y), (x + w, y + 1), (x, y + 1)]
            for x, y, w in zip(from_x, top, width, strict=True)
            if w > 0
        ]
        axes.add_collection(PolyCollection(corners, facecolors=colour, linewidths=0))
    sampled = chart.source.endswith("decisions")
    dark = np.maximum(chart.shares[:, ANSWERS.index("all-in")], chart.shares[:, ANSWERS.index("illegal")]) > 0.5
    for cell in range(169):
        label = class_name(cell) + (f"\n{chart.counts[cell]:.0f}" if sampled and chart.counts[cell] else "")
        drawn = axes.text(left[cell] + 0.5, top[cell] + 0.5, label, ha="center", va="center", linespacing=0.9)
        drawn.set(fontsize=7, color="white" if dark[cell] else "black", in_layout=False)
    axes.set_xticks(range(14), [])
    axes.set_yticks(range(14), [])
    axes.grid(color="white", linewidth=1)
    axes.tick_params(length=0)
    axes.set_xlim(0, 13)
    axes.set_ylim(13, 0)
    axes.set_aspect("equal")
    totals = ", ".join(f"{answer} {share:.0%}" for answer, share in zip(ANSWERS, chart.totals, strict=True) if share)
    axes.set_title(f"{who}, {chart.title} ({chart.source})\n{totals or 'never seen'}", fontsize=11)


def _pot_ranges(largest: float) -> list[tuple[int, int]]:
    ranges = zip(_POT_EDGES, (*_POT_EDGES[1:], 10**9), strict=True)
    return [(low, high) for low, high in ranges if low < largest]


def _colours(game: Game) -> Sequence[str]:
    return _HOLDEM_COLOURS if game.name == "holdem" else _SMALL_GAME_COLOURS


def _unit(game: Game) -> str:
    return "big blinds" if game.name == "holdem" else "antes"


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Figure) -> bytes:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    return picture.getvalue()
