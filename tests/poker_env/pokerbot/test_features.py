"""What the earlier bot's networks see, worked out by hand."""

import numpy as np
import pytest
from earlier_bot import observe

from poker_env.games import HOLDEM_CARDS
from poker_env.pokerbot.features import encode
from poker_env.pokerbot.hand_ranks import hand_classes, hand_ranks
from poker_env.pokerbot.layouts import LAYOUTS
from poker_env.pokerbot.spots import spot_of


def ids(text):
    return np.array([[HOLDEM_CARDS.index(card) for card in text.split()]])


def seen(*actions, layout="addbbb4", hole=None):
    """(features that aren't 0, by place)."""
    observation = observe(*actions)
    features = encode(spot_of(observation), ids(hole or " ".join(observation.hole)), LAYOUTS[layout])
    assert features.dtype == np.float32
    return {place: features[0, place] for place in np.flatnonzero(features[0]).tolist()}, features.shape[1]


def approx(expected):
    return pytest.approx(expected, rel=1e-6)


def test_button_before_the_flop():
    """7h 7c: the rank's place is 5, of clubs, diamonds, hearts, spades hearts is 2."""
    found, width = seen()
    assert width == 167
    chips = {159: 150 / 40_000, 160: 19_950 / 40_000, 161: 19_900 / 40_000, 162: 50 / 40_000}
    assert found == approx({5: 1, 15: 1, 22: 1, 30: 1, **chips, 165: 0.5, 166: 1})


def test_big_blind_before_the_flop():
    """As Kd after a call: on that program's button, because it acts second; one action, a call of half a blind."""
    found, _ = seen(1)
    chips = {159: 200 / 40_000, 160: 19_900 / 40_000, 161: 19_900 / 40_000}
    assert found == approx({12: 1, 16: 1, 28: 1, 31: 1, 119: 2, 120: 0.5, **chips, 163: 1, 165: 1, 166: 1})


def test_flop_facing_a_raise():
    """Raised to 300, called; checked, bet 400, raised to 1,300."""
    found, _ = seen(300, 1, 1, 700, 1600)
    flop = {34 + 10: 1, 34 + 13 + 2: 1, 51 + 7: 1, 51 + 13 + 1: 1, 68 + 0: 1, 68 + 13 + 3: 1}
    acted = {119: 4, 120: 3, 121: 2, 122: 2, 123: 1, 125: 3, 126: 4, 127: 4, 128: 13}
    chips = {159: 2300 / 40_000, 160: 19_300 / 40_000, 161: 18_400 / 40_000, 162: 900 / 40_000}
    assert found == approx({5: 1, 15: 1, 22: 1, 30: 1, **flop, **acted, **chips, 163: 1, 164: 1 / 3, 165: 4, 166: 13})


def test_river_facing_all_in():
    """Checked to the river, where the big blind bets 19,900: 199 big blinds; the last cards are 3c and 3d."""
    found, _ = seen(*(1,) * 6, 20_000)
    later = {85 + 1: 1, 85 + 13 + 0: 1, 102 + 1: 1, 102 + 13 + 1: 1}
    assert {place: found[place] for place in later} == later
    acted = {119: 2, 120: 0.5, 121: 1, 123: 1, 125: 1, 127: 1, 129: 1, 131: 3, 132: 199}
    assert {place: found[place] for place in found if 119 <= place < 159} == acted
    tail = {159: 20_100 / 40_000, 160: 19_900 / 40_000, 162: 19_900 / 40_000, 163: 1, 164: 1, 166: 199}
    assert {place: found[place] for place in found if place >= 159} == approx(tail)


def test_only_twenty_actions_are_seen():
    # Raises by the minimum: 200, 300, … before the flop; the 21st one is the first that isn't seen.
    short, _ = seen(*range(200, 2200, 100))
    longer, _ = seen(*range(200, 2400, 100))
    assert {place: short[place] for place in short if 119 <= place < 159} == {
        place: longer[place] for place in longer if 119 <= place < 159
    }
    assert short[158] == 21


