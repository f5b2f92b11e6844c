"""Preflop charts: what is known agrees with what the player does, and samples are counted where they belong."""

import numpy as np
import pytest

from poker_env.cards.holdings import HOLDINGS, PREFLOP_CLASSES, holding_index
from poker_env.games import HOLDEM_CARDS, Deal, make_deals, make_game
from poker_env.hand import Answer
from poker_env.player_specs import make_player
from poker_env.report.preflop import ANSWERS, class_name, facing_raise, opening
from poker_env.state import HandState
from poker_env.table import play

HOLDEM = make_game("holdem")
FOLD, CALL, RAISE, ALL_IN, ILLEGAL = range(len(ANSWERS))


def some_hands(hero, villain, count=150):
    return play(HOLDEM, make_deals(HOLDEM, count, seed=3), hero, villain)


class Raiser:
    """Raises to a size, and says so; with the rest of its answers it names nothing legal."""

    name = "raiser"

    def __init__(self, to, share=1.0):
        self.to, self.share, self.asked = to, share, []

    def act(self, observations):
        return [Answer(self._raise(item) if item.coin < self.share else None) for item in observations]

    def policy(self, observations):
        self.asked += observations
        return [{self._raise(item): self.share} for item in observations]

    def _raise(self, observation):
        return 1 if observation.min_raise_to is None else max(self.to, observation.min_raise_to)


def test_classes_have_their_usual_names():
    names = [class_name(cell) for cell in range(169)]
    assert len(set(names)) == 169
    for (low, high), cell in zip(HOLDINGS, PREFLOP_CLASSES, strict=True):
        first, second = HOLDEM_CARDS[high], HOLDEM_CARDS[low]
        kind = "" if first[0] == second[0] else "s" if first[1] == second[1] else "o"
        assert names[cell] == first[0] + second[0] + kind


@pytest.mark.parametrize("situation", [opening, facing_raise])
def test_a_solved_player_shows_its_probabilities(situation):
    villain = make_player("cfr", HOLDEM)
    hands = some_hands(Raiser(250), villain, 40)
    chart = situation(villain, False, hands, False)
    assert chart.source == "its probabilities"
    assert chart.shares.sum(axis=1) == pytest.approx(1)
    assert chart.counts.sum() == 1326 and chart.totals.sum() == pytest.approx(1)
    assert chart.title == ("open" if situation is opening else "facing a raise to 2.5 bb")
    # Those of single hands, asked one by one.
    place = 0 if situation is opening else 1
    seen = [hand for hand in hands if hand.decisions[place].seat != hand.hero_seat and hand.decisions[0].legal]
    observations = [observation_of(hand, place) for hand in seen[:20]]
    for observation, policy in zip(observations, villain.policy(observations), strict=True):
        cards = sorted(HOLDEM_CARDS.index(card) for card in observation.hole)
        cell = PREFLOP_CLASSES[holding_index(*cards)]
        expected = np.zeros(len(ANSWERS))
        for action, probability in policy.items():
            expected[{0: FOLD, 1: CALL, HOLDEM.stack: ALL_IN}.get(action, RAISE)] += probability
        assert chart.shares[cell] == pytest.approx(expected)


def observation_of(hand, place):
    state = HandState(HOLDEM, hand.deal)
    for decision in hand.decisions[:place]:
        state.apply(decision.move.action)
    return state.observe()


def test_samples_are_counted_by_class():
    hero = make_player("tag", HOLDEM)
    hands = some_hands(hero, make_player("lag", HOLDEM), 400)
    chart = opening(hero, True, hands, False)
    seen = [hand for hand in hands if hand.hero_seat == 1]
    assert chart.source == f"{len(seen):,} decisions"
    assert chart.counts.sum() == len(seen)
    raised = sum(hand.decisions[0].aggressive for hand in seen)
    assert (chart.counts[:, None] * chart.shares).sum(axis=0)[[RAISE, ALL_IN]].sum() == pytest.approx(raised)
    assert chart.totals[RAISE] + chart.totals[ALL_IN] == pytest.approx(raised / len(seen))
    assert chart.shares[chart.counts == 0].sum() == 0
    aces = [cell for cell in range(169) if class_name(cell) == "AA"]
    assert chart.counts[aces] == sum(hand.hole[1][0][0] + hand.hole[1][1][0] == "AA" for hand in seen)


def test_facing_a_raise_counts_no_limps_and_no_walks():
    hero = make_player("tag", HOLDEM)
    hands = some_hands(hero, make_player("lag", HOLDEM), 200)
    chart = facing_raise(hero, True, hands, False)
    seen = [hand for hand in hands if hand.hero_seat == 0 and hand.decisions[0].aggressive]
    assert 0 < chart.counts.sum() == len(seen) < 100


def test_a_model_is_asked_once_for_each_class():
    hero = Raiser(700, share=0.75)
    chart = opening(hero, True, some_hands(make_player("tag", HOLDEM), hero, 20), ask=True)
    assert len(hero.asked) == 169 == len({observation.hole for observation in hero.asked})
    assert chart.shares[:, RAISE] == pytest.approx(0.75)
    assert chart.shares[:, ILLEGAL] == pytest.approx(0.25)


def test_a_model_is_asked_about_the_size_it_meets_most():
    hero, villain = Raiser(1000), Raiser(450)
    hands = some_hands(hero, villain, 20)
    chart = facing_raise(hero, True, hands, ask=True)
    assert {observation.moves[-1].to for observation in hero.asked} == {450}
    assert chart.title == "facing a raise to 4.5 bb"


def test_who_can_say_nothing_is_never_asked():
    hero = make_player("tag", HOLDEM)
    hands = some_hands(hero, make_player("call", HOLDEM), 20)
    assert "decisions" in opening(hero, True, hands, ask=True).source
    assert facing_raise(hero, True, hands, ask=True).counts.sum() == 0  # villain never raises


def test_answers_without_a_legal_action_are_seen():
    hero = Raiser(700, share=0.0)
    deal = Deal(tuple(range(9)), 1, 0)
    chart = opening(hero, True, play(HOLDEM, [deal], hero, hero), ask=False)
    assert chart.totals[ILLEGAL] == 1


def test_a_language_model_can_be_asked(tiny_model_dir):
    hero = make_player(f"llm:{tiny_model_dir}", HOLDEM)
    hands = some_hands(make_player("tag", HOLDEM), make_player("call", HOLDEM), 2)
    chart = opening(hero, True, hands, ask=True)
    assert "probabilities" in chart.source
    assert chart.shares.sum(axis=1) == pytest.approx(1)
    assert 0 < chart.totals[ILLEGAL] < 1
    assert chart.shares.std(axis=0).max() > 0  # it looks at its cards
