"""Rewards tried on finished hands: what each decision got, and what kind of play they pay for, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from poker_env.evaluation.match import ACTIONS
from poker_env.hand import Decision, Hand
from poker_env.histories.steps import all_in, board
from recipes.training.returns import FloatArray, discounted_returns
from reward_fns import RewardSpec


@dataclass(frozen=True)
class Trial:
    """Rewards, and what they gave for hands."""

    specs: tuple[RewardSpec, ...]
    hands: tuple[Hand, ...]
    rewards: tuple[FloatArray, ...]
    """By hand: (reward functions, hero's decisions), unweighted."""
    returns: tuple[FloatArray, ...]
    """By hand: (hero's decisions,), weighted and discounted: what training goes by."""

    @property
    def names(self) -> list[str]:
        """What the reward functions are called in tables: a dotted path by its function."""
        return [spec.name.rpartition(":")[2] for spec in self.specs]


def score_hands(specs: Sequence[RewardSpec], hands: Sequence[Hand], gamma: float) -> Trial:
    """Score hands. Raises `UserError` when a reward function fails."""
    rewards = tuple(
        np.array([spec(hand) for spec in specs]).reshape(len(specs), len(hand.hero_decisions)) for hand in hands
    )
    weights = np.array([spec.weight for spec in specs])
    returns = tuple(weights @ discounted_returns(given, gamma) for given in rewards)
    return Trial(tuple(specs), tuple(hands), rewards, returns)


def decisions_table(trial: Trial, hands: int) -> Table:
    """The first hands' decisions, each with the rewards that are not 0, and its return."""
    hands = min(hands, len(trial.hands))
    table = _table("The first hand" if hands == 1 else f"The first {hands} hands")
    table.add_column("hero's decision")
    table.add_column("rewards, unweighted")
    table.add_column("return", justify="right")
    for hand, rewards, returns in zip(trial.hands[:hands], trial.rewards, trial.returns, strict=False):
        hero, villain = (" ".join(hand.hole[seat]) for seat in (hand.hero_seat, 1 - hand.hero_seat))
        table.add_row(f"[bold]{hero} against {villain}[/]")
        for decision, own, value in zip(hand.hero_decisions, rewards.T, returns, strict=True):
            given = zip(trial.names, own, strict=True)
            told = ", ".join(f"{name} {_signed(reward)}" for name, reward in given if reward)
            table.add_row(f"  {_decision(hand, decision)}", told, _signed(value))
        ending = " at showdown" if hand.showdown else ""
        table.add_row(f"  [dim]{hand.payoff:+,g} chips{ending}[/]", end_section=True)
    return table


def actions_table(trial: Trial) -> Table:
    """What each kind of action got: its mean rewards, and mean and standard deviation of its return."""
    kinds = np.array([_kind(hand, decision) for hand in trial.hands for decision in hand.hero_decisions])
    chosen = {kind: kinds == kind for kind in ACTIONS if kind in kinds} | {"all": kinds != ""}
    table = _table("By hero's action: mean reward at the decision, and the return from it on")
    for name in ("", *chosen):
        table.add_column(name, justify="right" if name else "left")
    table.add_row("decisions", *(f"{np.sum(which):,}" for which in chosen.values()), end_section=True)
    returns = np.concatenate(trial.returns)
    for name, own in zip((*trial.names, "return"), (*np.concatenate(trial.rewards, axis=1), returns), strict=True):
        table.add_row(name, *(_signed(own[which].mean()) for which in chosen.values()))
    table.add_row("return, sd", *(f"{returns[which].std():.2f}" for which in chosen.values()))
    return table


def functions_table(trial: Trial) -> Table:
    """What each reward function gave per hand, undiscounted, and how that goes with the chips won."""
    table = _table("By reward function: its sum over a hand, weight included; its correlation with the chips won")
    table.add_column("reward")
    for column in ("weight", "mean", "sd", "least", "most", "not 0", "correlation"):
        table.add_column(column, justify="right")
    payoffs = np.array([hand.payoff for hand in trial.hands])
    totals = np.array([given.sum(axis=1) for given in trial.rewards])  # (hands, reward functions)
    weights = np.array([spec.weight for spec in trial.specs])
    rows = [
        (name, f"{weight:g}", own)
        for name, weight, own in zip(trial.names, weights, (totals * weights).T, strict=True)
    ]
    for name, weight, sums in (*rows, ("all", "", totals @ weights)):
        varied = min(np.std(sums), np.std(payoffs)) > 1e-12
        table.add_row(
            name,
            weight,
            *(_signed(sums.mean()), f"{sums.std():.2f}", _signed(sums.min()), _signed(sums.max())),
            f"{np.mean(sums != 0):.0%}",
            f"{np.corrcoef(sums, payoffs)[0, 1]:+.2f}" if varied else "",
        )
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left")


def _kind(hand: Hand, decision: Decision) -> str:
    """One of `ACTIONS`."""
    if decision.move is None:
        return "illegal"
    return "all-in" if decision.aggressive and all_in(hand.game, decision) else decision.move.kind


def _decision(hand: Hand, decision: Decision) -> str:
    street = " ".join([hand.game.streets[decision.street].lower(), *board(hand, decision.street)])
    if decision.move is None:
        return f"{street}: no legal action"
    added = f" {decision.move.added:,}" if decision.move.added else ""
    return f"{street}: {decision.move.kind}{added}, pot {decision.pot:,}"


def _signed(value: float) -> str:
    return f"{value:+.2f}" if abs(value) >= 0.005 else "0"
