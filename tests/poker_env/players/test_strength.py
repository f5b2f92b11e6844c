"""How strong a hand looks: exact where it can be, in order where it is a rule of thumb."""

from itertools import combinations

import numpy as np
import pytest

from poker_env.games import HOLDEM_CARDS, Deal, make_game
from poker_env.players.strength import strength
from poker_env.state import CALL, HandState

HOLDEM = make_game("holdem")


def holdem_strength(hole: str, board: str = "") -> float:
    """Of the button's hand, once the board is on the table."""
    seen = [HOLDEM_CARDS.index(card) for card in (hole + " " + board).split()]
    rest = [card for card in range(52) if card not in seen]
    hand = HandState(HOLDEM, Deal(tuple([*rest[:2], *seen[:2], *seen[2:], *rest[2:]][:9]), 1, 0))
    hand.apply(CALL)
    if board:
        hand.apply(CALL)
        while len(hand.board) < len(board.split()):
            hand.apply(CALL)
    while hand.current_seat != 1:
        hand.apply(CALL if board else 300)
    return strength(hand.observe())


@pytest.mark.parametrize(
    ("hole", "board"),
    [
        ("As Kd", "Kh 7d 2c Qd 3s"),
        ("9c 8c", "Tc Jc 2c 2d 7c"),
        ("7h 2d", "As Kd Qh 5c 3h"),
        ("5h 5d", "5s 5c As Ad Ac"),
    ],
)
def test_on_the_river_it_is_the_share_of_hands_beaten_at_showdown(hole, board):
    own, shown = ([HOLDEM_CARDS.index(card) for card in cards.split()] for cards in (hole, board))
    results = []
    for other in combinations([card for card in range(52) if card not in own + shown], 2):
        hand = HandState(HOLDEM, Deal((*other, *own, *shown), 1, 0))
        hand.apply(20_000)
        hand.apply(CALL)
        results.append((np.sign(hand.payoffs[1]) + 1) / 2)
    assert len(results) == 990
    assert holdem_strength(hole, board) == pytest.approx(np.mean(results))


def test_certainties():
    assert holdem_strength("Ah Kh", "Qh Jh Th 2c 3d") == 1
    assert holdem_strength("2c 3d", "Ah Kh Qh Jh Th") == 0.5  # the board plays for everyone


@pytest.mark.parametrize("board", ["Kh 7d 2c", "Kh 7d 2c 3s"])
def test_better_hands_are_stronger_after_the_flop(board):
    hands = ["5c 4d", "Qs Jd", "2d 8s", "7s 8d", "Ks 3d", "Ks 7s", "2s 2d", "7c 7h", "Kc Kd"]
    strengths = [holdem_strength(hole, board) for hole in hands]
    assert strengths[0] < 0.2
    assert strengths[-1] > 0.99
    assert strengths == sorted(strengths)


def test_before_the_flop():
    names = ["3c 2d", "7h 2d", "Th 7d", "Th 7h", "Kd 9c", "Ah Kd", "Ah Kh", "Jh Jd", "Ah Ad"]
    strengths = [holdem_strength(name) for name in names]
    assert strengths == sorted(strengths)
    assert strengths[0] < 0.05
    assert strengths[-1] > 0.99
    assert holdem_strength("Ks Qs") == holdem_strength("Qd Kd")
    # A share of holdings beaten, ties half: one half on average.
    rng, cards = np.random.default_rng(0), np.array(HOLDEM_CARDS)
    sample = [holdem_strength(" ".join(rng.choice(cards, 2, replace=False))) for _ in range(1_000)]
    assert np.mean(sample) == pytest.approx(0.5, abs=0.04)
    assert 0 <= min(sample) < max(sample) <= 1


@pytest.mark.parametrize(("card", "expected"), [(0, 0.0), (1, 0.5), (2, 1.0)])
def test_kuhn(card, expected):
    hand = HandState(make_game("kuhn"), Deal((card, (card + 1) % 3), 0, 0))
    assert strength(hand.observe()) == expected


@pytest.mark.parametrize(
    ("own", "board", "expected"),
    [
        (0, None, 0.5 / 5),  # a jack against J Q Q K K
        (2, None, 2.5 / 5),
        (5, None, 4.5 / 5),
        (0, 1, 1.0),  # a pair
        (4, 5, 1.0),
        (0, 2, 0.5 / 4),  # a jack, the board a queen, against J Q K K
        (4, 2, 2.5 / 4),  # a king, the board a queen, against J J Q K
    ],
)
def test_leduc(own, board, expected):
    game = make_game("leduc")
    others = [card for card in range(6) if card not in (own, board)]
    hand = HandState(game, Deal((own, others[0], others[1] if board is None else board), 0, 0))
    if board is not None:
        hand.apply(CALL)
        hand.apply(CALL)
    assert strength(hand.observe()) == pytest.approx(expected)
