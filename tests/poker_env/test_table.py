"""The table: lockstep play is a matter of speed alone, and luck comes from deals."""

from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest

from poker_env.games import make_deals, make_game
from poker_env.hand import Answer
from poker_env.menu import make_menu
from poker_env.player_specs import make_player
from poker_env.state import HandState
from poker_env.table import play

GAMES = ["kuhn", "leduc", "holdem", "holdem:small_blind=3,big_blind=7,stack=150"]


class Sloppy:
    """Plays at random by its coin, and one time in ten says nothing legal; remembers the batches it was asked for."""

    name = "sloppy"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def act(self, observations):
        self.batches.append(len(observations))
        return [Answer(self._choose(observation), completion=str(observation.coin)) for observation in observations]

    def _choose(self, observation):
        menu = make_menu(observation)
        number = int(observation.coin * 10 * len(menu))
        return None if number % 10 == 9 else menu[number // 10].action


@pytest.mark.parametrize("spec", GAMES)
def test_the_same_deals_give_the_same_hands_in_any_batches(spec):
    game = make_game(spec)
    deals, villain = make_deals(game, 40, seed=1), make_player("random", game)
    hands = play(game, deals, Sloppy(), villain, replicas=2)
    assert hands == play(game, deals, Sloppy(), villain, replicas=2)
    for size in (1, 7, 39):
        chunks = (deals[start : start + size] for start in range(0, 40, size))
        assert [hand for chunk in chunks for hand in play(game, chunk, Sloppy(), villain, replicas=2)] == hands
    backwards = play(game, deals[::-1], Sloppy(), villain, replicas=2)
    assert sorted(backwards, key=lambda hand: (deals.index(hand.deal), hand.replica)) == hands
    assert play(game, make_deals(game, 40, seed=2), Sloppy(), villain, replicas=2) != hands


@pytest.mark.parametrize("spec", GAMES)
def test_hands_come_back_in_order_and_replay_to_the_same_payoff(spec):
    game = make_game(spec)
    deals = make_deals(game, 40, seed=3)
    hands = play(game, deals, Sloppy(), Sloppy(), replicas=3)
    assert [(hand.deal, hand.replica) for hand in hands] == [(deal, number) for deal in deals for number in range(3)]
    for hand in hands:
        state = HandState(game, hand.deal)
        for decision in hand.decisions:
            assert decision.seat == state.current_seat
            assert (decision.street, decision.pot) == (state.street, sum(state.contributions))
            if decision.move:
                assert state.apply(decision.move.action) == decision.move
            else:
                state.forfeit()
        assert state.done
        assert hand.payoff == state.payoffs[hand.hero_seat]
        assert (hand.board, hand.showdown) == (state.board, state.showdown)
        assert hand.hole == (state.hole(0), state.hole(1))


def test_an_answer_without_a_legal_action_ends_the_hand_and_costs_the_contribution():
    game = make_game("holdem")
    hands = play(game, make_deals(game, 200, seed=4), Sloppy(), make_player("call", game))
    forfeits = [hand for hand in hands if not all(decision.legal for decision in hand.decisions)]
    assert 20 < len(forfeits) < 200
    for hand in forfeits:
        assert [decision.legal for decision in hand.decisions] == [True] * (len(hand.decisions) - 1) + [False]
        last = hand.decisions[-1]
        assert last.seat == hand.hero_seat
        paid = [decision.move.to for decision in hand.hero_decisions[:-1]]
        assert hand.payoff == -max(paid, default=(100, 50)[hand.hero_seat])
        assert not hand.showdown


@pytest.mark.parametrize("spec", GAMES)
def test_chips_are_conserved_between_seats(spec):
    game = make_game(spec)
    deals = make_deals(game, 100, seed=5)
    swapped = [deal.swapped() for deal in deals]
    call = make_player("call", game)
    # Two players that never look at their luck: swapping their seats swaps the payoffs of a deck.
    first, second = play(game, deals, call, call), play(game, swapped, call, call)
    assert [hand.payoff for hand in first] == [-hand.payoff for hand in second]
    assert any(hand.payoff for hand in first)
    assert [hand.hero_seat for hand in first] == [1 - hand.hero_seat for hand in second]


def _answers(hands, of_hero):
    """What each side answered after each history of each deal: {(deal, history): [answer of each replica]}."""
    answers = defaultdict(list)
    for hand in hands:
        history = ()
        for decision in hand.decisions:
            action = decision.answer.action
            if (decision.seat == hand.hero_seat) == of_hero:
                answers[hand.deal, history].append(action)
            history += (action,)
    return answers


@pytest.mark.parametrize("spec", GAMES)
def test_replicas_that_play_alike_meet_the_same_villain(spec):
    game = make_game(spec)
    hands = play(game, make_deals(game, 50, seed=6), Sloppy(), make_player("random", game), replicas=8)
    villains = _answers(hands, of_hero=False)
    shared = [actions for actions in villains.values() if len(actions) > 1]
    assert len(shared) > 50
    assert all(len(set(actions)) == 1 for actions in shared)
    # ... and it isn't for lack of choice that villain answers alike.
    assert len({actions[0] for actions in shared}) > 1


def test_hero_differs_between_replicas():
    game = make_game("holdem")
    hero, villain = make_player("random", game), make_player("call", game)
    hands = play(game, make_deals(game, 50, seed=7), hero, villain, replicas=4)
    heroes = _answers(hands, of_hero=True)
    pairs = [(a, b) for actions in heroes.values() for a, b in combinations(actions, 2)]
    agreement = np.mean([a == b for a, b in pairs])
    assert len(pairs) > 200
    assert agreement < 0.5  # menus have two to seven items


def test_each_player_is_asked_once_per_round_for_all_that_wait():
    game = make_game("kuhn")
    hero, villain = Sloppy(), Sloppy()
    hands = play(game, make_deals(game, 64, seed=8), hero, villain)
    assert hero.batches[0] == villain.batches[0] == 32  # hero alternates seats
    assert len(hero.batches) <= 3
    assert sum(hero.batches) == sum(len(hand.hero_decisions) for hand in hands)
    assert sum(hero.batches + villain.batches) == sum(len(hand.decisions) for hand in hands)


def test_nothing_to_play():
    game = make_game("kuhn")
    assert play(game, [], Sloppy(), Sloppy()) == []
