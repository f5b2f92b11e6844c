import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from pokerkit import StandardHighHand

from poker_env.cards.canonical import canonical_boards, canonical_row, holding_permutations, renaming_code
from poker_env.cards.holdings import (
    FULL_HOUSE,
    HOLDINGS,
    N_HOLDINGS,
    PREFLOP_CLASSES,
    STRAIGHT_FLUSH,
    hand_value,
    holding_index,
    preflop_class,
)
from poker_env.cards.rank_tables import flush_values, rank_values
from poker_env.cards.runouts import count_rivers
from poker_env.cards.showdowns import N_LIVE, half_wins, rank_holdings, river_equities
from poker_env.games import HOLDEM_CARDS

SUIT_NAMINGS = list(itertools.permutations(range(4)))


def ids(text: str) -> np.ndarray:
    return np.array([HOLDEM_CARDS.index(card) for card in text.split()])


def value(text: str) -> int:
    return hand_value(ids(text))


@st.composite
def boards(draw, n_board=5):
    """Boards on few ranks or of few suits too, where pairs, straights and flushes crowd."""
    ranks = draw(st.integers(2, 13))
    suits = draw(st.sampled_from([1, 2, 4])) if ranks >= n_board else 4
    cards = [rank * 4 + suit for rank in range(ranks) for suit in range(suits)]
    return np.array(draw(st.permutations(cards))[:n_board])


def brute_force_half_wins(board):
    """Compares all pairs of holdings, one by one."""
    live = [row for row, holding in enumerate(HOLDINGS) if not set(holding) & set(board)]
    values = np.array([hand_value(np.concatenate([board, HOLDINGS[row]])) for row in live])
    meet = (HOLDINGS[live][:, None, :, None] != HOLDINGS[live][None, :, None, :]).all(axis=(2, 3))
    beats = 2 * (values[:, None] > values[None, :]) + (values[:, None] == values[None, :])
    counts = np.full(N_HOLDINGS, -1)
    counts[live] = (beats * meet).sum(axis=1)
    return counts


def test_hand_values_order_hands_as_pokerkit_does():
    rng = np.random.default_rng(0)
    hands = [rng.permutation(52)[:7] for _ in range(1500)]
    hands += [np.concatenate([board, rng.permutation(np.setdiff1d(np.arange(52), board))[:2]]) for board in _wild(rng)]
    names = ["".join(HOLDEM_CARDS[card] for card in hand) for hand in hands]
    judged = [StandardHighHand.from_game(name[:4], name[4:]) for name in names]
    ours = [hand_value(hand) for hand in hands]
    order = sorted(range(len(hands)), key=lambda row: ours[row])
    for worse, better in itertools.pairwise(order):
        assert (ours[worse] == ours[better]) == (judged[worse] == judged[better]), (names[worse], names[better])
        assert judged[worse] <= judged[better], (names[worse], names[better])


def _wild(rng):
    """Boards of one suit or of three ranks, for the rare categories."""
    return [rng.permutation(range(suit, 52, 4))[:5] for suit in range(4) for _ in range(60)] + [
        rng.permutation([*range(4 * low, 4 * low + 8), 48])[:5] for low in range(11) for _ in range(20)
    ]


def test_steel_wheel_and_kickers():
    assert value("Ac 2c 3c 4c 5c Kd Kh") >= STRAIGHT_FLUSH
    assert value("Ac 2c 3c 4c 5c Kd Kh") < value("6c 2c 3c 4c 5c Kd Kh")
    assert value("Ac Ad Kc Kd Qh Qs 2c") == value("Ah As Kh Ks Qc 3d 4d")  # the third pair is just a kicker
    assert FULL_HOUSE <= value("Ac Ad Ah Kc Kd Kh 2c") == value("Ac Ad Ah Kc Kd 3h 2c")
    assert value("2c 2d 2h 2s Ac Kd Kh") == value("2c 2d 2h 2s Ad Qd Qh")


@pytest.mark.slow
def test_categories_of_all_seven_card_hands():
    """The known frequencies of the 133,784,560 hands, straight flushes last."""

    @njit
    def count(categories):
        cards = np.arange(7)
        while True:
            categories[hand_value(cards) >> 26] += 1
            place = 6
            while place >= 0 and cards[place] == 45 + place:
                place -= 1
            if place < 0:
                return
            cards[place] += 1
            for later in range(place + 1, 7):
                cards[later] = cards[later - 1] + 1

    categories = np.zeros(9, np.int64)
    count(categories)
    assert categories.tolist() == [
        23_294_460,
        58_627_800,
        31_433_400,
        6_461_620,
        6_180_020,
        4_047_644,
        3_473_184,
        224_848,
        41_584,
    ]


def test_holding_numbers_follow_the_list_of_pairs():
    assert [holding_index(int(a), int(b)) for a, b in HOLDINGS] == list(range(N_HOLDINGS))
    assert [holding_index(int(b), int(a)) for a, b in HOLDINGS] == list(range(N_HOLDINGS))


