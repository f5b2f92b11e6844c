"""Mixtures: one component plays a whole hand, whichever way hands are batched, and as often as its weight says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.errors import UserError
from poker_env.evaluation.lbr_report import evaluate_lbr
from poker_env.evaluation.match import evaluate
from poker_env.evaluation.results import results
from poker_env.games import make_deals, make_game
from poker_env.knowledge.exact_value import ExactJudge
from poker_env.player_specs import make_player
from poker_env.players.mixture import mixture_spec, parse_mixture
from poker_env.state import HandState
from poker_env.table import play

KUHN, LEDUC, HOLDEM = make_game("kuhn"), make_game("leduc"), make_game("holdem")


def plain(hands):
    return [(hand.deal, hand.replica, hand.decisions, hand.payoff) for hand in hands]


def drawn(spec, deals, coin_key="villain"):
    """The component's number for each deal."""
    bounds = np.cumsum(list(parse_mixture(spec).values()))
    coins = [HandState(HOLDEM, deal).observe(coin_key).hand_coin for deal in deals]
    return np.searchsorted(bounds / bounds[-1], coins, side="right")


@pytest.mark.parametrize(("game", "component"), [(KUHN, "cfr"), (LEDUC, "cfr"), (HOLDEM, "lag")])
def test_a_mixture_of_one_is_that_one(game, component):
    deals, hero = make_deals(game, 100, 0), make_player("random", game)
    mixed = play(game, deals, hero, make_player(f"mix:{component}=3", game))
    assert plain(mixed) == plain(play(game, deals, hero, make_player(component, game)))


def test_every_hand_is_one_components_from_start_to_end():
    spec, components = "mix:lag=2,call=1,tag=1", ("lag", "call", "tag")
    deals, hero = make_deals(HOLDEM, 300, 4), make_player("random", HOLDEM)
    own = [play(HOLDEM, deals, hero, make_player(component, HOLDEM)) for component in components]
    expected = [own[number][place] for place, number in enumerate(drawn(spec, deals))]
    assert plain(play(HOLDEM, deals, hero, make_player(spec, HOLDEM))) == plain(expected)
    assert len({len(hand.decisions) for hand in expected}) > 3  # hands of many lengths


@pytest.mark.parametrize("batch", [1, 7])
def test_batches_change_nothing(batch):
    deals, hero = make_deals(HOLDEM, 40, 1), make_player("lag", HOLDEM)
    villain = make_player("mix:call=1,fold=1,random=2", HOLDEM)
    parts = [
        hand for start in range(0, 40, batch) for hand in play(HOLDEM, deals[start : start + batch], hero, villain)
    ]
    assert plain(parts) == plain(play(HOLDEM, deals, hero, villain))


def test_all_replicas_of_a_deal_meet_the_same_component():
    """Faced with a bet `call` always calls and `fold` always folds."""
    villain = make_player("mix:call=1,fold=1", HOLDEM)
    answers: dict[int, set[str]] = {}
    for hand in play(HOLDEM, make_deals(HOLDEM, 60, 0), make_player("random", HOLDEM), villain, replicas=8):
        kinds = {each.move.kind for each in hand.decisions if each.seat != hand.hero_seat}
        answers.setdefault(hand.deal.seed, set()).update(kinds & {"call", "fold"})
    assert all(len(kinds) <= 1 for kinds in answers.values())
    assert {"call", "fold"} == set().union(*answers.values())


def test_both_seats_of_a_deck_meet_the_same_component():
    deals = make_deals(HOLDEM, 50, 0)
    spec = "mix:call=1,tag=1"
    np.testing.assert_array_equal(drawn(spec, deals), drawn(spec, [deal.swapped() for deal in deals]))


