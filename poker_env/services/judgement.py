"""What the hands of a match against a service say about hero."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from poker_env.evaluation.aivat import AIVAT
from poker_env.evaluation.chance import without_chance
from poker_env.evaluation.estimates import Estimate, estimate, vary
from poker_env.evaluation.hud import habits
from poker_env.evaluation.match import action_of, action_shares
from poker_env.evaluation.results import checkpoints, prompts, rates_table, versions
from poker_env.files import write_atomically
from poker_env.games import BIG_BLIND_SEAT, BUTTON_SEAT, Game
from poker_env.hand import Answer, Decision, Hand, write_hands
from poker_env.histories.phh import write_phhs
from poker_env.histories.pokerstars import write_pokerstars
from poker_env.knowledge.ranges import LONG_RUN
from poker_env.players.base import Player
from poker_env.services.journal import Record
from poker_env.services.match import Service
from poker_env.services.shown import DISAGREEMENT, Disagreement, Shown, finished
from poker_env.state import Observation, position


@dataclass(frozen=True)
class ServiceEvaluation:
    """The hands of a match against a service."""

    game: Game
    hero: Player
    villain: str
    hands: tuple[Hand, ...]
    """Those that count, in the order they were begun."""
    shown: tuple[Shown, ...]
    """By the service, as many."""
    values: Mapping[str, np.ndarray]
    """mbb of each hand (hands,) by estimator, every deal being a sample; weighted so that both seats count alike."""
    voided: Mapping[int, str]
    """By number, why hands that were begun don't count."""
    disagreements: Mapping[int, str]
    """By number, what our rules say against what the service showed; none of these hands counts."""
    value_function: Mapping[str, Any] | None
    """Of our own AIVAT."""
    left_out: tuple[str, ...]
    """Which estimators there are none of, and why."""

    @property
    def estimates(self) -> dict[str, Estimate]:
        """Hero's win rate by estimator."""
        return {name: estimate(values, len(values)) for name, values in self.values.items()}

    @property
    def headline(self) -> str:
        """Name of the estimate to quote: the best without assumptions about the service."""
        return next(name for name in ("aivat", "chance_corrected", "raw") if name in self.values)

    @property
    def by_seat(self) -> dict[str, Estimate]:
        """Hero's raw win rate in each seat: other estimators need both seats."""
        payoffs = _mbb(self.game, [hand.payoff for hand in self.hands])
        seats = np.array([hand.hero_seat for hand in self.hands])
        return {
            position(self.game, seat): estimate(payoffs[seats == seat], int((seats == seat).sum()))
            for seat in (0, 1)
            if (seats == seat).any()
        }

    @property
    def answers(self) -> list[Decision]:
        """Hero's decisions."""
        return [decision for hand in self.hands for decision in hand.hero_decisions]

    @property
    def legal_rate(self) -> float:
        """Share of hero's answers that named a legal action."""
        return sum(_legal(decision) for decision in self.answers) / max(1, len(self.answers))

    @property
    def action_mix(self) -> dict[str, float]:
        """Share of hero's decisions by `ACTIONS`; a bet or raise of the whole stack counts as all-in alone."""
        return action_shares([_action(self.game, decision) for decision in self.answers])


@dataclass(frozen=True)
class _Watched:
    """The service in a villain's place: nothing is known of how it plays."""

    name: str

    def act(self, observations: Sequence[Observation]) -> list[Answer]:
        raise NotImplementedError(f"{self.name} plays at its own table")


