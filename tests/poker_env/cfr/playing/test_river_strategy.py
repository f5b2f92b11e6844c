"""Re-solving the river: both ranges by Bayes' rule, one consistent policy, and bets that no tree foresaw."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.cards.holdings import HOLDINGS, N_HOLDINGS
from poker_env.cfr.playing.blueprint_strategy import BlueprintStrategy
from poker_env.cfr.playing.river_strategy import RiverStrategy, floored, likelihoods, ranges_before_river
from poker_env.cfr.playing.translation import pseudo_harmonic
from poker_env.games import HOLDEM_CARDS, make_deals, make_game
from poker_env.knowledge.ranges import range_policy_of
from poker_env.player_specs import make_player
from poker_env.players.cfr import CFRPlayer
from poker_env.state import CALL, HandState

GAME = make_game("holdem")
CHECKED_DOWN = (CALL,) * 6
RAISED = (300, CALL, CALL, 600, CALL, CALL, CALL)


@pytest.fixture(scope="module")
def blueprint() -> BlueprintStrategy:
    return make_player("cfr:small", GAME).strategy


@pytest.fixture(scope="module")
def strategy(blueprint) -> RiverStrategy:
    return RiverStrategy(blueprint)


def play(actions, seed=0):
    hand = HandState(GAME, make_deals(GAME, 1, seed)[0])
    for action in actions:
        hand.apply(action)
    return hand


def names(holding):
    low, high = sorted(HOLDINGS[holding].tolist())
    return HOLDEM_CARDS[high], HOLDEM_CARDS[low]


def unblocked(board):
    return np.array([not set(names(holding)) & set(board) for holding in range(N_HOLDINGS)])


# Ranges


def test_ranges_are_those_of_bayes_rule(blueprint):
    """Holdings asked one by one at every decision of both players; some bets are in no tree."""
    actions = (250, CALL, 777, CALL, CALL, 2000, CALL)
    observation = play(actions).observe()
    found = ranges_before_river(blueprint, observation)
    live = np.random.default_rng(0).choice(np.flatnonzero(unblocked(observation.board)), 100, replace=False)
    expected, foreign = np.ones((2, len(live))), 0
    hand = play(())
    for action in actions:
        asked = hand.observe()
        policies = blueprint.policies([replace(asked, hole=names(holding)) for holding in live])
        known, highest = blueprint.range_policy(asked)[0], max(asked.contributions)
        foreign += action not in known
        expected[asked.seat] *= [chance(policy, known, action, highest) for policy in policies]
        hand.apply(action)
    expected /= expected.sum(axis=1, keepdims=True)
    found = found[:, live] / found[:, live].sum(axis=1, keepdims=True)
    assert np.allclose(found, expected, atol=1e-12)
    assert (expected.std(axis=1) > 1e-4).all() and foreign


def chance(policy, actions, action, highest):
    """Of an action, or of a raise between two of a policy's actions."""
    if action in actions:
        return policy.get(action, 0)
    lower = max((other for other in actions if 1 < other < action), default=CALL)
    upper = min(other for other in actions if other > action)
    sizes = [0 if other == CALL else (other - highest) / (2 * highest) for other in (lower, upper, action)]
    share = pseudo_harmonic(*sizes)
    return share * policy.get(lower, 0) + (1 - share) * policy.get(upper, 0)


def test_a_raise_beyond_a_policys_largest_says_nothing():
    hand = play((300, 2000))
    move = hand.moves[-1]
    policy = np.array([[0.5, 0.5], [1.0, 0.0]])
    assert likelihoods((0, CALL), policy, move).tolist() == [1, 1]
    assert likelihoods((CALL, 2000), policy, move).tolist() == [0.5, 0]
    share = pseudo_harmonic(0, 19_700 / 600, 1700 / 600)
    expected = [0.5, share]
    assert likelihoods((CALL, 20_000), policy, move).tolist() == pytest.approx(expected)


def test_floors_leave_no_holding_out_and_blocked_ones_out():
    board = np.array([0, 5, 10, 15, 20])
    weights = np.zeros((2, N_HOLDINGS))
    weights[0, :100] = 1
    live = ~np.isin(HOLDINGS, board).any(axis=1)
    ranges = floored(weights, board, np.array([0.1, 0.2]))
    assert ranges.sum(axis=1) == pytest.approx([1, 1])
    assert ((ranges > 0) == live).all()
    assert ranges[0, live & (np.arange(N_HOLDINGS) >= 100)].sum() == pytest.approx(0.1, rel=0.2)
    assert np.ptp(ranges[1, live]) == pytest.approx(0)  # what nobody does says nothing


# The policy


def is_legal(observation, action):
    lowest = observation.min_raise_to
    return action in observation.legal or (lowest is not None and lowest <= action <= GAME.stack)


