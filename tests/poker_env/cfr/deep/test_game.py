"""Games as Deep CFR sees them, against OpenSpiel."""

import numpy as np
import pytest

from poker_env.cards.strengths import hand_strength
from poker_env.cfr.deep.game import NO_CARD, DeepGame
from poker_env.cfr.tree import PRESETS, SHOWDOWN
from poker_env.games import Deal, make_game
from poker_env.state import HandState

GAMES = {
    "kuhn": DeepGame.of(make_game("kuhn")),
    "leduc": DeepGame.of(make_game("leduc")),
    "holdem": DeepGame.of(make_game("holdem"), PRESETS["fcpa"]),
}


@pytest.mark.parametrize("name", ["kuhn", "leduc"])
def test_trees_of_small_games_are_openspiels(name):
    game, met = GAMES[name], set()

    def visit(state, node):
        if state.is_chance_node():
            visit(state.child(state.legal_actions()[0]), node)
            return
        met.add(node)
        if state.is_terminal():
            folded = game.tree.actor[node] != SHOWDOWN
            won = state.returns()[0]
            assert abs(won) == game.stakes[node] or (won == 0 and not folded)
            assert not folded or (won < 0) == (game.tree.actor[node] == 0)
            return
        assert state.current_player() == game.tree.actor[node]
        children = game.children[node][game.legal[node]]
        for action, child in zip(state.legal_actions(), children, strict=True):
            visit(state.child(action), child)

    visit(game.game.spiel.new_initial_state(), 0)
    assert met == set(range(len(game.tree)))


@pytest.mark.parametrize("name", GAMES)
def test_no_two_decisions_look_alike(name):
    game = GAMES[name]
    decisions = game.betting[game.tree.n_actions > 0]
    assert len(np.unique(decisions, axis=0)) == len(decisions)
    assert np.isfinite(game.betting).all()


@pytest.mark.parametrize("name", GAMES)
def test_places_of_actions_mean_the_same_everywhere(name):
    game = GAMES[name]
    tree = game.tree
    for node in np.flatnonzero(tree.n_actions):
        legal = np.flatnonzero(game.legal[node])
        assert game.children[node][legal].tolist() == [
            *range(tree.first_child[node], tree.first_child[node] + tree.n_actions[node])
        ]
        facing = tree.contributions[node].max() > tree.contributions[node].min()
        assert game.legal[node, 1]
        assert bool(game.legal[node, 0]) == (facing or (node == 0 and name == "holdem"))


def test_hold_em_deals_show_each_seat_its_own_cards_and_the_better_hand_wins():
    game = GAMES["holdem"]
    deals = game.deal(300, np.random.default_rng(0))
    hands = deals.cards.reshape(2, 300, 4, game.deck.length)
    cards = hands[..., :7]
    for number in range(300):
        first, second = cards[:, number, 3].tolist()
        assert first[2:] == second[2:]
        deck = (*first[:2], *second)
        assert len(set(deck)) == 9
        for street, known in enumerate((2, 5, 6, 7)):
            for seat, hand in enumerate((first, second)):
                assert cards[seat, number, street].tolist() == hand[:known] + [NO_CARD] * (7 - known)
                strength = hand_strength(np.array(hand[:2]), np.array(hand[2:known]))
                assert hands[seat, number, street, 7:].tolist() == strength.tolist()
        state = HandState(game.game, Deal(deck, 0, 0))
        while not state.done:
            state.apply(1)
        assert np.sign(state.payoffs[0]) == deals.results[number, -1]


def test_small_games_deals_have_openspiels_winners():
    for name, calls in (("kuhn", (0, 0)), ("leduc", (1, 1, 1, 1))):
        game = GAMES[name]
        deals = game.deal(200, np.random.default_rng(1))
        cards = deals.cards.reshape(2, 200, game.n_streets, game.deck.length)[:, :, -1]
        decks = set()
        for number in range(200):
            ranks = [int(cards[0, number, 0]), int(cards[1, number, 0]), *cards[0, number, 1:].tolist()]
            assert cards[1, number, 1:].tolist() == ranks[2:]
            copies = len(game.game.cards) // 3
            deck = tuple(rank * copies + ranks[:place].count(rank) % copies for place, rank in enumerate(ranks))
            assert len(set(deck)) == len(deck)
            state = HandState(game.game, Deal(deck, 0, 0))
            for action in calls:
                state.apply(action)
            assert np.sign(state.payoffs[0]) == deals.results[number, -1]
            decks.add(tuple(ranks))
        assert len(decks) == (6 if name == "kuhn" else 24)


def test_all_ins_before_the_river_count_by_how_they_may_end():
    deals = GAMES["holdem"].deal(1_900, np.random.default_rng(2))
    results = deals.results.astype(float)
    assert np.abs(results).max() <= 1
    variances = ((results - results[:, 3:]) ** 2).mean(axis=0)
    assert variances[0] > variances[1] > variances[2] > variances[3] == 0
    # Unbiased: what is left over has a mean of 0, whatever the player holds.
    for street in range(3):
        left = results[:, 3] - results[:, street]
        for known in (np.ones(1_900), deals.cards[0, ::4, 0] / 51):
            assert abs((left * known).mean()) < 4 * (left * known).std() / 1_900**0.5
    aces = (deals.cards.reshape(2, 1_900, 4, -1)[0, :, 0, :2] // 4 == 12).all(axis=1)
    assert results[aces, 0].mean() > 0.4
