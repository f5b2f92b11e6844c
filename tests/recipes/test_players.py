"""Players that others bring, from install to training."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from installed import install

from poker_env.cards.holdings import N_HOLDINGS
from poker_env.errors import UserError
from poker_env.evaluation.lbr_report import evaluate_lbr
from poker_env.games import make_deals, make_game
from poker_env.player_specs import BUILT_IN, load_advisor, make_player
from poker_env.state import HandState
from recipes import evaluate
from recipes.train import main as train

EXAMPLE = Path(__file__).parents[2] / "examples" / "player_plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Where pip put the example package."""
    return install(EXAMPLE, tmp_path_factory)


@pytest.fixture
def found(installed, monkeypatch):
    """With the example package found by its entry points."""
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.setenv("COLUMNS", "200")
    yield
    sys.modules.pop("poker_players_example", None)


def test_players_are_listed_with_where_they_come_from(found, capsys):
    evaluate.main(["players"])
    listed = capsys.readouterr().out
    assert all(f" {name}" in listed for name in BUILT_IN) and "cfr[:CHECKPOINT]" in listed
    assert "pushfold[:PERCENT]" in listed and "poker-players-example 0.1.0" in listed
    assert "Goes all-in before the flop" in listed and "(microseconds)" in listed


def test_a_package_that_cannot_be_imported_does_not_hide_the_others(installed, capsys, monkeypatch, tmp_path):
    broken = shutil.copytree(installed, tmp_path / "broken")
    (broken / "poker_players_example.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(str(broken))
    monkeypatch.setenv("COLUMNS", "200")
    evaluate.main(["players"])
    listed = capsys.readouterr().out
    assert "No module named 'no_such_module'" in listed and "Check or call" in listed
    with pytest.raises(UserError, match=r"'poker_players_example:PushFold'.*no_such_module"):
        make_player("pushfold", make_game("holdem"))


def test_an_installed_player_is_judged_with_all_that_is_known_of_it(found, tmp_path):
    arguments = ["--game", "holdem:stack=1000", "--hero", "tag", "--villain", "pushfold:30", "--hands", "60"]
    evaluate.main([*arguments, "--capture", "fc", "--output", str(tmp_path)])
    record = json.loads((tmp_path / "results.json").read_text())
    assert record["headline"] == "aivat" and record["value_function"]["known_player"] == "pushfold:30"
    assert len(record["checkpoints"]["pushfold:30"]) == 64 and "lbr:fc" in record["capture"]


def test_its_ranges_are_what_it_plays(found):
    """Nine of ten holdings pushed at ten big blinds: whoever calls with what beats them wins."""
    game = make_game("holdem:stack=1000")
    player = make_player("pushfold:90", game)
    assert load_advisor("pushfold:90", game).advise is not None
    actions, probabilities = player.range_policy(first_observation(game))
    pushed = probabilities[:, actions.index(1000)]
    assert pushed.sum() == N_HOLDINGS * 9 // 10 and np.allclose(probabilities.sum(axis=1), 1)
    bound = evaluate_lbr(game, "lbr:fc", player, 400, 1)
    assert bound.result.estimate.mbb_per_hand > 0


def first_observation(game):
    return HandState(game, make_deals(game, 1, 0)[0]).observe()


@pytest.mark.parametrize(
    ("spec", "message"), [("pushfold:x", "whole number of percent"), ("pester:1", "takes no '1'")]
)
def test_what_it_refuses_is_one_line(found, spec, message):
    with pytest.raises(UserError, match=message):
        make_player(spec, make_game("holdem"))


def test_an_installed_player_is_trained_against(found, tiny_model_dir, tmp_path):
    options = f"--game kuhn --villain pester --model_name_or_path {tiny_model_dir} --dtype float32 --num_epochs 1"
    options += " --episodes_per_epoch 32 --per_device_train_batch_size 16 --eval_hands 20 --exact_eval_every 1"
    train([*options.split(), "--variance_reduction", "chance", "range", "villain", "--output_dir", str(tmp_path)])
    epoch = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert np.isfinite(epoch["capture"]) and epoch["bb_aivat_ci95"] > 0
    assert json.loads((tmp_path / "evaluation/results.json").read_text())["villain"] == "pester"
