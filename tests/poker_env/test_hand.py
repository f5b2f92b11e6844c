"""Records of hands: JSON lines there and back, whatever was said, and one clear line for anything else."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.errors import UserError
from poker_env.games import Game, make_deals, make_game
from poker_env.hand import Answer, Hand, read_hands, write_hands
from poker_env.menu import make_menu
from poker_env.player_specs import make_player
from poker_env.table import play

GAMES = [make_game("kuhn"), make_game("leduc"), make_game("holdem"), Game("holdem", 7, 13, 999)]


def babbler(texts: list[str], seed: int) -> SimpleNamespace:
    """A player that says what it's given and plays at random, one time in ten nothing legal."""
    rng = np.random.default_rng(seed)

    def answer(observation):
        menu = make_menu(observation)
        action = None if rng.random() < 0.1 else menu[rng.integers(len(menu))].action
        text = texts[rng.integers(len(texts))]
        ids = tuple(int(token) for token in rng.integers(100_000, size=rng.integers(4)))
        return Answer(action, prompt=text, completion=text[::-1], prompt_ids=ids, completion_ids=ids[:1])

    return SimpleNamespace(name="babbler", act=lambda observations: [answer(item) for item in observations])


def some_hands(game: Game, count: int = 20, seed: int = 0) -> list[Hand]:
    deals = make_deals(game, count, seed)
    return play(game, deals, babbler(["A1", "\u2028\n\x00 ♠ 'quote\" \\ \ud800 🂡"], seed), make_player("random", game))


any_text = st.text(st.characters(), max_size=30)  # lone surrogates, control characters and line separators too


@settings(max_examples=60, deadline=None)
@given(game=st.sampled_from(GAMES), texts=st.lists(any_text, min_size=1), seed=st.integers(0, 2**32))
def test_json_there_and_back(game, texts, seed):
    for hand in play(game, make_deals(game, 3, seed), babbler(texts, seed), make_player("random", game), replicas=2):
        line = hand.to_json()
        assert len(line.splitlines()) == 1
        assert Hand.from_json(line) == hand


@pytest.mark.parametrize("game", GAMES, ids=str)
def test_files_there_and_back(game, tmp_path):
    hands = some_hands(game)
    assert any(not decision.legal for hand in hands for decision in hand.decisions)
    write_hands(tmp_path / "new" / "hands.jsonl", hands)
    assert list(read_hands(tmp_path / "new" / "hands.jsonl")) == hands


GOOD = some_hands(make_game("holdem"), 1)[0].to_json()
RECORD = json.loads(GOOD)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\n",
        "hello",
        GOOD[:-1],
        GOOD[: len(GOOD) // 2],
        "null",
        "3",
        "[]",
        "{}",
        "[" * 100_000,
        *(json.dumps({key: value for key, value in RECORD.items() if key != missing}) for missing in RECORD),
        json.dumps(RECORD | {"game": "holdem"}),
        json.dumps(RECORD | {"game": {**RECORD["game"], "ante": 1}}),
        json.dumps(RECORD | {"deal": None}),
        json.dumps(RECORD | {"hole": []}),
        json.dumps(RECORD | {"hole": [["As"]]}),
        json.dumps(RECORD | {"decisions": ["fold"]}),
        json.dumps(RECORD | {"decisions": [{}]}),
        json.dumps(RECORD | {"decisions": [{**RECORD["decisions"][0], "answer": None}]}),
        json.dumps(RECORD | {"decisions": [{**RECORD["decisions"][0], "move": {"seat": 0}}]}),
    ],
)
def test_other_lines_are_user_errors(line):
    with pytest.raises(UserError, match="not a hand record") as caught:
        Hand.from_json(line)
    assert "\n" not in str(caught.value)


def test_unreadable_files_are_user_errors(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "cut").write_text(GOOD + "\n" + GOOD[:40] + "\n")
    for name in ("missing", "binary"):
        with pytest.raises(UserError, match=name):
            list(read_hands(tmp_path / name))
    hands = read_hands(tmp_path / "cut")
    assert next(hands) == Hand.from_json(GOOD)
    with pytest.raises(UserError, match="not a hand record"):
        next(hands)


def test_what_a_decision_tells():
    hands = some_hands(make_game("holdem"), 60)
    decisions = [decision for hand in hands for decision in hand.decisions]
    for decision in decisions:
        move = decision.move
        assert decision.legal == (move is not None)
        assert decision.aggressive == (move is not None and move.added > decision.to_call)
        if decision.aggressive:
            pot_after_call = decision.pot + decision.to_call
            assert move.added == pytest.approx(decision.to_call + decision.pot_fraction * pot_after_call)
        else:
            assert decision.pot_fraction is None
    assert {decision.legal for decision in decisions} == {item.aggressive for item in decisions} == {True, False}


def test_pot_fraction_of_a_pot_raise_is_one():
    game = make_game("holdem")
    pot_raise = SimpleNamespace(name="pot", act=lambda observations: [Answer(300) for _ in observations])
    deal = replace(make_deals(game, 1, 0)[0], hero_seat=1)  # the button: 50 in, 100 to face
    hand = play(game, [deal], pot_raise, make_player("fold", game))[0]
    assert hand.decisions[0].pot_fraction == 1.0
    assert hand.villain_folded
    assert hand.payoff == 100
    assert hand.payoff_bb == 1.0


def test_hero_and_villain_are_told_apart():
    for hand in some_hands(make_game("leduc"), 60):
        assert all(decision.seat == hand.hero_seat for decision in hand.hero_decisions)
        assert all(decision.answer.prompt for decision in hand.hero_decisions)
        villains = [decision for decision in hand.decisions if decision not in hand.hero_decisions]
        assert all(decision.seat != hand.hero_seat and decision.legal for decision in villains)
        last = hand.decisions[-1]
        assert hand.villain_folded == (last in villains and last.move.kind == "fold")
        assert hand.villain_folded <= (hand.payoff > 0)
        assert hand.showdown == (last.legal and last.move.kind != "fold")
