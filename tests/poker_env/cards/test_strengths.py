"""How strong hands are: against equities that are worked out another way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.cards import strengths
from poker_env.cards.canonical import holding_permutations, renaming_code
from poker_env.cards.equity import equities_against
from poker_env.cards.holdings import HOLDINGS, holding_index
from poker_env.cards.strengths import UNKNOWN, deal_strengths, hand_strength, range_strengths


def _expected(hole, board):
    """Mean of the equities on all rivers, and twice their standard deviation, in percent."""

    def equity(river):
        live = ~np.isin(HOLDINGS, [*hole, *river]).any(axis=1)
        return equities_against(hole, river)[live].mean()

    left = [card for card in range(52) if card not in (*hole, *board)]
    rivers = [board] if len(board) == 5 else [np.array([*board, card]) for card in left]
    found = np.array([equity(river) for river in rivers])
    return 100 * found.mean(), 200 * found.std()


@pytest.mark.parametrize("n_board", [4, 5])
@given(st.permutations(range(52)))
@settings(max_examples=8, deadline=None)
def test_they_are_mean_and_deviation_of_the_equities_to_come(n_board, deck):
    hole, board = np.array(deck[:2]), np.array(deck[2 : 2 + n_board])
    assert hand_strength(hole, board) == pytest.approx(_expected(hole, board), abs=0.51)


def test_a_draw_differs_from_a_made_hand_of_its_equity():
    flop = np.array([4 * 7 + 0, 4 * 5 + 0, 4 * 0 + 1])  # 9s 7s 2h, say
    draw = hand_strength(np.array([4 * 6 + 0, 4 * 4 + 0]), flop)  # 8s 6s
    made = hand_strength(np.array([4 * 7 + 1, 4 * 1 + 2]), flop)  # a pair of nines
    assert abs(int(draw[0]) - int(made[0])) <= 8
    assert draw[1] > 1.4 * made[1]


@pytest.mark.parametrize("n_board", [0, 3, 4, 5])
def test_a_ranges_are_its_hands_own(n_board):
    rng = np.random.default_rng(n_board)
    board = rng.permutation(52)[:n_board]
    of_all = range_strengths(board)
    blocked = np.isin(HOLDINGS, board).any(axis=1)
    assert (of_all[blocked] == UNKNOWN).all()
    for holding in rng.choice(np.flatnonzero(~blocked), 12, replace=False):
        assert hand_strength(HOLDINGS[holding][::-1], board).tolist() == of_all[holding].tolist()


@given(st.permutations(range(52)), st.permutations(range(4)), st.sampled_from([3, 4, 5]))
@settings(max_examples=12, deadline=None)
def test_names_of_suits_dont_matter(deck, suits, n_board):
    board, renamed = np.array(deck[:n_board]), np.array(suits)
    other = board & ~3 | renamed[board & 3]
    found, of_other = range_strengths(board), range_strengths(other[::-1])
    assert np.array_equal(found, of_other[holding_permutations()[renaming_code(renamed)]])


def test_a_deals_are_its_hands_own():
    deals = np.stack([np.random.default_rng(seed).permutation(52)[:9] for seed in range(20)])
    found = deal_strengths(deals)
    for deal, of_deal in zip(deals, found, strict=True):
        for seat in range(2):
            for street, known in enumerate((0, 3, 4, 5)):
                own = holding_index(*deal[2 * seat : 2 * seat + 2])
                assert of_deal[seat, street].tolist() == range_strengths(deal[4 : 4 + known])[own].tolist()


@pytest.mark.slow
def test_tables_hold_what_is_worked_out_without_them(monkeypatch):
    deals = np.stack([np.random.default_rng(seed).permutation(52)[:9] for seed in range(3_000)])
    from_tables = deal_strengths(deals)
    monkeypatch.setattr(strengths, "MANY_DEALS", len(deals) + 1)
    assert np.array_equal(from_tables, deal_strengths(deals))
