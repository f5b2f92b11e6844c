"""Other people's players: what they leave out is worked out from what they say, and what they say wrongly is named."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.cards.holdings import HOLDINGS, N_HOLDINGS
from poker_env.errors import UserError
from poker_env.evaluation.match import evaluate
from poker_env.games import make_deals, make_game
from poker_env.hand import Answer
from poker_env.knowledge.exact_value import exact_policy
from poker_env.knowledge.ranges import range_policy_of
from poker_env.menu import make_menu
from poker_env.player_specs import make_player
from poker_env.players.cfr import CFRPlayer
from poker_env.players.checked import checked
from poker_env.table import play

HOLDEM, LEDUC, KUHN = make_game("holdem"), make_game("leduc"), make_game("kuhn")


class Policy:
    """A CFR player's policy, and nothing else."""

    def __init__(self, game, spec="cfr"):
        self.player = make_player(spec, game)

    def policy(self, observations):
        return self.player.policy(observations)


class Ranges:
    """The same for every holding."""

    def __init__(self, game):
        self.player = make_player("cfr:small", game)

    def range_policy(self, observation):
        return self.player.range_policy(observation)


class Says:
    """Whatever it is told to say, by method."""

    def __init__(self, **said):
        for method, answer in said.items():
            setattr(self, method, answer)


def actions_of(hands):
    return [[decision.move.action for decision in hand.decisions] for hand in hands]


@pytest.mark.parametrize("game", [KUHN, LEDUC])
def test_a_policy_alone_plays_and_is_judged_as_the_player_it_was_taken_from(game):
    own, other = checked("mine", Policy(game), game), make_player("cfr", game)
    deals = make_deals(game, 200, 3)
    assert actions_of(play(game, deals, own, own)) == actions_of(play(game, deals, other, other))
    assert exact_policy(game, own) == exact_policy(game, other)
    mine, cfr = (evaluate(game, make_player("tag", game), player, 200, 5, progress=False) for player in (own, other))
    assert np.allclose(mine.values["aivat"], cfr.values["aivat"]) and mine.captures == cfr.captures
    assert mine.estimates["aivat"].sd < 0.8 * mine.estimates["duplicate"].sd


def test_ranges_alone_play_and_are_known_for_every_holding():
    own, other = checked("mine", Ranges(HOLDEM), HOLDEM), make_player("cfr:small", HOLDEM)
    deals = make_deals(HOLDEM, 60, 3)
    hands = play(HOLDEM, deals, own, own)
    assert actions_of(hands) == actions_of(play(HOLDEM, deals, other, other))
    seen = max((seen for hand in hands for seat in (0, 1) for seen in hand.observations(seat)), key=lambda s: s.street)
    board = np.array([HOLDEM.cards.index(card) for card in seen.board])
    live = ~np.isin(HOLDINGS, board).any(axis=1)
    (actions, mine), (others, theirs) = range_policy_of(own)(seen)(board), range_policy_of(other)(seen)(board)
    assert actions == others and np.allclose(mine[live], theirs[live])
    judged = evaluate(HOLDEM, make_player("call", HOLDEM), own, 20, 1, progress=False, lbr=("fc",))
    assert judged.headline == "aivat" and judged.value_function.known_player == "mine" and "lbr:fc" in judged.captures


def test_who_only_acts_is_judged_without_its_policy():
    class Caller:
        def act(self, observations):
            return [Answer(1) for _ in observations]

    own = checked("mine", Caller(), HOLDEM)
    mine, call = (
        evaluate(HOLDEM, make_player("tag", HOLDEM), player, 40, 2, progress=False)
        for player in (own, make_player("call", HOLDEM))
    )
    assert np.array_equal(mine.values["payoff"], call.values["payoff"])
    assert mine.headline == "duplicate" and call.headline == "aivat"
    with pytest.raises(UserError, match="one with range_policy"):
        range_policy_of(own)
    with pytest.raises(UserError, match="exact policy of mine is not known"):
        exact_policy(KUHN, own)


