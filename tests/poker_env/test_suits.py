"""Suits by other names: the same ones for what is the same up to suits, other ones for what is not."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from poker_env.games import HOLDEM_CARDS, SUITS
from poker_env.suits import STREETS, rename_suits

decks = st.permutations(HOLDEM_CARDS).map(lambda deck: deck[:7])


def exchanged(cards, order):
    return tuple(card[0] + order[card[1]] for card in cards)


def streets(hole, board):
    """What the order of cards says nothing about."""
    return [frozenset(hole), *(frozenset(board[start:end]) for start, end in STREETS)]


def exchanges(hole, board):
    """The situation under every exchange of suits."""
    for order in itertools.permutations(SUITS):
        renamed = dict(zip(SUITS, order, strict=True))
        yield streets(exchanged(hole, renamed), exchanged(board, renamed))


@given(decks, st.sampled_from([0, 3, 4, 5]), st.permutations(SUITS), st.randoms())
def test_exchanging_suits_changes_nothing(cards, dealt, order, random):
    hole, flop, later = cards[:2], cards[2:5], cards[5:]
    renamed = rename_suits(tuple(hole), (*flop, *later)[:dealt])
    random.shuffle(hole), random.shuffle(flop)
    other = dict(zip(SUITS, order, strict=True))
    assert rename_suits(exchanged(hole, other), exchanged((*flop, *later), other)[:dealt]) == renamed


@given(decks, st.sampled_from([0, 3, 4, 5]))
def test_what_is_told_is_the_situation_up_to_suits(cards, dealt):
    """So two situations that read the same are the same."""
    hole, board = tuple(cards[:2]), tuple(cards[2:][:dealt])
    assert streets(*rename_suits(hole, board)) in exchanges(hole, board)


def test_before_the_flop_169_holdings_are_left():
    assert len({rename_suits(hole, ()) for hole in itertools.combinations(HOLDEM_CARDS, 2)}) == 169
