"""A hand's accounting: against OpenSpiel along random play with odd blinds and stacks, and by hand in small cases."""

import numpy as np
import pyspiel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.games import Deal, Game, make_deals, make_game
from poker_env.menu import make_menu
from poker_env.state import CALL, FOLD, HandState, Observation

HOLDEM = make_game("holdem")


@st.composite
def holdem_games(draw: st.DrawFn) -> Game:
    small = draw(st.integers(1, 40))
    big = draw(st.integers(small, small + 60))
    return Game("holdem", small, big, draw(st.integers(big + 1, big * 30)))


games = st.one_of(st.sampled_from([make_game("kuhn"), make_game("leduc")]), holdem_games())


def random_action(observation: Observation, rng: np.random.Generator) -> int:
    """A legal action, of hold'em any raise size at all, small ones more often."""
    actions = list(observation.legal)
    if observation.min_raise_to is not None:
        smallest, stack = observation.min_raise_to, observation.game.stack
        spread = min(stack, int(smallest * (stack / smallest) ** rng.random()))
        actions += [smallest, spread, spread, int(rng.integers(smallest, stack + 1))]
    return actions[rng.integers(len(actions))]


def deal_cards(spiel: pyspiel.State, deck: list[int]) -> None:
    while spiel.is_chance_node():
        spiel.apply_action(deck.pop(0))


@settings(max_examples=300, deadline=None)
@given(game=games, seed=st.integers(0, 2**32))
def test_openspiel_agrees_along_random_play(game, seed):
    rng, deal = np.random.default_rng(seed), make_deals(game, 1, seed)[0]
    hand, spiel, deck = HandState(game, deal), game.spiel.new_initial_state(), list(deal.deck)
    deal_cards(spiel, deck)
    while not hand.done:
        observation = hand.observe()
        legal = spiel.legal_actions()
        raises = [action for action in legal if action > CALL]
        assert observation.seat == spiel.current_player()
        if game.name == "holdem":
            assert list(observation.legal) == [action for action in legal if action <= CALL]
            assert observation.min_raise_to == (min(raises) if raises else None)
            assert not raises or raises == list(range(observation.min_raise_to, game.stack + 1))
            assert list(observation.contributions) == spiel.to_struct().player_contributions
            board = spiel.to_struct().board_cards
            assert sorted(observation.board) == sorted(board[i : i + 2] for i in range(0, len(board), 2))
        else:
            assert list(observation.legal) == legal
            assert observation.infoset == spiel.information_state_string()
        assert {item.action for item in make_menu(observation)} <= set(legal)
        action = random_action(observation, rng)
        behind = observation.stack
        move = hand.apply(action)
        spiel.apply_action(action)
        deal_cards(spiel, deck)
        assert (move.seat, move.street, move.action) == (observation.seat, observation.street, action)
        assert (move.pot_before, move.to_call) == (observation.pot, observation.to_call)
        assert 0 <= move.added <= behind
        assert move.to == hand.contributions[move.seat] == observation.contributions[move.seat] + move.added
        assert (move.kind in ("bet", "raise")) == (move.added > move.to_call)
        assert (move.kind in ("fold", "check")) == (move.added == 0)
    assert spiel.is_terminal()
    assert list(hand.payoffs) == spiel.returns()
    assert sum(hand.payoffs) == 0
    assert abs(hand.payoffs[0]) <= min(hand.contributions)
    assert hand.showdown == (hand.moves[-1].kind != "fold")


@settings(max_examples=60, deadline=None)
@given(game=games, seed=st.integers(0, 2**32))
def test_a_forfeit_costs_exactly_what_was_put_in(game, seed):
    rng, deal = np.random.default_rng(seed), make_deals(game, 1, seed)[0]
    whole = HandState(game, deal)
    while not whole.done:
        whole.apply(random_action(whole.observe(), rng))
    hand = HandState(game, deal)
    for move in whole.moves[: rng.integers(len(whole.moves))]:
        hand.apply(move.action)
    loser, contributions = hand.current_seat, hand.contributions
    board = hand.board
    hand.forfeit()
    assert hand.done
    assert not hand.showdown
    assert hand.payoffs[loser] == -contributions[loser]
    assert hand.payoffs[1 - loser] == contributions[loser]
    assert hand.board == board


