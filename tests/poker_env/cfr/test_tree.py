"""Betting trees: what they allow, OpenSpiel allows, and means the same by it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.cfr.tree import CALL, FOLD, PRESETS, RAISE, SHOWDOWN, TreeConfig, holdem_tree, leduc_tree, tree_config
from poker_env.errors import UserError
from poker_env.games import make_deals, make_game
from poker_env.state import HandState

HOLDEM = make_game("holdem")


def test_the_first_choices_before_the_flop():
    tree = holdem_tree(HOLDEM, PRESETS["fcpa"])
    assert tree.n_actions[0] == 5
    assert tree.edge[1:6].tolist() == [FOLD, CALL, RAISE, RAISE, RAISE]
    assert tree.contributions[1:6].tolist() == [[100, 50], [100, 100], [100, 200], [100, 300], [100, 20_000]]
    assert tree.actor[1:6].tolist() == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("preset", PRESETS)
def test_children_lie_side_by_side_and_know_their_parent(preset):
    tree = holdem_tree(make_game("holdem:stack=2000"), PRESETS[preset])
    for node in np.flatnonzero(tree.n_actions):
        children = slice(tree.first_child[node], tree.first_child[node] + tree.n_actions[node])
        assert (tree.parent[children] == node).all()
        assert (np.diff(tree.contributions[children].max(axis=1)[tree.edge[children] == RAISE]) > 0).all()
    assert sorted(np.unique(tree.parent)) == [-1, *np.flatnonzero(tree.n_actions)]


@given(
    preset=st.sampled_from(sorted(PRESETS)),
    stakes=st.sampled_from(["", "stack=150", "stack=1000", "small_blind=1,big_blind=3,stack=77", "stack=3333"]),
    choices=st.lists(st.floats(0, 0.999), min_size=40, max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_every_line_of_the_tree_is_a_hand_of_the_real_game(preset, stakes, choices):
    game = make_game(f"holdem:{stakes}")
    tree = _cached_tree(game, preset)
    hand = HandState(game, make_deals(game, 1, 0)[0])
    node = 0
    for choice in choices:
        if not tree.n_actions[node]:
            break
        assert (tree.actor[node], tree.street[node]) == (hand.current_seat, hand.street)
        assert tuple(tree.contributions[node]) == hand.contributions
        child = int(tree.first_child[node] + int(choice * tree.n_actions[node]))
        kind = int(tree.edge[child])
        hand.apply(int(tree.contributions[child].max()) if kind == RAISE else kind)
        node = child
    if not tree.n_actions[node]:
        assert hand.done
        assert hand.showdown == (tree.actor[node] == SHOWDOWN)
        assert tuple(tree.contributions[node]) == hand.contributions
        if not hand.showdown:
            assert hand.payoffs[tree.actor[node]] == -tree.contributions[node].min()


_TREES = {}


def _cached_tree(game, preset):
    key = (game, preset)
    if key not in _TREES:
        _TREES[key] = holdem_tree(game, PRESETS[preset])
    return _TREES[key]


def test_leduc_has_every_public_history_of_openspiel():
    game = make_game("leduc")
    tree = leduc_tree(game)
    visited = set()

    def visit(state, node):
        while state.is_chance_node():
            state = state.child(state.legal_actions()[0])
        visited.add(node)
        assert state.is_terminal() == (tree.n_actions[node] == 0)
        if state.is_terminal():
            return
        assert state.current_player() == tree.actor[node]
        assert len(state.legal_actions()) == tree.n_actions[node]
        for index, action in enumerate(state.legal_actions()):
            visit(state.child(action), int(tree.first_child[node]) + index)

    visit(game.spiel.new_initial_state(), 0)
    assert visited == set(range(len(tree)))


def test_entries_of_different_nodes_and_buckets_never_overlap():
    tree = holdem_tree(make_game("holdem:stack=1000"), PRESETS["half"])
    buckets = (169, 5, 6, 7)
    offsets, total = tree.offsets(buckets)
    used = np.zeros(total, int)
    for node in np.flatnonzero(tree.n_actions):
        count = tree.n_actions[node]
        for bucket in range(buckets[tree.street[node]]):
            used[offsets[node] + bucket * count : offsets[node] + (bucket + 1) * count] += 1
    assert (used == 1).all()


def test_a_config_survives_json():
    assert TreeConfig.from_json(PRESETS["rich"].to_json()) == PRESETS["rich"]


def test_unknown_preset_is_refused():
    with pytest.raises(UserError, match=r"'huge'.*fcpa, half, rich"):
        tree_config("huge")
