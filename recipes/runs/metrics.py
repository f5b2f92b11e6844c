"""An epoch's figures, `metrics.jsonl` and the learning curve drawn from it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import t as student_t  # type: ignore[import-untyped]

from poker_env.errors import UserError, first_line
from poker_env.evaluation.estimates import vary
from poker_env.files import write_atomically
from recipes.training.rollout import EpochHands

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS_FILE = "metrics.jsonl"

TRAINER_METRICS = ("loss", "entropy", "kl", "grad_norm", "learning_rate", "logp_gap")
"""Those that are the trainer's own, which trackers have by these names."""


def epoch_metrics(epoch: int, hands: EpochHands, logs: dict[str, float], seconds: float) -> dict[str, Any]:
    """One line of `metrics.jsonl`: what epoch number `epoch` (from 1) played, and what the trainer said of it.

    `bb_ci95` is the half-width of the 95 % interval of `bb_per_hand`, deals being the sampling unit; it is None for a
    single deal, and where all came to the same. `bb_aivat` is the same with the luck taken out, where it is.
    """
    aivat = {}
    if hands.aivat_bb is not None:
        aivat = _mean_and_interval(hands.aivat_bb, hands.deals, "bb_aivat", "bb_aivat_ci95")
    return {
        "epoch": epoch,
        "hands": len(hands.payoffs_bb),
        "seconds": round(seconds, 3),
        "avg_return": float(hands.returns.mean()),
        **_mean_and_interval(hands.payoffs_bb, hands.deals, "bb_per_hand", "bb_ci95"),
        **aivat,
        "win_rate": float((hands.payoffs_bb > 0).mean()),
        "decisions": hands.decisions,
        "legal_rate": hands.legal / max(1, hands.decisions),
        **({} if hands.cut_off is None else {"cut_off_rate": hands.cut_off / max(1, hands.decisions)}),
        "returns": hands.returns_by_name,
        "trained_decisions": hands.trained,
        "rows": hands.rows,
        "tokens_saved": hands.tokens_saved,
        "prompt_tokens_saved": hands.prompt_tokens_saved,
        **{name: logs.get(name) for name in TRAINER_METRICS},
        "hands_per_second": len(hands.payoffs_bb) / hands.seconds,
    }


def untracked(row: Mapping[str, Any], tracked: Iterable[str]) -> dict[str, float]:
    """Those numbers of a line that neither the trainer logs nor are among `tracked`, which it was told to log."""
    known = {"epoch", *TRAINER_METRICS, *tracked}
    return {name: value for name, value in row.items() if name not in known and isinstance(value, int | float)}


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The epochs of a run so far. Raises `UserError` when the file is damaged."""
    path = run / METRICS_FILE
    try:
        return [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []
    except ValueError as error:
        raise UserError(f"{path} is damaged: {first_line(error)}; take the broken line out of it") from error


def write_metrics(run: Path, epochs: Sequence[dict[str, Any]]) -> None:
    """Write `metrics.jsonl` anew."""
    write_atomically(run / METRICS_FILE, "".join(json.dumps(epoch) + "\n" for epoch in epochs))


def plot_learning_curve(run: Path, epochs: Sequence[dict[str, Any]], title: str) -> None:
    """Save `learning_curve.png`: bb/hand with its 95 % interval, shaped return, legal answers and entropy by epoch.

    Where there are exact values, capture (or the value, where there is none) and the entropy of legal actions, too.
    """
    from matplotlib.figure import Figure

    x = [epoch["epoch"] for epoch in epochs]
    exact = [epoch for epoch in epochs if "value" in epoch]
    figure = Figure(figsize=(15 if exact else 10, 7), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(2, 3 if exact else 2, sharex=True)
    (bb_axes, return_axes), (rate_axes, entropy_axes) = panels[:, :2]
    _plot_bb(bb_axes, epochs)
    return_axes.plot(x, [epoch["avg_return"] for epoch in epochs], marker=".")
    return_axes.set_title("shaped return per hand")
    for key, label in (("legal_rate", "legal answers"), ("win_rate", "hands won")):
        rate_axes.plot(x, [100 * epoch[key] for epoch in epochs], marker=".", label=label)
    rate_axes.set_ylim(-3, 103)
    rate_axes.legend()
    rate_axes.set_title("%")
    entropy_axes.plot(x, [epoch["entropy"] for epoch in epochs], marker=".")
    entropy_axes.set_title("policy entropy, nats per token")
    if exact:
        _plot_exact(panels[0, 2], panels[1, 2], exact)
    for axes in panels[1]:
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    write_atomically(run / "learning_curve.png", picture.getvalue())


def _plot_bb(axes: Axes, epochs: Sequence[dict[str, Any]]) -> None:
    """What hands won; where that is known without the luck, chips are dots that may lie outside the picture."""
    x = [epoch["epoch"] for epoch in epochs]
    known = [epoch for epoch in epochs if "bb_aivat" in epoch]
    if known:
        axes.plot(x, [epoch["bb_per_hand"] for epoch in epochs], ".", color="grey", alpha=0.5, label="chips")
    shown, name, label = (known, "bb_aivat", "luck taken out") if known else (epochs, "bb_per_hand", "chips")
    bb = np.array([epoch[name] for epoch in shown])
    margin = np.array([epoch["bb_aivat_ci95" if known else "bb_ci95"] or 0.0 for epoch in shown])
    x = [epoch["epoch"] for epoch in shown]
    axes.fill_between(x, bb - margin, bb + margin, alpha=0.2, linewidth=0)
    axes.plot(x, bb, marker=".", label=label)
    axes.axhline(0, color="grey", linewidth=0.8)
    if known:
        low, high = min(0.0, float((bb - margin).min())), max(0.0, float((bb + margin).max()))
        axes.set_ylim(low - 0.1 * (high - low) - 0.01, high + 0.1 * (high - low) + 0.01)
        axes.legend()
    axes.set_title("bb/hand, 95 % interval")


def _plot_exact(value_axes: Axes, entropy_axes: Axes, epochs: Sequence[dict[str, Any]]) -> None:
    x = [epoch["epoch"] for epoch in epochs]
    if epochs[-1]["capture"] is None:
        value_axes.plot(x, [epoch["value"] for epoch in epochs], marker=".")
        value_axes.set_title("exact value, chips/hand")
    else:
        value_axes.plot(x, [epoch["capture"] for epoch in epochs], marker=".")
        value_axes.axhline(1, color="grey", linewidth=0.8)
        value_axes.set_title("capture: 0 is villain's own play, 1 the best response")
    value_axes.axhline(0, color="grey", linewidth=0.8)
    entropy_axes.plot(x, [epoch["legal_entropy"] for epoch in epochs], marker=".")
    entropy_axes.set_ylim(bottom=0)
    entropy_axes.set_title("mean entropy of legal actions, nats")


def _mean_and_interval(values: np.ndarray, deals: np.ndarray, mean: str, ci95: str) -> dict[str, float | None]:
    """Under the names given: the mean, and half its 95 % interval."""
    samples = [values[deals == deal].mean() for deal in np.unique(deals)]
    half = None
    if vary(samples):
        half = float(student_t.ppf(0.975, len(samples) - 1) * np.std(samples, ddof=1) / len(samples) ** 0.5)
    return {mean: float(np.mean(samples)), ci95: half}
