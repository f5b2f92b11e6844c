"""The solving script: files, report, resuming, and one clear line for what it can't do."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from killed import solve_until_killed

from poker_env.cfr.blueprint import Blueprint
from poker_env.cfr.checkpoint import load_checkpoint
from poker_env.errors import UserError
from poker_env.evaluation.lbr_report import lbr_summary
from poker_env.games import make_deals, make_game
from poker_env.knowledge.ranges import BoardMemory
from poker_env.player_specs import make_player
from poker_env.players.cfr import OPPONENTS, load_cfr_player
from poker_env.table import play
from recipes import solve

KEYS = {
    "game",
    "algorithm",
    "iterations",
    "seconds",
    "exploitability",
    "lbr",
    "infosets",
    "bytes",
    "seed",
    "command",
}


def _report(path):
    return json.loads(path.with_name(path.name + ".json").read_text())


@pytest.mark.parametrize(
    ("game", "algorithm", "infosets"), [("kuhn", "cfr", 12), ("kuhn", "cfr+", 12), ("leduc", "mccfr", 936)]
)
def test_a_small_game_makes_a_checkpoint_and_a_report(tmp_path, game, algorithm, infosets):
    output = tmp_path / "new" / "x.npz"
    arguments = ["--game", game, "--algorithm", algorithm, "--iterations", "200", "--output", str(output)]
    solve.main(arguments)
    report = _report(output)
    assert report.keys() >= KEYS
    assert (report["game"], report["algorithm"], report["iterations"], report["seed"]) == (game, algorithm, 200, 0)
    assert (report["infosets"], report["bytes"], report["lbr"]) == (infosets, output.stat().st_size, None)
    assert report["command"] == "python recipes/solve.py " + " ".join(arguments)
    strategy = load_cfr_player(make_game(game), str(output)).strategy
    assert report["exploitability"] == pytest.approx(strategy.exploitability(make_game(game)), abs=1e-5)


@pytest.fixture
def short_plans(monkeypatch):
    use_short_plans(monkeypatch)


def use_short_plans(monkeypatch):
    """Deep CFR with less of everything."""
    from poker_env.cfr.deep import solver

    for name, plan in solver.PLANS.items():
        short = replace(plan, walks=20, steps=4, final_steps=20, batch=32, width=8, capacity=3_000)
        monkeypatch.setitem(solver.PLANS, name, short)
    monkeypatch.setattr(solve, "lbr_summary", lambda game, policy: lbr_summary(game, policy, hands=4))


@pytest.mark.parametrize("game", ["kuhn", "leduc", "holdem:stack=2000"])
def test_deep_cfr_makes_a_network_and_a_report(tmp_path, game, short_plans, capsys):
    output = tmp_path / "x.pt"
    arguments = [
        "--game",
        game,
        "--algorithm",
        "deep_cfr",
        "--iterations",
        "3",
        "--cores",
        "1",
        "--output",
        str(output),
    ]
    solve.main(arguments)
    report = _report(output)
    assert report.keys() >= KEYS
    assert (report["algorithm"], report["iterations"], report["bytes"]) == ("deep_cfr", 3, output.stat().st_size)
    player = load_cfr_player(make_game(game), str(output))
    assert player.sha256 == report["sha256"]
    if game.startswith("holdem"):
        assert {setting: bound["hands"] for setting, bound in report["lbr"].items()} == {"fc": 4, "late": 4, "fcpa": 4}
        assert "weights" in capsys.readouterr().out
    else:
        assert report["exploitability"] == pytest.approx(player.strategy.exploitability(make_game(game)), abs=1e-9)
    capsys.readouterr()
    solve.main(["info", str(output)])
    record = json.loads(capsys.readouterr().out)
    assert (record["kind"], record["walks"], record["game"]) == ("deep_cfr", 20, str(make_game(game)))


@pytest.mark.slow
def test_a_killed_run_of_deep_cfr_goes_on_from_its_last_save(tmp_path, short_plans):
    output, run = tmp_path / "x.pt", tmp_path / "x.pt.run"
    options = ["--game", "leduc", "--algorithm", "deep_cfr", "--cores", "1", "--save_minutes", "0.002"]
    options += ["--output", str(output)]
    solve_until_killed("use_short_plans", options, run)
    assert not output.exists()
    done = load_checkpoint(run).provenance.iterations
    assert done > 0
    solve.main([*options, "--iterations", str(done + 3), "--resume"])
    straight = tmp_path / "straight.pt"
    solve.main([*options[:-1], str(straight), "--iterations", str(done + 3)])
    networks = [torch.load(path, weights_only=True)["network"] for path in (output, straight)]
    assert all(torch.equal(networks[0][name], networks[1][name]) for name in networks[0])
    with pytest.raises(UserError, match="its seed is 0, not 3"):
        solve.main([*options, "--seed", "3", "--resume"])


def test_few_iterations_make_a_weak_opponent(tmp_path):
    found = []
    for iterations in (5, 500):
        solve.main(["--game", "kuhn", "--iterations", str(iterations), "--output", str(tmp_path / "x.npz")])
        found.append(_report(tmp_path / "x.npz")["exploitability"])
    assert found[0] > 0.05 > 0.005 > found[1]


def test_info_prints_the_provenance(tmp_path, capsys):
    solve.main(["info", str(OPPONENTS / "holdem.npz")])
    record = json.loads(capsys.readouterr().out)
    assert record["game"] == str(make_game("holdem"))
    assert record["command"].startswith("python recipes/solve.py --game holdem")
    assert len(record["sha256"]) == len(record["abstraction"]) == 64
    assert record["exploitability"] is None
    assert record["entries"] > record["infosets"] > 100_000


@pytest.fixture
def quick_holdem(monkeypatch):
    return use_quick_holdem(monkeypatch)


def use_quick_holdem(monkeypatch):
    """Hold'em with the shipped abstraction and random buckets: what the script does around the solver is the same."""
    abstraction = Blueprint.from_checkpoint(load_checkpoint(OPPONENTS / "holdem.npz")).abstraction

    def deal(count, random_state):
        rng = np.random.default_rng(random_state)
        random_state[0] = rng.integers(1, 2**63)
        strengths = rng.random((count, 2))
        buckets = (strengths[:, :, None] * np.array(abstraction.buckets_per_street)).astype(np.uint16)
        return buckets, np.sign(strengths[:, 0] - strengths[:, 1]).astype(np.int8)

    monkeypatch.setattr(solve, "build_abstraction", lambda buckets, seed, progress: abstraction)
    lookup_range = BoardMemory(abstraction).lookup_range
    monkeypatch.setattr(
        solve.BucketTables, "build", lambda *args, **options: SimpleNamespace(lookup_range=lookup_range)
    )
    monkeypatch.setattr(solve, "lbr_summary", lambda game, policy: lbr_summary(game, policy, hands=4))
    monkeypatch.setattr(solve, "holdem_dealer", lambda tables: deal)
    buckets = ",".join(map(str, abstraction.buckets_per_street[1:]))
    return ["--game", "holdem:stack=800", "--buckets", buckets, "--cores", "2"]


