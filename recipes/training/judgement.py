"""How what is trained is judged: before, after a warm start and after training, on the same decks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.table import Table
from trl import GRPOTrainer

from poker_env.evaluation.capture import usual_settings
from poker_env.evaluation.compare import StoredEvaluation, gain
from poker_env.evaluation.match import Match, PlayedDeck
from poker_env.evaluation.results import comparison_table, judged_sha256, write_results
from poker_env.language_model.adapter import adapter_sha256
from poker_env.player_specs import advice_for
from poker_env.players.llm import model_player
from poker_env.report.page import write_report
from recipes.training.memory import give_back
from recipes.training.processes import gather_to_main, is_main, on_main, share_of
from recipes.training.rollout import Rollout

BEFORE, AFTER_WARM_START, AFTER = "evaluation_before", "evaluation_warm_start", "evaluation"
"""Folders of a run."""

SEED_OFFSET = 1_000_003
"""Evaluation decks are never those of training."""


class Judgement:
    """A trainer's model, judged now and then; all processes call it together, and each plays a share of the decks."""

    def __init__(self, trainer: GRPOTrainer, rollout: Rollout, command: str) -> None:
        self._trainer, self._rollout, self._command = trainer, rollout, command
        self._folders: dict[str, Path] = {}

    def of(self, label: str, folder: Path, adapter: Path | None, *, again: bool = True) -> None:
        """Judge the model as it is, which is called after its `adapter`, or without one, and save it in a folder.

        It answers as it does in training. What the folder holds of these decks is not worked out `again` unless asked.
        With `eval_hands: 0` nothing is judged.
        """
        config, rollout = self._rollout.config, self._rollout
        if config.eval_hands == 0:
            return
        self._folders[label] = folder
        villain, seed = rollout.judge, config.seed + SEED_OFFSET
        found, asked = None if again else on_main(lambda: judged(folder, adapter)), (config.eval_hands + 1) // 2
        if found is not None and (found["villain"], found["seed"], found["deals"]) == (villain.name, seed, asked):
            return
        model = self._trainer.accelerator.unwrap_model(self._trainer.model)
        give_back()
        with nullcontext() if adapter else model.disable_adapter():
            match = self._match(model, adapter)
            played = gather_to_main(match.play(share_of(match.decks), progress=is_main()))
            give_back()
            on_main(lambda: self._write(folder, match, played))

    def table(self) -> Table:
        """All that was judged, side by side, with what each won more than the one before, and the last in all."""
        records = {label: _record(folder) for label, folder in self._folders.items()}
        stored = {label: StoredEvaluation.load(folder) for label, folder in self._folders.items()}
        labels, estimator = list(records), next(iter(records.values()))["headline"]
        gains = {later: gain(stored[later], stored[one], estimator) for one, later in pairwise(labels)}
        if len(labels) > 2:
            gains["in all"] = gain(stored[labels[-1]], stored[labels[0]], estimator)
        return comparison_table(records, gains)

    def _match(self, model: Any, adapter: Path | None) -> Match:
        config, rollout = self._rollout.config, self._rollout
        poker = config.poker()
        hero = model_player(
            model,
            self._trainer.processing_class,
            poker,
            config.model_name_or_path,
            answers=rollout.answers,
            advise=advice_for(poker),
        )
        if adapter:
            hero.name, hero.sha256 = f"llm:{adapter}", on_main(lambda: adapter_sha256(adapter))
        return Match(
            rollout.game,
            hero,
            rollout.judge,
            config.eval_hands,
            config.seed + SEED_OFFSET,
            lbr=usual_settings(rollout.game, rollout.judge),
            tables=True if config.variance_reduction or config.advisor else None,  # training has them anyway
        )

    def _write(self, folder: Path, match: Match, played: Sequence[PlayedDeck]) -> None:
        """Save what all decks say of hero, the report last."""
        evaluation = match.judged(played)
        record = write_results(folder, evaluation, self._command)
        write_report(folder, evaluation, record)


def judged(folder: Path, adapter: Path | None) -> dict[str, Any] | None:
    """What a whole evaluation of that adapter found, or of a model without one; None where the folder holds none."""
    if not (folder / "report.html").exists():  # it is written last
        return None
    found = _record(folder)
    expected = None if adapter is None else adapter_sha256(adapter)
    return found if judged_sha256(found) == expected else None


def _record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return record
