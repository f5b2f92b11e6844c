"""Deep CFR from end to end."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from poker_env.cfr.checkpoint import Provenance
from poker_env.cfr.deep.game import DeepGame
from poker_env.cfr.deep.network import NetworkStrategy, new_network
from poker_env.cfr.deep.small_games import tabulate
from poker_env.cfr.deep.solver import PLANS, DeepCFR, sizes, units
from poker_env.cfr.tree import PRESETS
from poker_env.errors import UserError
from poker_env.games import make_game

CPU = torch.device("cpu")
KUHN, LEDUC = (DeepGame.of(make_game(name)) for name in ("kuhn", "leduc"))
HOLDEM = DeepGame.of(make_game("holdem:stack=2000"), PRESETS["fcpa"])
SHORT = replace(PLANS["holdem"], walks=10, steps=3, final_steps=3, batch=16, width=8, capacity=150)
PROVENANCE = Provenance("deep_cfr", 2, 1.5, 0, "", "")


def _forever(iterations):
    return True


def _exploitability(game, solver):
    return tabulate(game, NetworkStrategy(game, solver.average_network(), average=True)).exploitability(game.game)


def test_kuhn_is_nearly_solved_in_twenty_iterations():
    solver = DeepCFR(KUHN, replace(PLANS["kuhn"], steps=60, final_steps=400), 0, CPU)
    solver.run(_forever, 20)
    assert _exploitability(KUHN, solver) < 0.05  # uniform play: 0.46


@pytest.mark.slow
def test_leduc_gets_better_with_iterations():
    found = []
    for iterations in (4, 40):
        solver = DeepCFR(LEDUC, PLANS["leduc"], 1, CPU)
        solver.run(_forever, iterations)
        found.append(_exploitability(LEDUC, solver))
    assert found[1] < 0.25 < 0.4 < found[0]


@pytest.mark.parametrize("game", [LEDUC, HOLDEM], ids=["leduc", "holdem"])
def test_a_resumed_run_is_the_run_that_never_stopped(game, tmp_path):
    straight, stopped, resumed = (DeepCFR(game, SHORT, 7, CPU) for _ in range(3))
    straight.run(_forever, 5)
    stopped.run(_forever, 2)
    stopped.save(tmp_path / "run", PROVENANCE, {"seed": 7})
    assert resumed.resume(tmp_path / "run", {"seed": 7}) == PROVENANCE
    resumed.run(_forever, 5)
    assert (
        (resumed.iterations, resumed.decisions) == (straight.iterations, straight.decisions) == (5, straight.decisions)
    )
    assert any(
        memory.seen > memory.capacity for memory in straight.played
    )  # so that what is forgotten is the same, too
    first, second = straight.average_network().state_dict(), resumed.average_network().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_another_seed_gives_another_network():
    states = []
    for seed in (1, 1, 2):
        solver = DeepCFR(KUHN, SHORT, seed, CPU)
        solver.run(_forever, 1)
        states.append(solver.average_network().state_dict()["head.weight"])
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_runs_that_cant_be_resumed_are_refused(tmp_path):
    solver = DeepCFR(KUHN, SHORT, 0, CPU)
    solver.run(_forever, 1)
    solver.save(tmp_path / "run", PROVENANCE, {"seed": 0})
    with pytest.raises(UserError, match="its seed is 0, not 1"):
        DeepCFR(KUHN, SHORT, 0, CPU).resume(tmp_path / "run", {"seed": 1})
    for other in (replace(SHORT, width=9), replace(SHORT, capacity=20)):
        with pytest.raises(UserError, match="holds no whole run: leave --resume out"):
            DeepCFR(KUHN, other, 0, CPU).resume(tmp_path / "run", {"seed": 0})


def test_each_street_is_remembered_by_itself():
    solver = DeepCFR(HOLDEM, replace(SHORT, walks=100), 3, CPU)
    solver.run(_forever, 4)
    for memories in (*solver.advantages, solver.played):
        assert [memory.capacity for memory in memories] == [SHORT.capacity // 4] * 4
        for street, memory in enumerate(memories):
            assert len(memory)
            assert (HOLDEM.tree.street[memory.nodes[: len(memory)]] == street).all()


def test_advantages_are_learned_in_their_nodes_own_unit():
    """A node often met has its root mean square, one never met what is usual for its pot, whatever a huge one does."""
    met, pots = np.array([1_000_000, 100, 20, 0, 50]), np.array([4, 10, 20, 40, 8])
    sizes = np.array([2.0, 5.0, 10.0, 0.0, 4.0])  # half a pot
    found = units(met, met * sizes**2, pots)
    assert found == pytest.approx([2, 5, 10, 20, 4], rel=1e-6)
    sizes[1] *= 1_000
    larger = units(met, met * sizes**2, pots)
    assert larger[1] == pytest.approx(5_000, rel=0.1)
    assert np.delete(larger, 1) == pytest.approx(np.delete(found, 1), rel=1e-6)
    assert (units(met, 0 * sizes, pots) == 1).all()  # nothing is won or lost anywhere
    assert (units(np.array([0, 3]), np.array([0.0, 12.0]), np.array([2, 4])) == [1, 2]).all()  # hardly any known yet


def test_units_are_of_all_that_was_ever_met():
    """Also of what a small memory forgot."""
    found, memories = [], []
    for capacity in (40, 40_000):
        solver = DeepCFR(HOLDEM, replace(SHORT, walks=40, capacity=capacity), 0, CPU)
        solver._learn = lambda *arguments: found.append(arguments[-1])  # so that both play the same
        solver.run(_forever, 1)
        memories = solver.advantages[1]
    assert np.array_equal(found[1], found[3])  # seat 1's
    nodes = np.concatenate([memory.nodes[: len(memory)] for memory in memories])
    targets = np.concatenate([memory.targets[: len(memory)] for memory in memories])
    assert len(nodes) > 40
    expected = units(*sizes(nodes, targets, len(HOLDEM.stakes)), HOLDEM.tree.contributions.sum(axis=1))
    assert found[3] == pytest.approx(expected, rel=1e-5)


def test_small_games_units_are_of_the_means_that_are_learned():
    solver = DeepCFR(KUHN, replace(SHORT, walks=100), 0, CPU)
    given = []
    solver._learn = lambda network, lesson, steps, of_nodes: given.append((lesson, of_nodes))
    solver.run(_forever, 1)
    for lesson, of_nodes in given:
        assert len(lesson.nodes) <= 6
        expected = units(*sizes(lesson.nodes, lesson.targets, len(KUHN.stakes)), KUHN.tree.contributions.sum(axis=1))
        assert np.array_equal(of_nodes, expected)


def test_large_pots_dont_drown_the_others():
    """A node's own regrets times thirty, and what is learned at all others stays: 0.0068 in one unit for all."""
    solver = DeepCFR(LEDUC, PLANS["leduc"], 0, CPU)
    solver.run(_forever, 1)
    lesson = solver._lesson(solver.advantages[0], 1)
    node = int(np.bincount(lesson.nodes).argmax())
    pots = LEDUC.tree.contributions.sum(axis=1)
    elsewhere = lesson.nodes != node
    larger = replace(lesson, targets=np.where(elsewhere[:, None], lesson.targets, 30 * lesson.targets))
    played = []
    for each in (lesson, larger):
        network = solver._new_network(new_network(LEDUC, 64, 5))
        met, squares = (
            np.bincount(each.nodes, weights, len(pots))
            for weights in (each.weights, each.weights * (each.targets**2).sum(axis=1))
        )
        solver._learn(network, each, 600, units(met, squares, pots))
        hands = np.arange(len(lesson.nodes))
        played.append(NetworkStrategy(LEDUC, network, average=False)(lesson.cards)(hands, lesson.nodes))
    assert np.abs(played[0] - played[1])[elsewhere].mean() < 0.004


def test_what_is_remembered_is_what_walks_find():
    """Facing a bet in Kuhn, a king wins 2 chips by a call and loses 1 by a fold; at first it plays uniformly."""
    solver = DeepCFR(KUHN, replace(SHORT, walks=100), 0, CPU)
    solver.run(_forever, 1)
    (memory,) = solver.advantages[1]  # one street
    facing = (KUHN.tree.contributions[memory.nodes] == (2, 1)).all(axis=1) & (memory.cards[:, 0] == 2)
    facing[len(memory) :] = False
    assert facing.any()
    assert memory.targets[facing][:, :2] == pytest.approx(np.tile([-1.5, 1.5], (facing.sum(), 1)))
    assert (memory.iterations[: len(memory)] == 1).all()
