"""The Monte Carlo solver, where exact answers exist: Leduc."""

import numpy as np
import pyspiel
import pytest

from poker_env.cards.holdings import hand_value
from poker_env.cfr.abstraction.card_abstraction import Abstraction
from poker_env.cfr.blueprint import Blueprint
from poker_env.cfr.checkpoint import Provenance, load_checkpoint
from poker_env.cfr.dealers import LEDUC_BUCKETS, deal_leduc
from poker_env.cfr.leduc import leduc_strategy
from poker_env.cfr.mccfr import Solver, require_memory
from poker_env.cfr.traverse import compile_tree, traverse
from poker_env.cfr.tree import holdem_tree, leduc_tree, tree_config
from poker_env.errors import UserError
from poker_env.games import make_game
from poker_env.players.cfr import OPPONENTS

LEDUC = make_game("leduc")
TREE = leduc_tree(LEDUC)


def _solver(seed=0, workers=1, tremble=0.0):
    return Solver(TREE, LEDUC_BUCKETS, deal_leduc, 1.0, seed, tremble, workers)


def _forever(iterations):
    return True


@pytest.mark.parametrize("workers", [1, 2])
def test_it_reaches_the_equilibrium_of_leduc(workers):
    solver = _solver(workers=workers)
    solver.run(_forever, 3_000_000)
    assert leduc_strategy(LEDUC, TREE, solver).exploitability(LEDUC) < 0.012


def test_more_cores_do_as_well_per_iteration():
    found = []
    for workers in (1, 3):
        solver = _solver(seed=1, workers=workers)
        solver.run(_forever, 600_000)
        found.append(leduc_strategy(LEDUC, TREE, solver).exploitability(LEDUC))
    assert max(found) < 0.04


@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_seed_and_cores_give_the_same_result(workers):
    first, second, other = _solver(7, workers), _solver(7, workers), _solver(8, workers)
    for solver in (first, second, other):
        solver.run(_forever, 60_000)
    assert np.array_equal(first.regrets, second.regrets)
    assert np.array_equal(first.sums, second.sums)
    assert not np.array_equal(first.sums, other.sums)


def test_a_resumed_run_is_the_run_that_never_stopped(tmp_path):
    straight, stopped, resumed = _solver(5, 2), _solver(5, 2), _solver(5, 2)
    straight.run(_forever, 100_000)
    stopped.run(lambda iterations: iterations < 30_000, 100_000)
    assert 0 < stopped.iterations < 100_000
    provenance = Provenance("mccfr", stopped.iterations, 12.5, 5, "", "")
    stopped.save(tmp_path / "run", LEDUC, provenance, {"seed": 5})
    assert resumed.resume(tmp_path / "run", {"seed": 5}) == provenance
    resumed.run(_forever, 100_000)
    assert resumed.iterations == straight.iterations == 100_000
    assert np.array_equal(straight.regrets, resumed.regrets)
    assert np.array_equal(straight.sums, resumed.sums)


def test_a_run_of_other_settings_isnt_resumed(tmp_path):
    solver = _solver()
    solver.run(_forever, 100)
    solver.save(tmp_path / "run", LEDUC, Provenance("mccfr", 100, 1.0, 0, "", ""), {"seed": 0, "buckets": 9})
    with pytest.raises(UserError, match="its buckets is 9, not 12"):
        solver.resume(tmp_path / "run", {"seed": 0, "buckets": 12})


def test_first_regrets_by_hand():
    """From scratch everybody plays uniformly: regrets are against the mean of a node's actions."""
    offsets, total = TREE.offsets(LEDUC_BUCKETS)
    nodes, stakes = compile_tree(TREE, offsets)
    buckets = np.array([[[2, 8], [0, 2]]], np.uint16)  # king against jack, a king on the board
    bets = TREE.contributions.max(axis=1) > TREE.contributions.min(axis=1)
    last = np.flatnonzero(bets & (TREE.n_actions == 2) & (TREE.street == 1) & (TREE.actor == 0))
    lost, won = TREE.contributions[last].min(axis=1), TREE.contributions[last].max(axis=1)
    facing = 0
    for seed in range(1, 50):
        regrets, sums = np.zeros(total, np.float32), np.zeros(total, np.float32)
        state = np.array([seed * 2**40 + 1], np.uint64)
        traverse(nodes, stakes, buckets, np.array([1], np.int8), regrets, sums, 0.0, state)
        assert regrets.any()
        for node in np.flatnonzero(TREE.n_actions):
            rows = slice(offsets[node], offsets[node] + LEDUC_BUCKETS[TREE.street[node]] * TREE.n_actions[node])
            assert regrets[rows].sum() == pytest.approx(0, abs=1e-4)
        # Facing the second round's last raise the king wins what it calls: that beats folding by the whole pot.
        fold, call = regrets[offsets[last] + 16], regrets[offsets[last] + 17]
        assert (call - fold)[call != 0] == pytest.approx((won + lost)[call != 0])
        facing += np.count_nonzero(call)
    assert facing


