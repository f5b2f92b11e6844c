"""What is known of the cards: Bayes' rule by hand, no weight on known cards, and showdowns as the table pays them."""

import numpy as np
import pytest

from poker_env.cards.holdings import HOLDINGS
from poker_env.games import Deal, make_deals, make_game
from poker_env.knowledge.beliefs import DealtCards, Knowledge, all_decks
from poker_env.knowledge.public_tree import PublicTree
from poker_env.state import HandState

KUHN, LEDUC, HOLDEM = make_game("kuhn"), make_game("leduc"), make_game("holdem")
J, Q, K = range(3)


def at_start(game, deck, hero_seat=0, whole_board=False, villain=False):
    return Knowledge.at_start(DealtCards(game, Deal(deck, hero_seat, 0)), whole_board, villain)


def test_bayes_in_kuhn():
    """Hero has the queen. Villain bets every king and a third of its jacks: a bet is a king three times in four."""
    for deck, hero_seat in (((Q, J), 0), ((K, Q), 1)):
        known = at_start(KUHN, deck, hero_seat)
        assert known.weights.tolist() == [1 / 2, 0, 1 / 2]
        bet = known.after(np.array([1 / 3, 0.77, 1]))
        assert bet.weights == pytest.approx([1 / 4, 0, 3 / 4])
        checked = known.after(np.array([2 / 3, 0.23, 0]))
        assert checked.weights.tolist() == [1, 0, 0]
        # Called for a chip more: two chips lost to the king three times, won from the jack once.
        called = PublicTree(KUHN, None).state((1, 1))
        assert bet.payoff(called) == pytest.approx(-1)


def test_bayes_in_leduc():
    """Jacks are 0 and 1, queens 2 and 3, kings 4 and 5. Hero has a jack, then a queen is dealt."""
    known = at_start(LEDUC, (0, 4, 2))
    assert known.weights == pytest.approx([0, *[1 / 5] * 5])
    raised = known.after(np.array([1, 0.1, 0.2, 0.2, 0.5, 0.5]))
    assert raised.weights == pytest.approx([0, 1 / 15, 2 / 15, 2 / 15, 5 / 15, 5 / 15])
    flop = raised.dealt(1)
    assert flop.weights == pytest.approx([0, 1 / 13, 0, 2 / 13, 5 / 13, 5 / 13])
    # Checked down for three chips: the other jack splits, all else beats a jack; with the order of cards and actions
    # the other way round it is the same.
    shown = PublicTree(LEDUC, None).state((2, 1, 1, 1))
    assert shown.done and flop.payoff(shown) == pytest.approx(-3 * 12 / 13)
    other_way = known.dealt(1).after(np.array([1, 0.1, 0.2, 0.2, 0.5, 0.5]))
    assert other_way.weights == pytest.approx(flop.weights)


def test_known_cards_have_no_weight():
    for deal in make_deals(HOLDEM, 10, 0):
        known = at_start(HOLDEM, deal.deck, deal.hero_seat)
        rng = np.random.default_rng(deal.seed)
        for n_board, count in ((0, 1225), (3, 1081), (4, 1035), (5, 990)):
            known = known.dealt(n_board).after(rng.random(1326) + 0.1)
            seen = [*deal.deck[2 * deal.hero_seat :][:2], *deal.deck[4 : 4 + n_board]]
            blocked = np.isin(HOLDINGS, seen).any(axis=1)
            assert not known.weights[blocked].any() and np.count_nonzero(known.weights) == count
            assert known.weights.sum() == pytest.approx(1)
        told = at_start(HOLDEM, deal.deck, deal.hero_seat, whole_board=True)
        assert np.array_equal(told.weights > 0, known.weights > 0)
        sure = at_start(HOLDEM, deal.deck, deal.hero_seat, villain=True).after(np.zeros(1326))
        (holding,) = np.flatnonzero(sure.weights)
        assert set(HOLDINGS[holding].tolist()) == set(deal.deck[2 - 2 * deal.hero_seat :][:2])


def random_hand(game, deal, rng):
    """A hand played at random at the table."""
    hand = HandState(game, deal)
    while not hand.done:
        seen = hand.observe()
        raises = [] if seen.min_raise_to is None else [seen.min_raise_to, game.stack]
        hand.apply(int(rng.choice([*seen.legal, *raises])))
    return hand


@pytest.mark.parametrize("game", [KUHN, LEDUC, HOLDEM], ids=lambda game: game.name)
def test_where_all_is_known_a_finished_hand_pays_what_the_table_pays(game):
    rng, tree, ends = np.random.default_rng(1), PublicTree(game, None), set()
    for deal in make_deals(game, 150, 1):
        hand = random_hand(game, deal, rng)
        known = Knowledge.at_start(DealtCards(game, deal), whole_board=True, villain=True)
        state = tree.state(tuple(move.action for move in hand.moves))
        assert known.payoff(state) == pytest.approx(hand.payoffs[deal.hero_seat], abs=1e-9)
        ends.add((hand.showdown, state.folded_seat == deal.hero_seat, np.sign(hand.payoffs[deal.hero_seat])))
    assert {(True, False, 1), (True, False, -1), (False, True, -1), (False, False, 1)} <= ends


@pytest.mark.parametrize("game", [KUHN, LEDUC], ids=lambda game: game.name)
@pytest.mark.parametrize("hero_seat", [0, 1])
def test_what_isnt_known_is_averaged_over_what_the_table_could_pay(game, hero_seat):
    """With villain's card unknown, and in Leduc the board as well: raised, called, and checked down."""
    actions = {"kuhn": (1, 1), "leduc": (2, 1, 1, 1)}[game.name]
    state = PublicTree(game, None).state(actions)
    paid = {}
    for deck in all_decks(game):
        hand = HandState(game, Deal(deck, 0, 0))
        for action in actions:
            hand.apply(action)
        paid[deck] = hand.payoffs[hero_seat]
    for deck in all_decks(game):
        unknown = at_start(game, deck, hero_seat)
        possible = [other for other in paid if other[hero_seat] == deck[hero_seat]]
        assert unknown.payoff(state) == pytest.approx(np.mean([paid[other] for other in possible]))
        dealt = unknown.dealt(len(deck) - 2)
        possible = [other for other in possible if other[2:] == deck[2:]]
        assert dealt.payoff(state) == pytest.approx(np.mean([paid[other] for other in possible]))
