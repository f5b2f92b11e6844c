"""Habits: hands made for each figure, and laws that all figures obey."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from poker_env.evaluation.hud import action_name, actions_of, habits, habits_of, rate
from poker_env.games import Deal, make_deals, make_game
from poker_env.hand import Answer
from poker_env.player_specs import make_player
from poker_env.table import play

KUHN, LEDUC, HOLDEM = (make_game(name) for name in ("kuhn", "leduc", "holdem"))
BUTTON, BIG_BLIND = 1, 0
CARDS = ["7c", "2d", "As", "Ah", "Kh", "7d", "2c", "9s", "3h"]  # the big blind's, the button's, the board


class Script:
    """Plays both players' actions in turn."""

    name = "script"

    def __init__(self, actions):
        self._actions = actions

    def act(self, observations):
        return [Answer(self._actions[len(observation.moves)]) for observation in observations]


def scripted(*actions, hero_seat=BUTTON):
    deck = tuple(HOLDEM.cards.index(card) for card in CARDS)
    return play(HOLDEM, [Deal(deck, hero_seat, 0)], Script(actions), Script(actions))[0]


def figure(key, *hands, who="hero", where="all"):
    """(taken, opportunities)"""
    found = habits(hands, HOLDEM)[who][where][key]
    return found["count"], found["opportunities"]


CHECKED_DOWN = (1, 1, 1, 1, 1, 1)

PREFLOP = [
    # actions, the button's VPIP, PFR and 3-bet, the big blind's; None: no opportunity
    ((0,), (0, 0, None), (None, None, None)),  # a walk: the big blind never acts
    ((None,), (0, 0, None), (None, None, None)),  # nothing legal: a fold
    ((1, 1, *CHECKED_DOWN), (1, 0, None), (0, 0, None)),  # limped, checked
    ((1, 300, 0), (1, 0, 0), (1, 1, None)),  # limped, raised, folded
    ((1, 300, 900, 0), (1, 1, 1), (1, 1, None)),  # limped, raised again
    ((300, 0), (1, 1, None), (0, 0, 0)),
    ((300, 1, *CHECKED_DOWN), (1, 1, None), (1, 0, 0)),
    ((300, 900, 0), (1, 1, None), (1, 1, 1)),
    ((300, 900, 2700, 0), (1, 1, None), (1, 1, 1)),  # a 4-bet is no 3-bet
    ((300, None), (1, 1, None), (0, 0, 0)),
    ((20_000, 0), (1, 1, None), (0, 0, None)),  # no chips to raise with
]


@pytest.mark.parametrize(("actions", "button", "big_blind"), PREFLOP)
def test_before_the_flop(actions, button, big_blind):
    for hero_seat, hero, villain in ((BUTTON, button, big_blind), (BIG_BLIND, big_blind, button)):
        hand = scripted(*actions, hero_seat=hero_seat)
        for who, expected in (("hero", hero), ("villain", villain)):
            for key, taken in zip(("vpip", "pfr", "three_bet"), expected, strict=True):
                assert figure(key, hand, who=who) == ((0, 0) if taken is None else (taken, 1)), (who, key)


FLOP = [
    # actions; the raiser before the flop is the button unless the big blind raised again
    # the button's c-bet and fold to c-bet, the big blind's
    ((300, 1, 1, 600, 0), (1, None), (None, 1)),
    ((300, 1, 1, 600, 1, 1, 1, 1, 1), (1, None), (None, 0)),
    ((300, 1, 1, 600, 2000, 0), (1, None), (None, 0)),  # a check-raise is no fold
    ((300, 1, 1, 600, None), (1, None), (None, 1)),
    ((300, 1, *CHECKED_DOWN), (0, None), (None, None)),
    ((300, 1, 600, 0), (None, None), (None, None)),  # the caller bet first
    ((300, 900, 1, 1800, 0), (None, 1), (1, None)),
    ((300, 900, 1, 1, 1800, 0), (None, None), (0, None)),  # the big blind checked its chance away
    ((1, 1, 1, 200, 0), (None, None), (None, None)),  # nobody raised before the flop
    ((300, 1, 1, 1, 600, 0), (0, None), (None, None)),  # a bet on the turn
    ((20_000, 1), (None, None), (None, None)),  # all-in already
]


@pytest.mark.parametrize(("actions", "button", "big_blind"), FLOP)
def test_on_the_flop(actions, button, big_blind):
    hand = scripted(*actions)
    for who, expected in (("hero", button), ("villain", big_blind)):
        for key, taken in zip(("c_bet", "fold_to_c_bet"), expected, strict=True):
            assert figure(key, hand, who=who) == ((0, 0) if taken is None else (taken, 1)), (who, key)


def test_showdowns():
    # The big blind makes sevens and deuces, hero on the button has aces.
    fold, lost, all_in = scripted(300, 0), scripted(300, 1, *CHECKED_DOWN), scripted(20_000, 1)
    folded_turn = scripted(300, 1, 1, 1, 600, 0)
    assert (lost.payoff, all_in.payoff, folded_turn.payoff) == (-300, -20_000, -300)
    hands = (fold, lost, all_in, folded_turn)
    assert figure("wtsd", *hands) == figure("wtsd", *hands, who="villain") == (2, 3)
    assert figure("wsd", *hands) == (0, 2)
    assert figure("wsd", *hands, who="villain") == (2, 2)
    assert figure("wwsf", *hands) == (0, 3)
    assert figure("wwsf", *hands, who="villain") == (3, 3)


