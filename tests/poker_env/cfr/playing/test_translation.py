"""Real bets in a tree that doesn't know them: shares, chips and the ways out of the tree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poker_env.cfr.playing.translation import Location, Translator, pseudo_harmonic
from poker_env.cfr.tree import CALL, PRESETS, holdem_tree
from poker_env.games import make_deals, make_game
from poker_env.state import HandState

GAME = make_game("holdem")
TREES = {name: holdem_tree(GAME, PRESETS[name]) for name in ("fcpa", "half")}


def _hand(*actions):
    hand = HandState(GAME, make_deals(GAME, 1, 0)[0])
    for action in actions:
        hand.apply(action)
    return hand


def _nodes(actions, preset="fcpa"):
    tree = TREES[preset]
    located = Translator(GAME, tree).locate(_hand(*actions).observe())
    return {
        (tuple(tree.contributions[location.node].tolist()), location.calls): weight for location, weight in located
    }


def test_pseudo_harmonic_shares():
    assert pseudo_harmonic(0.5, 1.0, 0.5) == 1
    assert pseudo_harmonic(0.5, 1.0, 1.0) == 0
    assert pseudo_harmonic(0.5, 1.0, 0.75) == pytest.approx(0.25 * 1.5 / (0.5 * 1.75))
    assert pseudo_harmonic(0.0, 1.0, 1 / 3) == pytest.approx(0.5)  # half of the way for a defender, who calls 1/(1+x)


@given(lower=st.floats(0, 1), gap=st.floats(0.01, 100), place=st.floats(0, 1))
def test_a_share_is_a_probability(lower, gap, place):
    assert -1e-9 <= pseudo_harmonic(lower, lower + gap, lower + place * gap) <= 1 + 1e-9


def test_bets_of_the_tree_are_found_exactly():
    assert _nodes([]) == {((100, 50), False): 1}
    assert _nodes([300]) == {((100, 300), False): 1}
    assert _nodes([300, 900, 2700]) == {((900, 2700), False): 1}
    assert _nodes([300, CALL, 900, 2700]) == {((900, 2700), False): 1}
    assert _nodes([CALL, CALL, CALL, CALL, 300]) == {((300, 100), False): 1}


def test_a_bet_between_two_sizes_is_split_between_them():
    share = pseudo_harmonic(0.5, 1.0, 0.75)
    assert _nodes([250]) == {((100, 200), False): pytest.approx(share), ((100, 300), False): pytest.approx(1 - share)}


def test_all_in_is_the_top_neighbour_and_stays_all_in():
    (small, small_weight), (large, large_weight) = _nodes([6000]).items()
    assert (small, large) == (((100, 300), False), ((100, 20_000), False))
    assert small_weight == pytest.approx(pseudo_harmonic(1.0, 99.5, 29.5))
    assert small_weight + large_weight == pytest.approx(1)
    assert _nodes([20_000]) == {((100, 20_000), False): 1}
    assert all(max(contributions) == 20_000 for contributions, _ in _nodes([450, 20_000]))


def test_a_tiny_bet_mostly_counts_as_a_check():
    located = _nodes([300, CALL, 400])  # a sixth of the pot on the flop
    assert located[(300, 300), False] == pytest.approx(pseudo_harmonic(0, 1, 100 / 600))
    assert located[(900, 300), False] == pytest.approx(1 - pseudo_harmonic(0, 1, 100 / 600))


def test_a_tiny_raise_that_counts_as_a_call_is_called_and_the_tree_goes_on():
    # After a check the button bets a sixth of the pot: counted as a check it ends the street.
    tree = TREES["fcpa"]
    translator = Translator(GAME, tree)
    observation = _hand(300, CALL, CALL, 400).observe()
    calling = [(location, weight) for location, weight in translator.locate(observation) if location.calls]
    assert [(tree.street[location.node], round(weight, 3)) for location, weight in calling] == [(2, 0.714)]
    assert translator.real_actions(calling[0][0], observation) == [CALL]
    after = translator.locate(_hand(300, CALL, CALL, 400, CALL).observe())
    assert calling[0][0].node in [location.node for location, _ in after]


def test_own_bets_are_the_same_fraction_of_the_real_pot():
    translator = Translator(GAME, TREES["half"])
    observation = _hand(280, CALL, CALL).observe()  # the real pot is 560, the tree's 400 or 600
    for location, _ in translator.locate(observation):
        assert translator.real_actions(location, observation) == [CALL, 280 + 280, 280 + 560, 20_000]


def test_raises_that_the_real_rules_dont_allow_become_the_smallest_or_a_call():
    translator = Translator(GAME, TREES["half"])
    observation = _hand(300, CALL, 500).observe()
    raised = Translator(GAME, TREES["half"]).locate(observation)
    for location, _ in raised:
        actions = translator.real_actions(location, observation)
        assert all(action >= observation.min_raise_to for action in actions if action > CALL)
    facing_all_in = _hand(20_000).observe()
    [(location, _)] = translator.locate(facing_all_in)
    assert translator.real_actions(location, facing_all_in) == [0, CALL]
    assert translator.real_actions(Location(0), facing_all_in) == [0, CALL, CALL, CALL, CALL, CALL]


@pytest.mark.parametrize("preset", TREES)
def test_a_war_of_smallest_raises_stays_near_the_real_pot(preset):
    tree = TREES[preset]
    hand = _hand()
    for _ in range(40):
        observation = hand.observe()
        located = Translator(GAME, tree).locate(observation)
        assert sum(weight for _, weight in located) == pytest.approx(1)
        for location, _ in located:
            if not location.calls:
                assert (tree.actor[location.node], tree.street[location.node]) == (observation.seat, 0)
                drift = tree.contributions[location.node].min() / min(observation.contributions)
                assert 1 / 3 < drift <= 2
        hand.apply(observation.min_raise_to)


def test_a_hand_that_goes_on_after_the_trees_hand_is_over_is_played_on():
    """Called all-in in the tree, but not really: the next street is found by the real pot."""
    observation = _hand(300, 12_000, CALL).observe()
    located = Translator(GAME, TREES["fcpa"]).locate(observation)
    assert sum(weight for _, weight in located) == pytest.approx(1)
    for location, _ in located:
        tree = TREES["fcpa"]
        assert (tree.actor[location.node], tree.street[location.node]) == (0, 1)
        assert tree.n_actions[location.node] >= 2
