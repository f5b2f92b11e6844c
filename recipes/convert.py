"""Turn what a run leaves into what other tools take.

    python recipes/convert.py merge runs/quickstart/final merged

    python recipes/convert.py dataset runs/judged decisions

`merge` adds the adapter to its base model's weights: the folder loads with transformers alone, and plays as
`llm:merged`. `dataset` writes hero's decisions of an evaluation as Parquet, for `datasets.load_dataset("decisions")`.
Both write the whole folder or nothing.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from poker_env.errors import UserError, first_line
from poker_env.evaluation.compare import ESTIMATORS, VALUES
from poker_env.files import write_atomically
from poker_env.games import Game, make_deals
from poker_env.hand import Hand, read_hands
from poker_env.histories.steps import board
from poker_env.language_model.adapter import put_on, read_config, require_weights
from poker_env.player_specs import make_player
from poker_env.players.base import Player
from poker_env.players.hub import trained_folder
from poker_env.players.poker_config import PokerConfig
from poker_env.state import Observation, position
from poker_env.table import play
from recipes.cli import Parser, run, whole_folder
from reward_fns.shaping import observations

DTYPES = ("auto", "bfloat16", "float16", "float32")
TIED = {"lm_head", "embed_tokens", "wte", "embed_out"}
"""Layers that may share their weights with each other."""
HANDS_TO_COMPARE = 16


def main(argv: Sequence[str] | None = None) -> None:
    """Do what the command line says; raises `UserError` for what a user got wrong."""
    commands = {"merge": merge_command, "dataset": dataset_command}
    command, *given = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if command in commands:
        commands[command](given)
        return
    parser = Parser(description=__doc__)
    parser.add_argument("command", choices=commands, help="the rest depends on it: see COMMAND --help")
    parser.parse_args([command])


def merge_command(argv: Sequence[str]) -> None:
    """Merge an adapter, and say how far the answers moved by rounding."""
    parser = Parser(description="Add an adapter to its base model's weights.")
    parser.add_argument("adapter", help="its folder or Hub id")
    parser.add_argument("folder", type=Path, help="a new folder for the whole model")
    parser.add_argument("--dtype", choices=DTYPES, default="auto", help="of the weights; auto: the base model's own")
    given = parser.parse_args(argv)
    moved = merge(given.adapter, given.folder, given.dtype)
    print(
        f"{given.folder}: the whole model, player llm:{given.folder}. In {HANDS_TO_COMPARE} hands no action's "
        f"probability is further than {moved:.2g} from the adapter's."
    )


def dataset_command(argv: Sequence[str]) -> None:
    """Export an evaluation's decisions."""
    parser = Parser(description="Export hero's decisions of an evaluation as a dataset.")
    parser.add_argument("evaluation", type=Path, help="the output folder of evaluate.py, with its hands.jsonl")
    parser.add_argument("folder", type=Path, help="a new folder for the dataset")
    given = parser.parse_args(argv)
    count = export_decisions(given.evaluation, given.folder)
    print(f'{given.folder}: {count:,} decisions, datasets.load_dataset("{given.folder}", split="train")')


def merge(adapter: str, folder: Path, dtype: str = "auto") -> float:
    """Write an adapter's base model with the adapter in its weights, its tokenizer and `poker_config.json`.

    The sum is done in float32 and rounded to `dtype`. Of a base model that was quantized when it was loaded, the
    weights as they were before that are taken. Returns how far the probability of any action moved by either, over
    some decisions and as the players `llm:…` load both.

    Raises `UserError` when there is nothing to merge, it can't be merged without loss, or the folder is in use.
    """
    import torch

    from poker_env.language_model.loading import load_model, load_tokenizer
    from poker_env.language_model.skeleton import load_config

    source = trained_folder(adapter)
    require_weights(source)
    poker = PokerConfig.load(source)
    unquantized = {key: value for key, value in poker.model_init_kwargs.items() if key != "quantization_config"}
    with whole_folder(folder) as temporary:
        base = load_model(poker.base_model, torch.float32, init_kwargs=unquantized)
        _require_mergeable(adapter, read_config(source), base.config)
        adapted = put_on(base, source)
        try:
            merged: Any = adapted.merge_and_unload(safe_merge=True)
        except Exception as error:  # safetensors and peft raise many types
            raise UserError(f"adapter {adapter} can't be merged: {first_line(error)}") from error
        own = load_config(poker.base_model, unquantized).dtype or torch.float32
        merged.to(own if dtype == "auto" else getattr(torch, dtype)).save_pretrained(temporary)
        load_tokenizer(poker.base_model, revision=unquantized.get("revision")).save_pretrained(temporary)
        replace(poker, model_init_kwargs=_of_folder(unquantized)).save(temporary)
        del base, adapted, merged
        asked = _some_decisions(poker.game)
        before, after = (_policy(make_player(f"llm:{path}", poker.game), asked) for path in (source, temporary))
    return max(
        abs(after[place][action] - before[place][action]) for place in range(len(asked)) for action in after[place]
    )