@pytest.mark.parametrize("spec", ["mix:cfr=0.8,lag=0.1,tag=0.1", "mix:cfr=16,lag=2,tag=2"])
def test_components_come_as_often_as_their_weights_say(spec):
    counts = np.bincount(drawn(spec, make_deals(HOLDEM, 4_000, 0)), minlength=3)
    expected = 4_000 * np.array([0.8, 0.1, 0.1])
    assert ((counts - expected) ** 2 / expected).sum() < 13.8  # chi-squared, 2 degrees of freedom, p = 0.001


def test_hands_coins_stay_over_a_hand_and_differ_between_players_and_from_decisions_coins():
    deals = make_deals(HOLDEM, 500, 0)
    hand = HandState(HOLDEM, deals[0])
    coin = hand.observe("villain").hand_coin
    hand.apply(1)
    assert hand.observe("villain").hand_coin == coin != hand.observe("hero0").hand_coin
    seen = [HandState(HOLDEM, deal).observe("villain") for deal in deals]
    assert abs(np.corrcoef([(item.hand_coin, item.coin) for item in seen], rowvar=False)[0, 1]) < 0.15


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["cfr", "cfr:a/b=c.npz", "cfr+river", "tag", "call"]),
        st.floats(1e-6, 1e6) | st.integers(1, 100),
        min_size=1,
    )
)
def test_a_mappings_spec_is_read_back(weights):
    assert parse_mixture(mixture_spec(weights)) == weights


def test_spaces_after_commas_are_welcome():
    assert parse_mixture("mix:cfr=0.5, lag=0.5") == {"cfr": 0.5, "lag": 0.5}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mix:", "mixture of nothing"),
        ("mix", "mixture of nothing"),
        ("mix:,", "mixture of nothing"),
        ("mix:cfr", "'cfr' has no weight"),
        ("mix:=1", "'=1' has no weight"),
        ("mix:shark=1", "unknown player 'shark'"),
        ("mix:cfr:no/such.npz=1", "no checkpoint at no/such.npz"),
        ("mix:cfr=0", "weight '0' is not a number above 0"),
        ("mix:cfr=0.5,lag=-0.5", "weight '-0.5'"),
        ("mix:cfr=nan", "weight 'nan'"),
        ("mix:cfr=inf", "weight 'inf'"),
        ("mix:cfr=", "weight ''"),
        ("mix:cfr=much", "weight 'much'"),
        ("mix:cfr=1,cfr=2", "'cfr' is there twice"),
        ("mix:llm:no/such/folder=1", "can't load model 'no/such/folder'"),
        ("mix:human=1", "'human' can't be part"),
        ("mix:mix:cfr=1", "'mix:cfr' can't be part"),
    ],
)
def test_specs_that_make_no_sense(spec, message):
    with pytest.raises(UserError) as caught:
        make_player(spec, KUHN)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("weights", [{}, {"cfr": "a lot"}, {"cfr": None}, {"cfr": True}, {"lag": {"tag": 1}}, {1: -1}])
def test_mappings_that_make_no_sense(weights):
    with pytest.raises(UserError):
        mixture_spec(weights)


def test_results_name_the_checkpoints_of_all_components():
    villain = make_player("mix:cfr=1,cfr:weak=1,tag=1", KUHN)
    evaluation = evaluate(KUHN, make_player("cfr:weak", KUHN), villain, 20, progress=False)
    record = results(evaluation, "")
    assert record["villain"] == "mix:cfr=1,cfr:weak=1,tag=1"
    assert record["checkpoints"] == {spec: make_player(spec, KUHN).sha256 for spec in ("cfr", "cfr:weak")}


def test_where_the_policy_must_be_known_one_line_says_that_it_is_not():
    spec = "mix:cfr=1,call=1"
    asked = [
        lambda: ExactJudge(KUHN, make_player(spec, KUHN)),
        lambda: evaluate_lbr(HOLDEM, "lbr:fc", make_player("mix:call=1,fold=1", HOLDEM), 10),
    ]
    for ask in asked:
        with pytest.raises(UserError) as caught:
            ask()
        assert "mix:" in str(caught.value) and "\n" not in str(caught.value)