def test_preflop_classes_are_13_pairs_78_suited_and_78_offsuit():
    sizes = np.bincount(PREFLOP_CLASSES, minlength=169).reshape(13, 13)
    assert (np.diag(sizes) == 6).all()
    assert (sizes[np.tril_indices(13, -1)] == 4).all()
    assert (sizes[np.triu_indices(13, 1)] == 12).all()
    ace_king_suited, ace_king = ids("Ks As"), ids("Ac Kd")
    assert preflop_class(*ace_king_suited) == preflop_class(*ace_king_suited[::-1]) == 12 * 13 + 11
    assert preflop_class(*ace_king) == preflop_class(*ace_king[::-1]) == 11 * 13 + 12


@settings(deadline=None, max_examples=25)
@given(board=boards())
def test_half_wins_agree_with_comparing_all_pairs(board):
    counts = np.empty(N_HOLDINGS, np.int64)
    half_wins(board, counts)
    expected = brute_force_half_wins(board)
    assert (counts == expected).all()
    for holding in np.flatnonzero(expected >= 0)[::29]:
        assert counted(HOLDINGS[holding], board) == {expected[holding]: 1}


def counted(hole, board):
    """How many rivers give each number of half-wins."""
    counts = np.zeros(1981, np.int32)
    count_rivers(hole.astype(np.int64), board.astype(np.int64), rank_values(), flush_values(), counts)
    return {int(number): int(counts[number]) for number in np.flatnonzero(counts)}


@pytest.mark.parametrize("n_board", [3, 4])
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10**6), suits=st.integers(1, 4))
def test_rivers_to_come_are_counted_as_they_are_one_by_one(n_board, seed, suits):
    rng = np.random.default_rng(seed)
    deck = rng.permutation([card for card in range(52) if card & 3 < suits])  # of one suit: everything is a flush
    hole, board = deck[:2], deck[2 : 2 + n_board]
    own = holding_index(int(hole[0]), int(hole[1]))
    expected, wins = {}, np.empty(N_HOLDINGS, np.int64)
    left = sorted(set(range(52)) - {*hole.tolist(), *board.tolist()})
    for more in itertools.combinations(left, 5 - n_board):
        half_wins(np.concatenate([board, more]).astype(np.int64), wins)
        expected[wins[own]] = expected.get(wins[own], 0) + 1
    assert counted(hole, board) == expected


@settings(deadline=None)  # the first example compiles
@given(board=boards())
def test_ranking_lists_every_holding_once_weakest_first(board):
    order, strength = np.empty(N_LIVE, np.int64), np.empty(N_HOLDINGS, np.int64)
    n_values = rank_holdings(board, order, strength)
    assert sorted(order) == np.flatnonzero(strength >= 0).tolist()
    assert set(strength[order]) == set(range(n_values))
    values = np.array([hand_value(np.concatenate([board, HOLDINGS[holding]])) for holding in order])
    assert (np.sign(np.diff(values)) == np.sign(np.diff(strength[order]))).all()
    assert (np.diff(values) >= 0).all()


def test_everyone_ties_when_the_board_is_a_royal_flush():
    equities = river_equities(ids("Ts Js Qs Ks As"))
    assert np.isnan(equities).sum() == N_HOLDINGS - N_LIVE
    assert set(equities[~np.isnan(equities)]) == {0.5}


@pytest.mark.parametrize(
    ("n_board", "count", "total"), [(3, 1755, 22_100), (4, 16_432, 270_725), (5, 134_459, 2_598_960)]
)
def test_canonical_boards_are_the_known_number_and_stand_for_all(n_board, count, total):
    boards = canonical_boards(n_board)
    assert (len(boards.cards), boards.counts.sum()) == (count, total)
    assert set(boards.counts) <= {1, 4, 6, 12, 24}
    renamed = np.empty(4, np.int64)
    for row in range(0, count, 97):
        assert canonical_row(boards.keys, boards.cards[row], n_board, renamed) == row
        namings = {
            tuple(sorted(card & ~3 | naming[card & 3] for card in boards.cards[row])) for naming in SUIT_NAMINGS
        }
        assert len(namings) == boards.counts[row]


@settings(deadline=None)
@given(board=boards(), naming=st.sampled_from(SUIT_NAMINGS))
def test_renaming_suits_or_reordering_keeps_the_canonical_board_and_moves_holdings_along(board, naming):
    keys = canonical_boards(5).keys
    renamed = np.empty(4, np.int64)
    row = canonical_row(keys, board, 5, renamed)
    cards = sorted(canonical_boards(5).cards[row])
    assert sorted(card & ~3 | renamed[card & 3] for card in board) == cards
    other = np.array([card & ~3 | naming[card & 3] for card in board])[::-1].copy()
    assert canonical_row(keys, other, 5, renamed) == row
    moved = holding_permutations()[renaming_code(renamed)]
    for holding in range(0, N_HOLDINGS, 13):
        a, b = (card & ~3 | renamed[card & 3] for card in HOLDINGS[holding])
        assert moved[holding] == holding_index(a, b)
