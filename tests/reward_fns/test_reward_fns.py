"""The built-in reward functions on scripted hands, and finding and checking reward functions."""

import math
import sys
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reward_fns
from poker_env import plugins
from poker_env.errors import UserError
from poker_env.games import Deal, make_deals, make_game
from poker_env.hand import Answer
from poker_env.menu import make_menu
from poker_env.table import play
from reward_fns import load_reward, read_reward, reward_names
from reward_fns.builtin import BUILT_IN, weak_holding

KUHN, LEDUC, HOLDEM = make_game("kuhn"), make_game("leduc"), make_game("holdem")
J, Q, K = range(3)
BIG_BLIND, BUTTON = 0, 1


class Script:
    """Both players of one hand: says the next action of a list whoever is asked."""

    name = "script"

    def __init__(self, actions):
        self._actions = iter(actions)

    def act(self, observations):
        return [Answer(next(self._actions)) for _ in observations]


class Chaos:
    """Any menu item, or now and then no legal one."""

    name = "chaos"

    def act(self, observations):
        answers = []
        for observation in observations:
            menu = make_menu(observation)
            choice = int(observation.coin * (len(menu) + 0.2))
            answers.append(Answer(menu[choice].action if choice < len(menu) else None))
        return answers


def scripted(game, deck, hero_seat, actions):
    script = Script(actions)
    return play(game, [Deal(tuple(deck), hero_seat, 0)], script, script)[0]


def cards(text):
    return [HOLDEM.cards.index(name) for name in text.split()]


# Seat 0 (big blind) has 7h 2c, seat 1 (button) As Ah; the board is Kc 9d 4s, Jh, 3d.
DECK = cards("7h 2c As Ah Kc 9d 4s Jh 3d")
# The button raises to 300 and is called; the big blind checks, calls 300 on the flop and folds to 1,200 on the turn.
BUTTON_BETS = [300, 1, 1, 600, 1, 1, 1800, 0]
# The same up to the turn, then check, check, and a showdown.
SHOWN_DOWN = [300, 1, 1, 600, 1, 1, 1, 1, 1]


def rewards(name, hand, **args):
    return load_reward(name, args=args)(hand)


def test_chips_go_to_the_last_decision_in_big_blinds():
    assert rewards("chips", scripted(HOLDEM, DECK, BUTTON, BUTTON_BETS)) == [0, 0, 6.0]
    assert rewards("chips", scripted(HOLDEM, DECK, BIG_BLIND, BUTTON_BETS)) == [0, 0, 0, 0, -6.0]
    assert rewards("chips", scripted(HOLDEM, DECK, BUTTON, BUTTON_BETS), payoff_scale=1000) == [0, 0, 0.6]
    assert rewards("chips", scripted(KUHN, [Q, K], 0, [0, 1, 1])) == [0, -2.0]


def test_aggression_pays_each_bet_and_raise():
    assert rewards("aggression", scripted(HOLDEM, DECK, BUTTON, SHOWN_DOWN)) == [0.1, 0.1, 0, 0]
    assert rewards("aggression", scripted(HOLDEM, DECK, BIG_BLIND, SHOWN_DOWN)) == [0, 0, 0, 0, 0]
    assert rewards("aggression", scripted(KUHN, [Q, K], 0, [1, 0]), bonus=2) == [2]


def test_fold_equity_is_for_the_bet_that_villain_folds_to():
    assert rewards("fold_equity", scripted(HOLDEM, DECK, BUTTON, BUTTON_BETS)) == [0, 0, 0.3]
    assert rewards("fold_equity", scripted(HOLDEM, DECK, BIG_BLIND, BUTTON_BETS)) == [0, 0, 0, 0, 0]
    assert rewards("fold_equity", scripted(HOLDEM, DECK, BUTTON, SHOWN_DOWN)) == [0, 0, 0, 0]


def test_showdown_must_be_won():
    assert rewards("showdown", scripted(HOLDEM, DECK, BUTTON, SHOWN_DOWN)) == [0, 0, 0, 0.2]
    assert rewards("showdown", scripted(HOLDEM, DECK, BIG_BLIND, SHOWN_DOWN)) == [0, 0, 0, 0, 0]
    assert rewards("showdown", scripted(HOLDEM, DECK, BUTTON, BUTTON_BETS)) == [0, 0, 0]
    split = scripted(LEDUC, [2, 3, 0], 0, [1, 1, 1, 1])  # both hold a queen
    assert split.payoff == 0 and rewards("showdown", split) == [0, 0]