def test_split_pots_are_won_by_both():
    # The board plays: a full house of kings over sevens.
    deck = tuple(HOLDEM.cards.index(card) for card in ("2c", "3d", "2d", "3c", "Kh", "Kd", "Kc", "7s", "7h"))
    script = Script((1, 1, *CHECKED_DOWN))
    hand = play(HOLDEM, [Deal(deck, BUTTON, 0)], script, script)[0]
    assert hand.payoff == 0
    assert figure("wsd", hand) == figure("wsd", hand, who="villain") == (1, 1)


def test_aggression_factor_leaves_the_play_before_the_flop_out():
    hand = scripted(300, 1, 600, 2000, 1, 1, 2000 + 2300, 1, 1, 1)
    assert habits([hand], HOLDEM)["hero"]["all"]["aggression_factor"] == {
        "value": None,
        "bets_and_raises": 2,
        "calls": 0,
    }
    assert habits([hand], HOLDEM)["villain"]["all"]["aggression_factor"] == {
        "value": 0.5,
        "bets_and_raises": 1,
        "calls": 2,
    }


@pytest.mark.parametrize(
    ("to", "name"),
    [
        (400, "<40% pot"),
        (420, "<40% pot"),
        (600, "40-60% pot"),
        (750, "60-85% pot"),
        (900, "85-120% pot"),
        (1200, ">120% pot"),
        (20_000, "all-in"),
    ],
)
def test_sizes(to, name):
    hand = scripted(300, 1, to, 0)  # into a pot of 600
    assert action_name(HOLDEM, hand.decisions[2]) == name
    mix = habits([hand], HOLDEM)["villain"]["all"]["action_mix"]["Flop"]
    assert mix["decisions"] == 1
    assert {action for action, share in mix["actions"].items() if share["count"]} == {name}


def test_answers_without_a_legal_action():
    found = habits([scripted(300, 1, 1, None)], HOLDEM)["hero"]["all"]
    assert (found["legal"]["count"], found["legal"]["opportunities"]) == (1, 2)
    assert found["action_mix"]["Flop"]["actions"]["illegal"]["share"] == 1
    assert found["vpip"]["share"] == 1


class Sloppy:
    """Plays like another player, but every seventh answer names nothing legal."""

    name = "sloppy"

    def __init__(self, player):
        self._player, self._asked = player, 0

    def act(self, observations):
        answers = self._player.act(observations)
        self._asked += len(answers)
        return [Answer(None) if (self._asked + place) % 7 == 0 else answer for place, answer in enumerate(answers)]


def some_hands(game, seed=0):
    return play(game, make_deals(game, 60, seed), Sloppy(make_player("random", game)), make_player("random", game))


@pytest.mark.parametrize("game", [KUHN, LEDUC, HOLDEM], ids=str)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_seats_add_up_and_players_swap(game, seed):
    hands = some_hands(game, seed)
    found = habits(hands, game)
    assert json.loads(json.dumps(found)) == found
    swapped = [
        replace(hand, deal=replace(hand.deal, hero_seat=1 - hand.hero_seat), payoff=-hand.payoff) for hand in hands
    ]
    other = habits(swapped, game)
    assert (found["hero"], found["villain"]) == (other["villain"], other["hero"])
    for figures in found.values():
        whole, *seats = figures.values()
        assert whole["hands"] == sum(seat["hands"] for seat in seats) == len(hands)
        for habit in habits_of(game):
            for key in ("count", "opportunities"):
                assert whole[habit.key][key] == sum(seat[habit.key][key] for seat in seats)
        for street, mix in whole["action_mix"].items():
            assert sum(share["count"] for share in mix["actions"].values()) == mix["decisions"]
            assert mix["decisions"] == sum(seat["action_mix"][street]["decisions"] for seat in seats)
            assert tuple(mix["actions"]) == actions_of(game)
        assert whole["legal"]["opportunities"] == sum(mix["decisions"] for mix in whole["action_mix"].values())
    assert found["hero"]["all"]["legal"]["share"] < 1 == found["villain"]["all"]["legal"]["share"]


@pytest.mark.parametrize("game", [KUHN, LEDUC], ids=str)
def test_small_games(game):
    hands = some_hands(game)
    found = habits(hands, game)["villain"]["all"]
    decisions = [item for hand in hands for item in hand.decisions if item.seat != hand.hero_seat]
    facing = [item for item in decisions if item.to_call]
    assert found["bet"]["opportunities"] + found["fold_to_bet"]["opportunities"] == len(decisions)
    assert found["fold_to_bet"]["count"] == sum(item.move.kind == "fold" for item in facing)
    assert found["bet"]["count"] == sum(item.move.kind == "bet" for item in decisions)
    assert (found["wtsd"]["count"], found["wtsd"]["opportunities"]) == (sum(h.showdown for h in hands), len(hands))


@given(n=st.integers(1, 5000), share=st.floats(0, 1))
def test_wilson_interval(n, share):
    taken = round(n * share)
    expected = binomtest(taken, n).proportion_ci(method="wilson")
    assert rate(taken, n)["ci95"] == pytest.approx([expected.low, expected.high], abs=1e-12)
    assert rate(taken, n)["share"] == taken / n


def test_no_opportunities():
    assert rate(0, 0) == {"share": None, "ci95": None, "count": 0, "opportunities": 0}
