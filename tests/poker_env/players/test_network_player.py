"""Players of Deep CFR's networks: policies in any real state, what is made of them, and files that aren't theirs."""

import json
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.cards.holdings import HOLDINGS
from poker_env.cfr.checkpoint import Provenance, file_sha256
from poker_env.cfr.deep.checkpoint import NetworkCheckpoint
from poker_env.cfr.deep.game import DeepGame
from poker_env.cfr.deep.network import NetworkStrategy, new_network
from poker_env.cfr.deep.small_games import tabulate
from poker_env.cfr.tree import PRESETS
from poker_env.errors import UserError
from poker_env.evaluation.lbr_report import evaluate_lbr
from poker_env.evaluation.match import evaluate
from poker_env.games import HOLDEM_CARDS, make_deals, make_game
from poker_env.knowledge.exact_value import exact_policy, exact_report
from poker_env.player_specs import make_player
from poker_env.players.cfr import OPPONENTS, load_cfr_player, valuing_blueprint
from poker_env.state import HandState

GAMES = {name: make_game(name) for name in ("kuhn", "leduc", "holdem")}
PROVENANCE = Provenance("deep_cfr", 3, 1.5, 0, "python recipes/solve.py", "")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of random weights for each game."""
    folder, paths = tmp_path_factory.mktemp("networks"), {}
    for name, game in GAMES.items():
        deep = DeepGame.of(game, PRESETS["fcpa"] if name == "holdem" else None)
        network = new_network(deep, 16, 4)
        with torch.no_grad():
            network.head.weight *= 8  # opinions
        paths[name] = folder / f"{name}.pt"
        NetworkCheckpoint(deep, network, 16, 0.2 if name == "holdem" else 0.0, PROVENANCE, {"parameters": 1}).save(
            paths[name]
        )
    return paths


@pytest.fixture(scope="module")
def player(files):
    return load_cfr_player(GAMES["holdem"], str(files["holdem"]))


def _legal(observation, action):
    lowest = observation.min_raise_to
    return action in observation.legal or (lowest is not None and lowest <= action <= observation.game.stack)


@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.floats(0, 1), min_size=40, max_size=40),
    kinds=st.lists(st.sampled_from(["call", "call", "min", "near", "any", "all-in"]), min_size=40, max_size=40),
)
@settings(max_examples=40, deadline=None)
def test_every_real_state_has_a_policy_over_legal_actions(player, seed, sizes, kinds):
    game = GAMES["holdem"]
    hand = HandState(game, make_deals(game, 1, seed)[0])
    for size, kind in zip(sizes, kinds, strict=True):
        if hand.done:
            return
        observation = hand.observe()
        [policy] = player.policy([observation])
        assert sum(policy.values()) == pytest.approx(1)
        assert all(probability > 0 and _legal(observation, action) for action, probability in policy.items())
        assert player.act([observation])[0].action in policy
        lowest, action = observation.min_raise_to, 1
        if kind != "call" and lowest is not None:
            share = {"min": 0, "near": 0.05 * size, "any": size, "all-in": 1}[kind]
            action = lowest + round(share * (game.stack - lowest))
        hand.apply(action)


def test_a_range_policy_is_the_policy_of_every_holding(player):
    game = GAMES["holdem"]
    hand = HandState(game, make_deals(game, 1, 5)[0])
    rng = np.random.default_rng(0)
    for move in (None, 270, 1, 1, 430, 1, 1):
        if move is not None:
            hand.apply(move)
        observation = hand.observe()
        actions, probabilities = player.range_policy(observation)
        blocked = np.array([{HOLDEM_CARDS[a], HOLDEM_CARDS[b]} & set(observation.board) != set() for a, b in HOLDINGS])
        assert probabilities.shape == (1326, len(actions))
        assert np.allclose(probabilities.sum(axis=1), ~blocked)
        asked = rng.choice(np.flatnonzero(~blocked), 12, replace=False)
        holes = [tuple(HOLDEM_CARDS[card] for card in sorted(HOLDINGS[holding].tolist())[::-1]) for holding in asked]
        together = player.policy([replace(observation, hole=hole) for hole in holes])
        for holding, policy in zip(asked, together, strict=True):
            row = dict(zip(actions, probabilities[holding], strict=True))
            assert {action: p for action, p in row.items() if p} == pytest.approx(policy, abs=1e-5)


@pytest.mark.parametrize("name", ["kuhn", "leduc"])
def test_small_games_are_played_as_the_network_says(files, name):
    game = GAMES[name]
    player = make_player(f"cfr:{files[name]}", game)
    deep = DeepGame.of(game)
    network = new_network(deep, 16, 4).requires_grad_(False)
    network.head.weight *= 8
    table = tabulate(deep, NetworkStrategy(deep, network, average=True)).table
    assert exact_policy(game, player) == {infoset: pytest.approx(row) for infoset, row in table.items()}
    report = exact_report(game, exact_policy(game, player), make_player("cfr", game))
    assert report.exploitability == pytest.approx(player.strategy.exploitability(game), abs=1e-6)
    assert player.sha256 == file_sha256(files[name])


def test_whatever_asks_for_a_policy_has_it(files):
    """AIVAT, a local best response, and advice: of hands enough to run, not to say who wins."""
    game, spec = GAMES["holdem"], f"cfr:{files['holdem']}"
    evaluation = evaluate(game, make_player("tag", game), make_player(spec, game), 20, 1, progress=False, lbr=())
    assert {"aivat", "duplicate"} <= set(evaluation.estimates)
    bound = evaluate_lbr(game, "lbr:fc", make_player(spec, game), 6, 1, progress=False)
    assert np.isfinite(bound.result.estimate.mbb_per_hand)
    hand = HandState(game, make_deals(game, 1, 2)[0])
    [policy] = make_player(f"advice:{spec}", game).policy([hand.observe()])
    assert sum(policy.values()) == pytest.approx(1)
    for name in ("kuhn", "leduc"):
        villain = make_player(f"cfr:{files[name]}", GAMES[name])
        exact = evaluate(GAMES[name], make_player("cfr", GAMES[name]), villain, 20, 1, progress=False, lbr=())
        assert exact.estimates["aivat"].mbb_per_hand == pytest.approx(
            1000
            * exact_report(
                GAMES[name], exact_policy(GAMES[name], make_player("cfr", GAMES[name])), villain
            ).value.value,
            abs=1e-6,
        )


def test_without_tables_hands_are_valued_by_checking_down(player):
    from poker_env.evaluation.aivat import AIVAT

    game = GAMES["holdem"]
    aivat = AIVAT.between(game, make_player("tag", game), player, False, None)
    assert aivat is not None
    value_function = aivat.value_function
    assert (value_function.kind, value_function.sha256, value_function.blueprint) == (
        "check down",
        player.sha256,
        None,
    )


def test_the_shipped_blueprint_values_hands_of_a_network_at_its_stakes(player):
    """As any values may: `test_critic.py` has wrong ones, which move no mean."""
    name, blueprint = valuing_blueprint(GAMES["holdem"], player)
    assert (name, blueprint.game) == ("cfr", GAMES["holdem"])
    short = make_game("holdem:stack=2000")
    name, blueprint = valuing_blueprint(short, player)
    assert (name, blueprint.game) == ("cfr:weak", short)
    assert valuing_blueprint(make_game("holdem:stack=3000"), player) is None
    assert valuing_blueprint(GAMES["holdem"], make_player("tag", GAMES["holdem"])) is None
    assert valuing_blueprint(GAMES["holdem"], make_player("cfr:small", GAMES["holdem"]))[0] == "cfr:small"
    assert valuing_blueprint(GAMES["kuhn"], make_player("cfr", GAMES["kuhn"])) is None


def test_one_ships():
    """Under the name that its file has, small, with its command, and as sure of a spot as its threshold has it."""
    game = GAMES["holdem"]
    player, path = make_player("cfr:deep", game), OPPONENTS / "holdem-deep.pt"
    assert (player.name, player.sha256) == ("cfr:deep", file_sha256(path))
    assert path.stat().st_size < 5_000_000
    record = _record(path)
    assert record["provenance"]["command"].startswith("python recipes/solve.py --game holdem --algorithm deep_cfr")
    policies = player.policy([HandState(game, deal).observe() for deal in make_deals(game, 30, 1)])
    chances = np.array([chance for policy in policies for chance in policy.values()])
    assert chances.min() >= record["threshold"] == 0.2
    with pytest.raises(UserError, match="no checkpoint at deep; shipped for leduc: cfr, cfr:weak"):
        make_player("cfr:deep", GAMES["leduc"])


def test_torch_is_loaded_for_networks_alone():
    program = (
        "import sys; from poker_env.player_specs import make_player; from poker_env.games import make_game\n"
        "make_player('cfr', make_game('leduc')); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


class _Evil:
    def __reduce__(self):
        import os

        return os.system, ("touch executed",)


def _record(path):
    return torch.load(path, weights_only=True)


def test_files_that_cant_be_played_are_refused_in_one_line(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    leduc, whole = GAMES["leduc"], files["leduc"].read_bytes()
    record = _record(files["leduc"])
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "flipped.pt").write_bytes(whole[:200] + bytes(200) + whole[400:])
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(_Evil()))
    torch.save({**record, "settings": _Evil()}, tmp_path / "evil.pt")
    torch.save(_Evil(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save(record["network"], tmp_path / "bare.pt")
    torch.save({**record, "format": "another 2"}, tmp_path / "format.pt")
    torch.save({**record, "kind": "critic"}, tmp_path / "kind.pt")
    torch.save({key: value for key, value in record.items() if key != "network"}, tmp_path / "none.pt")
    wrong = {name: tensor.clone() for name, tensor in record["network"].items()}
    wrong["head.bias"][0] = torch.nan
    torch.save({**record, "network": wrong}, tmp_path / "nan.pt")
    torch.save({**record, "width": 17}, tmp_path / "width.pt")
    torch.save({**record, "width": 10**9}, tmp_path / "huge.pt")
    torch.save({**record, "tree": PRESETS["fcpa"].to_json()}, tmp_path / "tree.pt")
    torch.save({**record, "threshold": float("nan")}, tmp_path / "threshold.pt")
    del wrong["head.bias"]
    torch.save({**record, "network": wrong}, tmp_path / "layout.pt")
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("header.json", json.dumps({"a": 1}))
    holdem = _record(files["holdem"])
    torch.save({**holdem, "tree": PRESETS["half"].to_json()}, tmp_path / "half_tree.pt")
    for game, name, message in [
        (leduc, "missing.pt", "no checkpoint at"),
        (leduc, "half.pt", "half.pt is damaged or no network of this project"),
        (leduc, "flipped.pt", "damaged or no network"),
        (leduc, "text.pt", "damaged or no network"),
        (leduc, "empty.pt", "damaged or no network"),
        (leduc, "zip.pt", "damaged or no network"),
        (leduc, "bare.pt", "damaged or no network of this project: its format isn't"),
        (leduc, "format.pt", "its format isn't 'exploitative-poker network 3'"),
        (leduc, "plain.pt", "is refused: beside weights it holds code"),
        (leduc, "evil.pt", "is refused: beside weights it holds code"),
        (leduc, "old.pt", "is refused: beside weights it holds code"),
        (leduc, "kind.pt", "holds a 'critic', no strategy to play"),
        (leduc, "none.pt", "holds no whole network"),
        (leduc, "nan.pt", "some of its weights are no numbers"),
        (leduc, "width.pt", "holds no whole network of Deep CFR: Error.* loading state_dict"),
        (leduc, "huge.pt", "layers of width 1000000000"),
        (leduc, "threshold.pt", "holds no whole network of Deep CFR: a threshold of nan"),
        (leduc, "tree.pt", "no such game as leduc"),
        (leduc, "layout.pt", "holds no whole network"),
        (GAMES["holdem"], "half_tree.pt", "holds no whole network"),
        (GAMES["kuhn"], str(files["leduc"]), "is a strategy for leduc, not for kuhn"),
        (make_game("holdem:stack=5000"), str(files["holdem"]), "use --game holdem:small_blind=50,big_blind=100,stack"),
    ]:
        with pytest.raises(UserError, match=message) as caught:
            make_player(f"cfr:{name}", game)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "executed").exists()


def test_a_networks_river_isnt_re_solved(files):
    with pytest.raises(UserError, match=r"re-solves the river, but .*holdem.pt is a network: take cfr:"):
        make_player(f"cfr:{files['holdem']}+river", GAMES["holdem"])
