"""The earlier bot at the table: legal, the same for one holding and for all, and never lost for an answer."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from earlier_bot import HOLDEM, checkpoint, observe

from poker_env.cards.holdings import HOLDINGS
from poker_env.games import HOLDEM_CARDS, make_deals
from poker_env.knowledge.ranges import hole_cards, range_policy_of
from poker_env.player_specs import make_player
from poker_env.players.cfr import CFRPlayer
from poker_env.pokerbot.layouts import LAYOUTS
from poker_env.pokerbot.opponent_file import convert_opponent
from poker_env.pokerbot.strategy import MemoryChooser, NetworkChooser, PokerbotStrategy
from poker_env.table import play
from recipes.evaluate import main as evaluate


@pytest.fixture(scope="module")
def players(tmp_path_factory):
    """By layout."""
    folder = tmp_path_factory.mktemp("players")
    made = {}
    for layout in LAYOUTS:
        torch.save(checkpoint(layout, seed=3), folder / "source.pt")
        convert_opponent(folder / "source.pt", folder / f"{layout}.pt")
        made[layout] = make_player(f"cfr:{folder / layout}.pt", HOLDEM)
    return made


@pytest.mark.parametrize("layout", LAYOUTS)
def test_whole_hands_are_legal(players, layout):
    hands = play(HOLDEM, make_deals(HOLDEM, 500, seed=1), make_player("random", HOLDEM), players[layout])
    kinds = {decision.move.kind for hand in hands for decision in hand.decisions if decision.seat != hand.hero_seat}
    assert kinds == {"fold", "check", "call", "bet", "raise"}
    assert all(decision.legal for hand in hands for decision in hand.decisions)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("actions", [(), (1,), (300, 1, 1, 700), (300, 1, 1, 1, 1, 1, 900)])
def test_a_range_is_its_holdings(players, layout, actions):
    seen, player = observe(*actions), players[layout]
    board = [HOLDEM_CARDS.index(card) for card in seen.board]
    legal, rows = range_policy_of(player)(seen)(np.array(board, int))
    live = ~np.isin(HOLDINGS, board).any(axis=1)
    assert rows.shape == (1326, len(legal))
    assert rows[live].sum(axis=1) == pytest.approx(1) and not rows[~live].any()
    some = np.flatnonzero(live)[::97].tolist()
    alone = player.policy([replace(seen, hole=hole_cards(holding)) for holding in some])
    expected = [[policy.get(action, 0.0) for action in legal] for policy in alone]
    assert rows[some] == pytest.approx(np.array(expected), abs=1e-5)


class FixedNetwork:
    """Answers the same whatever it is asked."""

    def __init__(self, row):
        self.row = row

    def probabilities(self, features):
        return np.repeat(np.array([self.row], np.float32), len(features), axis=0)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([0.1, 0.1, 0.2, 0.0, 0.6, *[0.0] * 15], {0: 0.25, 1: 0.25, 200: 0.5}),  # the fifth is on no list
        ([0.0, 0.0, 0.0, 0.0, 1.0, *[0.0] * 15], {0: 0.25, 1: 0.25, 200: 0.25, 20_000: 0.25}),
        ([float("nan")] * 20, {0: 0.25, 1: 0.25, 200: 0.25, 20_000: 0.25}),
    ],
)
def test_what_is_on_no_list_is_left_out(row, expected):
    layout = LAYOUTS["addbbb4"]
    strategy = PokerbotStrategy(layout, NetworkChooser(layout, FixedNetwork(row)))
    assert strategy.policies([observe()]) == [pytest.approx(expected)]


def test_two_offers_that_are_one_action_add_up():
    layout = LAYOUTS["addbbb4"]
    strategy = PokerbotStrategy(layout, NetworkChooser(layout, FixedNetwork([0.3, 0.5, 0.2, *[0.0] * 17])))
    assert strategy.policies([observe(1)]) == [pytest.approx({1: 0.8, 200: 0.2})]


def test_it_samples():
    strategy = PokerbotStrategy(LAYOUTS["addbbb4"], MemoryChooser({}))
    hands = play(
        HOLDEM, make_deals(HOLDEM, 400, seed=2), make_player("call", HOLDEM), CFRPlayer("memory", strategy, "")
    )
    first = [hand.decisions[0].move.action for hand in hands if hand.hero_seat == 0]
    assert {action: first.count(action) / len(first) for action in set(first)} == pytest.approx(
        {0: 0.25, 1: 0.25, 200: 0.25, 20_000: 0.25}, abs=0.11
    )


@pytest.mark.parametrize("hero", ["call", "lbr:fcpa", "advice:cfr:{}"])
def test_what_needs_to_know_its_policy_does(tmp_path, capsys, hero):
    torch.save(checkpoint("addbbb4", {"p1|anything|s0|btn0": {0: 1.0}}), tmp_path / "source.pt")
    convert_opponent(tmp_path / "source.pt", tmp_path / "mine.pt")
    villain = f"cfr:{tmp_path / 'mine.pt'}"
    options = ["--hero", hero.format(tmp_path / "mine.pt"), "--villain", villain, "--hands", "4", "--seed", "1"]
    evaluate(options if hero.startswith("lbr") else [*options, "--capture", "none", "--exploitability", "0"])
    assert ("lbr" if hero.startswith("lbr") else "aivat *") in capsys.readouterr().out


def test_torch_is_for_those_who_open_such_a_file():
    code = "import sys, poker_env.player_specs as specs; from poker_env.games import make_game\n"
    code += "specs.make_player('cfr:weak', make_game('kuhn')); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