def judge(game: Game, hero: Player, service: Service, records: Mapping[int, Record]) -> ServiceEvaluation | None:
    """Replay a journal's hands by our own rules, and estimate what hero wins; None where no hand counts."""
    voided: dict[int, str] = {}
    disagreements: dict[int, str] = {}
    played: list[tuple[Hand, Shown]] = []
    for number, record in sorted(records.items()):
        reason = record.voided or ""
        if reason.startswith(DISAGREEMENT):
            disagreements[number] = reason.removeprefix(DISAGREEMENT)
        elif reason:
            voided[number] = reason
        elif record.over and record.answer is not None:
            shown = service.shown(record.answer)
            try:
                played.append((finished(game, shown, number, record.answers), shown))
            except Disagreement as error:
                disagreements[number] = str(error)
    if not played:
        return None
    hands, seen = zip(*played, strict=True)
    values, value_function, left_out = _values(game, hero, service.name, hands, seen)
    return ServiceEvaluation(
        game, hero, service.name, hands, seen, values, voided, disagreements, value_function, tuple(left_out)
    )


def _values(
    game: Game, hero: Player, villain: str, hands: Sequence[Hand], shown: Sequence[Shown]
) -> tuple[dict[str, np.ndarray], dict[str, Any] | None, list[str]]:
    """See `ServiceEvaluation`: `values`, `value_function`, `left_out`."""
    left_out, value_function = [], None
    chips = {"raw": np.array([hand.payoff for hand in hands])}
    covariates = []
    if all(each.villain_hole for each in shown):
        all_in_equity, corrected = zip(*map(without_chance, hands), strict=True)
        chips |= {"all_in": np.array(all_in_equity), "chance_corrected": np.array(corrected)}
        covariates.append(chips["raw"] - chips["chance_corrected"])
    else:
        left_out.append("all_in, chance_corrected: the service didn't show villain's cards in every hand")
    weights = seat_weights([hand.hero_seat for hand in hands])
    if weights is None:
        left_out.append("baseline, aivat: hero played in one seat only")
        weights = np.ones(len(hands))
    else:
        if all(each.baseline is not None for each in shown):
            covariates.append(np.array([each.baseline for each in shown], np.float64))
            chips["baseline"] = less_covariates(chips["raw"], np.array(covariates).T, [h.hero_seat for h in hands])
        if all(each.aivat is not None for each in shown):
            chips["aivat"] = np.array([each.aivat for each in shown], np.float64)
        elif covariates and all(each.villain_hole for each in shown):
            aivat = AIVAT.between(game, hero, _Watched(villain), len(hands) >= LONG_RUN, None)
            if aivat is not None:
                chips["aivat"], value_function = np.array(aivat.scores_apart(hands)), asdict(aivat.value_function)
    return {name: weights * _mbb(game, each) for name, each in chips.items()}, value_function, left_out


def seat_weights(seats: Sequence[int]) -> np.ndarray | None:
    """(hands,): what a hand counts so that both seats count alike, 1 in the mean; None where one wasn't played."""
    taken = np.array(seats)
    counts = [int((taken == seat).sum()) for seat in (BIG_BLIND_SEAT, BUTTON_SEAT)]
    if not all(counts):
        return None
    return np.array([len(taken) / (2 * counts[seat]) for seat in taken])


def less_covariates(values: np.ndarray, covariates: np.ndarray, seats: Sequence[int]) -> np.ndarray:
    """Values (hands,) less a multiple of each covariate (hands, covariates), whose means over both seats are 0.

    The multiples are least squares', within each seat, on the other half of the hands: what a hand counts doesn't
    depend on what its own half won, so nothing is biased.
    """
    halves, left = np.arange(len(values)) % 4 < 2, values.copy()  # seats alternate: both are in both halves
    for half in (halves, ~halves):
        others = ~half
        ones = np.array(seats)[others][:, None] == np.array([[0, 1]])
        design = np.hstack((covariates[others], ones.astype(np.float64)))
        if len(design) <= 2 * design.shape[1] or not all(vary(column) for column in covariates[others].T):
            continue
        slopes = np.linalg.lstsq(design, values[others], rcond=None)[0][: covariates.shape[1]]
        left[half] -= covariates[half] @ slopes
    return left


