"""Looking at rewards before training: the lists and tables, a plugin package from install to training, the presets."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from installed import install

from poker_env.errors import UserError
from poker_env.games import make_deals, make_game
from poker_env.knowledge.exact_value import ExactJudge
from poker_env.player_specs import make_player
from poker_env.table import play
from recipes.options.config import parse_config
from recipes.rewards import main
from recipes.studies.bent_play import KUHN, optimum
from recipes.studies.reward_trial import score_hands
from recipes.train import main as train
from reward_fns import RewardSpec, load_reward
from reward_fns.builtin import BUILT_IN

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "reward_plugin"


@pytest.fixture
def shown(capsys, monkeypatch):
    """What a command prints on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "220")

    def show(*argv):
        main(list(argv))
        return capsys.readouterr().out

    return show


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Where pip put the example package."""
    return install(EXAMPLE, tmp_path_factory)


def test_list_shows_every_built_in_function(shown):
    listed = shown("list")
    for name, function in BUILT_IN.items():
        assert name in listed and function.__doc__.split(".")[0].split(" (")[0].replace("\n    ", " ")[:40] in listed
    assert "over=1.2, under=0.2" in listed and "built in" in listed


def test_an_installed_package_s_functions_are_found_and_trained_with(
    installed, shown, monkeypatch, tiny_model_dir, tmp_path
):
    monkeypatch.syspath_prepend(str(installed))
    listed = shown("list")
    assert "poker-rewards-example 0.1.0" in listed and "gamma, payoff_scale=None" in listed
    tried = shown("try", "patience", "pot_share", "--game", "kuhn", "--hands", "50", "--hero", "tag")
    assert "patience +0.10" in tried and "pot_share" in tried
    options = [
        "--game",
        "kuhn",
        "--model_name_or_path",
        str(tiny_model_dir),
        "--dtype",
        "float32",
        "--num_epochs",
        "1",
    ]
    options += ["--episodes_per_epoch", "32", "--per_device_train_batch_size", "16", "--eval_hands", "0"]
    train([*options, "--rewards", "chips", "illegal", "patience=2", "--output_dir", str(tmp_path)])
    epoch = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert set(epoch["returns"]) == {"chips", "illegal", "patience"} and (tmp_path / "final").is_dir()


def test_a_package_that_cannot_be_imported_does_not_hide_the_others(installed, shown, monkeypatch, tmp_path):
    broken = shutil.copytree(installed, tmp_path / "broken")
    (broken / "poker_rewards_example.py").write_text("import no_such_module\n")
    (tmp_path / "script_of_this_test.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="'script_of_this_test:main': SystemExit: 3"):
        load_reward("script_of_this_test:main")
    monkeypatch.delitem(sys.modules, "poker_rewards_example", raising=False)
    monkeypatch.syspath_prepend(str(broken))
    listed = shown("list")
    assert "No module named 'no_such_module'" in listed and "Chips hero won or lost" in listed
    with pytest.raises(UserError, match=r"'poker_rewards_example:patience'.*no_such_module"):
        load_reward("patience")


def test_training_gives_the_run_s_gamma_as_trying_does(monkeypatch, tmp_path):
    monkeypatch.setitem(BUILT_IN, "mine", lambda hand, gamma: [gamma] * len(hand.hero_decisions))
    chosen = ["--game", "kuhn", "--gamma", "0.9", "--rewards", "chips", "mine"]
    assert parse_config(chosen).reward_specs()[1].args == {"gamma": 0.9}
    path = tmp_path / "config.yaml"
    path.write_text("game: kuhn\ngamma: 0.9\nrewards: [{name: mine, args: {gamma: 0.5}}]\n")
    with pytest.raises(UserError, match=r"'mine' has gamma 0\.5, the run 0\.9: leave it out of args"):
        parse_config(["--config", str(path)])


def test_training_with_a_function_that_fails_ends_in_one_line(tiny_model_dir, tmp_path, monkeypatch):
    monkeypatch.setitem(BUILT_IN, "mine", lambda hand: [1.0])
    options = ["--game", "kuhn", "--model_name_or_path", str(tiny_model_dir), "--dtype", "float32"]
    options += ["--episodes_per_epoch", "16", "--per_device_train_batch_size", "16", "--eval_hands", "0"]
    with pytest.raises(UserError, match="'mine' returned 1 rewards for a hand with 2") as error:
        train([*options, "--rewards", "chips", "mine", "--output_dir", str(tmp_path)])
    assert "\n" not in str(error.value)


def test_a_trial_goes_by_the_returns_that_training_would():
    game = make_game("leduc")
    hands = play(game, make_deals(game, 30, seed=5), make_player("lag", game), make_player("call", game))
    trial = score_hands([load_reward("chips", 2.0), load_reward("aggression")], hands, gamma=0.5)
    for hand, returns in zip(hands, trial.returns, strict=True):
        later = [2 * hand.payoff * 0.5**steps for steps in range(len(hand.hero_decisions))][::-1]
        bonuses = [0.1 * decision.aggressive for decision in hand.hero_decisions]
        expected = [
            own + sum(bonus * 0.5**steps for steps, bonus in enumerate(bonuses[t:])) for t, own in enumerate(later)
        ]
        np.testing.assert_allclose(returns, expected)


def test_try_shows_decisions_actions_and_functions(shown):
    text = shown("try", "chips", "{name: aggression, weight: 3, args: {bonus: 0.5}}", "--hands", "40", "--show", "2")
    assert "40 hands" in text and "lag against cfr" in text and text.count(" against ") == 3
    assert "aggression +0.50" in text
    rows = {row[1]: row[2:] for row in (re.split(r"\s*│\s*", line) for line in text.splitlines() if "│" in line)}
    assert rows["aggression"][0] == "3"  # the last table: its weight
    assert float(rows["all"][1]) == pytest.approx(float(rows["chips"][1]) + float(rows["aggression"][1]), abs=0.011)


def test_try_takes_a_config_and_what_is_added_to_it(shown, tmp_path):
    path = tmp_path / "mine.yaml"
    settings = {"game": "kuhn", "villain": "call", "gamma": 0.5, "rewards": ["chips", {"name": "bluff", "weight": 2}]}
    path.write_text(yaml.dump(settings))
    text = shown("try", "--config", str(path), "showdown", "--villain", "random", "--hands", "10", "--show", "0")
    assert "lag against random, kuhn: 10 hands, gamma 0.5" in text
    assert all(name in text for name in ("chips", "bluff", "showdown"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["score"], "invalid choice: 'score'"),
        (["try"], "needs the NAME"),
        (["try", "chip"], "unknown reward function 'chip'"),
        (["try", "{name: [}"], "is not YAML"),
        (["try", "{weight: 2}"], "is not of the form"),
        (["try", "chips", "--hands", "0"], "0 hands"),
        (["try", "chips", "--seed", "-1"], "seed -1"),
        (["try", "chips", "--gamma", "2"], "gamma 2.0"),
        (["try", "chips", "--hero", "shark"], "unknown player 'shark'"),
        (["bends", "chips", "--villain", "lag"], "policy of lag is not known"),
    ],
)
def test_mistakes_end_in_one_line(argv, message):
    with pytest.raises(UserError, match=re.escape(message)) as error:
        main(argv)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("villain", ["cfr:weak", "call", "random"])
def test_the_best_play_for_chips_is_the_best_response(villain):
    player = make_player(villain, KUHN)
    found = optimum(player, [load_reward("chips")], gamma=1.0)
    assert found.least == pytest.approx(found.most) == pytest.approx(1000 * ExactJudge(KUHN, player).best_response)


def test_a_reward_against_chips_costs_what_it_can_at_most():
    player = make_player("random", KUHN)
    worst = optimum(player, [RewardSpec("loss", BUILT_IN["chips"], weight=-1.0)], gamma=1.0)
    nothing = optimum(player, [load_reward("illegal")], gamma=1.0)  # ranks all legal play alike
    assert worst.least == worst.most == pytest.approx(nothing.least)
    assert nothing.most == pytest.approx(optimum(player, [load_reward("chips")], gamma=1.0).most)


PRESETS = {  # the earlier bot's: bluff, aggression, fold_equity, showdown, sizing
    "aggressive": (1.0, 0.3, 0.5, 0.2, 0.4),
    "balanced": (0.5, 0.1, 0.3, 0.2, 0.2),
    "subtle": (0.2, 0.05, 0.2, 0.2, 0.8),
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_whole_configs_with_the_earlier_bot_s_bonuses(name):
    path = ROOT / "recipes" / "configs" / f"{name}.yaml"
    specs = {spec.name: spec.args for spec in parse_config(["--config", str(path)]).reward_specs()}
    names = ("bluff", "aggression", "fold_equity", "showdown", "sizing")
    assert tuple(specs[bonus]["bonus"] for bonus in names) == PRESETS[name]
    assert set(specs) == {"chips", "illegal", *names}
    assert f"--config recipes/configs/{name}.yaml" in path.read_text().splitlines()[0]


def test_rewards_too_large_to_add_up_are_told():
    with pytest.raises(UserError, match="more than a number can hold"):
        optimum(make_player("cfr:weak", KUHN), [load_reward("aggression", 1e308), load_reward("chips", 1e308)], 1.0)


def test_the_documented_costs_are_what_kuhn_says():
    """docs/rewards.md has a table of `bends`: reward, what its best play wins, what that gives away."""
    rows = re.findall(
        r"^\| `(\w+)` \| ([+-][\d.,]+) \| ([\d.]+) \|$", (ROOT / "docs" / "rewards.md").read_text(), re.M
    )
    villain, chips = make_player("cfr:weak", KUHN), load_reward("chips")
    best = optimum(villain, [chips], gamma=1.0).most
    assert {name for name, *_ in rows} == set(BUILT_IN)
    for name, won, lost in rows:
        extra = [] if name == "chips" else [load_reward(name)]
        found = optimum(villain, [chips, *extra], gamma=1.0)
        assert (f"{found.least:+.1f}", f"{best - found.least:.1f}") == (won, lost)