def observation(game=HOLDEM, street=0):
    """The button's: before the flop it has 50 of 100 chips in."""
    hands = play(game, make_deals(game, 30, 1), make_player("call", game), make_player("call", game))
    return next(seen for hand in hands for seen in hand.observations(1) if seen.street == street)


def uniform(actions=(0, 1)):
    return actions, np.full((N_HOLDINGS, len(actions)), 1 / len(actions))


def raised(error):
    def method(argument):
        raise error

    return method


WRONG = [
    ("act", lambda seen: [None], "a list of poker_env.hand.Answer"),
    ("act", lambda seen: [1], "a list of poker_env.hand.Answer"),
    ("act", lambda seen: None, "one for each of 1 observations"),
    ("act", lambda seen: "call", "one for each of 1 observations"),
    ("act", lambda seen: [Answer(1)] * 2, "one for each of 1 observations"),
    ("act", lambda seen: [Answer(7)], r"returned 7 from act: return with \S\S \S\S after \d moves one of"),
    ("act", lambda seen: [Answer("call")], "returned 'call' from act"),
    ("act", lambda seen: [Answer(20_001)], "or a raise to 200 to 20000 chips"),
    (
        "act",
        raised(ZeroDivisionError("by nothing")),
        r"failed in act at test_checked\.py, line \d+: ZeroDivisionError",
    ),
    ("act", raised(SystemExit(3)), "failed in act at .* SystemExit: 3"),
    ("policy", lambda seen: [{1: 0.5}], "sum to 1, not to 0.5"),
    ("policy", lambda seen: [{1: 0.7, 200: 0.4}], r"sum to 1, not to 1\.1"),
    ("policy", lambda seen: [{1: float("nan")}], "probabilities, 0 to 1"),
    ("policy", lambda seen: [{1: 1.5, 0: -0.5}], "probabilities, 0 to 1"),
    ("policy", lambda seen: [{1: "all"}], "probabilities, 0 to 1"),
    ("policy", lambda seen: [[0.5, 0.5]], "probabilities, 0 to 1"),
    ("policy", lambda seen: {1: 1.0}, "one for each of 1 observations"),
    ("policy", lambda seen: [{0: 0.5, 150: 0.5}], "returned 150 from policy"),
    ("policy", raised(KeyError("x")), "failed in policy"),
    ("range_policy", lambda seen: None, "actions and an array"),
    ("range_policy", lambda seen: ((0, 1), np.ones((N_HOLDINGS, 3)) / 3), r"not \(1326, 3\) for 2 actions"),
    ("range_policy", lambda seen: ((0, 1), np.ones(N_HOLDINGS)), r"not \(1326,\)"),
    ("range_policy", lambda seen: ((0, 1), np.ones((N_HOLDINGS, 2))), "sum to 1 for each holding"),
    ("range_policy", lambda seen: ((0, 1), np.full((N_HOLDINGS, 2), np.nan)), "sum to 1 for each holding"),
    ("range_policy", lambda seen: uniform((1, 150)), "returned 150 from range_policy"),
    ("range_policy", lambda seen: ((0, 1), [["a", "b"]] * N_HOLDINGS), "actions and an array"),
    ("range_policy", raised(RuntimeError("two\nlines")), "RuntimeError: two$"),
]


@pytest.mark.parametrize(("method", "says", "message"), WRONG)
def test_what_is_wrong_is_said_in_one_line_that_names_the_player(method, says, message):
    player = checked("my:Bot", Says(**{method: says}), HOLDEM)
    with pytest.raises(UserError, match=message) as caught:
        player.act([observation()])
    assert "'my:Bot'" in str(caught.value) and "\n" not in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.recursive(st.none() | st.integers() | st.floats() | st.text() | st.just(Answer(1)), st.lists, max_leaves=4))
def test_anything_at_all_is_an_answer_or_one_line(said):
    player = checked("my:Bot", Says(act=lambda seen: said), HOLDEM)
    try:
        assert player.act([SEEN]) == [Answer(1)]
    except UserError as error:
        assert "'my:Bot' returned" in str(error) and "\n" not in str(error)


SEEN = observation()


