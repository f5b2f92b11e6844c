"""The river as a game: real chips, a solver checked by brute-force best responses, a game with a known solution."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.cards.holdings import HOLDINGS, N_HOLDINGS, hand_value
from poker_env.cfr.playing.river_game import actions_at, node_after, river_tree, solve_river
from poker_env.cfr.tree import FOLD, RAISE, SHOWDOWN
from poker_env.games import HOLDEM_CARDS, Deal, Game, make_game
from poker_env.state import CALL, HandState

GAME = make_game("holdem")
BOARD = (1, 50, 17, 30, 42)


def cards(text):
    return tuple(HOLDEM_CARDS.index(text[place : place + 2]) for place in range(0, len(text), 2))


def holding(text):
    low, high = sorted(cards(text))
    return low * (103 - low) // 2 + high - low - 1


# The tree


def on_the_river(game, matched):
    """A hand that reaches the river with so many chips from each player."""
    hand = HandState(game, Deal(tuple(range(game.deck_length)), 0, 0))
    if matched > game.big_blind:
        hand.apply(matched)
        hand.apply(CALL)
    while hand.street < 3:
        hand.apply(CALL)
    return hand


@settings(max_examples=25, deadline=None)
@given(
    matched=st.one_of(st.just(100), st.integers(200, 19_999)),
    choices=st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.floats(0, 1)), min_size=12, max_size=12),
)
def test_whatever_is_bet_the_tree_follows_the_rules(matched, choices):
    hand, path = on_the_river(GAME, matched), ()
    for place, off_tree, size in choices:
        tree = river_tree(GAME, matched, path)
        node = node_after(tree, path)
        if hand.done:
            assert tree.n_actions[node] == 0
            assert (tree.actor[node] == SHOWDOWN) == hand.showdown
            return
        observation = hand.observe()
        actions = actions_at(tree, node)
        assert tree.actor[node] == observation.seat
        assert tuple(tree.contributions[node].tolist()) == observation.contributions
        assert [action for action in actions if action < RAISE] == list(observation.legal)
        smallest = observation.min_raise_to
        assert all(smallest is not None and smallest <= action <= GAME.stack for action in actions if action >= RAISE)
        assert (GAME.stack in actions) == (smallest is not None)
        action = actions[int(place * 0.999 * len(actions))]
        if off_tree and smallest is not None:
            action = smallest + round(size**3 * (GAME.stack - smallest))
        hand.apply(action)
        path = (*path, action)


def test_a_bet_in_the_path_is_added_where_it_was_made():
    assert actions_at(river_tree(GAME, 300), 0) == [CALL, 600, 900, 1500, 20_000]
    tree = river_tree(GAME, 300, (CALL, 777, 4321))
    assert actions_at(tree, 0) == [CALL, 600, 900, 1500, 20_000]
    assert actions_at(tree, node_after(tree, (CALL,))) == [CALL, 600, 777, 900, 1500, 20_000]
    assert actions_at(tree, node_after(tree, (CALL, 777))) == [FOLD, CALL, 777 + 2 * 777, 4321, 20_000]
    assert actions_at(tree, node_after(tree, (CALL, 900))) == [FOLD, CALL, 2700, 20_000]
    assert node_after(tree, (777,)) is None


# The solver


@functools.cache
def payoffs(board):
    """(1326, 1326): whether two holdings can meet, and +1, 0 or -1 for the first at a showdown; by hand values."""
    live = ~np.isin(HOLDINGS, board).any(axis=1)
    hands = np.array([[*pair, *board] for pair in HOLDINGS.tolist()])
    values = np.array([hand_value(hand) if ok else 0 for hand, ok in zip(hands, live, strict=True)])
    holds = (HOLDINGS[:, :, None] == np.arange(52)).any(axis=1).astype(np.float32)
    meet = ((holds @ holds.T == 0) & live[:, None] & live).astype(np.float32)
    return meet, meet * np.sign(values[:, None] - values).astype(np.float32)


def values(tree, strategy, ranges, board, seat, respond):
    """Chips (1326,) that a seat's holdings win, times the weight of the holdings they meet: by the strategy, or the
    most they can."""
    meet, better = payoffs(board)
    stakes = tree.contributions.min(axis=1)

    def value(node, reach):
        if tree.n_actions[node] == 0:
            if tree.actor[node] == SHOWDOWN:
                return stakes[node] * (better @ reach)
            return (-1 if tree.actor[node] == seat else 1) * stakes[node] * (meet @ reach)
        children = range(tree.first_child[node], tree.first_child[node] + tree.n_actions[node])
        if tree.actor[node] != seat:
            return sum(value(child, reach * strategy[child]) for child in children)
        below = np.array([value(child, reach) for child in children])
        return below.max(axis=0) if respond else (below * strategy[children]).sum(axis=0)

    return value(0, ranges[1 - seat].astype(np.float32))


def exploitability(tree, strategy, ranges, board):
    """NashConv / 2 in pots."""
    won = sum(ranges[seat] @ values(tree, strategy, ranges, board, seat, respond=True) for seat in (0, 1))
    return won / 2 / (ranges[0] @ payoffs(board)[0] @ ranges[1]) / (2 * tree.contributions[0, 0])


def random_ranges(board, seed=0):
    live = ~np.isin(HOLDINGS, board).any(axis=1)
    return (np.random.default_rng(seed).random((2, N_HOLDINGS)) ** 3 + 1e-4) * live


@pytest.mark.parametrize(
    ("board", "matched"),
    [(BOARD, 1000), (cards("AhKhQh7h2h"), 3000), (cards("AhKhQhJhTh"), 500), (cards("7c7d7h2s2d"), 8000)],
)
def test_exploitability_falls_towards_zero(board, matched):
    tree, ranges = river_tree(GAME, matched), random_ranges(board)
    found = [exploitability(tree, solve_river(tree, board, ranges, n), ranges, board) for n in (5, 30, 150)]
    assert all(value > -1e-6 for value in found)  # a best response wins at least what the strategy does: zero-sum
    assert found[1] < found[0] / 2 or found[1] < 1e-4
    assert found[2] < 0.005


def test_off_tree_bets_are_solved_as_well_as_those_of_the_tree():
    ranges = random_ranges(BOARD, 3)
    tree = river_tree(GAME, 1000, (1130, 2700, 9000))
    assert exploitability(tree, solve_river(tree, BOARD, ranges, 150), ranges, BOARD) < 0.01


def test_the_nuts_or_nothing_against_a_bluff_catcher():
    """A bet of the pot all-in: one bluff to two value bets, and half the bluff catchers call (Chen & Ankenman 2006,
    "The Mathematics of Poker", chapter 11)."""
    board = cards("KsQd8h5c2s")
    nuts, air = ["KcKd", "KcKh", "KdKh"], ["7c6c", "7d6d", "7h6h", "7s6s", "7c6d", "7d6c"]
    catchers = ["QcJc", "QhJh", "QsJs", "QcJh", "QhJc"]
    ranges = np.full((2, N_HOLDINGS), 1e-9)
    ranges[0, [holding(text) for text in nuts + air]] = 1
    ranges[1, [holding(text) for text in catchers]] = 1
    ranges[:, np.isin(HOLDINGS, board).any(axis=1)] = 0
    game = Game("holdem", 50, 100, 3000)
    tree = river_tree(game, 1000)
    strategy = solve_river(tree, board, ranges, 1000)
    all_in = node_after(tree, (3000,))
    bluffs = strategy[all_in, [holding(text) for text in air]].sum()
    value_bets = strategy[all_in, [holding(text) for text in nuts]].sum()
    call = node_after(tree, (3000, CALL))
    assert value_bets == pytest.approx(3, abs=0.02)
    assert bluffs / (bluffs + value_bets) == pytest.approx(1 / 3, abs=0.01)
    assert strategy[call, [holding(text) for text in catchers]].mean() == pytest.approx(1 / 2, abs=0.01)
    # A catcher wins nothing more by calling than by folding: the 4.5 hands of 9 that bet win its 1,000 chips, those
    # that give up lose theirs.
    won = ranges[0] @ values(tree, strategy, ranges, board, 0, respond=False)
    assert won / (ranges[0] @ payoffs(board)[0] @ ranges[1]) == pytest.approx(0, abs=10)


def test_it_is_a_strategy_and_always_the_same():
    tree, ranges = river_tree(GAME, 700), random_ranges(BOARD, 1)
    strategy = solve_river(tree, BOARD, ranges, 20)
    assert (strategy == solve_river(tree, BOARD, ranges, 20)).all()
    live = ~np.isin(HOLDINGS, BOARD).any(axis=1)
    for node in np.flatnonzero(tree.n_actions):
        children = slice(tree.first_child[node], tree.first_child[node] + tree.n_actions[node])
        assert np.allclose(strategy[children].sum(axis=0), live, atol=1e-5)
    assert strategy.min() >= 0


@pytest.mark.parametrize("suits", [(1, 0, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_suits_can_be_renamed(suits):
    """As holdings swap places in the ranking sums are rounded otherwise: equal but for that."""
    tree, ranges = river_tree(GAME, 700), random_ranges(BOARD, 2)
    renamed = np.array([card - card % 4 + suits[card % 4] for card in range(52)])
    pairs = np.sort(renamed[HOLDINGS], axis=1)
    place = pairs[:, 0] * (103 - pairs[:, 0]) // 2 + pairs[:, 1] - pairs[:, 0] - 1
    other_ranges = np.empty_like(ranges)
    other_ranges[:, place] = ranges
    strategy = solve_river(tree, BOARD, ranges, 15)
    other = solve_river(tree, renamed[list(BOARD)], other_ranges, 15)
    assert np.abs(other[:, place] - strategy).max() < 0.01


def test_scaling_a_range_changes_nothing():
    tree, ranges = river_tree(GAME, 700), random_ranges(BOARD, 2)
    scaled = ranges * np.array([[1000.0], [0.25]])
    assert np.abs(solve_river(tree, BOARD, scaled, 15) - solve_river(tree, BOARD, ranges, 15)).max() < 0.01


def test_decisions_can_be_fixed_and_the_rest_is_best_against_them():
    """The first player always bets the pot: the second's answer is all that is left to improve."""
    tree, ranges = river_tree(GAME, 1000), random_ranges(BOARD, 4)
    bet = actions_at(tree, 0).index(3000)
    always = np.zeros((tree.n_actions[0], N_HOLDINGS))
    always[bet] = 1
    strategy = solve_river(tree, BOARD, ranges, 200, fixed={0: always})
    live = ranges[0] > 0
    assert (strategy[1 : 1 + tree.n_actions[0], live] == always[:, live]).all()
    played = ranges[1] @ values(tree, strategy, ranges, BOARD, 1, respond=False)
    best = ranges[1] @ values(tree, strategy, ranges, BOARD, 1, respond=True)
    meet = ranges[0] @ payoffs(BOARD)[0] @ ranges[1]
    assert 0 <= (best - played) / meet / 2000 < 0.01
    free = solve_river(tree, BOARD, ranges, 200)
    assert best > ranges[1] @ values(tree, free, ranges, BOARD, 1, respond=False) + 0.01 * meet * 2000
