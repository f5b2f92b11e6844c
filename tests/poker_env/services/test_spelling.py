"""Action strings against our rules, and against pokerkit's."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pokerkit_hands import PokerkitHand

from poker_env.games import BUTTON_SEAT, DEFAULTS, Deal, make_deals
from poker_env.hand import Answer
from poker_env.menu import make_menu
from poker_env.services.spelling import (
    Misspelt,
    played_for,
    read_action,
    replay,
    spell,
    spell_action,
    spell_move,
)
from poker_env.state import CALL, FOLD, HandState

GAME = DEFAULTS["holdem"]


def new_state(seed=0):
    return HandState(GAME, make_deals(GAME, 1, seed)[0])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.floats(0, 1, exclude_max=True), min_size=30, max_size=30))
def test_what_is_spelt_is_read_back(seed, coins):
    """At every point of a hand, of menus' and of any other bets."""
    state = new_state(seed)
    for coin in coins:
        text = spell(GAME, state.moves, state.street)
        again = new_state(seed)
        replay(again, text)
        assert again.moves == state.moves and again.street == state.street
        if state.done:
            break
        observation = state.observe()
        choices = [item.action for item in make_menu(observation)]
        if observation.min_raise_to is not None:
            choices.append(int(observation.min_raise_to + coin * (GAME.stack - observation.min_raise_to)))
        action = choices[int(coin * 997) % len(choices)]
        token, before = spell_action(observation, action), tuple(state.moves)
        assert read_action(observation, token) == action
        assert spell_move(GAME, before, state.apply(action)) == token


@pytest.mark.parametrize("seed", range(40))
def test_pokerkits_hands_are_read(seed):
    """Its streets, board, chips and payoffs are ours; slashes after an all-in may be there or not."""
    theirs = PokerkitHand(random.Random(seed))
    while not theirs.over:
        theirs.bot_plays()
    deck = tuple(GAME.cards.index(name) for name in theirs.cards)
    text = "/".join("".join(tokens) for tokens in theirs.rounds)
    for spelt in {text, text.rstrip("/")}:
        ours = HandState(GAME, Deal(deck, 0, 0))
        replay(ours, spelt)
        assert ours.done and ours.payoffs == (theirs.won(0), theirs.won(1))
        assert (ours.board, list(ours.contributions)) == (tuple(theirs.board), theirs.put)
    assert spell(GAME, ours.moves, ours.street) == text


@pytest.mark.parametrize(
    ("text", "seat", "street"),
    [
        ("", BUTTON_SEAT, 0),
        ("b200", 0, 0),
        ("b200c/", 0, 1),
        ("b200c", 0, 1),
        ("b300c/kb600", 0, 1),
        ("ck/kk/kb200", 0, 2),
    ],
)
def test_whose_turn_it_is(text, seat, street):
    state = new_state()
    replay(state, text)
    assert (state.current_seat, state.street) == (seat, street)


def test_bets_are_of_the_street():
    state = new_state()
    replay(state, "b300c/kb600")
    assert state.contributions == (300, 900)


@pytest.mark.parametrize("text", ["b20000c///", "b20000c"])
def test_an_all_in_is_run_out(text):
    state = new_state()
    replay(state, text)
    assert state.done and len(state.board) == 5 and spell(GAME, state.moves, state.street) == "b20000c///"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("k", "a check facing a bet"),
        ("ckk", "ends 0 streets where 1 are over"),
        ("c/k", "ends 1 streets where 0 are over"),
        ("ck//k", "ends 2 streets where 1 are over"),
        ("ck/c", "a call with no bet to answer"),
        ("ck/f", "a fold with no bet to answer"),
        ("b150", "a bet is 200 to 20000"),
        ("b200b300", "a bet is 300 to 20000|b300"),
        ("b20001", "a bet is 200 to 20000"),
        ("b20000b20000", "nothing left to bet"),
        ("b200f/", "ends 1 streets where 0 are over"),
        ("b200fk", "goes on after the hand is over"),
        ("b", "no string of actions"),
        ("b200 c", "no string of actions"),
        ("x", "no string of actions"),
        ("b9999999999", "no string of actions"),
        ("b²", "no string of actions"),
    ],
)
def test_what_cannot_be_is_told(text, reason):
    if text == "b200b300":
        replay(new_state(), text)  # 100 more than a raise of 100: the smallest there is
        text = "b200b299"
    with pytest.raises(Misspelt, match=reason.split("|")[0]):
        replay(new_state(), text)


@pytest.mark.parametrize("token", ["", "b", "b-5", "cc", "ck", "f/", "B200", "b2e3", "call"])
def test_one_action_is_one_action(token):
    with pytest.raises(Misspelt):
        read_action(new_state().observe(), token)


def test_an_answer_that_is_none_is_a_fold_or_a_free_check():
    state = new_state()
    assert played_for(state.observe(), Answer(None)) == FOLD
    assert played_for(state.observe(), Answer(CALL)) == CALL
    state.apply(CALL)
    assert played_for(state.observe(), Answer(None)) == CALL
