"""What a service shows against our own rules."""

from dataclasses import replace

import pytest

from poker_env.games import DEFAULTS
from poker_env.hand import Answer, Hand
from poker_env.services.gtowizard import GTOWizard
from poker_env.services.shown import Disagreement, Shown, finished, state_of
from poker_env.services.slumbot import Slumbot
from poker_env.state import CALL

GAME = DEFAULTS["holdem"]
# A hand that ericgjackson/slumbot2019, issue 23 shows.
PUBLIC = {
    "action": "b200c/kb200f",
    "client_pos": 0,
    "hole_cards": ["Kd", "2h"],
    "board": ["Th", "9s", "4s"],
    "bot_hole_cards": ["Kh", "7h"],
    "winnings": -200,
    "won_pot": -600,
    "session_num_hands": 19,
    "baseline_winnings": 0,
    "session_total": 8850,
    "session_baseline_total": 4450,
    "token": "t",
}
SHOWDOWN = Shown(1, ("Ah", "Ac"), ("2c", "7d", "9h", "Js", "3c"), "b300c/kb600c/kk/kk", ("Kh", "Kc"), 900.0, 1800)
SENT = [Answer(300), Answer(900), Answer(CALL), Answer(CALL)]


def test_a_public_hand_of_slumbots():
    shown = Slumbot.shown(PUBLIC)
    hand = finished(GAME, shown, 0, [Answer(CALL), Answer(CALL), Answer(0)])
    assert (hand.payoff, hand.hero_seat, hand.hole) == (-200, 0, (("Kd", "2h"), ("Kh", "7h")))
    assert [decision.move.kind for decision in hand.decisions] == ["raise", "call", "check", "bet", "fold"]
    assert shown.baseline == 0 and not hand.showdown and Hand.from_json(hand.to_json()) == hand


def test_a_showdown():
    hand = finished(GAME, SHOWDOWN, 0, SENT)
    assert (hand.payoff, hand.showdown, hand.board) == (900, True, SHOWDOWN.board)


def test_an_answer_that_named_no_action_keeps_what_was_played_for_it():
    hand = finished(GAME, SHOWDOWN, 0, [*SENT[:2], Answer(None, completion="what?"), SENT[3]])
    assert hand.hero_decisions[2].answer.completion == "what?" and hand.hero_decisions[2].move.kind == "check"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"winnings": 800.0}, r"hero won \+900 by our rules, \+800 by the service's"),
        ({"pot": 1700}, "1,800 chips in the pot by our rules, 1,700"),
        ({"villain_hole": None}, "without villain's cards"),
        ({"villain_hole": ("Ah", "Kc")}, "a card is there twice"),
        ({"villain_hole": ("Kh",)}, "two cards each"),
        ({"hole": ("Ax", "Ac")}, "'Ax' is no card"),
        ({"board": SHOWDOWN.board[:4]}, "4 cards on the board, not 5"),
        ({"board": SHOWDOWN.board[:2]}, "two cards each and 2 on the board"),
        ({"actions": "b300c/kb600c/kk/k"}, "goes on, which the service denies"),
        ({"actions": "b300c/kb600c/kk/kkk"}, "goes on after the hand is over"),
        ({"actions": "b300c/kb500c/kk/kk", "winnings": 800.0, "pot": 1600}, "aren't those that were sent"),
        ({"winnings": None}, "is over, which the service denies"),
    ],
)
def test_every_disagreement_is_told(change, reason):
    with pytest.raises(Disagreement, match=reason):
        finished(GAME, replace(SHOWDOWN, **change), 0, SENT)


def test_decisions_that_were_never_sent():
    with pytest.raises(Disagreement, match="aren't those that were sent"):
        finished(GAME, SHOWDOWN, 0, SENT[:3])


def test_cards_that_are_not_shown_cannot_be_observed():
    """Whatever stands in for them: hero sees the same."""
    shown = Shown(0, ("Kd", "2h"), ("Th", "9s", "4s"), "b200c/", None, None)
    seen = state_of(GAME, shown, 3).observe("hero0")
    assert (seen.hole, seen.board, seen.seat, seen.contributions) == (("Kd", "2h"), ("Th", "9s", "4s"), 0, (200, 200))
    known = state_of(GAME, replace(shown, villain_hole=("As", "Ad")), 3).observe("hero0")
    assert known == seen and state_of(GAME, shown, 4).observe("hero0").coin != seen.coin


def test_a_turn_that_is_villains():
    with pytest.raises(Disagreement, match="villain is to act"):
        state_of(GAME, Shown(0, ("Kd", "2h"), (), "", None, None), 0)


@pytest.mark.parametrize(
    "change",
    [
        {"client_pos": 2},
        {"client_pos": "0"},
        {"hole_cards": "Kd2h"},
        {"hole_cards": None},
        {"board": [1, 2, 3]},
        {"action": None},
        {"winnings": "many"},
        {"winnings": True},
        {"token": None},
    ],
)
def test_answers_of_slumbots_that_show_no_hand(change):
    with pytest.raises(Disagreement, match="no hand in an answer"):
        Slumbot.shown({**PUBLIC, **change})


def gtowizard(**state):
    """In the form of the client's models.py."""
    players = [
        {"name": "GTO Wizard", "stack": 19_800.0, "position": "SB", "hole_cards": "KhKc"},
        {"name": "ours", "stack": 19_900.0, "position": "BB", "hole_cards": "7d2c"},
    ]
    over = {"players": players, "board_cards": "", "is_hand_over": True, "action_history": ["b225.0", "f"]}
    game = {"blinds": [100.0, 50.0], "starting_stack": 20_000.0}
    return {"hand_id": 5, "game": game, "game_state": {**over, "winnings": -100.0, "aivat_score": -14.66, **state}}


def test_a_hand_of_gto_wizards():
    shown = GTOWizard.shown(gtowizard())
    assert (shown.actions, shown.winnings, shown.aivat) == ("b225f", -100, -14.66)
    assert finished(GAME, shown, 0, [Answer(0)]).payoff == -100
    streets = ["b300", "c", "_", "k", "b600"]
    going_on = GTOWizard.shown(gtowizard(is_hand_over=False, action_history=streets, board_cards="2s3s4s"))
    assert (going_on.actions, going_on.board, going_on.winnings) == ("b300c/kb600", ("2s", "3s", "4s"), None)


@pytest.mark.parametrize(
    "change", [{"players": []}, {"board_cards": "2"}, {"action_history": ["b2.5"]}, {"winnings": None}]
)
def test_answers_of_gto_wizards_that_show_no_hand(change):
    with pytest.raises(Disagreement, match="no hand in an answer"):
        GTOWizard.shown(gtowizard(**change))


def test_another_game_of_gto_wizards():
    answer = gtowizard()
    answer["game"]["starting_stack"] = 10_000.0
    with pytest.raises(Disagreement, match=r"with 10000\.0 chips, not holdem"):
        GTOWizard.shown(answer)
