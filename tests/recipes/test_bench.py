"""The benchmarks and the solving curve measure what they say."""

import json

import numpy as np
import pytest

from poker_env.cfr.blueprint import Blueprint
from poker_env.cfr.checkpoint import load_checkpoint
from poker_env.cfr.dealers import LEDUC_BUCKETS, deal_leduc
from poker_env.cfr.mccfr import Solver
from poker_env.cfr.traverse import compile_tree, traverse
from poker_env.cfr.tree import leduc_tree
from poker_env.errors import UserError
from poker_env.games import make_game
from poker_env.players.cfr import OPPONENTS
from recipes import bench
from recipes.studies import solving_curve
from recipes.studies.plain_traversal import Recursion


@pytest.mark.parametrize("tremble", [0.0, 0.25])
def test_the_recursion_is_the_same_traversal(tremble):
    tree = leduc_tree(make_game("leduc"))
    solver = Solver(tree, LEDUC_BUCKETS, deal_leduc, 1.0, seed=0)
    nodes, stakes = compile_tree(tree, solver.offsets)
    state = np.array([12345], np.uint64)
    buckets, winners = deal_leduc(300, state)
    found = []
    for side in ("iterative", "recursive"):
        regrets, sums = np.zeros(solver.n_entries, np.float32), np.zeros(solver.n_entries, np.float32)
        coins = state.copy()
        if side == "iterative":
            traverse(nodes, stakes, buckets, winners, regrets, sums, tremble, coins)
        else:
            recursion = Recursion(tree, solver.offsets, stakes)
            recursion.traverse(buckets, winners, regrets, sums, tremble, coins)
        found.append((regrets, sums, coins))
    assert found[0][0].any()
    assert found[0][2] == found[1][2]  # as many coins were tossed
    for first, second in zip(found[0][:2], found[1][:2], strict=True):
        assert second == pytest.approx(first, abs=1e-3)


def test_lookup_writes_its_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "REPEATS", 1)
    bench.main(["lookup", "--checkpoint", str(OPPONENTS / "holdem-small.npz"), "--json", str(tmp_path / "x.json")])
    record = json.loads((tmp_path / "x.json").read_text())
    assert record["bench"] == "lookup"
    assert record["figures"].keys() == {"batch", "flop", "turn", "river"}
    batch = record["figures"]["batch"]
    assert batch["ratio"] == pytest.approx(batch["sides"]["hands seen before"] / batch["sides"]["first time"])
    assert "decisions/s" in capsys.readouterr().out


def test_river_decisions_are_timed():
    blueprint = Blueprint.from_checkpoint(load_checkpoint(OPPONENTS / "holdem-small.npz"))
    figures = bench.bench_river(blueprint, hands=30)
    assert figures.keys() == {"first decision", "odd bet"}
    for figure in figures.values():
        assert 0 < figure.sides["median"] <= figure.sides["95 %"] <= figure.sides["worst"]


def test_unknown_benchmarks_are_one_line():
    with pytest.raises(UserError, match="invalid choice: 'speed'"):
        bench.main(["speed"])


def _strong_hands_win(buckets):
    """Deals whose buckets are drawn evenly and alike on all streets, and the higher bucket wins."""

    def deal(count, random_state):
        rng = np.random.default_rng(random_state)
        random_state[0] = rng.integers(1, 2**63)
        strengths = rng.random((count, 2))
        winners = np.sign(strengths[:, 0] - strengths[:, 1]).astype(np.int8)
        return (strengths[:, :, None] * np.array(buckets)).astype(np.uint16), winners

    return deal


@pytest.mark.slow
def test_a_rounded_strategy_plays_like_the_exact_one():
    blueprint = Blueprint.from_checkpoint(load_checkpoint(OPPONENTS / "holdem-small.npz"))
    buckets = blueprint.abstraction.buckets_per_street
    deal = _strong_hands_win(buckets)
    solver = Solver(blueprint.tree, buckets, deal, blueprint.game.big_blind, seed=0, tremble=0.01, workers=2)
    solver.run(lambda iterations: True, 4_000_000)
    sides = bench.rounding_figures(blueprint, solver.average_strategy(), deal, 500_000)["rounding"].sides
    assert sides["hands"] == 1_000_000
    assert abs(sides["exact wins"]) + sides["±"] < 20


def test_a_solving_curve_has_rows_and_a_plot(tmp_path, monkeypatch):
    abstraction = Blueprint.from_checkpoint(load_checkpoint(OPPONENTS / "holdem-small.npz")).abstraction

    class Tables:
        lookup_range = abstraction.lookup_range

    monkeypatch.setattr(solving_curve, "build_abstraction", lambda *arguments, **options: abstraction)
    monkeypatch.setattr(solving_curve.BucketTables, "build", lambda *arguments, **options: Tables)
    dealer = _strong_hands_win(abstraction.buckets_per_street)
    monkeypatch.setattr(solving_curve, "holdem_dealer", lambda tables: dealer)
    monkeypatch.setattr(solving_curve, "HANDS", 20_000)
    output = tmp_path / "new" / "curve"
    arguments = ["--minutes", "0.001", "0.01", "--deals", "10", "--output", str(output)]
    solving_curve.main(arguments)
    rows = json.loads(output.with_suffix(".json").read_text())["rows"]
    assert 0 < rows[0]["iterations"] < rows[1]["iterations"]
    assert "wins from the one before" not in rows[0]
    mean, half_width = rows[1]["wins from the one before"]
    assert mean > half_width > 0
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("minutes", [["0"], ["2", "1"], ["1", "1"]])
def test_minutes_of_a_solving_curve_must_rise(minutes, tmp_path):
    with pytest.raises(UserError, match="give rising numbers above 0"):
        solving_curve.main(["--minutes", *minutes, "--output", str(tmp_path / "x")])


def test_a_solving_curve_needs_deals_for_its_intervals(tmp_path):
    with pytest.raises(UserError, match="--deals 9: give at least 10"):
        solving_curve.main(["--deals", "9", "--output", str(tmp_path / "x")])


def test_imports_are_timed(monkeypatch):
    monkeypatch.setattr(bench, "REPEATS", 1)
    figures = bench.bench_import(Blueprint)
    assert 0 < figures["poker_env"].sides["processor time"] < figures["to play a bot"].sides["processor time"]
