"""Language models as villains: a trained adapter, a run's epochs, hero as it was; and whom such a run is judged by."""

import json
import shutil

import numpy as np
import pytest
import torch

from poker_env.errors import UserError
from poker_env.games import make_deals, make_game
from poker_env.player_specs import game_of, make_player
from poker_env.players.hub import epoch_folder
from poker_env.players.llm import LLMPlayer
from poker_env.table import play
from recipes.options.config import parse_config
from recipes.train import main
from recipes.training.opponents import Opponents
from recipes.training.rollout import Rollout
from recipes.warm_start import imitated_player

KUHN = make_game("kuhn")


def arguments(model_dir, output_dir, *more, game="kuhn", epochs=3):
    return [
        *("--game", game, "--model_name_or_path", str(model_dir), "--dtype", "float32", "--num_epochs", str(epochs)),
        *("--episodes_per_epoch", "24", "--per_device_train_batch_size", "16", "--learning_rate", "1e-2"),
        *("--eval_hands", "20", "--output_dir", str(output_dir), "--show_hands", "0", *more),
    ]


@pytest.fixture(scope="module")
def run(tiny_model_dir, tmp_path_factory):
    """Three epochs against `cfr`."""
    folder = tmp_path_factory.mktemp("run")
    main(arguments(tiny_model_dir, folder, "--villain", "cfr"))
    return folder


def figures(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(model):
    return {weight.data_ptr() for name, weight in model.named_parameters() if "lora" not in name}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])  # one of them isn't what a machine would choose
@pytest.mark.parametrize("form", ["{adapter}", "pool:{run}", "mix:{adapter}=1,call=1"])
def test_a_villain_and_hero_hold_their_model_s_weights_once(run, tiny_model_dir, tmp_path, form, dtype):
    spec = form.format(adapter=f"llm:{run / 'final'}", run=run)
    config = parse_config(arguments(tiny_model_dir, tmp_path, "--villain", spec, "--dtype", dtype))
    villain, hero = Opponents(config).at(0), config.load_model()
    models = [part for part in getattr(villain, "components", [villain]) if isinstance(part, LLMPlayer)]
    assert models and all(weights(part.model) == weights(hero) and part.answers == "menu" for part in models)
    assert {weight.dtype for weight in hero.parameters()} == {getattr(torch, dtype)}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_so_do_whom_a_run_is_judged_by_and_whom_it_imitates(run, tiny_model_dir, tmp_path, dtype):
    spec = f"llm:{run / 'final'}"
    options = ("--villain", "call", "--eval_villain", spec, "--warm_start_player", spec, "--dtype", dtype)
    config = parse_config(arguments(tiny_model_dir, tmp_path, *options))
    hero, judge = config.load_model(), Rollout(config, config.load_tokenizer()).judge
    for player in (judge, imitated_player(config, make_player("call", KUHN))):
        assert weights(player.model) == weights(hero)


def test_an_adapter_is_a_villain_that_does_not_learn(run, tiny_model_dir, tmp_path):
    spec = f"llm:{run / 'final'}"
    main(arguments(tiny_model_dir, tmp_path, "--villain", spec))
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["villain"] == spec and len(record["checkpoints"][spec]) == 64
    results = json.loads((tmp_path / "evaluation" / "results.json").read_text())
    assert results["villain"] == spec and set(results["checkpoints"]) == {spec, results["hero"]}
    assert all(np.isfinite(row["loss"]) for row in figures(tmp_path))
    assert (run / "final" / "adapter_model.safetensors").read_bytes() == (
        run / "epoch_003" / "adapter_model.safetensors"
    ).read_bytes()


def test_a_villain_s_answers_are_drawn_from_what_it_says_of_them(run):
    villain = make_player(f"llm:{run / 'final'}", KUHN)
    villain.answers = "menu"
    hands = play(KUHN, make_deals(KUHN, 1_500, 5), make_player("call", KUHN), villain)
    first = [hand.observations(1 - hand.hero_seat)[0] for hand in hands if hand.observations(1 - hand.hero_seat)]
    played = [hand.decisions[[d.seat for d in hand.decisions].index(1 - hand.hero_seat)].move for hand in hands]
    counts = {}
    for seen, move, policy in zip(first, played, villain.policy(first), strict=True):
        total, taken, said = counts.get(seen.infoset, (0, 0, 0.0))
        counts[seen.infoset] = (total + 1, taken + (move is not None and move.action == 1), policy[1])
    assert len(counts) > 5
    for total, taken, said in counts.values():
        assert abs(taken - total * said) < 4.5 * max(1, total * said * (1 - said)) ** 0.5