def test_holdem_makes_a_player_and_a_run_that_can_go_on(tmp_path, quick_holdem, capsys):
    straight, stopped = tmp_path / "straight.npz", tmp_path / "stopped.npz"
    solve.main([*quick_holdem, "--iterations", "50000", "--output", str(straight)])
    assert "decision nodes" in capsys.readouterr().out
    report = _report(straight)
    assert (report["exploitability"], report["iterations"]) == (None, 50_000)
    assert {name: bound["hands"] for name, bound in report["lbr"].items()} == {"fc": 4, "late": 4, "fcpa": 4}
    # FIRST_ROUND deals a round at first: stop where a run of 50,000 also ends a round.
    solve.main([*quick_holdem, "--iterations", "16384", "--output", str(stopped)])
    solve.main([*quick_holdem, "--iterations", "50000", "--output", str(stopped), "--resume"])
    first, second = load_checkpoint(straight), load_checkpoint(stopped)
    assert np.array_equal(first.arrays["strategy"], second.arrays["strategy"])
    player = load_cfr_player(make_game("holdem:stack=800"), str(stopped))
    assert player.sha256 == _report(stopped)["sha256"]


def test_a_killed_run_goes_on_from_its_last_save(tmp_path, quick_holdem):
    output, run = tmp_path / "x.npz", tmp_path / "x.npz.run"
    options = ["--save_minutes", "0.005", "--output", str(output)]
    solve_until_killed("use_quick_holdem", options, run)
    assert not output.exists()
    done = load_checkpoint(run).provenance.iterations
    assert done > 0
    solve.main([*quick_holdem, *options, "--iterations", str(done + 20_000), "--resume"])
    assert _report(output)["iterations"] == done + 20_000