@pytest.mark.parametrize(
    ("hole", "strength", "first_class"),
    [("7h 7c", 0.5 + 5 / 26, 0), ("Ks 2s", 11 / 26 + 0.05, 1), ("Ks 2d", 11 / 26, 1), ("2s 2d", 0.5, 0)],
)
@pytest.mark.parametrize(("layout", "pair"), [("1131c79", 8), ("421148f", 7)])
def test_strength_before_the_flop(hole, strength, first_class, layout, pair):
    found, width = seen(layout=layout, hole=hole)
    assert width == 178
    assert {place: found[place] for place in found if place >= 167} == approx(
        {167: strength, 168 + pair + first_class: 1}
    )


@pytest.mark.parametrize("layout", ["1131c79", "421148f"])
def test_strength_after_it(layout):
    """Q 9 2 on the flop: three queens are ranks 1,610 + 66 * 2 and on, of 858 by rank and two kickers."""
    found, _ = seen(1, 1, layout=layout, hole="Qs Qd")
    # Aces and kings come first, 66 pairs of kickers each; then AK, AQ and so on: 9 and 2 is the 42nd of queens'.
    kickers = [(a, b) for a in range(12, -1, -1) for b in range(a - 1, -1, -1) if 10 not in (a, b)]
    rank = 1610 + 2 * 66 + kickers.index((7, 0))
    assert found[167] == pytest.approx(1 - rank / 7462)
    assert [place for place in found if place > 167] == [168 + 5]


def test_a_royal_flush_has_no_class():
    observation = observe(1, 1, cards="As Kd 7c 7h Qh Jh Th 3c 3d")
    features = encode(spot_of(observation), ids("Ah Kh"), LAYOUTS["421148f"])[0]
    assert features[167] == pytest.approx(1 - 1 / 7462)
    assert not features[168:].any()


def test_many_holdings_are_each_alone():
    spot = spot_of(observe(300, 1))
    holes = np.concatenate([ids("As Kd"), ids("Kd As"), ids("4c 4d")])
    together = encode(spot, holes, LAYOUTS["1131c79"])
    assert np.array_equal(together, np.concatenate([encode(spot, hole[None], LAYOUTS["1131c79"]) for hole in holes]))
    assert np.array_equal(together[0], together[1])  # the higher card first, however they are named


@pytest.mark.parametrize(
    ("cards", "rank", "kind"),
    [
        ("As Ks Qs Js Ts", 1, 0),
        ("5h 4h 3h 2h Ah", 10, 1),
        ("As Ac Ad Ah Ks", 11, 2),
        ("2s 2c 2d 2h 3s", 166, 2),
        ("As Ac Ad Kh Ks", 167, 3),
        ("As Ks Qs Js 9s", 323, 4),
        ("As Kc Qs Js Ts", 1600, 5),
        ("5h 4h 3h 2h As", 1609, 5),
        ("As Ac Ad Kh Qs", 1610, 6),
        ("As Ac Kd Kh Qs", 2468, 7),
        ("As Ac Kd Qh Js", 3326, 8),
        ("As Kc Qd Jh 9s", 6186, 9),
        ("7s 5c 4d 3h 2s", 7462, 9),
        ("7s 5c 4d 3h 2s 2c 2d", 2459, 6),
        ("As Kc Qd Jh 9s 9d", 3326 + 5 * 220, 8),
    ],
)
def test_hand_ranks(cards, rank, kind):
    """Ends of the classes as Cactus Kev counts them. Of 66 pairs of kickers to three deuces, which end at 2,467, seven
    and five are the 58th; nines come after five better pairs of 220 kickers each, and A K Q is their first."""
    assert hand_ranks(ids(cards)).tolist() == [rank]
    assert hand_classes(hand_ranks(ids(cards))).tolist() == [kind]
