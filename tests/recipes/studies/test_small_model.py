"""A small language model from nothing: an ordinary folder, whose model learns what it is shown."""

import json

import pytest

from poker_env.errors import UserError
from poker_env.games import make_deals, make_game
from poker_env.hand import Hand
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.player_specs import make_player
from poker_env.players.llm import LLMPlayer
from poker_env.players.poker_config import PokerConfig
from poker_env.table import play
from recipes.studies import small_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "model"
    small_model.main(
        "--game leduc --player cfr --hands 300 --steps 200 --width 32 --layers 2 --cores 1 --batch 16 "
        "--learning_rate 0.01 "
        f"--output {folder}".split()
    )
    return folder


def hero_of(folder):
    poker = PokerConfig(make_game("leduc"), str(folder), "brief", (1.0,))
    return LLMPlayer(load_model(str(folder)), load_tokenizer(str(folder)), poker, answers="menu")


def test_it_learns_to_play_as_it_is_shown(folder):
    made = json.loads((folder / "made.json").read_text())
    assert made["loss"][-1] < 0.6 < 3 < made["loss"][0]
    assert made["legal"] > 0.95 and made["parameters"] < 100_000
    assert made["command"].startswith("python recipes/studies/small_model.py --game leduc")


def test_hands_are_played_with_it_as_with_any_other(folder):
    hero, villain = hero_of(folder), make_player("cfr", make_game("leduc"))
    hands = play(make_game("leduc"), make_deals(make_game("leduc"), 40, 3), hero, villain)
    decisions = [decision for hand in hands for decision in hand.hero_decisions]
    assert all(isinstance(hand, Hand) for hand in hands)
    assert sum(decision.move is not None for decision in decisions) > 0.9 * len(decisions) > 30


def test_an_answer_and_a_digit_are_a_token_each(folder):
    hero = hero_of(folder)
    for place in range(3):
        answer, end = hero.answer_ids(f"A{place}")
        assert hero.tokenizer.convert_ids_to_tokens([answer, end]) == [f"A{place}", small_model.END]
    assert hero.tokenizer.tokenize("pot 123") == [*hero.tokenizer.tokenize("pot "), "1", "2", "3"]
    text = "BB /x b2, pot 6\nboard K♣ hand Qé"  # bytes spell what was never seen
    assert hero.tokenizer.decode(hero.tokenizer(text)["input_ids"]) == text


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("--width 100", "--width 100 must be a multiple of 32"),
        ("--steps 0", "--steps 0 must be above 0"),
        ("--floor 2", "--floor 2.0 must be a probability"),
        ("--width 1024 --hands 2 --layers 8", "make .* weights, more than 10,000,000"),
        ("--player nobody", "nobody"),
    ],
)
def test_bad_options_are_refused_in_a_line(options, complaint, tmp_path):
    with pytest.raises(UserError, match=complaint):
        small_model.main([*options.split(), "--output", str(tmp_path / "model")])