def test_illegal_answers_cost():
    assert rewards("illegal", scripted(HOLDEM, DECK, BUTTON, [300, 1, 1, None])) == [0, -0.5]
    assert rewards("illegal", scripted(HOLDEM, DECK, BIG_BLIND, [300, 1, 1, None])) == [0, 0]
    assert rewards("illegal", scripted(KUHN, [Q, K], 0, [None]), penalty=-2) == [-2]


@pytest.mark.parametrize(
    ("flop_bet", "reward"),
    [
        (100, 0.2),  # 17 %, small
        (200, 0.0),  # 33 %
        (370, 0.2),  # 62 %, between the usual ones
        (450, 0.0),  # 75 %
        (600, 0.0),  # 100 %
        (700, 0.2),  # 117 %, far from 100 %
        (900, 0.2),  # 150 %
    ],
)
def test_sizing_pays_unusual_bets(flop_bet, reward):
    hand = scripted(HOLDEM, DECK, BUTTON, [300, 1, 1, 300 + flop_bet, 0])  # the pot is 600
    assert rewards("sizing", hand) == [0, reward]  # the open to 300 is a pot-sized raise


def test_bluff_pays_every_bet_of_a_hand_won_with_nothing():
    with_nothing = scripted(HOLDEM, DECK, BIG_BLIND, [300, 900, 1, 1500, 0])
    assert with_nothing.payoff > 0 and rewards("bluff", with_nothing) == [0.5, 0.5]
    with_aces = scripted(HOLDEM, DECK, BUTTON, BUTTON_BETS)
    assert with_aces.payoff > 0 and rewards("bluff", with_aces) == [0, 0, 0]
    caught = scripted(HOLDEM, DECK, BIG_BLIND, [300, 900, 1, 1500, 1, 1, 1, 1, 1])
    assert caught.payoff < 0 and rewards("bluff", caught) == [0, 0, 0, 0]
    assert rewards("bluff", scripted(KUHN, [J, K], 0, [1, 0])) == [0.5]
    assert rewards("bluff", scripted(KUHN, [Q, K], 0, [1, 0])) == [0]


@pytest.mark.parametrize(
    ("hole", "board", "weak"),
    [
        ("7h 2c", "", True),
        ("Qh Jh", "", True),
        ("Ah 2c", "", False),
        ("2h 2c", "", False),
        ("7h 2c", "Kc 9d 4s", True),
        ("Ah Qc", "Kc 9d 4s", True),
        ("7h 2c", "7c 9d 4s", False),
        ("7h 2c", "9c 9d 4s", True),  # the pair is everyone's
        ("8h 6c", "5c 7d 4s", False),  # a straight
        ("8h 6c", "5c 7d 4s Ad Kd", False),
        ("Ah Th", "2h 7h 4h", False),  # a flush
        ("Ah Tc", "2h 7h 4h Kh 9s", False),
        ("3h 2c", "Ts Js Qs Ks 9s", True),  # the straight flush is everyone's
        ("As 2c", "Ts Js Qs Ks 9s", False),
        ("3d 2c", "9h 9d 9c 4s 4h", True),  # so is the full house
        ("Kd 2c", "9h 9d 9c Ts 4h", True),  # a king to go with the board's three nines
    ],
)
def test_weak_holdings_in_holdem(hole, board, weak):
    unused = [card for card in HOLDEM.cards if card not in f"{hole} {board}"]
    shown = board.split()
    deck = cards(" ".join([hole, *unused[:2], *shown, *unused[2 : 7 - len(shown)]]))
    # The button calls and both check; where the hand is to end, the big blind bets and the button folds.
    to_street = {0: [], 3: [1], 4: [1, 1, 1], 5: [1, 1, 1, 1, 1]}[len(shown)]
    actions = [1, 300, 0] if not shown else [1, *to_street, 500, 0]
    hand = scripted(HOLDEM, deck, BIG_BLIND, actions)
    assert hand.board == tuple(shown) and hand.payoff > 0
    assert weak_holding(hand) is weak


