"""Hands worked out by hand, as the earlier bot's game would tell them, and its lists of actions in them."""

from dataclasses import replace

import pytest
from earlier_bot import HOLDEM, observe
from hypothesis import given
from hypothesis import strategies as st

from poker_env.games import HOLDEM_CARDS, make_deals
from poker_env.pokerbot.spots import Done, Offer, can_be_met, memory_keys, offers, our_actions, spot_of
from poker_env.state import CALL, HandState


def listed(sizes, *actions):
    seen = observe(*actions)
    offered = offers(spot_of(seen), sizes)
    return offered, our_actions(seen, offered)


def test_the_first_decision():
    spot = spot_of(observe())
    assert (spot.player, spot.button, spot.street, spot.board) == (1, 0, 0, ())
    assert (spot.stacks, spot.bets, spot.pot, spot.to_call) == ((19_900, 19_950), (100, 50), 150, 50)
    assert (spot.history, spot.min_raise) == ((), 100)


def test_a_raise_of_a_call_is_a_bet_there():
    spot = spot_of(observe(1, 350))
    assert spot.history == (Done(1, "call", 50), Done(0, "bet", 250))
    assert (spot.player, spot.bets, spot.to_call, spot.min_raise) == (1, (350, 100), 250, 250)


def test_amounts_begin_anew_on_each_street():
    # Raised to 300, called; checked, bet 400, raised to 1,300 (1,600 in all).
    spot = spot_of(observe(300, 1, 1, 700, 1600))
    assert spot.history == (
        Done(1, "raise", 300),
        Done(0, "call", 200),
        Done(0, "check", 0),
        Done(1, "bet", 400),
        Done(0, "raise", 1300),
    )
    assert (spot.player, spot.button, spot.street, spot.min_raise) == (1, 1, 1, 900)
    assert (spot.bets, spot.stacks, spot.pot) == ((1300, 400), (18_400, 19_300), 2300)


def test_the_flop_is_told_in_one_order():
    other = observe(1, 1, 1, 1, cards="As Kd 7c 7h 2s 9d Qh 3c 3d")
    assert spot_of(other) == spot_of(observe(1, 1, 1, 1))
    assert [HOLDEM_CARDS[card] for card in spot_of(other).board] == ["Qh", "9d", "2s", "3c"]


def test_the_list_of_three_bets():
    assert listed("pot") == (
        [Offer("fold", 0), Offer("call", 50), Offer("raise", 200), Offer("raise", 20_000)],
        [0, 1, 200, 20_000],
    )
    assert listed("pot", 1) == (
        [Offer("fold", 0), Offer("check", 0), Offer("bet", 100), Offer("bet", 200), Offer("bet", 19_900)],
        [1, 1, 200, 300, 20_000],
    )
    # The flop after a raise to 300 and a call, then against a bet of 400.
    assert listed("pot", 300, 1)[1] == [1, 1, 400, 900, 20_000]
    assert listed("pot", 300, 1, 700) == (
        [Offer("fold", 0), Offer("call", 400), Offer("raise", 800), Offer("raise", 19_700)],
        [0, 1, 1100, 20_000],
    )


def test_the_list_of_five_bets():
    assert listed("pot shares", 300, 1)[1] == [1, 1, 400, 600, 750, 900, 20_000]
    # In a pot of 200 half of it is the smallest bet.
    assert listed("pot shares", 1, 1)[0][2:] == [
        *(Offer("bet", 100), Offer("bet", 150), Offer("bet", 200), Offer("bet", 19_900))
    ]
    assert listed("pot shares", 300, 1, 700)[1] == [0, 1, 1100, 20_000]


def test_the_first_list():
    assert listed("stack shares", 300, 1)[0][2:] == [
        Offer("bet", size) for size in (100, 200, 300, 9850, 14_775, 19_700)
    ]
    # By what is added: 150 are the minimum, said to be all: below the minimum by any rule, so here it is raised to.
    assert listed("stack shares") == (
        [Offer("fold", 0), Offer("call", 50), *(Offer("raise", to) for to in (150, 250, 9975, 19_950))],
        [0, 1, 200, 250, 9975, 19_950],
    )


@pytest.mark.parametrize("sizes", ["stack shares", "pot", "pot shares"])
def test_short_of_a_minimum_there_is_none(sizes):
    # 19,950 in before the flop: 50 chips behind.
    assert listed(sizes, 19_950, 1) == ([Offer("fold", 0), Offer("check", 0)], [1, 1])
    # Of 19,000 chips behind 12,000 are bet: a minimum raise would take 24,000.
    assert listed(sizes, 1000, 1, 13_000) == ([Offer("fold", 0), Offer("call", 12_000)], [0, 1])
    # All-in.
    assert listed(sizes, 20_000) == ([Offer("fold", 0), Offer("call", 19_900)], [0, 1])


def test_a_minimum_raise_that_is_all_in_is_there_once():
    # With 19,000 behind: a raise from 500 to 10,000 leaves less than another 9,500; a bet of 9,500 leaves just that.
    assert listed("pot", 1000, 1, 1500, 11_000)[1] == [0, 1]
    assert listed("pot", 1000, 1, 10_500)[1] == [0, 1, 20_000]


def test_memory_keys():
    # The parts of poker_game/information_set.py, in its order.
    (key,) = memory_keys(spot_of(observe()), [(23, 20)])
    assert key == ("p1|h((5, 0), (5, 3))|c()|s0|bh()|pot150|stacks(19900, 19950)|bets(100, 50)|btn0")
    (key,) = memory_keys(spot_of(observe(1)), [(51, 45)])
    assert "|bh((1, <Action.CALL: 'call'>, 50),)|pot200|" in key
    assert can_be_met(key)
    (key,) = memory_keys(spot_of(observe(1, 1)), [(51, 45)])
    assert "|c((0, 3), (7, 1), (10, 2))|s1|bh((1, <Action.CALL: 'call'>, 50), (0, <Action.CHECK: 'check'>, 0))|" in key
    assert not can_be_met(key)


def test_it_goes_by_the_cards_of_the_observation_alone():
    seen = observe(1, 1)
    assert spot_of(replace(seen, hole=("2c", "2d"))) == spot_of(seen)


@pytest.mark.parametrize("sizes", ["stack shares", "pot", "pot shares"])
@given(draws=st.lists(st.floats(0, 1, exclude_max=True), max_size=30), number=st.integers(0, 50))
def test_any_bets_are_told_and_answered_legally(sizes, draws, number):
    """Calls, and raises to anything between the minimum and all-in."""
    hand = HandState(HOLDEM, make_deals(HOLDEM, 1, seed=0, start=number)[0])
    for draw in draws:
        if hand.done:
            return
        seen = hand.observe()
        spot = spot_of(seen)
        assert (spot.pot, spot.to_call, spot.stacks[seen.seat]) == (seen.pot, seen.to_call, seen.stack)
        offered = offers(spot, sizes)
        assert 2 <= len(offered) <= 20
        for offer, action in zip(offered, our_actions(seen, offered), strict=True):
            if offer.kind in ("bet", "raise"):
                assert seen.min_raise_to <= action <= HOLDEM.stack
            else:
                assert action in seen.legal
        lowest = seen.min_raise_to
        # Half of them call; the others raise, the small amounts more often than the large ones.
        raises = draw >= 0.5 and lowest is not None
        hand.apply(lowest + int((2 * draw - 1) ** 4 * (HOLDEM.stack - lowest)) if raises else CALL)
