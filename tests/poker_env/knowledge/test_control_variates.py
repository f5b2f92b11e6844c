"""Credit: no switch moves the mean, by enumeration of every way that Kuhn and Leduc can go."""

import itertools
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from poker_env.cfr.full_width import information_states, solve_exactly
from poker_env.games import Deal, make_deals, make_game
from poker_env.knowledge.beliefs import all_decks
from poker_env.knowledge.control_variates import Choice, CreditAssigner, Switches, assigner_against
from poker_env.knowledge.critic import CheckDownCritic
from poker_env.knowledge.exact_value import exact_policy
from poker_env.knowledge.small_games import ExactCritic, tabular_ranges
from poker_env.player_specs import make_player
from poker_env.state import HandState
from poker_env.table import play as play_hands

KUHN, LEDUC = make_game("kuhn"), make_game("leduc")
NAMES = ("chance", "range", "villain", "hero", "baseline", "all_action")
EVERY_SWITCH = [Switches(*bits) for bits in itertools.product([False, True], repeat=len(NAMES))]
ALL_ON = Switches(*[True] * len(NAMES))


def random_table(game, seed):
    """A policy drawn at random, at every information state of both seats."""
    rng = np.random.default_rng(seed)
    return {
        state: dict(zip(actions, rng.dirichlet(np.ones(len(actions))).tolist(), strict=True))
        for state, actions in information_states(game)
    }


def villain_table(game):
    return solve_exactly(game, "cfr", lambda done: done < 5)[0].table


def plays(game, hero, villain, decks, hero_seat):
    """Every way a hand can go: probability (decks being equally likely), deal, actions, payoff, infosets, choices.

    What hero's probabilities lack to 1 is an answer that names no action: the hand ends as a fold.
    """
    for deck in decks:
        deal = Deal(deck, hero_seat, 0)
        pending = [((), 1 / len(decks), (), ())]
        while pending:
            actions, probability, infosets, choices = pending.pop()
            hand = HandState(game, deal)
            for action in actions:
                hand.apply(action)
            if hand.done:
                yield probability, deal, actions, hand.payoffs[hero_seat], infosets, choices
                continue
            infoset = hand.observe().infoset
            if hand.current_seat != hero_seat:
                for action, share in villain[infoset].items():
                    if share:
                        pending.append(((*actions, action), probability * share, infosets, choices))
                continue
            menu, shares = tuple(hero[infoset]), tuple(hero[infoset].values())
            for place, action in enumerate(menu):
                choice = (*choices, Choice(menu, shares, place))
                pending.append(((*actions, action), probability * shares[place], (*infosets, infoset), choice))
            if sum(shares) < 1 - 1e-9:
                hand.forfeit()
                choice = (*choices, Choice(menu, shares, None))
                payoff = hand.payoffs[hero_seat]
                yield probability * (1 - sum(shares)), deal, actions, payoff, (*infosets, infoset), choice


def expectations(assigner, every_play, gamma=1.0):
    """Mean value, and mean gradient at each information state by the logits of the menu and of other answers."""
    value, gradient = 0.0, defaultdict(float)
    for probability, deal, actions, payoff, infosets, choices in every_play:
        credit = assigner.assign(deal, actions, payoff, choices, gamma)
        value += probability * credit.value
        for infoset, choice, decision in zip(infosets, choices, credit.decisions, strict=True):
            weights = np.array([*decision.actions, 0.0])
            weights[-1 if choice.played is None else choice.played] += decision.played
            shares = np.array([*choice.probabilities, 1 - sum(choice.probabilities)])
            gradient[infoset] += probability * (weights - shares * weights.sum())
    return value, gradient


def assert_alike(found, expected, what):
    assert found[0] == pytest.approx(expected[0], abs=1e-9), what
    assert found[1].keys() == expected[1].keys()
    for infoset, rates in expected[1].items():
        assert found[1][infoset] == pytest.approx(rates, abs=1e-9), (what, infoset)


def exact_gradient(game, hero, villain, decks, hero_seat, step=1e-5):
    """Central differences of the exact value by each logit."""

    def value(table):
        return sum(p * payoff for p, _, _, payoff, _, _ in plays(game, table, villain, decks, hero_seat))

    gradient = {}
    for infoset in {name for play in plays(game, hero, villain, decks, hero_seat) for name in play[4]}:
        logits = np.log([*hero[infoset].values(), 1e-300])
        rates = []
        for place in range(len(logits)):
            sides = []
            for sign in (1, -1):
                moved = np.exp(logits + sign * step * np.eye(len(logits))[place])
                moved = moved[:-1] / moved.sum()
                sides.append(value(hero | {infoset: dict(zip(hero[infoset], moved, strict=True))}))
            rates.append((sides[0] - sides[1]) / (2 * step))
        gradient[infoset] = np.array(rates)
    return value(hero), gradient