def test_what_was_never_visited_is_played_by_regrets_or_uniformly():
    solver = _solver()
    count = int(TREE.n_actions[0])
    assert count == 2
    solver.regrets[: 2 * count] = (-1.0, 3.0, 1.0, 3.0)
    strategy = solver.average_strategy()
    assert strategy[: 3 * count].tolist() == [0.0, 1.0, 0.25, 0.75, 0.5, 0.5]


def test_more_than_the_memory_is_refused_with_how_much_it_takes():
    with pytest.raises(UserError, match=r"need 223517\.4 GiB of memory"):
        require_memory(10**13, workers=2)


def _openspiel_names():
    """By the name of each of Leduc's information states, its name in the game with suits that aren't told apart."""
    names = {}

    def visit(state, same):
        if state.is_terminal():
            return
        for action in state.legal_actions():
            visit(state.child(action), same.child(action // 2 if state.is_chance_node() else action))
        if not state.is_chance_node():
            names[state.information_state_string()] = same.information_state_string()

    game = pyspiel.load_game("leduc_poker", {"suit_isomorphism": True})
    visit(LEDUC.spiel.new_initial_state(), game.new_initial_state())
    return game, names


def test_averages_match_openspiels_within_noise():
    """Eight seeds of each, neither discounted: the differences of means, over their errors, are about 1 squared."""
    game, names = _openspiel_names()
    iterations, seeds = 10_000, 8

    def ours(seed, tremble):
        solver = _solver(seed, tremble=tremble)
        nodes, stakes = compile_tree(TREE, solver.offsets)
        state = np.array([seed * 2**40 + 1], np.uint64)
        buckets, winners = deal_leduc(iterations, state)
        traverse(nodes, stakes, buckets, winners, solver.regrets, solver.sums, tremble, state)
        return leduc_strategy(LEDUC, TREE, solver).table

    def theirs(seed):
        solver = pyspiel.ExternalSamplingMCCFRSolver(game, seed, pyspiel.MCCFRAverageType.SIMPLE)
        for _ in range(iterations):
            solver.run_iteration()
        average = solver.average_policy()
        return {name: dict(average.get_state_policy(same)) for name, same in names.items()}

    def probabilities(tables):
        states = list({same: name for name, same in names.items()}.values())
        return np.array([[table[state].get(1, 0) for state in states] for table in tables])

    def mean_square(first, second):
        error = np.sqrt((first.var(axis=0, ddof=1) + second.var(axis=0, ddof=1)) / seeds)
        return np.mean(((first.mean(axis=0) - second.mean(axis=0)) / np.maximum(error, 1e-3)) ** 2)

    openspiel = probabilities([theirs(seed) for seed in range(seeds)])
    assert openspiel.shape == (seeds, 288)
    assert mean_square(probabilities([ours(seed, 0.0) for seed in range(1, 1 + seeds)]), openspiel) < 2
    assert mean_square(probabilities([ours(seed, 0.3) for seed in range(1, 1 + seeds)]), openspiel) > 4


def test_renamed_suits_change_nothing():
    abstraction = Blueprint.from_checkpoint(load_checkpoint(OPPONENTS / "holdem-small.npz")).abstraction
    tree = holdem_tree(make_game("holdem"), tree_config("fcpa"))
    offsets, total = tree.offsets(abstraction.buckets_per_street)
    nodes, stakes = compile_tree(tree, offsets)
    rng = np.random.default_rng(0)
    decks = np.array([rng.permutation(52)[:9] for _ in range(25)])
    suits = np.array([rng.permutation(4) for _ in range(25)])
    renamed = 4 * (decks // 4) + np.take_along_axis(suits, decks % 4, axis=1)
    assert (renamed != decks).any(axis=1).sum() > 20
    found = []
    for cards in (decks, renamed):
        fresh = Abstraction.from_arrays(abstraction.to_arrays())  # nothing cached
        buckets = np.empty((len(cards), 2, 4), np.uint16)
        for seat in range(2):
            for street, n_board in enumerate((0, 3, 4, 5)):
                buckets[:, seat, street] = fresh.lookup(cards[:, 2 * seat : 2 * seat + 2], cards[:, 4 : 4 + n_board])
        values = [
            [int(hand_value(np.array([*deck[2 * seat : 2 * seat + 2], *deck[4:]]))) for seat in (0, 1)]
            for deck in cards
        ]
        winners = np.array([np.sign(first - second) for first, second in values], np.int8)
        regrets, sums = np.zeros(total, np.float32), np.zeros(total, np.float32)
        traverse(nodes, stakes, buckets, winners, regrets, sums, 0.01, np.array([99], np.uint64))
        found.append((regrets, sums))
    for first, second in zip(*found, strict=True):
        assert first.any()
        assert np.array_equal(first, second)
