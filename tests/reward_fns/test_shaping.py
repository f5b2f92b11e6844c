"""Potential-based shaping, exactly, in Kuhn: no gradient and no optimum moves, unless gamma or the end is wrong."""

import inspect
import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.games import Deal, make_deals, make_game
from poker_env.hand import Answer
from poker_env.menu import make_menu
from poker_env.table import play
from recipes.training.returns import discounted_returns
from reward_fns import RewardSpec, load_reward
from reward_fns.shaping import potential_based

KUHN, HOLDEM = make_game("kuhn"), make_game("holdem")
HISTORIES = ((0, 0), (0, 1, 0), (0, 1, 1), (1, 0), (1, 1))
GAMMAS = st.sampled_from([1.0, 0.99, 0.5, 0.0])


class Recorder:
    """Plays a given history, or any menu item, and keeps what it saw."""

    name = "recorder"

    def __init__(self, history=None):
        self.history, self.seen = history, []

    def act(self, asked):
        self.seen += asked
        if self.history is not None:
            return [Answer(self.history[len(seen.moves)]) for seen in asked]
        menus = [make_menu(seen) for seen in asked]
        return [Answer(menu[int(seen.coin * len(menu))].action) for seen, menu in zip(asked, menus, strict=True)]


def kuhn_hand(deck, seat, history):
    player = Recorder(history)
    return play(KUHN, [Deal(deck, seat, 0)], player, player)[0]


HANDS = [
    kuhn_hand(deck, seat, history)
    for deck, seat, history in itertools.product(itertools.permutations(range(3), 2), (0, 1), HISTORIES)
]
SEEN = [hand.observations() for hand in HANDS]
INFOSETS = sorted({seen.infoset for own in SEEN for seen in own})
NUMBERS = st.lists(st.floats(-3, 3), min_size=len(INFOSETS), max_size=len(INFOSETS))
CHANCES = st.lists(st.floats(0.05, 0.95), min_size=len(INFOSETS), max_size=len(INFOSETS))


def test_a_potential_s_own_arguments_are_the_reward_function_s():
    @potential_based
    def pots(observation, scale=1.0, *rest, offset=0.0, **others):
        return (observation.pot + offset + others.get("more", 0.0)) / scale

    assert list(inspect.signature(pots).parameters) == ["hand", "gamma", "scale", "offset", "others"]
    plain, more = (RewardSpec("pots", pots, args={"gamma": 1.0, **args})(HANDS[0]) for args in ({}, {"more": 2.0}))
    assert plain != more
    inspect.signature(pots).bind(None, gamma=1.0)  # nothing else has to be given


def table(values):
    return dict(zip(INFOSETS, values, strict=True))


def shaping(values, gamma):
    of = table(values)
    return RewardSpec("shaping", potential_based(lambda seen: of[seen.infoset]), args={"gamma": gamma})


def chance(hand, seen, bets, seats=(0, 1)):
    """How likely the hand is among those with hero in its seat; `seats` says whose answers count."""
    actions = [decision.answer.action for decision in hand.decisions]
    taken = [bets[own.infoset] if action else 1 - bets[own.infoset] for own, action in zip(seen, actions, strict=True)]
    return np.prod([share for own, share in zip(seen, taken, strict=True) if own.seat in seats]) / 6


def gradient(specs, gamma, bets):
    """By information state, what REINFORCE's gradient is on average: the derivative by the logit of betting."""
    found = dict.fromkeys(INFOSETS, 0.0)
    for hand, seen in zip(HANDS, SEEN, strict=True):
        returns = sum(spec.weight * discounted_returns(spec(hand), gamma) for spec in specs)
        own = [place for place in range(len(seen)) if seen[place].seat == hand.hero_seat]
        for credit, place in zip(returns, own, strict=True):
            infoset, bet = seen[place].infoset, hand.decisions[place].answer.action
            found[infoset] += chance(hand, seen, bets) * credit * (bet - bets[infoset])
    return np.array([found[infoset] for infoset in INFOSETS])


def objective(specs, gamma, bets):
    """The mean return from a hand's start, for each of hero's pure strategies in each seat (2, 64)."""
    found = []
    for seat in (0, 1):
        chosen = [(hand, seen) for hand, seen in zip(HANDS, SEEN, strict=True) if hand.hero_seat == seat]
        infosets = sorted({own.infoset for _, seen in chosen for own in seen if own.seat == seat})
        starts = [sum(s.weight * discounted_returns(s(hand), gamma)[0] for s in specs) for hand, _ in chosen]
        weights = [chance(hand, seen, bets, seats=(1 - seat,)) for hand, seen in chosen]
        picks = [
            {own.infoset: d.answer.action for own, d in zip(seen, hand.decisions, strict=True) if own.seat == seat}
            for hand, seen in chosen
        ]
        strategies = [dict(zip(infosets, actions, strict=True)) for actions in itertools.product((0, 1), repeat=6)]
        reached = np.array([[pick.items() <= strategy.items() for pick in picks] for strategy in strategies])
        found.append(reached @ (np.array(starts) * weights))
    return np.array(found)


