"""Menus: legal, sorted, named A0, A1, …, and the sizes that the pot fractions ask for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.games import Game, make_deals, make_game
from poker_env.menu import POT_FRACTIONS, make_menu
from poker_env.state import CALL, HandState

HOLDEM = make_game("holdem")


def observe(game, *actions):
    hand = HandState(game, make_deals(game, 1, 0)[0])
    for action in actions:
        hand.apply(action)
    return hand.observe()


@st.composite
def holdem_games(draw: st.DrawFn) -> Game:
    small = draw(st.integers(1, 40))
    big = draw(st.integers(small, small + 60))
    return Game("holdem", small, big, draw(st.integers(big + 1, big * 60)))


fraction_lists = st.lists(st.floats(0.05, 4), min_size=1, max_size=7, unique=True).map(tuple)


@settings(max_examples=150, deadline=None)
@given(game=holdem_games(), fractions=fraction_lists, seed=st.integers(0, 2**32))
def test_menus_along_random_play(game, fractions, seed):
    rng = np.random.default_rng(seed)
    hand = HandState(game, make_deals(game, 1, seed)[0])
    spiel, deck = game.spiel.new_initial_state(), list(hand.deal.deck)
    while not hand.done:
        while spiel.is_chance_node():
            spiel.apply_action(deck.pop(0))
        observation = hand.observe()
        menu = make_menu(observation, fractions)
        legal = set(spiel.legal_actions())
        assert [item.token for item in menu] == [f"A{index}" for index in range(len(menu))]
        assert [item.kind for item in menu[:2]][: len(observation.legal)] == (
            ["fold", "call"] if observation.to_call else ["check"]
        )
        assert {item.action for item in menu} <= legal
        assert len({item.action for item in menu}) == len(menu)
        assert [item.to for item in menu] == sorted(item.to for item in menu)
        assert all(item.added == item.to - observation.contributions[observation.seat] for item in menu)
        assert [item.all_in for item in menu] == [item.to == game.stack for item in menu]

        # Every legal fraction is offered to the nearest chip, and nothing but those and all-in.
        sizes = [item.to for item in menu if item.kind in ("bet", "raise")]
        pot_after_call, highest = observation.pot + observation.to_call, max(observation.contributions)
        wanted = [highest + fraction * pot_after_call for fraction in fractions]
        assert all(any(abs(size - total) <= 0.5 for total in wanted) for size in sizes if size != game.stack)
        if observation.min_raise_to is None:
            assert not sizes
        else:
            assert sizes[-1] == game.stack
            assert all(
                any(abs(size - total) <= 0.5 for size in sizes)
                for total in wanted
                if observation.min_raise_to + 1 <= total < game.stack
            )
        item = menu[rng.integers(len(menu))]
        move = hand.apply(item.action)
        assert (move.kind, move.to, move.added) == (item.kind, item.to, item.added)
        spiel.apply_action(item.action)


def test_opening_menu_of_the_default_game():
    menu = make_menu(observe(HOLDEM))
    # Calling makes the pot 200: a half-pot raise is to 100 + 100, and a third of the pot is too small to be legal.
    assert [(item.token, item.kind, item.to, item.added) for item in menu] == [
        ("A0", "fold", 50, 0),
        ("A1", "call", 100, 50),
        ("A2", "raise", 200, 150),
        ("A3", "raise", 250, 200),
        ("A4", "raise", 300, 250),
        ("A5", "raise", 400, 350),
        ("A6", "raise", 20_000, 19_950),
    ]
    assert [item.all_in for item in menu] == [False] * 6 + [True]


def test_flop_menu_in_a_pot_of_600():
    menu = make_menu(observe(HOLDEM, 300, CALL))
    assert [(item.kind, item.added) for item in menu] == [
        ("check", 0),
        ("bet", 198),
        ("bet", 300),
        ("bet", 450),
        ("bet", 600),
        ("bet", 900),
        ("bet", 19_700),
    ]


def test_facing_an_all_in_there_is_no_raise():
    menu = make_menu(observe(HOLDEM, 20_000))
    assert [(item.kind, item.all_in) for item in menu] == [("fold", False), ("call", True)]


def test_fractions_that_meet_are_offered_once():
    short = make_game("holdem:stack=300")
    assert [item.to for item in make_menu(observe(short)) if item.kind == "raise"] == [200, 250, 300]
    coins = make_game("holdem:small_blind=1,big_blind=2,stack=100")
    sizes = [item.to for item in make_menu(observe(coins, CALL, CALL), (0.5, 0.51, 0.52))]
    assert sizes == [2, 4, 100]


@pytest.mark.parametrize(
    ("game", "actions", "offers"),
    [
        ("kuhn", [], [("check", 0, 0), ("bet", 1, 1)]),
        ("kuhn", [1], [("fold", 0, 0), ("call", 1, 1)]),
        ("leduc", [], [("check", 1, 0), ("bet", 2, 2)]),
        ("leduc", [2], [("fold", 0, 0), ("call", 1, 2), ("raise", 2, 4)]),
        ("leduc", [2, 2], [("fold", 0, 0), ("call", 1, 2)]),
        ("leduc", [1, 1], [("check", 1, 0), ("bet", 2, 4)]),
    ],
)
def test_small_games(game, actions, offers):
    menu = make_menu(observe(make_game(game), *actions))
    assert [(item.kind, item.action, item.added) for item in menu] == offers
    assert not any(item.all_in for item in menu)


def test_default_fractions():
    assert POT_FRACTIONS == (0.33, 0.5, 0.75, 1.0, 1.5)
