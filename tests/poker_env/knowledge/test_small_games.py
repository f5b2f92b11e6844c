"""Kuhn and Leduc: the exact critic against OpenSpiel's expected values, from the root and from the middle of hands."""

import numpy as np
import pytest
from open_spiel.python.algorithms.expected_game_score import policy_value

from poker_env.cfr.full_width import information_states
from poker_env.games import Deal, make_game
from poker_env.knowledge.beliefs import DealtCards, Knowledge, all_decks
from poker_env.knowledge.exact_value import exact_policy, expected_payoff
from poker_env.knowledge.public_tree import PublicTree
from poker_env.knowledge.small_games import ExactCritic, tabular_ranges
from poker_env.player_specs import make_player
from poker_env.state import HandState

GAMES = {name: make_game(name) for name in ("kuhn", "leduc")}
both_games = pytest.mark.parametrize("game", GAMES.values(), ids=GAMES)


def random_table(game, seed, total=1.0):
    """A policy drawn at random; what it lacks to 1 is answers that name no action."""
    rng = np.random.default_rng(seed)
    return {
        name: dict(zip(actions, (total * rng.dirichlet([0.5] * len(actions))).tolist(), strict=True))
        for name, actions in information_states(game)
    }


class ForOpenSpiel:
    """A table as what OpenSpiel's algorithms ask."""

    def __init__(self, table):
        self.table = table

    def action_probabilities(self, state):
        return self.table[state.information_state_string(state.current_player())]


def by_openspiel(state, hero, villain, hero_seat):
    policies = [ForOpenSpiel(hero), ForOpenSpiel(villain)]
    return policy_value(state, policies if hero_seat == 0 else policies[::-1])[hero_seat]


def dealt_state(game, deck, actions):
    """OpenSpiel's state after a deck's cards and some actions."""
    state, cards, left = game.spiel.new_initial_state(), iter(deck), list(actions)
    while state.is_chance_node() or left:
        state.apply_action(next(cards) if state.is_chance_node() else left.pop(0))
    return state


def at_start(game, deck, hero_seat):
    """What hero knows before the first action: its own card."""
    return Knowledge.at_start(DealtCards(game, Deal(deck, hero_seat, 0)), whole_board=False, villain=False)


def mean_value(critic, state, knowledge):
    worlds = critic.worlds(knowledge, np.zeros(1, np.uint64))
    assert worlds.weights.sum() == pytest.approx(1)
    return float(worlds.weights @ critic.values(state, worlds))


@both_games
def test_the_root_is_worth_openspiels_expected_score(game):
    shipped, weak = (exact_policy(game, make_player(spec, game)) for spec in ("cfr", "cfr:weak"))
    for hero, villain in ((random_table(game, 0), random_table(game, 1)), (weak, shipped)):
        critic, root = ExactCritic(game, hero, villain), PublicTree(game, tabular_ranges(game, villain)).root
        for hero_seat in (0, 1):
            expected = by_openspiel(game.spiel.new_initial_state(), hero, villain, hero_seat)
            found = [mean_value(critic, root, at_start(game, deck, hero_seat)) for deck in all_decks(game)]
            assert np.mean(found) == pytest.approx(expected, abs=1e-12)
            assert abs(expected) > 1e-3


@both_games
def test_in_the_middle_of_a_hand_it_is_the_mean_over_what_villain_may_hold(game):
    """Weighed by how likely villain's cards made its actions; the board is known once it is dealt."""
    hero, villain = random_table(game, 2), random_table(game, 3)
    ways = {"kuhn": [(0,), (0, 1), (1,)], "leduc": [(2,), (1, 2), (2, 1), (1, 2, 1, 1), (1, 1, 1, 2)]}[game.name]
    policy, critic = tabular_ranges(game, villain), ExactCritic(game, hero, villain)
    tree = PublicTree(game, policy)
    for actions in ways:
        for hero_seat in (0, 1):
            for deck in all_decks(game)[::7]:
                known, state = at_start(game, deck, hero_seat), tree.root
                # Of all decks that may be, villain's share in coming here.
                likely = {other: 1.0 for other in all_decks(game) if other[hero_seat] == deck[hero_seat]}
                for place, action in enumerate(actions):
                    if state.seat != hero_seat:
                        legal, rows = state.reply(known.cards.board_of(state.n_board))
                        known = known.after(rows[:, legal.index(action)])
                        for other in likely:
                            before = dealt_state(game, other, actions[:place])
                            likely[other] *= ForOpenSpiel(villain).action_probabilities(before)[action]
                    state = tree.child(state, action)
                    if state.n_board > known.n_board:
                        known = known.dealt(state.n_board)
                        likely = {other: share for other, share in likely.items() if other[2:] == deck[2:]}
                values = [
                    by_openspiel(dealt_state(game, other, actions), hero, villain, hero_seat) for other in likely
                ]
                expected = np.average(values, weights=list(likely.values()))
                assert mean_value(critic, state, known) == pytest.approx(expected, abs=1e-12)


@both_games
@pytest.mark.parametrize(("own", "others"), [(0.6, 1.0), (0.0, 1.0), (0.7, 0.8)])
def test_answers_that_name_no_action_give_up_what_was_put_in(game, own, others):
    """Whoever's they are: a language model's answers aren't all legal."""
    hero, villain = random_table(game, 5, own), random_table(game, 6, others)
    critic, root = ExactCritic(game, hero, villain), PublicTree(game, tabular_ranges(game, villain)).root
    in_seat = expected_payoff(game, hero, villain), -expected_payoff(game, villain, hero)
    for hero_seat in (0, 1):
        found = [mean_value(critic, root, at_start(game, deck, hero_seat)) for deck in all_decks(game)]
        assert np.mean(found) == pytest.approx(in_seat[hero_seat], abs=1e-12)


@both_games
def test_ranges_are_the_tables_rows(game):
    table = random_table(game, 4)
    policy, met = tabular_ranges(game, table), set()
    for deck in all_decks(game):
        pending = [()]
        while pending:
            actions = pending.pop()
            hand = HandState(game, Deal(deck, 0, 0))
            for action in actions:
                hand.apply(action)
            if hand.done:
                continue
            seen, board = hand.observe(), np.array(deck[2:][: len(hand.board)], np.int64)
            if len(deck) == 2 or actions.count(2) < 2:  # enough of Leduc
                pending += [(*actions, action) for action in seen.legal]
            if (seen.infoset, deck[seen.seat]) in met:
                continue
            met.add((seen.infoset, deck[seen.seat]))
            legal, rows = policy(seen)(board)
            assert rows.shape == (len(game.cards), len(legal)) and not rows[board].any()
            assert dict(zip(legal, rows[deck[seen.seat]], strict=True)) == table[seen.infoset]
    assert len(met) >= {"kuhn": 12, "leduc": 400}[game.name]
