"""Runs with advice in their prompts: warm starts are asked with it, and adapters without it don't go on with it."""

import json

import numpy as np
import pytest
import torch

from poker_env.errors import UserError
from poker_env.games import make_deals, make_game
from poker_env.hand import read_hands
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.menu import make_menu
from poker_env.player_specs import load_advisor, make_llm_player, make_player
from poker_env.players.llm import LLMPlayer
from poker_env.players.poker_config import PokerConfig
from poker_env.prompts import build_messages
from poker_env.state import HandState
from poker_env.table import play
from recipes import evaluate, train
from recipes.runs.checkpoints import load_adapter
from recipes.training.imitation import Imitated, examples_of
from recipes.warm_start import main

KUHN, LEDUC = make_game("kuhn"), make_game("leduc")


def arguments(model_dir, output_dir, *more):
    return [
        *("--game", "kuhn", "--model_name_or_path", str(model_dir), "--dtype", "float32"),
        *("--warm_start_player", "villain", "--warm_start_hands", "100", "--warm_start_steps", "3"),
        *("--output_dir", str(output_dir), *more),
    ]


@pytest.mark.parametrize("game", [KUHN, LEDUC], ids=str)
def test_what_is_imitated_is_asked_with_advice(tiny_model_dir, game):
    villain = make_player("cfr", game)
    imitated = Imitated(villain, (0.5,), 0.1)
    play(game, make_deals(game, 50, 0), imitated, imitated)
    model, tokenizer = load_model(str(tiny_model_dir), torch.float32), load_tokenizer(str(tiny_model_dir))
    hero = LLMPlayer(
        model,
        tokenizer,
        PokerConfig(game, str(tiny_model_dir), fractions=(0.5,), advisor="cfr"),
        advise=load_advisor("cfr", game).advise,
    )
    examples = examples_of(hero, imitated.decisions)
    expected = {}
    for observation, probabilities in imitated.decisions:
        menu = make_menu(observation, (0.5,))
        messages = build_messages(observation, menu, "compact", load_advisor("cfr", game).advise(observation, menu))
        expected.setdefault(tuple(hero.encode(messages)), []).append(probabilities)
    assert {example.prompt_ids for example in examples} == set(expected)
    for example in examples:
        np.testing.assert_allclose(example.probabilities, np.mean(expected[example.prompt_ids], axis=0), atol=1e-9)


def test_a_warm_start_with_advice_is_loaded_with_it(tiny_model_dir, tmp_path):
    main(arguments(tiny_model_dir, tmp_path, "--advisor", "true"))
    hero = make_llm_player(str(tmp_path / "warm_start"), KUHN)
    assert hero.config.advisor == "cfr"
    (question,) = hero.ask([HandState(KUHN, make_deals(KUHN, 1, 0)[0]).observe()])
    equity, worth = question.text.splitlines()[-2:]
    assert equity.startswith("Equity ") and worth.startswith("Worth ")


@pytest.mark.parametrize("advised", [False, True])
def test_an_adapter_goes_on_as_it_was_asked(tiny_model_dir, tmp_path, advised):
    main(arguments(tiny_model_dir, tmp_path, "--advisor", str(advised)))
    for advisor in (None, "cfr", "cfr:weak"):
        model = load_model(str(tiny_model_dir), torch.float32)
        poker = PokerConfig(KUHN, str(tiny_model_dir), advisor=advisor)
        if (advisor is not None) == advised:
            assert load_adapter(model, tmp_path / "warm_start", poker).active_adapter == "default"
        else:
            with pytest.raises(UserError, match="advisor") as caught:
                load_adapter(model, tmp_path / "warm_start", poker)
            assert "\n" not in str(caught.value)


