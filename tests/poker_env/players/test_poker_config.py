"""What an adapter remembers: there and back, and one clear line for what can't be used."""

import json
import math

import pytest

from poker_env.errors import UserError
from poker_env.games import Game, make_game
from poker_env.menu import POT_FRACTIONS
from poker_env.players.poker_config import FILE_NAME, PokerConfig

KUHN = make_game("kuhn")


@pytest.mark.parametrize(
    "config",
    [
        PokerConfig(KUHN, "smollm2-135m"),
        PokerConfig(Game("holdem", 1, 3, 77), "Qwen/Qwen2.5-3B-Instruct", "classic", (0.25, 2.0), 128, 0.7),
        PokerConfig(make_game("leduc"), "/a/folder with ♠", fractions=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)),
    ],
)
def test_there_and_back(config, tmp_path):
    config.save(tmp_path / "adapter")
    assert PokerConfig.load(tmp_path / "adapter") == config
    assert [path.name for path in (tmp_path / "adapter").iterdir()] == [FILE_NAME]


def test_defaults():
    config = PokerConfig(KUHN, "model")
    assert (config.style, config.fractions, config.temperature) == ("compact", POT_FRACTIONS, 1.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("style", "loud"),
        ("style", ""),
        ("fractions", ()),
        ("fractions", (0.5, 0.0)),
        ("fractions", (-1.0,)),
        ("fractions", (math.nan,)),
        ("fractions", (math.inf,)),
        ("fractions", (0.1,) * 8),
        ("max_new_tokens", 0),
        ("temperature", 0.0),
        ("temperature", -1.0),
        ("temperature", math.nan),
        ("temperature", math.inf),
    ],
)
def test_values_nobody_can_play_with(field, value):
    with pytest.raises(UserError, match=r"fractions|style|max_new_tokens|temperature") as caught:
        PokerConfig(KUHN, "model", **{field: value})
    assert "\n" not in str(caught.value)
    shown = list(value) if isinstance(value, tuple) else value
    assert (repr(value) if isinstance(value, str) else str(shown)) in str(caught.value)


RECORD = {
    "game": {"name": "kuhn", "small_blind": 1, "big_blind": 1, "stack": 2},
    "base_model": "model",
    "style": "compact",
    "fractions": [0.5],
    "max_new_tokens": 6,
    "temperature": 1.0,
}


def test_the_record_below_is_good(tmp_path):
    (tmp_path / FILE_NAME).write_text(json.dumps(RECORD))
    assert PokerConfig.load(tmp_path) == PokerConfig(KUHN, "model", "compact", (0.5,), 6, 1.0)


@pytest.mark.parametrize(
    ("content", "mentions"),
    [
        (None, "No such file"),
        ("", "not a usable"),
        ("{", "not a usable"),
        (b"\xff\xfe", "not a usable"),
        ("[]", "not a usable"),
        ("3", "not a usable"),
        ("null", "not a usable"),
        ("{}", "game"),
        (RECORD | {"learning_rate": 1e-5, "hints": True}, "unknown keys ['hints', 'learning_rate']"),
        (RECORD | {"advice": True}, "not a usable"),
        (RECORD | {"advice": [["folds"]]}, "not a usable"),
        (RECORD | {"advice": "folds"}, "may hold folds and worth"),
        ({key: value for key, value in RECORD.items() if key != "base_model"}, "base_model"),
        (RECORD | {"base_model": 3}, "base_model"),
        (RECORD | {"game": "kuhn"}, "not a usable"),
        (RECORD | {"game": {"name": "kuhn"}}, "small_blind"),
        (RECORD | {"game": {**RECORD["game"], "name": "omaha"}}, "omaha"),
        (RECORD | {"game": {"name": "holdem", "small_blind": 50, "big_blind": 100, "stack": 100}}, "stack 100"),
        (RECORD | {"game": {"name": "holdem", "small_blind": 50, "big_blind": 100, "stack": "all"}}, "all"),
        (RECORD | {"fractions": 0.5}, "not a usable"),
        (RECORD | {"fractions": ["half"]}, "not a usable"),
        (RECORD | {"style": "loud"}, "loud"),
        (RECORD | {"max_new_tokens": "six"}, "'six'"),
        (RECORD | {"max_new_tokens": 2.5}, "max_new_tokens"),
        (RECORD | {"temperature": None}, "not a usable"),
    ],
)
def test_files_that_are_none(content, mentions, tmp_path):
    if isinstance(content, dict):
        (tmp_path / FILE_NAME).write_text(json.dumps(content))
    elif content is not None:
        (tmp_path / FILE_NAME).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        PokerConfig.load(tmp_path)
    assert mentions in str(caught.value)
    assert "\n" not in str(caught.value)
