"""Whole policies: what a player does with every holding is what it does with each of them by itself."""

from dataclasses import replace

import numpy as np
import pytest

from poker_env.cards.holdings import HOLDINGS, N_HOLDINGS, holding_index
from poker_env.errors import UserError
from poker_env.games import HOLDEM_CARDS, make_deals, make_game
from poker_env.knowledge.ranges import hole_cards, range_policy_of
from poker_env.player_specs import make_player
from poker_env.state import CALL, FOLD, HandState

GAME = make_game("holdem")


def card_ids(cards):
    return np.array([HOLDEM_CARDS.index(card) for card in cards], np.int64)


def observations(count, seed):
    """What players see on random ways through hands, with raises of any size, on and off a blueprint's tree."""
    rng, seen = np.random.default_rng(seed), []
    for deal in make_deals(GAME, count, seed):
        hand = HandState(GAME, deal)
        while not hand.done:
            observation = hand.observe()
            seen.append(observation)
            smallest, action = observation.min_raise_to, CALL
            if smallest is not None and rng.random() < 0.35:
                action = int(min(smallest * rng.uniform(1, 2.5), GAME.stack))
            hand.apply(action)
    return seen


def test_a_blueprints_range_is_its_own_policy_holding_by_holding():
    player, rng = make_player("cfr:small", GAME), np.random.default_rng(0)
    policy = range_policy_of(player)
    mixed, streets = 0, set()
    for observation in observations(10, 1):
        board = card_ids(observation.board)
        live = np.flatnonzero(~np.isin(HOLDINGS, board).any(axis=1))
        asked = live if not len(board) else rng.choice(live, 25, replace=False)
        actions, probabilities = policy(observation)(board)
        own = player.policy([replace(observation, hole=hole_cards(holding)) for holding in asked])
        assert probabilities.shape == (N_HOLDINGS, len(actions)) and set().union(*own) <= set(actions)
        expected = np.array([[row.get(action, 0.0) for action in actions] for row in own])
        assert probabilities[asked] == pytest.approx(expected, abs=1e-9)
        assert expected.sum(axis=1) == pytest.approx(np.ones(len(asked)))
        mixed += np.count_nonzero((expected > 0.05) & (expected < 0.95))
        streets.add(observation.street)
    assert streets == {0, 1, 2, 3} and mixed > 1_000


@pytest.mark.parametrize("name", ["fold", "call"])
def test_fold_and_call_do_what_they_do_at_the_table(name):
    player, policy, met = make_player(name, GAME), range_policy_of(make_player(name, GAME)), set()
    for observation in observations(20, 2):
        actions, probabilities = policy(observation)(card_ids(observation.board))
        assert actions == (player.act([observation])[0].action,)
        assert np.array_equal(probabilities, np.ones((N_HOLDINGS, 1)))
        met.add((observation.to_call > 0, *actions))
    assert met == {(True, FOLD if name == "fold" else CALL), (False, CALL)}


class ByTheHighCard:
    """Says for one holding at a time how it calls, the oftener the higher its high card; the rest is no action."""

    name = "by the high card"

    def __init__(self):
        self.asked = 0

    def act(self, observations):
        raise NotImplementedError

    def policy(self, observations):
        self.asked += len(observations)
        return [{CALL: HOLDEM_CARDS.index(observation.hole[0]) / 100} for observation in observations]


def test_a_player_is_asked_about_every_holding_and_its_silence_is_a_fold():
    player = ByTheHighCard()
    policy = range_policy_of(player, ask=True)
    for observation in observations(1, 3)[:3]:
        board = card_ids(observation.board)
        blocked = np.isin(HOLDINGS, board).any(axis=1)
        actions, probabilities = policy(observation)(board)
        assert actions == (FOLD, CALL)
        assert probabilities[:, 1] == pytest.approx(np.where(blocked, 0, HOLDINGS.max(axis=1) / 100))
        assert probabilities.sum(axis=1) == pytest.approx(~blocked * 1.0)
    before, first = player.asked, observations(1, 3)[0]
    policy(first)(card_ids(()))
    assert player.asked == before  # what it says before the flop is kept


def test_holdings_are_numbered_by_their_cards():
    cards = [hole_cards(holding) for holding in range(N_HOLDINGS)]
    assert [holding_index(*card_ids(pair)) for pair in cards] == list(range(N_HOLDINGS))
    assert all(np.diff(card_ids(pair)) < 0 for pair in cards)  # as an observation has them


@pytest.mark.parametrize("spec", ["tag", "lag", "random", "mix:cfr:small=0.5,lag=0.5"])
def test_who_cant_tell_is_refused_in_one_line(spec):
    for ask, others in ((False, ""), (True, ", a language model")):
        with pytest.raises(UserError) as refusal:
            range_policy_of(make_player(spec, GAME), ask=ask)
        assert str(refusal.value) == (
            f"{spec!r} can't say its policy for every holding: take fold, call{others}, a cfr player, or one with "
            "range_policy"
        )
    with pytest.raises(UserError, match="by the high card"):
        range_policy_of(ByTheHighCard())
