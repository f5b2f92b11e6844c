"""Playing in the terminal: what can be typed, what is told and saved, and watching two players."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from poker_env.errors import UserError
from poker_env.games import make_game
from poker_env.hand import Answer, read_hands
from poker_env.player_specs import make_player
from poker_env.players.poker_config import PokerConfig
from recipes import play
from recipes.frontends.sitting import Sitting, raise_action
from recipes.frontends.terminal import play_in_terminal, read_choice

ROOT = Path(__file__).resolve().parents[2]


def at_table(folder, typed, spec="holdem", villain="call", hands=None, seed=1, hero=None, thoughts=False):
    """What a person sees who types these lines, and then Ctrl-D; and the sitting."""
    game = make_game(spec)
    player = make_player(villain, game) if isinstance(villain, str) else villain
    sitting = Sitting(game, player, seed, make_player(hero, game) if hero else None)
    lines, screen = iter(typed), io.StringIO()

    def ask(prompt):
        screen.write(prompt)
        line = next(lines, None)
        if line is None:
            raise EOFError
        if isinstance(line, BaseException):
            raise line
        screen.write(line + "\n")
        return line

    console = Console(file=screen, width=200, markup=False, highlight=False)
    play_in_terminal(sitting, console, ask, hands, folder, thoughts, None)
    return screen.getvalue(), sitting


def table(spec="holdem", villain="call", seed=1):
    game = make_game(spec)
    return Sitting(game, make_player(villain, game), seed)


def test_what_can_be_typed_for_each_choice():
    sitting = table(seed=1)  # hero in the big blind, called: check, or raise
    seen, menu = sitting.observation, sitting.menu
    for typed, action in {
        "1": 1,
        "2": menu[1].action,
        str(len(menu)): 20_000,
        "x": 1,
        "k": 1,
        "c": 1,
        "Check": 1,
        "a": 20_000,
        "all-in": 20_000,
        "r 300": 300,
        "r300": 300,
        "b 300": 300,
        " R  1,000 ": 1_000,
        "r to 450": 450,
        "r 3bb": 300,
        "r 2.5 bb": 250,
        "r 100%": 300,
        "b 75%": 250,
    }.items():
        assert read_choice(typed, seen, menu) == action, typed


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("9", "numbers 1 to 6; an amount is typed as r 9"),
        ("0", "numbers 1 to"),
        ("300", "typed as r 300"),
        ("f", "checking is free"),
        ("r", "say how much"),
        ("b", "say how much"),
        ("r 150", "200 to 20,000 is"),
        ("r 20001", "200 to 20,000 is"),
        ("r 0", "no amount"),
        ("r 1", "no amount"),
        ("r 1.2.3bb", "not a number"),
        ("rr", "nothing that can be done"),
        ("flod", "nothing that can be done"),
        ("r -5", "nothing that can be done"),
        ("r 99999999999999999999", "is not legal"),
        ("r " + "9" * 400, "nothing that can be done"),
        ("9" * 5000, "nothing that can be done"),
    ],
)
def test_typos_are_told_in_one_line(typed, told):
    sitting = table()
    with pytest.raises(UserError, match=re.escape(told)) as error:
        read_choice(typed, sitting.observation, sitting.menu)
    assert "\n" not in str(error.value)


@settings(max_examples=200)
@given(typed=st.text(max_size=12) | st.from_regex(r"[rbfcxka0-9][ 0-9.,%b]*", fullmatch=True))
def test_whatever_is_typed_is_a_legal_action_or_one_line(typed):
    sitting = table("leduc") if len(typed) % 2 else table()
    try:
        sitting.act(read_choice(typed, sitting.observation, sitting.menu))
    except UserError as error:
        assert len(str(error).splitlines()) == 1


def test_facing_a_bet():
    sitting = table(villain="lag", seed=3)
    while sitting.over or not sitting.observation.to_call:
        sitting.deal() if sitting.over else sitting.act(1)
    seen, menu = sitting.observation, sitting.menu
    assert read_choice("f", seen, menu) == 0 and read_choice("c", seen, menu) == 1
    with pytest.raises(UserError, match="you face a bet"):
        read_choice("x", seen, menu)
    share = read_choice("r 100%", seen, menu)
    assert share == max(seen.contributions) + seen.pot + seen.to_call
    assert read_choice("r 100%", seen, menu) in {item.action for item in menu if item.kind == "raise"}


def test_the_only_size_of_small_games_needs_no_amount():
    for spec in ("kuhn", "leduc"):
        sitting = table(spec)
        raises = [item.action for item in sitting.menu if item.kind == "bet"]
        assert [read_choice(typed, sitting.observation, sitting.menu) for typed in ("b", "r", "a")] == raises * 3
        with pytest.raises(UserError, match="one size"):
            read_choice("b 2", sitting.observation, sitting.menu)


def test_all_in_calls_an_all_in(tmp_path):
    class Shover:
        name = "shover"

        def act(self, observations):
            return [Answer(seen.game.stack if seen.min_raise_to else 1) for seen in observations]

    screen, sitting = at_table(tmp_path, ["a", ""], villain=Shover(), hands=1)
    assert sitting.hand.showdown and abs(sitting.hand.payoff) in (0, 20_000)
    assert "You call 19,900 and are all-in" in screen


def test_a_session_by_typing(tmp_path):
    screen, sitting = at_table(tmp_path, ["h", "zz", "r 300", "u", "x", "x", "x", "x", "t", "u", "oops", "h", "", "q"])
    assert "take your last choice back" in screen and "'zz' is nothing that can be done here" in screen
    assert "Board   none yet" in screen and "Pot     200 (2.0 bb)" in screen
    assert "nothing to take back: a card was turned over" in screen  # after the raise was called
    assert "call can't say how probable" in screen and "'oops' is not one of" in screen
    assert sitting.number == 2 and len(sitting.hands) == 1
    assert "The hand on the table is not over: it counts for nothing." in screen
    assert f"Saved in {tmp_path}" in screen
    assert list(read_hands(tmp_path / "hands.jsonl")) == sitting.hands


@pytest.mark.parametrize(
    ("villain", "told"), [("tag", "tag can't say how probable"), ("cfr", "cfr had nothing to decide")]
)
def test_thoughts_turn_villains_cards_over_even_where_there_are_none(tmp_path, villain, told):
    screen, sitting = at_table(tmp_path, ["a", "", "f", "t", "u"], villain=villain)
    shown, _, later = screen.partition(told)
    assert len(sitting.hands) == 2 and re.search(rf"Cards You \S+ \S+   {villain} \S+ \S+$", shown.splitlines()[-1])
    assert "nothing to take back: a card was turned over" in later and sitting.taken_back == 0


def test_what_is_taken_back_in_a_hand_that_is_not_finished_is_saved_too(tmp_path):
    class Raiser:
        name = "raiser"

        def act(self, observations):
            return [Answer(max(seen.min_raise_to or 1, 1)) for seen in observations]

    screen, sitting = at_table(tmp_path, ["f", "", "r 300", "u", "q"], villain=Raiser(), seed=1)
    assert len(sitting.hands) == 1 and "(1 choice taken back)" in screen
    assert json.loads((tmp_path / "sitting.json").read_text())["taken_back"] == 1


def test_taken_back_after_the_end(tmp_path):
    """The saved hands lose what was taken back."""
    screen, sitting = at_table(tmp_path, ["x", "x", "x", "x", "", "f", "u", "q"], villain="call")
    assert "Taken back." in screen and len(sitting.hands) == 1 and sitting.taken_back == 1
    assert len(list(read_hands(tmp_path / "hands.jsonl"))) == 1


@pytest.mark.parametrize("end", [KeyboardInterrupt(), EOFError(), "q", "quit"])
def test_leaving_keeps_what_is_finished(tmp_path, end):
    screen, _ = at_table(tmp_path, ["x", "x", "x", "x", "", end])
    assert "1 hand: " in screen and "counts for nothing" in screen
    assert len(list(read_hands(tmp_path / "hands.jsonl"))) == 1
    assert (tmp_path / "hands.phhs").read_text().startswith("[1]")


def test_so_many_hands(tmp_path):
    _, sitting = at_table(tmp_path, ["b", ""] * 20, "kuhn", villain="fold", hands=3)
    assert len(sitting.hands) == 3
    assert not (tmp_path / "hands.phhs").exists()  # there is no PHH of Kuhn


def test_thoughts_come_with_villains_cards_after_the_hand(tmp_path):
    screen, sitting = at_table(tmp_path, ["t", "b", "", "q"], "kuhn", villain="cfr", thoughts=True)
    before, _, after = screen.partition("You bet 1")
    assert "told when the hand is over" in before and "%" not in before
    assert re.search(r"cfr, Preflop [JQK]", after) and "█" in after and "→" in after
    assert sitting.revealed or sitting.number > 1


def test_watching_two_players(tmp_path):
    screen, sitting = at_table(tmp_path, [], "leduc", villain="cfr", hero="tag", hands=4)
    assert len(sitting.hands) == 4 and screen.count("Hand ") == 4 and ">" not in screen
    assert "Cards tag" in screen and "Flop" in screen
    screen, sitting = at_table(tmp_path, ["", "q"], "leduc", villain="cfr", hero="tag")
    assert len(sitting.hands) == 2


def test_names_with_brackets_are_text(tmp_path):
    class Named:
        name = "llm:[bold]x[/nothing]"

        def act(self, observations):
            return make_player("call", observations[0].game).act(observations)

    screen, _ = at_table(tmp_path, ["x", "x", "x", "x", "q"], villain=Named())
    assert "[bold]x[/nothing]" in screen


@pytest.fixture
def answers():
    """An `ask` that types these lines."""

    def make(*lines):
        left = iter(lines)

        def ask(_):
            line = next(left, None)
            if line is None:
                raise EOFError
            return line

        return ask

    return make


def test_a_language_model_plays_and_says_what_it_thought(tiny_model_dir, tmp_path, capsys, answers):
    folder = tmp_path / "out"
    arguments = ["--against", f"llm:{tiny_model_dir}", "--game", "kuhn", "--seed", "4", "--output", str(folder)]
    play.main([*arguments, "--thoughts"], answers("b", "c", "", "b", "c", "", "q"))
    screen = capsys.readouterr().out
    assert "seed 4" in screen and "no legal action" in screen and "%" in screen
    hands = list(read_hands(folder / "hands.jsonl"))
    assert hands and any(item.answer.prompt for hand in hands for item in hand.decisions)


def test_an_adapters_menu_is_its_own(tiny_model_dir, tmp_path):
    """What a model is asked doesn't depend on what the person is offered."""
    from poker_env.language_model.loading import load_model, load_tokenizer
    from poker_env.players.llm import LLMPlayer

    game = make_game("holdem")
    config = PokerConfig(game=game, base_model=str(tiny_model_dir), fractions=(0.7,))
    model, tokenizer = load_model(str(tiny_model_dir)), load_tokenizer(str(tiny_model_dir))
    sitting = Sitting(game, LLMPlayer(model, tokenizer, config), seed=2)
    while not sitting.over:
        sitting.act(raise_action(sitting.observation, 20_000) if sitting.observation.min_raise_to else 1)
    for thought in sitting.thoughts():
        assert all("70 % pot" in option.text for option in thought.options if "raise to" in option.text)
        assert 0 < thought.nothing < 1