def test_a_holding_on_the_board_may_have_any_row():
    seen = observation(street=1)
    board = [HOLDEM.cards.index(card) for card in seen.board]
    actions, probabilities = uniform((1,))
    probabilities[np.isin(HOLDINGS, board).any(axis=1)] = np.nan
    player = checked("mine", Says(range_policy=lambda seen: (actions, probabilities)), HOLDEM)
    assert player.act([seen]) == [Answer(1)]


@pytest.mark.parametrize("stack", [201, 2_000, 20_000])
def test_any_legal_raise_may_be_made_and_no_other(stack):
    game = make_game(f"holdem:stack={stack}")
    seen = observation(game)
    for action in (-1, 2, seen.min_raise_to - 1, stack + 1):
        assert not seen.is_legal(action)
    for action in (1, seen.min_raise_to, stack):
        assert seen.is_legal(action)
        assert (
            checked("mine", Says(policy=lambda s, action=action: [{action: 1}]), game).act([seen])[0].action == action
        )


def test_what_is_no_player_is_refused():
    with pytest.raises(UserError, match="is a Says without act, policy or range_policy"):
        checked("mine", Says(play=print), HOLDEM)
    with pytest.raises(UserError, match="range_policy alone, and leduc has no ranges"):
        checked("mine", Says(range_policy=print), LEDUC)


MODULE = '''
from poker_env.errors import UserError
from poker_env.hand import Answer

class Plain:
    """Calls."""
    def __init__(self, game): self.action = 1
    def act(self, observations): return [Answer(self.action) for _ in observations]

class Told(Plain):
    def __init__(self, game, action): self.action = int(action)

def either(game, action="1"): return Told(game, action)
def nothing(game): return None
def refuses(game): raise UserError("not today")
thing = 3
'''


@pytest.fixture
def bots(tmp_path, monkeypatch):
    (tmp_path / "bots_of_this_test.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield "bots_of_this_test"
    sys.modules.pop("bots_of_this_test", None)


def test_a_player_is_found_by_its_path(bots):
    seen = [observation()]
    for spec, action in (("Plain", 1), ("Told:0", 0), ("either", 1), ("either:20000", 20_000)):
        player = make_player(f"{bots}:{spec}", HOLDEM)
        assert player.name == f"{bots}:{spec}" and player.act(seen)[0].action == action
        assert len(player.sha256) == 64
    mixture = make_player(f"mix:call=0.5,{bots}:Told:0=0.5", HOLDEM)
    assert [part.name for part in mixture.components] == ["call", f"{bots}:Told:0"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("Plain:3", "takes no '3'"),
        ("Told", "needs something behind a colon"),
        ("Told:x", r"can't be made at bots_of_this_test\.py, line \d+: ValueError"),
        ("nothing", "is a NoneType without act"),
        ("refuses", "^not today$"),
        ("thing", "thing is not a function or class"),
        ("absent", "AttributeError"),
    ],
)
def test_a_path_that_leads_to_no_player_is_refused(bots, spec, message):
    with pytest.raises(UserError, match=message) as caught:
        make_player(f"{bots}:{spec}", HOLDEM)
    assert "\n" not in str(caught.value)


def test_modules_that_are_not_there_are_named():
    for spec in ("no_such_module:Bot", "no_such.module:Bot", "poker_env.nothing:Bot", "..:Bot", "lbr:fcpa"):
        with pytest.raises(UserError, match="unknown player") as caught:
            make_player(spec, HOLDEM)
        assert repr(spec) in str(caught.value) and "\n" not in str(caught.value)


def test_the_menu_is_legal_for_everyone():
    hands = play(HOLDEM, make_deals(HOLDEM, 200, 4), make_player("random", HOLDEM), make_player("lag", HOLDEM))
    for seen in (seen for hand in hands for seat in (0, 1) for seen in hand.observations(seat)):
        assert all(seen.is_legal(item.action) for item in make_menu(seen))
        assert seen.is_legal(0) == (seen.to_call > 0)
    assert not isinstance(make_player("call", HOLDEM), CFRPlayer)
