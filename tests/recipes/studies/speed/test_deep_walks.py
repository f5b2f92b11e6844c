"""Deep CFR's walks are timed against the same ones written down plainly."""

import json

import numpy as np
import pytest

from poker_env.cfr.deep.game import DeepGame
from poker_env.cfr.deep.network import NetworkStrategy, new_network
from poker_env.cfr.deep.traverse import draw_coins, walk
from poker_env.cfr.tree import PRESETS
from poker_env.errors import UserError
from poker_env.games import make_game
from recipes import bench
from recipes.studies.plain_deep_walk import PlainWalk


@pytest.mark.parametrize("name", ["kuhn", "leduc", "holdem"])
@pytest.mark.parametrize("seat", [0, 1])
def test_the_plain_walk_is_the_same(name, seat):
    game = DeepGame.of(make_game(name), PRESETS["fcpa"] if name == "holdem" else None)
    networks = [new_network(game, 16, number).requires_grad_(False) for number in (3, 4)]
    rng = np.random.default_rng(0)
    deals, coins = game.deal(4, rng), draw_coins(game, 4, rng)
    strategies = [NetworkStrategy(game, network, average=False) for network in networks]
    found = walk(game, deals, coins, seat, tuple(strategies))
    plain = PlainWalk(game, tuple(networks))
    plain.walk(deals, coins, seat)
    assert plain.decisions == found.decisions
    expected = {(number, node): regrets for number, node, regrets in plain.regrets}
    assert len(expected) == len(found.regrets.nodes) > 3
    for number, node, regrets in zip(found.regrets.walks, found.regrets.nodes, found.regrets.targets, strict=True):
        assert regrets == pytest.approx(expected[number, node], abs=1e-3 * game.game.stack)


def test_walks_are_timed(tmp_path, capsys):
    arguments = ["deep", "--games", "leduc", "--walks", "30", "--plain_walks", "2", "--json", str(tmp_path / "x.json")]
    bench.main(arguments)
    record = json.loads((tmp_path / "x.json").read_text())
    assert record["figures"].keys() == {"leduc, decisions", "leduc, walks"}
    for figure in record["figures"].values():
        assert figure["sides"].keys() == {"lockstep", "a state at a time"}
        assert min(figure["sides"].values()) > 0
    assert "decisions/s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--walks", "0"], "--walks 0: walk at least once"),
        (["--tree", "huge"], "unknown tree preset 'huge'"),
        (["--checkpoint", "x"], "unknown options --checkpoint x"),
    ],
)
def test_mistakes_are_one_line(options, complaint):
    with pytest.raises(UserError, match=complaint):
        bench.main(["deep", *options])