def check(strategy, observation):
    """What every river state must give, whoever asks and however."""
    actions, probabilities = strategy.range_policy(observation)
    live = unblocked(observation.board)
    assert probabilities.shape == (N_HOLDINGS, len(actions))
    assert np.allclose(probabilities.sum(axis=1), live, atol=1e-9) and probabilities.min() >= 0
    assert all(is_legal(observation, action) for action in actions)
    [policy] = strategy.policies([observation])
    holding = next(h for h in range(N_HOLDINGS) if set(names(h)) == set(observation.hole))
    row = dict(zip(actions, probabilities[holding].tolist(), strict=True))
    assert {action: p for action, p in row.items() if p} == policy
    return actions, probabilities


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    before=st.sampled_from(
        [CHECKED_DOWN, RAISED, (777, 1700, 5000, CALL, CALL, 5431, CALL, 9000, CALL), (CALL, 210, *CHECKED_DOWN[1:])]
    ),
    choices=st.lists(
        st.tuples(st.sampled_from(["check", "call", "min", "any", "tree", "all-in"]), st.floats(0, 1)),
        min_size=6,
        max_size=6,
    ),
)
def test_every_river_state_has_a_policy_over_legal_actions(strategy, seed, before, choices):
    hand = play(before, seed)
    while hand.street < 3 and not hand.done:
        hand.apply(CALL)
    for kind, size in choices:
        if hand.done:
            return
        observation = hand.observe()
        actions, _ = check(strategy, observation)
        lowest, action = observation.min_raise_to, CALL
        if kind == "tree":
            action = actions[int(size * 0.999 * len(actions))]
        elif kind != "call" and lowest is not None:
            room = GAME.stack - lowest
            action = lowest + round({"check": 0, "min": 0, "any": size**4, "all-in": 1}[kind] * room)
        hand.apply(action)


def test_the_policy_depends_on_nothing_hidden_and_no_history_of_asking(blueprint, strategy):
    observation = play((*RAISED, CALL, 1111), 3).observe()
    _, probabilities = check(strategy, observation)
    others = [card for card in HOLDEM_CARDS if card not in (*observation.board, *observation.hole)]
    hidden = replace(observation, hole=(others[7], others[30]), coin_seed=1)
    fresh = RiverStrategy(blueprint)
    assert (fresh.range_policy(hidden)[1] == probabilities).all()
    together = strategy.policies([observation, play(()).observe(), hidden])
    assert together[0] == strategy.policies([observation])[0]
    assert together[1] == blueprint.policies([play(()).observe()])[0]
    assert together[2] == fresh.policies([hidden])[0]


def test_until_the_turn_it_is_the_blueprint(blueprint, strategy):
    for length in range(len(RAISED)):
        observation = play(RAISED[:length]).observe()
        actions, probabilities = strategy.range_policy(observation)
        assert actions == blueprint.range_policy(observation)[0]
        assert (probabilities == blueprint.range_policy(observation)[1]).all()


def test_a_bet_that_was_not_foreseen_leaves_what_was_played_before_it(strategy):
    """The player checks, meets an odd bet and solves again: its check stays what it was, its range is its true one."""
    before = play(RAISED, 8)
    first = before.observe()
    actions, played = strategy.range_policy(first)
    after = play((*RAISED, CALL, 1357), 8).observe()
    path = (CALL, 1357)
    strategy.range_policy(after)
    solution = next(found for key, found in strategy._solutions.items() if key[-1] == path and key[1] == after.board)
    again, replayed = solution.at(())
    assert again == actions
    assert np.allclose(replayed, played, atol=1e-6)


def test_foreseen_bets_are_answered_by_the_first_solution(blueprint):
    fresh = RiverStrategy(blueprint)
    for actions in (RAISED, (*RAISED, CALL, 1200), (*RAISED, 1200, 3600), (*RAISED, 1800)):
        fresh.range_policy(play(actions, 8).observe())
    assert len(fresh._solutions) == 2  # one for each seat


def test_a_local_best_response_sees_the_same_policy(strategy):
    player = CFRPlayer("cfr:small+river", strategy, "")
    policy = range_policy_of(player)
    for actions in ((), RAISED[:3], RAISED, (*RAISED, CALL, 1357)):
        observation = play(actions, 8).observe()
        elsewhere = replace(observation, board=play(CHECKED_DOWN, 9).observe().board[: len(observation.board)])
        for asked in (observation, elsewhere):
            board = np.array([HOLDEM_CARDS.index(card) for card in asked.board], np.int64)
            actions_found, probabilities = policy(observation)(board)
            expected_actions, expected = strategy.range_policy(asked)
            live = unblocked(asked.board)
            assert actions_found == expected_actions
            assert np.allclose(probabilities[live], expected[live])
