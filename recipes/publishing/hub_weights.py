"""How an adapter plays on its base model's weights on the Hub, where it was trained on others of that name."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from poker_env.evaluation.match import evaluate
from poker_env.evaluation.results import write_results
from poker_env.player_specs import make_llm_player, make_player
from recipes.publishing.publication import Publication, Record


def judge_on_hub(folder: Path, adapter: Path, publication: Publication, hands: int, command: str) -> Record:
    """Evaluate an adapter on the weights of `publication.base_model` on the Hub, and write that into a folder.

    Its opponent, stakes and decks are those of the evaluation that its card quotes, where there is one. Returns what
    is in `results.json`. Raises `UserError` when the base model can't be had.
    """
    poker = replace(publication.poker, base_model=publication.base_model, base_sha256=None)
    quoted = publication.evaluations[0] if publication.evaluations else None
    villain = quoted["villain"] if quoted else publication.villain or "cfr"
    with tempfile.TemporaryDirectory() as temporary:
        moved = Path(shutil.copytree(adapter, Path(temporary) / adapter.name))
        poker.save(moved)
        hero = make_llm_player(str(moved), poker.game)
    hero.name = f"llm:{adapter} on {publication.base_model}"
    seed = quoted["seed"] if quoted else 0
    evaluation = evaluate(poker.game, hero, make_player(villain, poker.game), hands, seed)
    folder.mkdir()
    return write_results(folder, evaluation, command)