def test_weak_holdings_in_kuhn_and_leduc():
    assert [weak_holding(scripted(KUHN, [card, (card + 1) % 3], 0, [1, 0])) for card in (J, Q, K)] == [1, 0, 0]
    leduc = {"J with J": [0, 2, 1], "J with Q": [0, 4, 2], "Q with K": [2, 0, 4], "K with J": [4, 2, 0]}
    weak = [name for name, deck in leduc.items() if weak_holding(scripted(LEDUC, deck, 0, [1, 1, 2, 0]))]
    assert weak == ["J with Q", "Q with K"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_no_rewards_when_villain_folds_before_hero_acts(name):
    hand = scripted(HOLDEM, DECK, BIG_BLIND, [0])
    assert hand.payoff > 0 and rewards(name, hand) == []


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), game=st.sampled_from([KUHN, LEDUC, HOLDEM]))
def test_one_finite_reward_per_decision_whatever_happens(seed, game):
    for hand in play(game, make_deals(game, 6, seed), Chaos(), Chaos()):
        for name in BUILT_IN:
            assert len(rewards(name, hand)) == len(hand.hero_decisions)
        assert math.isclose(sum(rewards("chips", hand, payoff_scale=1)), hand.payoff if hand.hero_decisions else 0)


def raising(hand):
    raise KeyError("oops")


def too_short(hand):
    return []


def not_a_number(hand):
    return [math.nan] * len(hand.hero_decisions)


def nothing(hand):
    pass