@settings(max_examples=30, deadline=None)
@given(values=NUMBERS, bets=CHANCES, gamma=GAMMAS, weight=st.floats(-2, 2))
def test_shaping_moves_no_policy_gradient(values, bets, gamma, weight):
    chips, shaped = load_reward("chips"), replace(shaping(values, gamma), weight=weight)
    with_it, without = (gradient(specs, gamma, table(bets)) for specs in ([chips, shaped], [chips]))
    np.testing.assert_allclose(with_it, without, atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(values=NUMBERS, bets=CHANCES, gamma=GAMMAS)
def test_shaping_moves_every_strategy_alike(values, bets, gamma):
    """So the ranking of hero's pure strategies, and the best response with it, is the same."""
    with_it = objective([load_reward("chips"), shaping(values, gamma)], gamma, table(bets))
    moved = with_it - objective([load_reward("chips")], gamma, table(bets))
    np.testing.assert_allclose(moved, moved[:, :1].repeat(64, axis=1), atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(values=NUMBERS, gamma=GAMMAS, seed=st.integers(0, 2**32))
def test_from_any_decision_on_shaping_sums_to_minus_its_potential(values, gamma, seed):
    of = table(values)
    for hand, seen in zip(HANDS, SEEN, strict=True):
        own = [of[observation.infoset] for observation in seen if observation.seat == hand.hero_seat]
        np.testing.assert_allclose(discounted_returns(shaping(values, gamma)(hand), gamma), -np.array(own), atol=1e-12)


VALUES = [float(place) for place in range(len(INFOSETS))]
BETS = table([0.3] * len(INFOSETS))


def best(specs, gamma):
    """For each seat, which pure strategies are best."""
    found = objective(specs, gamma, BETS)
    return [set(np.flatnonzero(row > row.max() - 1e-9)) for row in found]


def test_a_plain_bonus_and_another_gamma_do_move_the_optimum():
    chips = load_reward("chips")
    assert best([chips, shaping(VALUES, 1.0)], 1.0) == best([chips], 1.0)
    assert best([chips, load_reward("aggression", args={"bonus": 1.0})], 1.0) != best([chips], 1.0)
    assert best([chips, shaping(VALUES, 0.5)], 1.0) != best([chips], 1.0)


def test_a_potential_of_the_end_moves_the_gradient():
    """Not so if the potential of a finished hand is 0, as it must be: here it is the chips that changed hands."""

    def with_end(hand):
        rewards = shaping(VALUES, 1.0)(hand)
        return [*rewards[:-1], rewards[-1] + abs(hand.payoff)]

    chips = load_reward("chips")
    without = gradient([chips], 1.0, BETS)
    assert np.abs(gradient([chips, RewardSpec("end", with_end)], 1.0, BETS) - without).max() > 0.01


def test_a_potential_sees_what_the_players_saw_and_no_more():
    hero, villain = Recorder(), Recorder()
    hands = play(HOLDEM, make_deals(HOLDEM, 40, seed=3), hero, villain)
    rebuilt = [seen for hand in hands for seen in hand.observations()]
    assert len(rebuilt) > 80

    def plain(seen):
        return replace(seen, coin_seed=0, hand_coin=0.0)

    expected = sorted(map(plain, [*hero.seen, *villain.seen]), key=repr)
    assert sorted(map(plain, rebuilt), key=repr) == expected


def test_a_forfeited_hand_ends_with_hero_s_answer():
    hand = kuhn_hand((1, 2), 0, [0, 1, None])
    values = shaping(VALUES, 1.0)(hand)
    assert len(values) == 2 and sum(values) == pytest.approx(-table(VALUES)[hand.observations()[0].infoset])


def test_no_rewards_when_villain_folds_before_hero_acts():
    player = Recorder([0])
    hand = play(HOLDEM, [Deal(make_deals(HOLDEM, 1, 0)[0].deck, 0, 0)], player, player)[0]
    assert potential_based(lambda seen: 1.0)(hand, gamma=0.5) == []


def test_the_reward_function_takes_the_potential_s_arguments_and_the_run_s_gamma():
    @potential_based
    def pot(observation, scale=1.0):
        """Big pots are nice."""
        return observation.pot / scale

    assert list(inspect.signature(pot).parameters) == ["hand", "gamma", "scale"]
    assert pot.__doc__ == "Big pots are nice."
    assert pot(kuhn_hand((0, 1), 0, (0, 1, 1)), gamma=0.5, scale=2.0) == [0.5 * 1.5 - 1.0, -1.5]
