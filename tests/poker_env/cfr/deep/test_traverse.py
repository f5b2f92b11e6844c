"""Walks in lockstep, against the solver's own traversal and against tabular linear CFR."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_spiel.python.algorithms.discounted_cfr import LCFRSolver

from poker_env.cfr.deep.game import Deals, DeepGame, kuhn_deals
from poker_env.cfr.deep.small_games import tabulate
from poker_env.cfr.deep.traverse import draw_coins, match_regrets, uniform, walk
from poker_env.cfr.traverse import compile_tree, traverse
from poker_env.cfr.tree import PRESETS, SHOWDOWN
from poker_env.games import make_game

KUHN = DeepGame.of(make_game("kuhn"))
GAMES = {
    "kuhn": KUHN,
    "leduc": DeepGame.of(make_game("leduc")),
    "holdem": DeepGame.of(make_game("holdem:stack=3000"), PRESETS["fcpa"]),
}
N_BUCKETS = 7


def _buckets(cards):
    """Some bucket for each hand (n, cards)."""
    return (cards.astype(np.int64) + 1) @ np.arange(3, 3 + cards.shape[1]) % N_BUCKETS


def _table_strategy(game, offsets, regrets):
    """Regret matching in a table, some regret being above 0 everywhere."""

    def strategy(cards):
        buckets = _buckets(cards)

        def choose(hands, nodes):
            found = np.zeros((len(nodes), game.n_actions), np.float32)
            for row, (hand, node) in enumerate(zip(hands, nodes, strict=True)):
                legal = np.flatnonzero(game.children[node] >= 0)
                entry = offsets[node] + buckets[hand] * len(legal)
                positive = np.maximum(regrets[entry : entry + len(legal)], 0)
                found[row, legal] = positive / positive.sum()
            return found

        return choose

    return strategy


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("seat", [0, 1])
def test_regrets_are_those_of_the_solvers_traversal(name, seat):
    """The other seat never mixes, so that there is nothing to draw."""
    game, rng = GAMES[name], np.random.default_rng(3)
    offsets, total = game.tree.offsets((N_BUCKETS,) * game.n_streets)
    regrets = rng.uniform(0.1, 1, total).astype(np.float32)
    for node in np.flatnonzero((game.tree.actor == 1 - seat) & (game.tree.n_actions > 0)):
        count = int(game.tree.n_actions[node])
        for bucket in range(N_BUCKETS):
            entry = offsets[node] + bucket * count
            regrets[entry : entry + count] = -1e9  # whatever the traversal of the other seat adds
            regrets[entry + rng.integers(count)] = 1e9
    deals = game.deal(20, rng)
    winners = np.sign(deals.results[:, -1]).astype(np.int8)
    deals = replace(deals, results=np.tile(winners[:, None], game.n_streets))  # nothing still to come is averaged
    strategy = _table_strategy(game, offsets, regrets)
    found = walk(game, deals, draw_coins(game, 20, rng), seat, (strategy, strategy)).regrets
    own = np.repeat((game.tree.actor == seat) & (game.tree.n_actions > 0), game.tree.n_actions * N_BUCKETS)
    nodes, stakes = compile_tree(game.tree, offsets)
    buckets = _buckets(deals.cards.reshape(-1, game.deck.length)).reshape(2, 20, game.n_streets)
    moved = 0.0
    for number in range(20):
        after = regrets.copy()
        dealt = np.ascontiguousarray(buckets[:, number][None]).astype(np.uint16)
        state = np.array([5], np.uint64)
        traverse(nodes, stakes, dealt, winners[number : number + 1], after, np.zeros_like(after), 0.0, state)
        added = np.zeros(total)
        for row in np.flatnonzero(found.walks == number):
            node = found.nodes[row]
            legal = game.children[node] >= 0
            entry = offsets[node] + _buckets(found.cards[row : row + 1])[0] * legal.sum()
            added[entry : entry + legal.sum()] += found.targets[row, legal]
            assert not found.targets[row, ~legal].any()
        moved += np.abs(added).sum()
        np.testing.assert_allclose(added[own], (after - regrets)[own], atol=2e-2 if name == "holdem" else 1e-5)
    assert moved > 10


class _Table:
    """Regrets and sums of a strategy, kept exactly: what the networks stand for."""

    def __init__(self):
        self.regrets = np.zeros((3, len(KUHN.tree), KUHN.n_actions))
        self.sums = np.zeros_like(self.regrets)

    def probabilities(self, card):
        """(nodes, actions) by regret matching; where no regret is positive, uniform, as tabular CFR has it."""
        positive = np.maximum(self.regrets[card], 0) * KUHN.legal
        totals = positive.sum(axis=1, keepdims=True)
        even = KUHN.legal / np.maximum(KUHN.legal.sum(axis=1, keepdims=True), 1)
        return np.where(totals > 0, positive / np.where(totals > 0, totals, 1), even)

    def strategy(self, cards):
        chances = np.array([self.probabilities(card) for card in range(3)])
        return lambda hands, nodes: chances[cards[hands, 0], nodes]


def _everything(table, seat):
    """All luck of Kuhn: deals, the other seat's coins, and how probable each is.

    A step's coins matter only by which of the other seat's cumulative probabilities they pass: one of each interval.
    """
    for deal in itertools.permutations(range(3), 2):
        chances = np.cumsum(table.probabilities(deal[1 - seat]), axis=1)
        edges = np.unique(np.concatenate(([0.0, 1.0], np.clip(chances, 0, 1).reshape(-1))))
        widths = np.diff(edges)
        intervals = np.flatnonzero(widths > 1e-12)
        for steps in itertools.product(intervals, repeat=KUHN.depth):
            yield deal, [(edges[step] + edges[step + 1]) / 2 for step in steps], np.prod(widths[list(steps)]) / 6


def test_with_a_table_in_the_networks_place_it_is_linear_cfr():
    """Kuhn, the luck of the walks integrated out: OpenSpiel's tabular LCFR, iteration by iteration."""
    table, reference = _Table(), LCFRSolver(KUHN.game.spiel)
    sums = {infoset: np.zeros(2) for infoset in tabulate(KUHN, table.strategy).table}
    for iteration in range(1, 41):
        before = _rows(reference, sums)
        for seat in range(2):
            decks, coins, shares = map(np.array, zip(*_everything(table, seat), strict=True))
            found = walk(KUHN, kuhn_deals(decks), coins, seat, (table.strategy, table.strategy))
            for samples, into in ((found.regrets, table.regrets), (found.played, table.sums)):
                weights = iteration * shares[samples.walks, None]
                np.add.at(into, (samples.cards[:, 0], samples.nodes), weights * samples.targets)
        reference.evaluate_and_update_policy()
        after = _rows(reference, sums)
        ours = tabulate(KUHN, table.strategy).table
        for infoset, theirs in after.items():
            assert list(ours[infoset].values()) == pytest.approx(theirs.tolist(), abs=1e-6), (iteration, infoset)
        # What a seat plays while the other one walks: seat 0 has learnt from this iteration by then, seat 1 hasn't.
        for infoset in sums:
            played = after if len(infoset) % 2 else before
            reach = played[infoset[0]][0] if infoset.endswith("pb") else 1.0
            sums[infoset] += iteration * reach * played[infoset]

    def average(cards):
        shares = table.sums / np.maximum(table.sums.sum(axis=2, keepdims=True), 1e-300)
        return lambda hands, nodes: shares[cards[hands, 0], nodes]

    strategy = tabulate(KUHN, average)
    for infoset, row in strategy.table.items():
        assert list(row.values()) == pytest.approx((sums[infoset] / sums[infoset].sum()).tolist(), abs=1e-6)
    assert strategy.exploitability(KUHN.game) < 0.02