def critics(game, hero, villain):
    wrong_about_both = ExactCritic(game, random_table(game, 2), random_table(game, 3))
    return [ExactCritic(game, hero, villain), wrong_about_both, CheckDownCritic()]


def assign_all(game, villain, critic, switches, every_play):
    assigner = CreditAssigner(game, tabular_ranges(game, villain), critic, switches)
    return [assigner.assign(*play[1:4], play[5]) for play in every_play]


@pytest.mark.parametrize("hero_seat", [0, 1])
def test_no_switch_moves_the_mean_in_kuhn(hero_seat):
    hero, villain = random_table(KUHN, 1), villain_table(KUHN)
    every_play = list(plays(KUHN, hero, villain, all_decks(KUHN), hero_seat))
    exact = exact_gradient(KUHN, hero, villain, all_decks(KUHN), hero_seat)
    for critic, switches in itertools.product(critics(KUHN, hero, villain), EVERY_SWITCH):
        assigner = CreditAssigner(KUHN, tabular_ranges(KUHN, villain), critic, switches)
        assert_alike(expectations(assigner, every_play), exact, switches)


@pytest.mark.parametrize("hero_seat", [0, 1])
@pytest.mark.parametrize("switches", [ALL_ON, Switches(chance=True), Switches(range=True, hero=True, villain=True)])
def test_no_switch_moves_the_mean_in_leduc(switches, hero_seat):
    hero, villain = random_table(LEDUC, 1), villain_table(LEDUC)
    decks = [deck for deck in all_decks(LEDUC) if deck[hero_seat] == 2]  # hero knows its own card
    every_play = list(plays(LEDUC, hero, villain, decks, hero_seat))
    policy = tabular_ranges(LEDUC, villain)
    raw = expectations(CreditAssigner(LEDUC, policy, None, Switches()), every_play)
    _, wrong, check_down = critics(LEDUC, hero, villain)
    for critic in (wrong, check_down):
        assert_alike(expectations(CreditAssigner(LEDUC, policy, critic, switches), every_play), raw, critic)


@pytest.mark.parametrize("gamma", [1.0, 0.5])
@pytest.mark.parametrize("hero_seat", [0, 1])
def test_illegal_answers_and_discounting_are_no_bias(hero_seat, gamma):
    villain = villain_table(KUHN)
    legal = random_table(KUHN, 1)
    hero = {state: {action: 0.8 * share for action, share in row.items()} for state, row in legal.items()}
    every_play = list(plays(KUHN, hero, villain, all_decks(KUHN), hero_seat))
    assert sum(play[0] for play in every_play) == pytest.approx(1)
    policy = tabular_ranges(KUHN, villain)
    raw = expectations(CreditAssigner(KUHN, policy, None, Switches()), every_play, gamma)
    for critic, switches in itertools.product(critics(KUHN, legal, villain), EVERY_SWITCH):
        assert_alike(expectations(CreditAssigner(KUHN, policy, critic, switches), every_play, gamma), raw, switches)


class Unknowing:
    """An assigner for a hero that doesn't say what it sampled its decisions from."""

    def __init__(self, assigner):
        self._assigner = assigner

    def assign(self, deal, actions, payoff, choices, gamma):
        credit = self._assigner.assign(deal, actions, payoff, [Choice((), (), None)] * len(choices), gamma)
        assert all(decision.actions == () for decision in credit.decisions)
        blank = [(0.0,) * len(choice.actions) for choice in choices]
        decisions = [replace(own, actions=none) for own, none in zip(credit.decisions, blank, strict=True)]
        return replace(credit, decisions=tuple(decisions))


@pytest.mark.parametrize("hero_seat", [0, 1])
def test_a_hero_that_does_not_know_its_probabilities_has_the_same_mean_with_less_noise(hero_seat):
    hero, villain = random_table(KUHN, 1), villain_table(KUHN)
    hero = {state: {action: 0.9 * share for action, share in row.items()} for state, row in hero.items()}
    every_play = list(plays(KUHN, hero, villain, all_decks(KUHN), hero_seat))
    policy = tabular_ranges(KUHN, villain)
    raw = expectations(CreditAssigner(KUHN, policy, None, Switches()), every_play, 0.9)
    for critic, switches in itertools.product(critics(KUHN, hero, villain), EVERY_SWITCH):
        assigner = Unknowing(CreditAssigner(KUHN, policy, critic, switches))
        if switches.hero or switches.all_action:
            with pytest.raises(ValueError, match="needs the probabilities of hero's actions"):
                expectations(assigner, every_play, 0.9)
        else:
            assert_alike(expectations(assigner, every_play, 0.9), raw, switches)

    def spread(switches):
        critic = ExactCritic(KUHN, villain, villain)
        assigner = Unknowing(CreditAssigner(KUHN, policy, critic, switches))
        credits = [assigner.assign(*play[1:4], play[5], 1.0) for play in every_play]
        return np.mean([own.played**2 for credit in credits for own in credit.decisions])

    all_that_can_be = Switches(chance=True, range=True, villain=True, baseline=True)
    assert spread(all_that_can_be) < spread(replace(all_that_can_be, baseline=False)) < spread(Switches())


