"""The network: what it can't tell apart, and that asking it piece by piece is asking it at once."""

import numpy as np
import pytest
import torch

from poker_env.cfr.deep.game import NO_CARD, DeepGame
from poker_env.cfr.deep.network import NetworkStrategy, new_network
from poker_env.cfr.tree import PRESETS
from poker_env.games import make_game

GAME = DeepGame.of(make_game("holdem:stack=2000"), PRESETS["fcpa"])


@pytest.fixture(scope="module")
def network():
    return new_network(GAME, 24, 1).requires_grad_(False)


def _hands(count):
    return GAME.deal(count, np.random.default_rng(0)).cards[0]


def test_the_order_of_cards_seen_together_doesnt_matter(network):
    cards = torch.from_numpy(_hands(20).astype(np.int64))
    betting = torch.from_numpy(GAME.betting[:1]).expand(len(cards), -1)
    found = network(cards, betting)
    assert torch.allclose(network(cards[:, [1, 0, 4, 2, 3, 5, 6, 7, 8]], betting), found, atol=1e-5)
    river = cards[:, 6] != NO_CARD
    assert not torch.allclose(network(cards[:, [0, 1, 2, 3, 5, 4, 6, 7, 8]], betting)[river], found[river], atol=1e-3)


def test_cards_still_to_come_add_nothing(network):
    cards = torch.from_numpy(_hands(5)[:, :7].astype(np.int64))
    groups = network.embedding(cards).unflatten(1, (len(GAME.deck.groups), -1))
    dealt = torch.stack([cards[:, first] != NO_CARD for first in (0, 2, 5, 6)], dim=1)
    assert dealt.any() and not dealt.all()
    assert torch.equal((groups != 0).any(dim=2), dealt)


def test_strengths_count(network):
    cards = torch.from_numpy(_hands(20).astype(np.int64))
    betting = torch.from_numpy(GAME.betting[:1]).expand(len(cards), -1)
    for column in (7, 8):
        other = cards.clone()
        other[:, column] = 100 - other[:, column]
        changed = other[:, column] != cards[:, column]
        differs = (network(other, betting) - network(cards, betting)).abs().amax(dim=1) > 1e-4
        assert torch.equal(differs, changed)


@pytest.mark.parametrize("average", [True, False])
def test_a_strategy_is_the_network_row_by_row(network, average):
    cards, rng = _hands(50), np.random.default_rng(2)
    hands = rng.integers(len(cards), size=300)
    nodes = rng.choice(np.flatnonzero(GAME.tree.n_actions), 300)
    chances = NetworkStrategy(GAME, network, average)(cards)(hands, nodes)
    legal = GAME.legal[nodes]
    assert chances.sum(axis=1) == pytest.approx(np.ones(300), abs=1e-5)
    assert not chances[~legal].any()
    found = network(torch.from_numpy(cards[hands].astype(np.int64)), torch.from_numpy(GAME.betting[nodes])).numpy()
    if average:
        masses = np.exp(found) * legal
    else:
        masses = np.maximum(found, 0) * legal
        best = found == np.where(legal, found, -np.inf).max(axis=1, keepdims=True)
        masses = np.where(masses.sum(axis=1, keepdims=True) > 0, masses, best)
    assert chances == pytest.approx(masses / masses.sum(axis=1, keepdims=True), abs=1e-4)


@pytest.mark.parametrize("threshold", [0.15, 0.9])
def test_what_an_average_strategy_hardly_plays_is_left_out(network, threshold):
    cards, rng = _hands(50), np.random.default_rng(2)
    hands = rng.integers(len(cards), size=300)
    nodes = rng.choice(np.flatnonzero(GAME.tree.n_actions), 300)
    whole, cut = (NetworkStrategy(GAME, network, True, least)(cards)(hands, nodes) for least in (0.0, threshold))
    kept = (whole >= threshold) | (whole == whole.max(axis=1, keepdims=True))
    assert (cut[kept] > 0).all() and not cut[~kept].any()
    assert 0 < (~kept & GAME.legal[nodes]).sum() < kept.size
    expected = np.where(kept, whole, 0)
    assert cut == pytest.approx(expected / expected.sum(axis=1, keepdims=True), abs=1e-5)


def test_weights_come_from_the_seed_alone():
    torch.manual_seed(5)
    first = new_network(GAME, 8, 3).state_dict()
    torch.manual_seed(6)
    expected = torch.rand(1)
    torch.manual_seed(6)
    second = new_network(GAME, 8, 3).state_dict()
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], new_network(GAME, 8, 4).state_dict()["head.weight"])