def test_a_run_of_other_settings_isnt_resumed(tmp_path, quick_holdem):
    output = ["--iterations", "100", "--output", str(tmp_path / "x.npz")]
    solve.main([*quick_holdem, *output])
    for change, message in [
        (["--tree", "half"], "its tree is fcpa, not half"),
        (["--seed", "3"], "its seed is 0, not 3"),
        (["--cores", "1"], "its cores is 2, not 1"),
        (["--buckets", "64"], "its buckets is"),
        (["--game", "holdem:stack=900"], "its game is"),
    ]:
        with pytest.raises(UserError, match=message):
            solve.main([*quick_holdem, *output, *change, "--resume"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--game", "kuhn"], "--output"),
        (["--game", "chess", "--output", "x"], "unknown game 'chess'"),
        (["--game", "kuhn", "--iterations", "0", "--output", "x"], "--iterations 0 must be above 0"),
        (["--game", "kuhn", "--iterations", "-3", "--output", "x"], "--iterations -3 must be above 0"),
        (["--minutes", "0", "--output", "x"], "--minutes 0.0 must be above 0"),
        (["--minutes", "nan", "--output", "x"], "--minutes nan must be above 0"),
        (["--seed", "-1", "--output", "x"], "--seed -1"),
        (["--game", "kuhn", "--algorithm", "mccfr", "--output", "x"], "choose one of cfr\\+, cfr"),
        (["--tree", "huge", "--output", "x"], "unknown tree preset 'huge'"),
        (["--buckets", "8,8", "--output", "x"], "'8,8': give one number above 0, or three"),
        (["--buckets", "0", "--output", "x"], "'0': give one number above 0, or three"),
        (["--buckets", "many", "--output", "x"], "'many': give one number above 0, or three"),
        (["--tree", "rich", "--buckets", "60000", "--cores", "2", "--output", "x"], "GiB of memory"),
        (["--tremble", "2", "--output", "x"], "--tremble 2.0"),
        (["--resume", "--output", "x"], "nothing to resume"),
        (["--algorithm", "deep_cfr", "--resume", "--output", "x.pt"], "nothing to resume at x.pt.run"),
        (["--algorithm", "deep_cfr", "--output", "x.npz"], "--output x.npz must end in .pt"),
        (["--game", "leduc", "--output", "x.pt"], "--output x.pt can't end in .pt"),
        (["--algorithm", "deep_cfr", "--device", "tpu9", "--output", "x.pt"], "--device tpu9 can't be had"),
        (["--algorithm", "deep_cfr", "--tree", "huge", "--output", "x.pt"], "unknown tree preset 'huge'"),
        (["info", "missing.pt"], "no checkpoint at missing.pt"),
        (["--game", "kuhn", "--output", "/proc/none/x.npz"], "can't write /proc/none"),
        (["--game", "kuhn", "--output", "."], "is a folder"),
        (["info", "missing.npz"], "no checkpoint at missing.npz"),
    ],
)
def test_what_it_cant_do_is_one_clear_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        solve.main(arguments)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_run_leaves_the_old_checkpoint_alone(tmp_path):
    output = tmp_path / "x.npz"
    shutil.copy(OPPONENTS / "kuhn.npz", output)
    with pytest.raises(UserError):
        solve.main(["--game", "kuhn", "--algorithm", "magic", "--output", str(output)])
    assert output.read_bytes() == (OPPONENTS / "kuhn.npz").read_bytes()


def test_the_script_exits_with_2_and_no_traceback():
    script = Path(solve.__file__)
    done = subprocess.run(
        [sys.executable, script, "--iterations", "0", "--output", "x"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "error: --iterations 0 must be above 0\n")


@pytest.mark.slow
def test_holdem_from_scratch_beats_a_caller(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    game = make_game("holdem:stack=2000")
    output = tmp_path / "x.npz"
    solve.main(["--game", str(game), "--buckets", "32", "--iterations", "2000000", "--output", str(output)])
    deals = [side for deal in make_deals(game, 1000, 1) for side in (deal, deal.swapped())]
    hands = play(game, deals, load_cfr_player(game, str(output)), make_player("call", game))
    pairs = np.array([hand.payoff_bb for hand in hands]).reshape(-1, 2).mean(axis=1)
    assert pairs.mean() > 1.96 * pairs.std() / len(pairs) ** 0.5
