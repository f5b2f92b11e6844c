"""Hero's decisions of an evaluation as a dataset."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from huggingface_hub import DatasetCardData

from poker_env.errors import UserError, first_line
from poker_env.evaluation.compare import ESTIMATORS, VALUES
from poker_env.files import whole_folder, write_atomically
from poker_env.hand import Hand, read_hands
from poker_env.histories.steps import board
from poker_env.state import position


def export_decisions(evaluation: Path, folder: Path) -> int:
    """Write hero's decisions of an evaluation as a dataset, and return how many there are.

    Raises `UserError` when the evaluation kept no hands or is damaged, or the folder is in use.
    """
    with whole_folder(folder) as temporary:
        try:
            record = _record(evaluation)
            per_deck = record["hands"] // max(1, record["deals"]) if record else 2
            rows = [
                row
                for number, hand, values in _hands(evaluation)
                for row in decision_rows(number, number // per_deck, hand, values)
            ]
        except (ValueError, LookupError, TypeError) as error:
            raise UserError(f"{evaluation} is not what evaluate.py writes: {first_line(error)}") from error
        if not rows:
            raise UserError(f"{evaluation} has no decisions of hero's")
        (temporary / "data").mkdir()
        Dataset.from_list(rows).to_parquet(str(temporary / "data" / "train-00000-of-00001.parquet"))
        write_atomically(temporary / "README.md", _dataset_card(record, rows))
    return len(rows)


def decision_rows(number: int, deck: int, hand: Hand, values: dict[str, float]) -> list[dict[str, Any]]:
    """Hero's decisions of a hand, each as a row of the dataset.

    `number` and `deck` are the hand's in its evaluation, `values` are what estimators say it was worth, in mbb.
    """
    last = len(hand.hero_decisions) - 1
    return [
        {
            "hand": number,
            "deck": deck,
            "decision": index,
            "last": index == last,
            "position": position(hand.game, hand.hero_seat),
            "street": hand.game.streets[decision.street],
            "hole": list(hand.hole[hand.hero_seat]),
            "villain_hole": list(hand.hole[1 - hand.hero_seat]),
            "board": list(board(hand, decision.street)),
            "pot": decision.pot,
            "to_call": decision.to_call,
            "prompt": decision.answer.prompt,
            **({} if decision.answer.thought is None else {"thought": decision.answer.thought}),
            "completion": decision.answer.completion,
            "legal": decision.legal,
            "action": decision.move.kind if decision.move else "illegal",
            "added": decision.move.added if decision.move else 0,
            "pot_fraction": decision.pot_fraction,
            "showdown": hand.showdown,
            **{f"{name}_mbb": value for name, value in values.items()},
        }
        for index, decision in enumerate(hand.hero_decisions)
    ]


def _hands(evaluation: Path) -> Iterator[tuple[int, Hand, dict[str, float]]]:
    """Each hand with its number and what estimators say it was worth, in mbb; what hero won comes first."""
    told: list[dict[str, float]] = []
    if (evaluation / VALUES).exists():
        with (evaluation / VALUES).open(encoding="utf-8", newline="") as lines:
            told = [{name: float(row[name]) for name in ESTIMATORS if name in row} for row in csv.DictReader(lines)]
    hands = list(read_hands(evaluation / "hands.jsonl"))
    if told and len(told) != len(hands):
        raise ValueError(f"{VALUES} has {len(told)} hands, hands.jsonl {len(hands)}")
    for number, hand in enumerate(hands):
        yield number, hand, {"payoff": 1000 * hand.payoff_bb} | (told[number] if told else {})


def _record(evaluation: Path) -> dict[str, Any]:
    """What was evaluated; empty where that wasn't kept."""
    path = evaluation / "results.json"
    if not path.exists():
        return {}
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for name in ("hero", "villain", "game", "command", "hands", "deals"):
        record[name]
    return record


def _dataset_card(record: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    data = DatasetCardData(
        language=["en"],
        tags=["poker", "reinforcement-learning", "exploitative-poker"],
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": "data/*.parquet"}]}],
    )
    what = f"`{record['hero']}` against `{record['villain']}`, {record['game']}" if record else "an evaluation"
    made = f"\n\n    {record['command']}\n" if record else "\n"
    return (
        f"---\n{data.to_yaml()}\n---\n\n# Poker decisions\n\n{len(rows):,} decisions of hero's: {what}. A row is a "
        "decision: what the model was asked (`prompt`) and answered (`completion`), what that meant at the table, and "
        "what the hand was worth in mbb (thousandths of a big blind) by each estimator. Hero never saw "
        f"`villain_hole`, which is `??` where it was never shown.{made}"
    )