def test_each_hand_is_against_one_epoch_of_a_pool(run):
    pool = make_player(f"pool:{run}", KUHN)
    assert [part.name for part in pool.components] == [f"llm:{epoch_folder(run, epoch)}" for epoch in range(4)]
    assert len({frozenset(weights(part.model)) for part in pool.components}) == 1
    hands = play(KUHN, make_deals(KUHN, 400, 1), make_player("random", KUHN), pool)
    coins = [
        hand.observations(1 - hand.hero_seat)[0].hand_coin for hand in hands if hand.observations(1 - hand.hero_seat)
    ]
    counts = np.bincount((np.array(coins) * 4).astype(int), minlength=4)
    assert counts.min() > len(coins) / 8
    for part, coin in ((pool.components[2], 0.6), (pool.components[0], 0.1)):
        place = next(place for place, own in enumerate(coins) if abs(own - coin) < 0.1)
        seen = [hand.observations(1 - hand.hero_seat)[0] for hand in hands if hand.observations(1 - hand.hero_seat)][
            place
        ]
        assert pool.act([seen]) == part.act([seen])
    assert game_of([f"pool:{run}"]) == str(KUHN)
    with pytest.raises(UserError, match="holds no epochs of a training run"):
        make_player(f"pool:{run / 'final'}", KUHN)


def test_self_is_hero_as_it_was_saved_last(tiny_model_dir, tmp_path):
    main(
        arguments(
            tiny_model_dir, tmp_path, "--villain", "self", "--self_every", "2", "--eval_villain", "cfr", epochs=5
        )
    )
    assert json.loads((tmp_path / "run.json").read_text())["config"]["villain"] == "self"
    results = json.loads((tmp_path / "evaluation" / "results.json").read_text())
    assert results["villain"] == "cfr" and figures(tmp_path)[0]["best_response"] is not None
    options = arguments(tiny_model_dir, tmp_path, "--villain", "self", "--self_every", "2", "--eval_villain", "cfr")
    opponents = Opponents(parse_config(options))
    names = [opponents.at(epoch).name for epoch in range(5)]
    assert names == [f"llm:{epoch_folder(tmp_path, epoch)}" for epoch in (0, 0, 2, 2, 4)]
    assert opponents.constant is None


def test_a_resumed_run_meets_the_same_villain(tiny_model_dir, tmp_path):
    options = ("--villain", "{cfr: 0.5, self: 0.5}", "--eval_villain", "cfr", "--eval_hands", "0")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    main(arguments(tiny_model_dir, whole, *options, epochs=4))
    shutil.copytree(whole, cut)
    lines = (cut / "metrics.jsonl").read_text().splitlines(keepends=True)
    (cut / "metrics.jsonl").write_text("".join(lines[:3]))
    for name in ("final", "epoch_004", "checkpoint-4"):
        shutil.rmtree(cut / name)
    main(arguments(tiny_model_dir, cut, *options, "--resume", epochs=4))
    assert [row["bb_per_hand"] for row in figures(cut)] == [row["bb_per_hand"] for row in figures(whole)]
    same = [(folder / "final" / "adapter_model.safetensors").read_bytes() for folder in (cut, whole)]
    assert same[0] == same[1]


def test_a_mixture_may_have_a_pool_and_a_model_in_it(run, tiny_model_dir, tmp_path):
    mixture = f"mix:cfr=0.4,pool:{run}=0.3,llm:{run / 'final'}=0.3"
    config = parse_config(arguments(tiny_model_dir, tmp_path, "--villain", mixture))
    villain = Opponents(config).at(0)
    models = [villain.components[2], *villain.components[1].components]
    assert all(model.answers == "menu" for model in models)
    hands = play(KUHN, make_deals(KUHN, 60, 1), make_player("tag", KUHN), villain)
    assert len(hands) == 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--villain", "self"], "name an eval_villain, cfr for example"),
        (["--villain", "{self: 0.5, cfr: 0.5}"], "name an eval_villain"),
        (["--villain", "cfr", "--self_every", "3"], "self_every 3 is for villain self, not 'cfr'"),
        (["--villain", "human"], "villain 'human' can't be trained against"),
        (["--villain", "mix:human=1"], "'human' can't be part of a mixture"),
        (["--villain", "llm:x", "--variance_reduction", "chance"], "variance_reduction needs a villain whose policy"),
        (["--villain", "pool:x", "--advisor", "true"], "advisor needs a villain whose policy is known"),
        (["--villain", "{cfr: 1, self: 1}", "--eval_villain", "cfr", "--advisor", "true"], "that of 'self' isn't"),
        (["--villain", "self", "--eval_villain", "cfr", "--warm_start_player", "villain"], "villain is hero itself"),
        (["--villain", "self", "--eval_villain", "cfr", "--self_every", "0"], "self_every 0"),
    ],
)
def test_what_does_not_go_together_is_one_line(options, message, tmp_path, tiny_model_dir):
    with pytest.raises(UserError, match=message) as caught:
        parse_config(arguments(tiny_model_dir, tmp_path, *options))
    assert "\n" not in str(caught.value)


def test_luck_of_a_player_that_knows_nothing_of_itself_is_refused_before_anything_is_played(tiny_model_dir, tmp_path):
    options = ("--villain", "tag", "--variance_reduction", "range", "--warm_start_player", "call")
    for game in ("kuhn", "holdem"):
        with pytest.raises(UserError, match="policy"):
            main(arguments(tiny_model_dir, tmp_path / game, *options, game=game))
        assert not (tmp_path / game / "warm_start").exists()
