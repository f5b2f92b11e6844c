"""Payoffs without the luck of the community cards: means that stay, and hands worked out by hand."""

import itertools

import numpy as np
import pytest

from poker_env.cards.holdings import hand_value
from poker_env.evaluation.chance import without_chance
from poker_env.games import HOLDEM_CARDS, Deal, make_deals, make_game
from poker_env.hand import Answer
from poker_env.knowledge.beliefs import all_decks
from poker_env.player_specs import make_player
from poker_env.table import play

LEDUC, HOLDEM = make_game("leduc"), make_game("holdem")


class Follows:
    """Takes given actions in turn."""

    name = "follows"

    def __init__(self, *actions):
        self._actions = list(actions)

    def act(self, observations):
        return [Answer(self._actions.pop(0)) for _ in observations]


def holdem_hand(cards, hero, villain, hero_seat=0):
    """A hand of actions: cards are seat 0's, seat 1's, then the board."""
    deck = tuple(HOLDEM_CARDS.index(cards[place : place + 2]) for place in range(0, len(cards), 2))
    return play(HOLDEM, [Deal(deck, hero_seat, 0)], Follows(*hero), Follows(*villain))[0]


def equity(hole, other, board):
    """By dealing every board."""
    text = hole + other + board
    known = [HOLDEM_CARDS.index(text[place : place + 2]) for place in range(0, len(text), 2)]
    live = [card for card in range(52) if card not in known]
    wins = []
    for rest in itertools.combinations(live, 9 - len(known)):
        first, second = (hand_value(np.array([*known[2 * seat : 2 * seat + 2], *known[4:], *rest])) for seat in (0, 1))
        wins.append(1 if first > second else 0.5 if first == second else 0)
    return np.mean(wins)


def test_all_in_on_the_flop_pays_its_share_of_the_pot():
    hand = holdem_hand("AsAhKsKhAd7c2d9h3s", hero=[1, 20_000], villain=[300, 1])
    assert hand.showdown and hand.payoff == 20_000
    share = equity("AsAh", "KsKh", "Ad7c2d")
    all_in, corrected = without_chance(hand)
    assert all_in == pytest.approx(20_000 * (2 * share - 1), abs=1e-6)
    before = 0.81946  # aces against kings, any suits
    assert corrected == pytest.approx(all_in - 600 * (share - before), abs=0.5)


def test_all_in_before_the_flop():
    hand = holdem_hand("AsAhKsKhAd7c2d9h3s", hero=[20_000], villain=[300, 1])
    assert without_chance(hand) == pytest.approx([20_000 * (2 * 0.81946 - 1)] * 2, abs=1)


def test_all_in_on_the_river_is_what_it_is():
    hand = holdem_hand("AsAhKsKhAd7c2d9h3s", hero=[1, 1, 1, 20_000], villain=[1, 1, 1, 1])
    assert without_chance(hand)[0] == hand.payoff == 20_000


def test_a_fold_before_the_flop_is_nobodys_luck():
    hand = holdem_hand("2s7hKsKhAd7c2d9h3s", hero=[0], villain=[300])
    assert without_chance(hand) == (-100, -100)


def test_nothing_is_left_of_turn_and_river_where_nobody_bets_there():
    hole, other, flop = "9s8s", "QdQc", "7s6h2s"
    known = {(hole + other + flop)[place : place + 2] for place in range(0, 14, 2)}
    live = [card for card in HOLDEM_CARDS if card not in known]
    found = [
        without_chance(holdem_hand(hole + other + flop + turn + river, [1, 600, 1, 1], [300, 1, 1, 1]))[1]
        for turn, river in itertools.permutations(live[::4], 2)
    ]
    assert np.ptp(found) < 1e-6


@pytest.mark.parametrize(("hero", "villain"), [("random", "call"), ("call", "random"), ("tag", "random")])
def test_leduc_means_stay(hero, villain):
    deals = [Deal(deck, seat, number) for number in range(8) for deck in all_decks(LEDUC) for seat in (0, 1)]
    hands = play(LEDUC, deals, make_player(hero, LEDUC), make_player(villain, LEDUC))
    payoffs, corrected = np.array([[hand.payoff, without_chance(hand)[1]] for hand in hands]).T
    difference = (corrected - payoffs).reshape(8, -1).mean(axis=1)
    assert abs(difference.mean()) < 5 * difference.std(ddof=1) / 8**0.5 + 1e-9
    assert corrected.std() < payoffs.std()


def test_holdem_means_stay_and_noise_goes():
    deals = [seated for deal in make_deals(HOLDEM, 500, 7) for seated in (deal, deal.swapped())]
    hands = play(HOLDEM, deals, make_player("lag", HOLDEM), make_player("random", HOLDEM))
    scores = np.array([[hand.payoff, *without_chance(hand)] for hand in hands])
    for place in (1, 2):
        difference = (scores[:, place] - scores[:, 0]).reshape(-1, 2).mean(axis=1)
        assert abs(difference.mean()) < 4 * difference.std() / len(difference) ** 0.5
    assert scores[:, 2].std() < scores[:, 1].std() <= scores[:, 0].std()