def test_advice(tmp_path, capsys, answers):
    play.main(
        ["--against", "cfr", "--game", "leduc", "--seed", "1", "--advice", "--output", str(tmp_path)], answers("q")
    )
    assert re.search(r"Equity \d+%.*; folds \d+% to bet 2", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--against", "cfrr"], "unknown player 'cfrr'"),
        (["--against", "human"], "people play as hero"),
        (["--against", "llm:/nowhere"], "nowhere"),
        (["--against", "cfr", "--game", "omaha"], "unknown game 'omaha'"),
        (["--against", "cfr", "--hands", "0"], "--hands 0"),
        (["--against", "cfr", "--seed", "-1"], "--seed -1"),
        (["--against", "cfr", "--hero", "tag", "--web"], "--web seats people"),
        (["--against", "cfr", "--hands", "5", "--web"], "--hands 5"),
        (["--against", "tag", "--game", "kuhn", "--thoughts"], "tag can't say"),
        (["--against", "tag", "--game", "kuhn", "--advice"], "tag"),
        (["--against", "cfr", "--game", "kuhn", "--output", "{file}/x"], "can't write"),
        (["--against", "cfr", "--game", "kuhn", "--output", "{played}"], "holds hands already (hands.jsonl)"),
        ([], "--against"),
        (["--against", "cfr", "--no-such"], "--no-such"),
    ],
)
def test_user_errors(arguments, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "played").mkdir()
    (tmp_path / "played" / "hands.jsonl").write_text("precious")
    with pytest.raises(UserError, match=re.escape(told)) as error:
        play.main([item.format(file=tmp_path / "file", played=tmp_path / "played") for item in arguments])
    assert len(str(error.value).splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file", tmp_path / "played"]
    assert (tmp_path / "played" / "hands.jsonl").read_text() == "precious"


def test_any_bytes_in_and_any_encoding_out(tmp_path):
    command = [sys.executable, str(ROOT / "recipes" / "play.py"), "--against", "call", "--seed", "1"]
    done = subprocess.run(
        [*command, "--output", str(tmp_path)],
        input=b"\xff\nq\n",
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"nothing that can be done" in done.stdout and re.search(rb"Yours   \w[cdhs] \w[cdhs] ", done.stdout)


def test_as_a_command(tmp_path):
    command = [sys.executable, str(ROOT / "recipes" / "play.py"), "--against", "cfr", "--game", "kuhn", "--seed", "1"]
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "out")], input="b\n\n", capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0 and done.stderr == "" and "1 hand: " in done.stdout
    assert (tmp_path / "out" / "hands.jsonl").exists()
    wrong = subprocess.run([*command, "--game", "omaha"], capture_output=True, text=True, cwd=ROOT)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1) and wrong.stderr.startswith("error: unknown game")