def _rows(solver, infosets):
    policy = solver.current_policy()
    return {infoset: np.array(policy.policy_for_key(infoset)) for infoset in infosets}


@pytest.mark.parametrize("name", GAMES)
def test_a_walk_is_the_same_alone_and_among_others(name):
    game, rng = GAMES[name], np.random.default_rng(1)
    deals, coins = game.deal(8, rng), draw_coins(game, 8, rng)
    together = walk(game, deals, coins, 0, (uniform(game), uniform(game)))
    decisions = 0
    for number in range(8):
        cards = deals.cards.reshape(2, 8, game.n_streets, -1)[:, number]
        single = type(deals)(cards, deals.results[number : number + 1])
        alone = walk(game, single, coins[number : number + 1], 0, (uniform(game), uniform(game)))
        decisions += alone.decisions
        for one, all_of_them in ((alone.regrets, together.regrets), (alone.played, together.played)):
            rows = all_of_them.walks == number
            assert np.array_equal(one.nodes, all_of_them.nodes[rows])
            assert np.array_equal(one.cards, all_of_them.cards[rows])
            assert np.array_equal(one.targets, all_of_them.targets[rows])
    assert decisions == together.decisions


@given(st.lists(st.tuples(*[st.floats(-100, 100, width=32)] * 3), min_size=1, max_size=20), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_regret_matching(rows, seed):
    game = GAMES["leduc"]
    advantages = np.array(rows, np.float32)
    nodes = np.random.default_rng(seed).choice(np.flatnonzero(game.tree.n_actions), len(rows))
    found = match_regrets(advantages, nodes, game.children)
    for row, chances, node in zip(advantages, found, nodes, strict=True):
        legal = game.children[node] >= 0
        assert chances.sum() == pytest.approx(1, abs=1e-5)
        assert not chances[~legal].any()
        if (row[legal] > 0).any():
            assert chances[legal] == pytest.approx(
                np.maximum(row, 0)[legal] / np.maximum(row, 0)[legal].sum(), abs=1e-5
            )
        else:
            best = row[legal] == row[legal].max()
            assert chances[legal] == pytest.approx(best / best.sum())


def _expected_regrets(game, results, chances, seat):
    """(nodes, actions): a deal's, summed over everything the other seat may do, each as probable as it is."""
    found = np.zeros((len(game.tree), game.n_actions))

    def value(node, reach):
        if not game.tree.n_actions[node]:
            street, actor = game.tree.street[node], game.tree.actor[node]
            share = {SHOWDOWN: results[street] * (1 - 2 * seat), seat: -1, 1 - seat: 1}[actor]
            return share * game.stakes[node]
        own = game.tree.actor[node] == seat
        legal = np.flatnonzero(game.children[node] >= 0)
        below = [
            value(game.children[node, action], reach if own else reach * chances[node, action]) for action in legal
        ]
        mean = chances[node, legal] @ below
        if own:
            found[node, legal] = reach * (np.array(below) - mean)
        return mean

    value(0, 1.0)
    return found


@pytest.mark.parametrize(("name", "stack"), [("leduc", 100), ("holdem", 800)])
@pytest.mark.parametrize("seat", [0, 1])
def test_a_mixing_seats_walks_are_right_on_the_mean(name, stack, seat):
    """Its folds and calls that end the hand stand for one another, its raises stand for themselves."""
    count, rng = 40_000, np.random.default_rng(seat)
    game = GAMES["leduc"] if name == "leduc" else DeepGame.of(make_game(f"holdem:stack={stack}"), PRESETS["fcpa"])
    one = game.deal(1, rng)
    deals = Deals(np.tile(one.cards, (1, count, 1)), np.tile(one.results, (count, 1)))
    chances = rng.uniform(0.1, 1, game.legal.shape) * game.legal
    chances /= np.maximum(chances.sum(axis=1, keepdims=True), 1e-9)
    found = walk(
        game, deals, draw_coins(game, count, rng), seat, 2 * (lambda cards: lambda hands, nodes: chances[nodes],)
    )
    sums, squares = np.zeros(game.legal.shape), np.zeros(game.legal.shape)
    np.add.at(sums, found.regrets.nodes, found.regrets.targets)
    np.add.at(squares, found.regrets.nodes, found.regrets.targets**2)
    mean = sums / count
    error = np.sqrt(np.maximum(squares / count - mean**2, 0) / count)
    expected = _expected_regrets(game, one.results[0], chances, seat)
    assert (np.abs(mean - expected) <= 5 * error + 0.002 * np.abs(expected).max()).all()
    assert np.abs(expected).max() > 1