def test_a_forfeit_when_facing_a_bet_pays_as_a_fold():
    deal = make_deals(HOLDEM, 1, 0)[0]
    folded, forfeited = HandState(HOLDEM, deal), HandState(HOLDEM, deal)
    for hand in (folded, forfeited):
        for action in (700, CALL, CALL, 1_500):
            hand.apply(action)
    folded.apply(FOLD)
    forfeited.forfeit()
    assert forfeited.payoffs == folded.payoffs == (-700, 700)


def test_blinds_seats_and_order():
    hand = HandState(HOLDEM, make_deals(HOLDEM, 1, 0)[0])
    observation = hand.observe()
    assert observation.contributions == (100, 50)
    assert (observation.seat, observation.to_call, observation.pot) == (1, 50, 150)
    assert observation.min_raise_to == 200
    assert hand.apply(CALL).kind == "call"
    assert hand.current_seat == 0
    assert hand.observe().legal == (CALL,)  # the big blind's option
    assert hand.apply(CALL).kind == "check"
    assert (hand.street, hand.current_seat) == (1, 0)


@pytest.mark.parametrize(
    ("actions", "smallest"),
    [
        ([], 200),
        ([200], 300),
        ([300], 500),
        ([300, 900], 1_500),
        ([300, CALL], 400),  # a new street: one big blind at least
        ([300, CALL, CALL], 400),
        ([300, CALL, 450], 600),
        ([300, CALL, 450, 1_200], 1_950),
        ([19_950], 20_000),  # all-in with less than a whole raise
        ([20_000], None),
    ],
)
def test_minimum_raises(actions, smallest):
    hand = HandState(HOLDEM, make_deals(HOLDEM, 1, 0)[0])
    for action in actions:
        hand.apply(action)
    assert hand.observe().min_raise_to == smallest


def test_words_for_moves_by_street():
    hand = HandState(HOLDEM, make_deals(HOLDEM, 1, 0)[0])
    for action in (250, CALL, CALL, 400, 900, CALL, CALL, CALL):
        hand.apply(action)
    kinds = [(move.street, move.kind) for move in hand.moves]
    flop = [(1, "check"), (1, "bet"), (1, "raise"), (1, "call")]
    assert kinds == [(0, "raise"), (0, "call"), *flop, (2, "check"), (2, "check")]
    assert [move.added for move in hand.moves] == [200, 150, 0, 150, 650, 500, 0, 0]


def test_kuhn_bets_and_payoffs():
    game = make_game("kuhn")
    king_against_jack = Deal(deck=(2, 0), hero_seat=0, seed=0)
    hand = HandState(game, king_against_jack)
    moves = [hand.apply(action) for action in (0, 1, 1)]
    assert [move.kind for move in moves] == ["check", "bet", "call"]
    assert hand.contributions == (2, 2)
    assert hand.payoffs == (2, -2)


def test_leduc_bet_sizes_by_street():
    game = make_game("leduc")
    hand = HandState(game, make_deals(game, 1, 0)[0])
    moves = [hand.apply(action) for action in (2, 2, 1, 2, 2, 1)]
    assert [(move.kind, move.to) for move in moves] == [
        ("bet", 3),
        ("raise", 5),
        ("call", 5),
        ("bet", 9),
        ("raise", 13),
        ("call", 13),
    ]
    assert hand.done
    assert len(hand.board) == 1


def test_an_early_all_in_deals_the_whole_board():
    hand = HandState(HOLDEM, make_deals(HOLDEM, 1, 0)[0])
    hand.apply(20_000)
    hand.apply(CALL)
    assert hand.done
    assert hand.showdown
    assert len(hand.board) == 5


def test_an_illegal_action_raises():
    hand = HandState(HOLDEM, make_deals(HOLDEM, 1, 0)[0])
    for action in (199, 20_001, -1):
        with pytest.raises(pyspiel.SpielError):
            hand.apply(action)


def test_coins_are_uniform_and_follow_from_deal_key_and_history():
    deals = make_deals(HOLDEM, 2_000, 0)
    coins = np.array([HandState(HOLDEM, deal).observe("villain").coin for deal in deals])
    counts = np.histogram(coins, bins=10, range=(0, 1))[0]
    assert ((counts - 200) ** 2 / 200).sum() < 27.9  # chi-square, 9 degrees of freedom, 99.9 %
    hand = HandState(HOLDEM, deals[0])
    assert hand.observe("villain") == HandState(HOLDEM, deals[0]).observe("villain")
    assert hand.observe("villain").coin != hand.observe("hero0").coin
    first = hand.observe("villain").coin
    hand.apply(CALL)
    assert hand.observe("villain").coin != first