def test_an_adapter_goes_on_with_the_parts_of_the_advice_that_it_knows(tiny_model_dir, tmp_path):
    main(arguments(tiny_model_dir, tmp_path, "--advisor", "true", "--advice", "folds"))
    hero = make_llm_player(str(tmp_path / "warm_start"), KUHN)
    assert hero.config.advice == ("folds",)
    model = load_model(str(tiny_model_dir), torch.float32)
    with pytest.raises(UserError, match=r"advice \['folds'\], not \['folds', 'worth'\]"):
        load_adapter(model, tmp_path / "warm_start", PokerConfig(KUHN, str(tiny_model_dir), advisor="cfr"))


def test_an_evaluation_may_tell_it_less(tiny_model_dir, tmp_path):
    main(arguments(tiny_model_dir, tmp_path, "--advisor", "true"))
    adapter, told = f"llm:{tmp_path / 'warm_start'}", {}
    common = ["--game", "kuhn", "--hero", adapter, "--villain", "cfr", "--hands", "10"]
    for advice in ("odds,folds,worth", "odds,worth", "odds", "none"):
        evaluate.main([*common, "--advice", advice, "--output", str(tmp_path / advice)])
        record = json.loads((tmp_path / advice / "results.json").read_text())
        hands = list(read_hands(tmp_path / advice / "hands.jsonl"))
        texts = [each.answer.prompt for hand in hands for each in hand.hero_decisions]
        told[record["prompts"][adapter]["advice"]] = [
            all(f"\n{word} " in text for text in texts) for word in ("Equity", "Worth")
        ]
    assert told == {
        "odds,folds,worth": [True, True], "odds,worth": [True, True], "odds": [True, False], None: [False, False]
    }  # fmt: skip
    for advice, message in (("worth", "the first always"), ("odds,luck", "odds, folds, worth"), ("", "give some")):
        with pytest.raises(UserError, match=message):
            evaluate.main([*common, "--advice", advice])
    with pytest.raises(UserError, match="--advice is for language models"):
        evaluate.main(["--game", "kuhn", "--hero", "tag", "--villain", "cfr", "--hands", "10", "--advice", "odds"])


def test_a_run_is_trained_and_judged_with_advice(tiny_model_dir, tmp_path):
    more = ("--num_epochs", "1", "--episodes_per_epoch", "16", "--eval_hands", "20", "--advisor", "true")
    train.main(arguments(tiny_model_dir, tmp_path, *more))
    for folder in ("evaluation_before", "evaluation"):
        record = json.loads((tmp_path / folder / "results.json").read_text())
        assert list(record["prompts"].values()) == [
            {
                **{"style": "compact", "advisor": "cfr", "advice": "odds,folds,worth"},
                **{"temperature": 1.0, "answers": "free"},
            }
        ]
        hands = list(read_hands(tmp_path / folder / "hands.jsonl"))
        assert all("\nEquity " in each.answer.prompt for hand in hands for each in hand.hero_decisions)
    assert PokerConfig.load(tmp_path / "final").advisor == "cfr"


def test_a_run_against_a_mixture_says_so(tiny_model_dir, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("villain: {cfr: 2, 'cfr:weak': 1, call: 1}\n")
    more = ("--num_epochs", "1", "--episodes_per_epoch", "16", "--eval_hands", "20", "--config", str(path))
    train.main(arguments(tiny_model_dir, tmp_path / "run", *more))
    record = json.loads((tmp_path / "run" / "evaluation" / "results.json").read_text())
    assert record["villain"] == "mix:cfr=2,cfr:weak=1,call=1"
    assert set(record["checkpoints"]) >= {"cfr", "cfr:weak"}
    assert [prompt["advisor"] for prompt in record["prompts"].values()] == [None]


@pytest.mark.parametrize("start", [train.main, main])
@pytest.mark.parametrize("villain", ["mix:cfr=1,call=1", "tag"])
def test_a_villain_without_a_known_policy_is_named_at_once(tiny_model_dir, tmp_path, start, villain, monkeypatch):
    monkeypatch.setattr("recipes.options.config.load_shared", None)
    with pytest.raises(UserError) as caught:
        start(arguments(tiny_model_dir, tmp_path, "--advisor", "true", "--villain", villain))
    assert villain in str(caught.value) and "\n" not in str(caught.value)
