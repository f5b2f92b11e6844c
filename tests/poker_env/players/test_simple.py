"""The bots that need no solving do what their names say."""

from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from poker_env.errors import UserError
from poker_env.games import HOLDEM_CARDS, Deal, make_deals, make_game
from poker_env.menu import make_menu
from poker_env.player_specs import make_player
from poker_env.players.simple import SIMPLE
from poker_env.state import HandState
from poker_env.table import play

HOLDEM = make_game("holdem")
GAMES = ["kuhn", "leduc", "holdem", "holdem:small_blind=3,big_blind=7,stack=90"]


def hands_of(hero, villain, game=HOLDEM, count=300, seed=0):
    return play(game, make_deals(game, count, seed), make_player(hero, game), make_player(villain, game))


def kinds_of(hands) -> Counter[str]:
    return Counter(decision.move.kind for hand in hands for decision in hand.hero_decisions)


@pytest.mark.parametrize("spec", GAMES)
def test_always_legal_and_the_same_again(spec):
    game = make_game(spec)
    for hero, villain in product(SIMPLE, SIMPLE):
        hands = hands_of(hero, villain, game, 30)
        assert all(decision.legal for hand in hands for decision in hand.decisions)
        assert hands == hands_of(hero, villain, game, 30)


@pytest.mark.parametrize("spec", GAMES)
def test_call_only_checks_and_calls(spec):
    assert set(kinds_of(hands_of("call", "lag", make_game(spec)))) == {"check", "call"}


@pytest.mark.parametrize("spec", GAMES)
def test_fold_checks_when_free_and_folds_to_any_bet(spec):
    hands = hands_of("fold", "random", make_game(spec))
    for decision in (decision for hand in hands for decision in hand.hero_decisions):
        assert decision.move.kind == ("fold" if decision.to_call else "check")
    assert set(kinds_of(hands)) == {"check", "fold"}


def test_random_takes_every_item_equally_often():
    observations = [HandState(HOLDEM, deal).observe() for deal in make_deals(HOLDEM, 7_000, 1)]
    size = len(make_menu(observations[0]))
    counts = Counter(answer.action for answer in make_player("random", HOLDEM).act(observations))
    assert len(counts) == size == 7
    assert sum((count - 1_000) ** 2 / 1_000 for count in counts.values()) < 22.5  # chi-square, 6 df, 99.9 %


def played(hands):
    """The share of hands in which hero put chips in by choice before the flop."""
    return np.mean(
        [
            any(decision.street == 0 and decision.move.added > 0 for decision in hand.hero_decisions)
            for hand in hands
            if hand.hero_decisions
        ]
    )


@pytest.mark.parametrize("villain", ["call", "random"])
def test_tag_is_tighter_than_lag(villain):
    tight, loose = hands_of("tag", villain, count=1_000), hands_of("lag", villain, count=1_000)
    assert 0.1 < played(tight) < played(loose) - 0.05 < 0.9
    aggression = [kinds_of(hands)["bet"] + kinds_of(hands)["raise"] for hands in (tight, loose)]
    assert aggression[0] < aggression[1]


@pytest.mark.parametrize("name", ["tag", "lag"])
def test_heuristics_look_at_their_cards(name):
    def act(hole, *actions):
        cards = "3c 8h " + hole + " Kh 7d 2c Qd 4s"
        hand = HandState(HOLDEM, Deal(tuple(HOLDEM_CARDS.index(card) for card in cards.split()), 1, seed=1))
        for action in actions:
            hand.apply(action)
        observation = replace(hand.observe(), coin_seed=2**64 - 1)  # no bluff
        answer = make_player(name, HOLDEM).act([observation])[0]
        return next(item.kind for item in make_menu(observation) if item.action == answer.action)

    assert act("As Ah") == "raise"
    assert act("As Ah", 300, 900, 2_700, 20_000) == "call"
    assert act("3h 2d") == "fold"
    assert act("7h 3d", 300, 20_000) == "fold"


@pytest.mark.parametrize(("name", "share"), [("tag", 0.08), ("lag", 0.18)])
def test_two_of_a_kind_rarely_raise_each_other_all_in(name, share):
    hands = hands_of(name, name, count=1_000)
    all_in = [any(decision.move.to == HOLDEM.stack for decision in hand.decisions) for hand in hands]
    assert np.mean(all_in) < share


@pytest.mark.parametrize("spec", ["", "nit", "Random", "random:1", "tag:x", "llm", "llm:"])
def test_unknown_players(spec):
    with pytest.raises(UserError, match="unknown player") as caught:
        make_player(spec, HOLDEM)
    assert repr(spec) in str(caught.value)
    assert "random, call, fold, tag, lag, cfr" in str(caught.value)


def test_players_know_their_spec():
    assert [make_player(name, HOLDEM).name for name in SIMPLE] == list(SIMPLE)