def results(evaluation: ServiceEvaluation, service: Service, command: str, seconds: float) -> dict[str, Any]:
    """An evaluation as a record for JSON, in the form of `poker_env.evaluation.results.results`."""
    return {
        "game": str(evaluation.game),
        "hero": evaluation.hero.name,
        "villain": evaluation.villain,
        "seed": None,
        "hands": len(evaluation.hands),
        "deals": len(evaluation.hands),
        "seconds": round(seconds, 3),
        "win_rate": sum(hand.payoff > 0 for hand in evaluation.hands) / len(evaluation.hands),
        "legal_rate": evaluation.legal_rate,
        "headline": evaluation.headline,
        "estimates": {name: asdict(found) for name, found in evaluation.estimates.items()},
        "by_seat": {name: asdict(found) for name, found in evaluation.by_seat.items()},
        "differences": {
            f"{first} - {second}": asdict(estimate(ones - others, len(ones)))
            for (first, ones), (second, others) in itertools.combinations(evaluation.values.items(), 2)
        },
        "left_out": list(evaluation.left_out),
        "service": {
            "url": service.web.url,
            "voided": len(evaluation.voided),
            "disagreements": len(evaluation.disagreements),
        },
        "value_function": evaluation.value_function,
        "action_mix": evaluation.action_mix,
        "hud": habits(evaluation.hands, evaluation.game),
        "checkpoints": checkpoints(evaluation.hero),
        "prompts": prompts(evaluation.hero),
        "versions": versions(),
        "command": command,
    }


def write_results(folder: Path, evaluation: ServiceEvaluation, record: Mapping[str, Any]) -> None:
    """Write `results.json` (`record`, see `results`), `values.csv`, the hands in three formats, and what went wrong:
    `voided.jsonl`, `disagreements.jsonl`.

    Raises `UserError` when the folder can't be written.
    """
    write_hands(folder / "hands.jsonl", evaluation.hands)
    write_phhs(folder / "hands.phhs", evaluation.hands)
    write_pokerstars(folder / "hands.txt", evaluation.hands)
    for name, found in (("voided", evaluation.voided), ("disagreements", evaluation.disagreements)):
        lines = [json.dumps({"hand": number, "reason": reason}) + "\n" for number, reason in found.items()]
        write_atomically(folder / f"{name}.jsonl", "".join(lines))
    columns = [[f"{value:.3f}" for value in values] for values in evaluation.values.values()]
    rows = [
        ",".join((str(place), str(hand.hero_seat), *row))
        for place, (hand, *row) in enumerate(zip(evaluation.hands, *columns, strict=True))
    ]
    write_atomically(folder / "values.csv", "\n".join((",".join(("deal", "seat", *evaluation.values)), *rows)) + "\n")
    write_atomically(folder / "results.json", json.dumps(record, indent=2) + "\n")


def summary_table(evaluation: ServiceEvaluation) -> Table:
    """Win rates for the terminal."""
    title = f"{evaluation.hero.name} against {evaluation.villain}\n{evaluation.game}"
    return rates_table(title, evaluation.headline, evaluation.estimates, evaluation.by_seat)


def summary_lines(evaluation: ServiceEvaluation) -> list[str]:
    """What to say below `summary_table`."""
    lines = ["* the headline", f"legal answers {evaluation.legal_rate:.1%}", *evaluation.left_out]
    if evaluation.voided:
        reasons = Counter(evaluation.voided.values()).most_common(3)
        said = "; ".join(f"{count} × {reason}" for reason, count in reasons)
        lines.append(f"{len(evaluation.voided):,} hands don't count, as it isn't known how they ended: {said}")
    if evaluation.disagreements:
        number, reason = next(iter(evaluation.disagreements.items()))
        lines.append(
            f"{len(evaluation.disagreements):,} hands don't count, as the service and our rules disagree about them "
            f"(disagreements.jsonl), hand {number}: {reason}"
        )
    return lines


def _mbb(game: Game, chips: np.ndarray | Sequence[float]) -> np.ndarray:
    return 1000 / game.big_blind * np.asarray(chips, np.float64)


def _legal(decision: Decision) -> bool:
    return decision.answer.action is not None


def _action(game: Game, decision: Decision) -> str:
    return action_of(game, decision) if _legal(decision) else "illegal"
