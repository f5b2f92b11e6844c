"""Hands step by step: the chips add up at every step, and the words say what happened."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.games import Deal, Game, make_deals, make_game
from poker_env.hand import Answer, Hand
from poker_env.histories.steps import contested_pot, contributions, first_to_show, in_words, steps, street_base
from poker_env.menu import make_menu
from poker_env.table import play

GAMES = [
    make_game("kuhn"),
    make_game("leduc"),
    make_game("holdem"),
    Game("holdem", 7, 13, 99),
    Game("holdem", 5, 5, 40),
]


class Chaos:
    """Any action of its menu, one time in twenty nothing legal."""

    name = "chaos"

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)

    def act(self, observations):
        return [Answer(self._choose(make_menu(observation))) for observation in observations]

    def _choose(self, menu):
        return None if self._rng.random() < 0.05 else menu[self._rng.integers(len(menu))].action


class Script:
    """Plays a hand's actions in turn."""

    name = "script"

    def __init__(self, *actions):
        self._actions = actions

    def act(self, observations):
        return [Answer(self._actions[len(observation.moves)]) for observation in observations]


def scripted(*actions, hero_seat=1, game=GAMES[2], cards="7c 2d As Ah Kh 7d 2c 9s 3h"):
    """A hand of both players' actions in turn; the cards are the big blind's, the button's, then the board's."""
    deck = tuple(game.cards.index(card) for card in cards.split()[: game.deck_length])
    players = Script(*actions)
    return play(game, [Deal(deck, hero_seat, 0)], players, players)[0]


@settings(max_examples=80, deadline=None)
@given(game=st.sampled_from(GAMES), seed=st.integers(0, 2**32))
def test_chips_add_up(game, seed):
    for hand in play(game, make_deals(game, 3, seed), Chaos(seed), Chaos(seed + 1)):
        told = steps(hand)
        for step in told:
            assert step.pot + sum(step.stacks) == 2 * game.stack
            assert min(step.stacks) >= 0 and min(step.bets) >= 0
            assert sum(step.bets) <= step.pot
        assert [step.decision for step in told if step.decision] == list(hand.decisions)
        assert told[-1].stacks[hand.hero_seat] - game.stack == hand.payoff
        assert (told[-1].pot, told[-1].bets, told[-1].board) == (0, (0, 0), hand.board)
        assert [step.street for step in told] == sorted(step.street for step in told)
        assert contested_pot(hand) in ((2 * abs(hand.payoff),) if hand.payoff else (2 * contributions(hand)[0],))
        assert in_words(hand).splitlines()[-1] == told[-1].text


@settings(max_examples=40, deadline=None)
@given(game=st.sampled_from(GAMES), seed=st.integers(0, 2**32))
def test_each_decision_finds_what_the_step_before_left(game, seed):
    for hand in play(game, make_deals(game, 3, seed), Chaos(seed), Chaos(seed + 1)):
        told = steps(hand)
        for before, step in pairwise(told):
            if step.decision:
                assert step.decision.pot == before.pot
                assert step.decision.to_call == max(before.bets) - before.bets[step.decision.seat]
                own = game.stack - before.stacks[step.decision.seat]
                assert own - before.bets[step.decision.seat] == street_base(hand, step.street)


def test_a_hand_in_words():
    hand = scripted(300, 900, 1, 1, 1200, 1, 1, 1, 3000, 1, hero_seat=1)
    assert in_words(hand) == (
        "hero (button) As Ah, villain (big blind) 7c 2d\n"
        "Preflop (pot 150): hero raises to 300, villain raises to 900, hero calls 600\n"
        "Flop Kh 7d 2c (pot 1,800): villain checks, hero bets 300, villain calls 300\n"
        "Turn Kh 7d 2c 9s (pot 2,400): villain checks, hero checks\n"
        "River Kh 7d 2c 9s 3h (pot 2,400): villain bets 1,800, hero calls 1,800\n"
        "villain wins 3,000 at showdown"
    )
    assert first_to_show(hand) == 0


def test_all_in_before_the_flop():
    hand = scripted(20_000, 1, hero_seat=0)
    texts = [step.text for step in steps(hand, hero="Ann", villain="Bob")]
    assert texts == [
        "Bob posts the small blind 50, Ann the big blind 100; Ann 7c 2d, Bob As Ah",
        "Bob raises to 20,000 and is all-in",
        "Ann calls 19,900 and is all-in",
        "Flop: Kh 7d 2c",
        "Turn: Kh 7d 2c 9s",
        "River: Kh 7d 2c 9s 3h",
        "Ann wins 20,000 at showdown",
    ]
    assert first_to_show(hand) == 1


@pytest.mark.parametrize(
    ("actions", "pot", "said"),
    [
        ((0,), 100, "hero folds"),
        ((None,), 100, "hero names no legal action: a fold"),
        ((1, 900, 0), 200, "hero folds"),
    ],
)
def test_an_uncalled_bet_is_not_contested(actions, pot, said):
    hand = scripted(*actions)
    assert contested_pot(hand) == pot == -2 * hand.payoff
    assert [step.text for step in steps(hand)][-2:] == [said, f"villain wins {pot // 2} without a showdown"]


def test_small_games_bet_on_top_of_their_antes():
    told = steps(scripted(2, 2, 1, 1, 2, 0, game=GAMES[1], hero_seat=0, cards="K Q J"))
    assert [step.text for step in told] == [
        "both ante 1; hero K, villain Q",
        "hero bets 2",
        "villain raises to 4",
        "hero calls 2",
        "Flop: J",
        "hero checks",
        "villain bets 4",
        "hero folds",
        "villain wins 5 without a showdown",
    ]


def test_a_split_pot():
    hand = scripted(*[1] * 8, cards="7c 2d 7h 2s Kh 7d 2c 9s 3h")
    assert isinstance(hand, Hand) and hand.payoff == 0
    assert steps(hand)[-1].text == "the pot is split"
    assert steps(hand)[-1].stacks == (20_000, 20_000)