def test_a_function_is_found_by_dotted_path_in_the_current_directory(tmp_path, monkeypatch):
    source = "def half(hand, size=0.5):\n    return [size] * len(hand.hero_decisions)\n"
    (tmp_path / "rewards_of_this_test.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = load_reward("rewards_of_this_test:half", weight=2, args={"size": 0.25})
    assert (spec.name, spec.weight) == ("rewards_of_this_test:half", 2.0)
    assert spec(scripted(KUHN, [Q, K], 0, [0, 1, 1])) == [0.25, 0.25]


def point(name, value):
    return EntryPoint(name, value, reward_fns.ENTRY_POINT_GROUP)


@pytest.fixture
def install(monkeypatch):
    """Pretend that packages with these entry points are installed."""

    def pretend(*points):
        monkeypatch.setattr(plugins, "entry_points", lambda group: [p for p in points if p.group == group])

    return pretend


def test_a_function_is_found_by_entry_point(install):
    install(point("halves", "reward_fns.builtin:aggression"))
    assert "halves" in reward_names()
    assert load_reward("halves").function is BUILT_IN["aggression"]


def test_packages_that_offer_the_same_name_are_asked_for_by_path(install):
    install(point("halves", "reward_fns.builtin:bluff"), point("halves", "reward_fns.builtin:aggression"))
    with pytest.raises(UserError, match=r"reward_fns\.builtin:aggression, reward_fns\.builtin:bluff"):
        load_reward("halves")
    assert load_reward("reward_fns.builtin:bluff").function is BUILT_IN["bluff"]


def test_no_package_takes_the_name_of_a_built_in_function(install):
    install(point("chips", "reward_fns.builtin:bluff"))
    assert load_reward("chips").function is BUILT_IN["chips"]
    assert [offer.name for offer in reward_fns.reward_offers()] == [*BUILT_IN, "reward_fns.builtin:bluff"]


def with_gamma(hand, gamma):
    return [gamma] * len(hand.hero_decisions)


def test_a_function_that_has_a_parameter_gamma_is_given_the_run_s(monkeypatch):
    monkeypatch.setitem(BUILT_IN, "mine", with_gamma)
    hand = scripted(KUHN, [Q, K], 0, [0, 1, 1])
    assert load_reward("mine", gamma=0.9)(hand) == [0.9, 0.9]
    assert load_reward("mine", args={"gamma": 0.9}, gamma=0.9)(hand) == [0.9, 0.9]
    assert load_reward("chips", gamma=0.9).args == {}
    with pytest.raises(UserError, match=r"has gamma 0.5, the run 0.9"):
        load_reward("mine", args={"gamma": 0.5}, gamma=0.9)
    with pytest.raises(UserError, match="'mine' can't be called so: missing a required argument: 'gamma'"):
        load_reward("mine")


def test_rewards_as_configs_write_them():
    specs = [
        read_reward(written) for written in ("bluff", "bluff=2", {"name": "bluff", "weight": 2, "args": {"bonus": 1}})
    ]
    assert [(spec.name, spec.weight, dict(spec.args)) for spec in specs] == [
        ("bluff", 1.0, {}),
        ("bluff", 2.0, {}),
        ("bluff", 2.0, {"bonus": 1}),
    ]
    strange = ({"name": 5}, {"name": None}, {"name": ["chips"]}, {"name": "chips", "args": [0.5]})
    for wrong in (
        "bluff=much",
        {"weight": 2},
        {"name": "bluff", "bonus": 1},
        3,
        {"name": "chips", "args": "x"},
        *strange,
    ):
        with pytest.raises(UserError, match="reward"):
            read_reward(wrong)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (raising, r"failed at test_reward_fns.py, line \d+: KeyError: 'oops'"),
        (too_short, "returned 0 rewards for a hand with 2 hero decisions"),
        (not_a_number, r"returned \[nan, nan\]: rewards must be finite"),
        (nothing, "returned None: return a list of 2 numbers"),
        (lambda hand: 0.5, "returned 0.5: return a list of 2 numbers"),
        (lambda hand: [None, 1], "return a list of 2 numbers"),
        (lambda hand: "11", "returned '11': return a list of 2 numbers"),
        (lambda hand: {1: 1.0, 2: 1.0}, "return a list of 2 numbers"),
        (lambda hand: [10**400, 1], "return a list of 2 numbers"),
        (lambda hand: (1 / 0 for _ in hand.hero_decisions), "failed at .*ZeroDivisionError"),
        (lambda hand: sys.exit(7), "failed at .*SystemExit: 7"),
        (lambda hand: hand.decision, "Hand' object has no attribute 'decision'"),
    ],
)
def test_a_bad_function_is_named_in_one_line(function, message):
    spec = reward_fns.RewardSpec("mine", function)
    with pytest.raises(UserError, match=f"^reward function 'mine' .*{message}") as error:
        spec(scripted(KUHN, [Q, K], 0, [0, 1, 1]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("chip", {}, "chips, bluff, aggression, fold_equity, showdown, sizing, illegal"),
        ("no_such_module:f", {}, "no_such_module"),
        ("math:no_such_function", {}, "no_such_function"),
        ("math:pi", {}, "not a function"),
        ("math:", {}, "can't load reward function 'math:'"),
        ("bluff", {"args": {"bonsu": 1}}, "bonsu"),
        ("bluff", {"weight": math.nan}, "nan"),
        ("bluff", {"weight": "much"}, "much"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_one_line(name, arguments, message):
    with pytest.raises(UserError, match=message) as error:
        load_reward(name, **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "weight", "args", "message"),
    [
        ("illegal", 1.0, {"penalty": 1}, "penalty 1, which would pay for illegal answers: give a number below 0"),
        ("illegal", 1.0, {"penalty": "0.5"}, "penalty 0.5, which would pay"),
        ("illegal", -2.0, {}, "weight -2, which would pay for illegal answers: give one above 0"),
        ("illegal", 1.0, {"penalty": True}, "penalty True: it must be a finite number"),
        ("illegal", 1.0, {"penalty": "much"}, "penalty 'much': it must be a finite number"),
        ("illegal", 1.0, {"penalty": None}, "penalty None: it must be a finite number"),
        ("bluff", 1.0, {"bonus": [1]}, r"bonus \[1\]: it must be a finite number"),
        ("bluff", 1.0, {"bonus": float("nan")}, "bonus nan: it must be a finite number"),
        ("chips", 1.0, {"payoff_scale": 0}, "payoff_scale 0: the chips that count as 1 must be above 0"),
        ("chips", 1.0, {"payoff_scale": -2}, "payoff_scale -2"),
    ],
)
def test_amounts_that_make_no_sense_are_one_line(name, weight, args, message):
    with pytest.raises(UserError, match=f"reward function '{name}' has {message}") as caught:
        load_reward(name, weight, args)
    assert "\n" not in str(caught.value)


def test_amounts_that_do_are_taken():
    assert load_reward("illegal", 1.0, {"penalty": 0}).args == {"penalty": 0}
    assert load_reward("illegal", 1.0, {"penalty": "-0.25"}).args == {"penalty": -0.25}
    assert load_reward("illegal", 0.0).weight == 0
    assert load_reward("chips", 1.0, {"payoff_scale": None}).args == {"payoff_scale": None}
    assert load_reward("bluff", -1.0, {"bonus": -0.5}).args == {"bonus": -0.5}