def export_decisions(evaluation: Path, folder: Path) -> int:
    """Write hero's decisions of an evaluation as a dataset, and return how many there are.

    Raises `UserError` when the evaluation kept no hands or is damaged, or the folder is in use.
    """
    from datasets import Dataset

    with whole_folder(folder) as temporary:
        try:
            rows = [row for number, hand, values in _hands(evaluation) for row in decision_rows(number, hand, values)]
            about = _about(evaluation)
        except (ValueError, LookupError, TypeError) as error:
            raise UserError(f"{evaluation} is not what evaluate.py writes: {first_line(error)}") from error
        if not rows:
            raise UserError(f"{evaluation} has no decisions of hero's")
        (temporary / "data").mkdir()
        Dataset.from_list(rows).to_parquet(str(temporary / "data" / "train-00000-of-00001.parquet"))
        write_atomically(temporary / "README.md", _dataset_card(about, rows))
    return len(rows)


def decision_rows(number: int, hand: Hand, values: dict[str, float]) -> list[dict[str, Any]]:
    """Hero's decisions of a hand, each as a row of the dataset.

    `number` is the hand's in its evaluation, `values` are what estimators say it was worth, in mbb.
    """
    last = len(hand.hero_decisions) - 1
    return [
        {
            "hand": number,
            "deck": number // 2,
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


def _of_folder(init_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """How a model is loaded once its weights are in a folder of its own."""
    return {key: value for key, value in init_kwargs.items() if key not in ("revision", "variant")}


def _require_mergeable(adapter: str, config: dict[str, Any], base: Any) -> None:
    kind, targets = config.get("peft_type"), config.get("target_modules") or []
    if kind != "LORA":
        raise UserError(f"adapter {adapter} is of type {kind}: only LoRA adapters can be merged")
    if getattr(base, "quantization_config", None) is not None:
        raise UserError(
            f"adapter {adapter} is on quantized weights, which can't hold the sum: use the adapter as it is"
        )
    shared = TIED.intersection(targets if isinstance(targets, list) else [targets])
    if shared and getattr(base, "tie_word_embeddings", False):
        raise UserError(
            f"adapter {adapter} is on {', '.join(sorted(shared))}, whose weights this model shares between input and "
            "output: use the adapter as it is"
        )


def _some_decisions(game: Game) -> list[Observation]:
    player = make_player("random", game)
    return [
        seen
        for hand in play(game, make_deals(game, HANDS_TO_COMPARE, 0), player, player)
        for seen in observations(hand)
    ]


def _policy(player: Player, asked: Sequence[Observation]) -> list[dict[int, float]]:
    from poker_env.players.llm import LLMPlayer

    assert isinstance(player, LLMPlayer)
    return player.policy(asked)


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


def _about(evaluation: Path) -> tuple[str, str]:
    """What was evaluated, in words, and the command, as far as that was kept."""
    path = evaluation / "results.json"
    if not path.exists():
        return "an evaluation", ""
    record = json.loads(path.read_text(encoding="utf-8"))
    return f"`{record['hero']}` against `{record['villain']}`, {record['game']}", str(record["command"])


def _dataset_card(about: tuple[str, str], rows: Sequence[dict[str, Any]]) -> str:
    from huggingface_hub import DatasetCardData

    data = DatasetCardData(
        language=["en"],
        tags=["poker", "reinforcement-learning", "exploitative-poker"],
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": "data/*.parquet"}]}],
    )
    what, command = about
    made = f"\n\n    {command}\n" if command else "\n"
    return (
        f"---\n{data.to_yaml()}\n---\n\n# Poker decisions\n\n{len(rows):,} decisions of hero's: {what}. A row is a "
        "decision: what the model was asked (`prompt`) and answered (`completion`), what that meant at the table, and "
        "what the hand was worth in mbb (thousandths of a big blind) by each estimator. Hero never saw `villain_hole`."
        f"{made}"
    )


if __name__ == "__main__":
    run(main)
