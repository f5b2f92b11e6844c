"""Equities against pokerkit's showdowns, and what must hold whatever the cards are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pokerkit import StandardHighHand

from poker_env.cards.equity import equities_against, preflop_equities
from poker_env.cards.holdings import HOLDINGS, N_CLASSES, PREFLOP_CLASSES, holding_index, preflop_class
from poker_env.games import HOLDEM_CARDS


def ids(text):
    return np.array([HOLDEM_CARDS.index(card) for card in text.split()], np.int64)


def best_hand(hole, board):
    return StandardHighHand.from_game(*("".join(HOLDEM_CARDS[card] for card in cards) for cards in (hole, board)))


def by_pokerkit(hole, board, others):
    """Equity against each of some holdings, every river card dealt if the board lacks one."""
    missing = [[]] if len(board) == 5 else [[card] for card in range(52) if card not in {*hole, *board}]
    boards = [[*board, *cards] for cards in missing]
    own = [best_hand(hole, dealt) for dealt in boards]
    equities = []
    for other in others:
        shares = [
            0.5 * ((mine > best) + (mine >= best))
            for mine, dealt in zip(own, boards, strict=True)
            if not set(dealt) & set(other)
            for best in [best_hand(other, dealt)]
        ]
        equities.append(np.mean(shares))
    return equities


def unblocked(*cards):
    dead = np.concatenate(cards)
    return np.flatnonzero(~np.isin(HOLDINGS, dead).any(axis=1))


@pytest.mark.parametrize(
    ("hole", "board", "sample"),
    [
        ("9h 8d", "2h 7h Td Qh 3h", 80),  # a flush of one's own, which higher hearts beat
        ("9c 9d", "9h Ts Js Qs 2s", 80),  # flushes, straights and straight flushes beat trips
        ("4c 5d", "Ac Ad As Kh Kd", 80),  # the board plays, and aces and kings beat it
        ("Kh Qd", "Kc Qc 7c 2d", 10),
        ("Th 9h", "8h 7h 2c 2d", 10),  # draws
    ],
)
def test_rivers_and_turns_equal_pokerkits_showdowns(hole, board, sample):
    hole, board = ids(hole), ids(board)
    asked = np.random.default_rng(0).choice(unblocked(hole, board), sample, replace=False)
    expected = by_pokerkit(hole.tolist(), board.tolist(), HOLDINGS[asked].tolist())
    assert equities_against(hole, board)[asked] == pytest.approx(expected, abs=1e-12)
    assert len(set(expected)) > 1


deals = st.tuples(st.sampled_from([3, 4, 5]), st.permutations(range(52)))


@given(deals)
@settings(max_examples=60, deadline=None)
def test_two_hands_share_every_pot(deal):
    n_board, deck = deal
    first, second, board = np.array(deck[:2]), np.array(deck[2:4]), np.array(deck[4 : 4 + n_board])
    forth = equities_against(first, board)[holding_index(*second)]
    back = equities_against(second, board)[holding_index(*first)]
    assert forth + back == pytest.approx(1, abs=1e-12)
    assert 0 <= forth <= 1


@given(deals, st.permutations(range(4)))
@settings(max_examples=40, deadline=None)
def test_suits_have_no_rank(deal, suits):
    n_board, deck = deal
    hole, board = np.array(deck[:2]), np.array(deck[2 : 2 + n_board])

    def renamed(cards):
        return cards // 4 * 4 + np.array(suits)[cards % 4]

    free = unblocked(hole, board)
    others = [holding_index(*cards) for cards in renamed(HOLDINGS[free].astype(np.int64))]
    equities = equities_against(hole, board)
    assert equities_against(renamed(hole), renamed(board))[others] == pytest.approx(equities[free], abs=1e-12)


def test_before_the_flop_the_table_is_fair_and_aces_are_best():
    table, nothing = preflop_equities(), np.array([], np.int64)
    assert table.shape == (N_CLASSES, N_CLASSES)
    assert table + table.T == pytest.approx(np.ones_like(table), abs=1e-7)  # it is stored in 32 bits
    for hole, same in (("Ah Kh", "Kc Ac"), ("7d 2s", "2h 7c")):
        rows = equities_against(ids(hole), nothing), equities_against(ids(same), nothing)
        assert np.array_equal(*rows)
        assert np.array_equal(rows[0], table[preflop_class(*ids(hole))][PREFLOP_CLASSES])
    # What poker's tables say of a hand against a random one: no hand is better than aces, none worse than 3-2.
    holes = [HOLDINGS[PREFLOP_CLASSES.tolist().index(cell)].astype(np.int64) for cell in range(N_CLASSES)]
    against = np.array([equities_against(hole, nothing)[unblocked(hole)].mean() for hole in holes])
    known = {"Ac Ad": 0.8520, "Ah Kh": 0.6704, "7d 2s": 0.3458, "3d 2s": 0.3230}
    cells = [preflop_class(*ids(hole)) for hole in known]
    assert against[cells] == pytest.approx(list(known.values()), abs=1e-4)
    assert (against.argmax(), against.argmin()) == (cells[0], cells[-1])
    assert (np.delete(table[cells[0]], cells[0]) > 0.75).all()


def test_what_is_said_of_blocked_holdings_cant_spoil_a_mean():
    """It means nothing, but weighted with 0 it has to vanish."""
    hole = ids("Ah Kh")
    for board in ("", "2h 7h Td", "2h 7h Td Qc", "2h 7h Td Qc Qs"):
        equities = equities_against(hole, ids(board))
        assert equities.shape == (1326,) and ((equities >= 0) & (equities <= 1)).all()