@pytest.mark.parametrize("game", [KUHN, LEDUC], ids=str)
def test_an_exact_critic_leaves_nothing_to_luck(game):
    hero, villain = random_table(game, 1), villain_table(game)
    critic = ExactCritic(game, hero, villain)
    decks = all_decks(game)[::7] if game is LEDUC else all_decks(game)
    for hero_seat in (0, 1):
        every_play = list(plays(game, hero, villain, decks, hero_seat))
        # A deck that is known is worth the same however it is played; so is hero's card, where nothing else is.
        for blind in (False, True):
            switches = replace(ALL_ON, chance=blind, range=blind)
            values = defaultdict(list)
            for play, credit in zip(every_play, assign_all(game, villain, critic, switches, every_play), strict=True):
                values[play[1].deck[hero_seat] if blind else play[1].deck].append(credit.value)
                assert all(decision.played == pytest.approx(0, abs=1e-9) for decision in credit.decisions)
            assert max(len(group) for group in values.values()) > 1
            assert all(np.ptp(group) < 1e-9 for group in values.values())
        raw = assign_all(game, villain, None, Switches(), every_play)
        assert np.std([credit.value for credit in raw]) > 0.5


@pytest.mark.parametrize("game", [KUHN, LEDUC], ids=str)
def test_the_deals_luck_has_mean_zero_when_the_critic_has_both_play_alike(game):
    table = villain_table(game)
    critic = ExactCritic(game, table, table)
    for switches in (ALL_ON, replace(ALL_ON, chance=False, range=False)):
        assigner = CreditAssigner(game, tabular_ranges(game, table), critic, switches)
        luck = [assigner.luck_of_the_deal(Deal(deck, seat, 0)) for deck in all_decks(game) for seat in (0, 1)]
        assert np.mean(luck) == pytest.approx(0, abs=1e-9)
        assert np.std(luck) > 0.1


def test_each_switch_takes_noise_away():
    """In the order in which the notes of the field add them, with a good but not exact critic."""
    villain = villain_table(LEDUC)
    hero = {
        state: {action: 0.7 * share + 0.3 / len(row) for action, share in row.items()}
        for state, row in villain.items()
    }
    critic = ExactCritic(LEDUC, villain, villain)
    every_play = list(plays(LEDUC, hero, villain, all_decks(LEDUC)[::11], 0))
    probabilities = np.array([play[0] for play in every_play])
    noise = []
    for names in ((), ("baseline",), ("baseline", "villain"), ("baseline", "villain", "hero"), NAMES[:5], NAMES):
        switches = Switches(**dict.fromkeys(names, True))
        total = 0.0
        for probability, play, credit in zip(
            probabilities, every_play, assign_all(LEDUC, villain, critic, switches, every_play), strict=True
        ):
            for choice, decision in zip(play[5], credit.decisions, strict=True):
                weights = np.array(decision.actions)
                weights[choice.played] += decision.played
                total += probability * float(((weights - np.array(choice.probabilities) * weights.sum()) ** 2).sum())
        noise.append(total)
    assert noise == sorted(noise, reverse=True)
    assert noise[-1] < noise[0] / 10


def test_switches_that_need_a_critic_say_so():
    CreditAssigner(KUHN, tabular_ranges(KUHN, villain_table(KUHN)), None, Switches(range=True))
    with pytest.raises(ValueError, match="needs a critic"):
        CreditAssigner(KUHN, tabular_ranges(KUHN, villain_table(KUHN)), None, Switches(hero=True))


@pytest.mark.parametrize(("game", "spec"), [(KUHN, "cfr"), (LEDUC, "cfr"), (LEDUC, "call")], ids=str)
def test_hands_from_the_table_against_players_by_name(game, spec):
    """A hero that plays as the critic has it play: what is left of the luck is nothing."""
    villain, hero = make_player(spec, game), make_player("cfr", game)
    table = exact_policy(game, hero)
    assigner = assigner_against(game, villain, ALL_ON, hero=table)
    hands = play_hands(game, make_deals(game, 50, 0), hero, villain)
    for hand in hands:
        infosets = list(_hero_infosets(hand))
        choices = [
            Choice(tuple(table[name]), tuple(table[name].values()), list(table[name]).index(decision.move.action))
            for name, decision in zip(infosets, hand.hero_decisions, strict=True)
        ]
        credit = assigner.assign_hand(hand, choices)
        assert credit.value == pytest.approx(assigner.luck_of_the_deal(hand.deal), abs=1e-6)
        assert all(decision.played == pytest.approx(0, abs=1e-6) for decision in credit.decisions)


def _hero_infosets(hand):
    state = HandState(hand.game, hand.deal)
    for decision in hand.decisions:
        if decision.seat == hand.hero_seat:
            yield state.observe().infoset
        state.apply(decision.move.action)
