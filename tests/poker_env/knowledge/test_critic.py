"""The hold'em critics: worlds that are possible, values an independent walk confirms, and no bias at the table."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.cards.holdings import HOLDINGS, PREFLOP_CLASSES, hand_value
from poker_env.cfr.tree import SHOWDOWN
from poker_env.games import Deal, make_deals, make_game
from poker_env.knowledge.beliefs import DealtCards, Knowledge
from poker_env.knowledge.control_variates import Choice, CreditAssigner, Switches
from poker_env.knowledge.critic import NEGLIGIBLE, BlueprintCritic, CheckDownCritic
from poker_env.knowledge.public_tree import PublicTree
from poker_env.knowledge.ranges import BlueprintRanges, range_policy_of
from poker_env.player_specs import make_player
from poker_env.state import CALL, FOLD

GAME = make_game("holdem")
ALL_ON = Switches(True, True, True, True, True, True)


@pytest.fixture(scope="module")
def blueprint():
    return make_player("cfr:small", GAME).strategy.blueprint


def random_state(seed=1):
    return np.array([2 * seed + 1], np.uint64)


def no_lookup(holes, boards):
    raise AssertionError("no buckets are needed")


# Worlds


@given(seed=st.integers(0, 10_000), n_board=st.sampled_from([0, 3, 4, 5]), hero_seat=st.integers(0, 1))
@settings(max_examples=60, deadline=None)
def test_worlds_are_possible_and_follow_the_range(seed, n_board, hero_seat):
    rng = np.random.default_rng(seed)
    deal = Deal(tuple(rng.permutation(52)[:9].tolist()), hero_seat, seed)
    known = Knowledge.at_start(DealtCards(GAME, deal), whole_board=False, villain=False)
    known = (known.dealt(n_board) if n_board else known).after(rng.random(1326) ** 4)
    critic = BlueprintCritic.__new__(BlueprintCritic)
    critic._samples = 8
    worlds = critic.worlds(known, random_state(seed))
    decks = worlds.details.decks
    assert len(decks) == {0: 8, 3: 16, 4: 32, 5: 64}[n_board] == len(worlds.holdings)
    assert all(len(set(deck)) == 9 for deck in decks.tolist())
    assert (decks[:, 2 * hero_seat : 2 * hero_seat + 2] == deal.deck[2 * hero_seat : 2 * hero_seat + 2]).all()
    assert (decks[:, 4 : 4 + n_board] == deal.deck[4 : 4 + n_board]).all()
    assert (decks[:, 2 - 2 * hero_seat : 4 - 2 * hero_seat] == HOLDINGS[worlds.holdings]).all()
    # Systematic sampling: the number drawn below any holding is within one of what is expected.
    drawn = np.cumsum(np.bincount(worlds.holdings, minlength=1326))
    assert np.abs(drawn - len(decks) * np.cumsum(known.weights)).max() < 1 + 1e-9


def test_where_all_cards_are_known_there_is_one_world():
    for deal in make_deals(GAME, 20, 0):
        cards = DealtCards(GAME, deal)
        critic = BlueprintCritic.__new__(BlueprintCritic)
        worlds = critic.worlds(Knowledge.at_start(cards, whole_board=True, villain=True), random_state())
        assert worlds.details.decks.tolist() == [list(deal.deck)] or sorted(worlds.details.decks[0]) == sorted(
            deal.deck
        )
        hands = [hand_value(np.array(deal.deck[2 * seat : 2 * seat + 2] + deal.deck[4:])) for seat in (0, 1)]
        sign = np.sign(hands[deal.hero_seat] - hands[1 - deal.hero_seat])
        assert worlds.details.shares.tolist() == [[sign, sign]]


# Values


def walked(blueprint, node, buckets, sign, hero, reach=1.0):
    """What hero wins from a node on, by recursion."""
    tree = blueprint.tree
    count, actor, stake = int(tree.n_actions[node]), int(tree.actor[node]), float(tree.contributions[node].min())
    if count == 0 and actor != SHOWDOWN:
        return -stake if actor == hero else stake
    if count == 0 or reach < NEGLIGIBLE:
        return sign * stake
    entry = int(blueprint.offsets[node]) + buckets[actor][tree.street[node]] * count
    shares = blueprint.strategy[entry : entry + count] / 255
    children = range(int(tree.first_child[node]), int(tree.first_child[node]) + count)
    return sum(
        share * walked(blueprint, child, buckets, sign, hero, reach * share)
        for share, child in zip(shares, children, strict=True)
        if share
    )


@pytest.mark.parametrize("actions", [(), (CALL, CALL), (200, CALL, CALL), (300, 900, CALL, CALL, CALL, CALL, CALL)])
def test_values_on_the_tree_equal_a_recursive_walk(blueprint, actions):
    critic = BlueprintCritic(blueprint, blueprint.abstraction.lookup)
    state = PublicTree(GAME, lambda observation: None).state(actions)
    for deal in make_deals(GAME, 2, 5):
        worlds = critic.worlds(Knowledge.at_start(DealtCards(GAME, deal), True, True), random_state())
        ((node, weight),) = [(at.node, weight) for at, weight in critic._translator.locate(state.observation)]
        assert weight == 1
        buckets = [
            [
                int(
                    blueprint.abstraction.lookup(
                        np.array([deal.deck[2 * seat :][:2]]), np.array([deal.deck[4 : 4 + n]])
                    )[0]
                )
                for n in (0, 3, 4, 5)
            ]
            for seat in (0, 1)
        ]
        expected = walked(blueprint, node, buckets, worlds.details.shares[0, 1], deal.hero_seat)
        assert critic.values(state, worlds) == pytest.approx([expected], abs=1e-6)
        assert abs(expected) > 1


def test_a_bet_off_the_tree_keeps_the_share_of_the_pot(blueprint):
    """Where the tree's pot stands for another one, hero wins as much of the real pot, on top of what it has put in."""
    critic = BlueprintCritic(blueprint, blueprint.abstraction.lookup)
    deal = make_deals(GAME, 1, 8)[0]
    worlds = critic.worlds(Knowledge.at_start(DealtCards(GAME, deal), True, True), random_state())
    tree = PublicTree(GAME, lambda observation: None)
    on, off = tree.state((300, CALL)), tree.state((310, CALL))
    assert [location.node for location, _ in critic._translator.locate(off.observation)] != []
    share = (critic.values(on, worlds)[0] + 300) / 600
    mixed = (critic.values(off, worlds)[0] + 310) / 620
    larger = (critic.values(tree.state((20_000, CALL)), worlds)[0] + 20_000) / 40_000
    assert mixed == pytest.approx(share, abs=0.02 * (1 + abs(larger - share)))


def test_the_end_of_a_hand_is_worth_what_it_pays(blueprint):
    critics = (CheckDownCritic(), BlueprintCritic(blueprint, no_lookup))
    tree = PublicTree(GAME, lambda observation: None)
    for deal in make_deals(GAME, 10, 2):
        known = Knowledge.at_start(DealtCards(GAME, deal), whole_board=True, villain=True)
        for actions in ((FOLD,), (300, FOLD), (20_000, CALL), (300, CALL, 600, FOLD)):
            state = tree.state(actions)
            for critic in critics:
                worlds = critic.worlds(known, random_state())
                assert critic.values(state, worlds) == pytest.approx([known.payoff(state)])


# At the table


def test_calling_down_against_a_calling_station_is_worth_the_equity_before_the_flop():
    """With villain's range and the board averaged over, whatever is dealt."""
    policy = range_policy_of(make_player("call", GAME))
    assigner = CreditAssigner(GAME, policy, CheckDownCritic(), ALL_ON)
    for deal in make_deals(GAME, 20, 4):
        cards, actions = DealtCards(GAME, deal), (CALL,) * 8
        state = PublicTree(GAME, policy).state(actions)
        assert state.done
        payoff = Knowledge.at_start(cards, whole_board=True, villain=True).payoff(state)
        choices = [Choice((CALL,), (1.0,), 0)] * 4
        credit = assigner.assign(deal, actions, payoff, choices)
        equities = cards.holdings.equities(cards.hole, np.empty(0, np.int64))
        equity = equities[cards.holdings.free_of(cards.hole) > 0].mean()
        assert credit.value == pytest.approx(100 * (2 * equity - 1), abs=1e-9)
        assert all(decision.played == pytest.approx(0, abs=1e-9) for decision in credit.decisions)


MENU = (FOLD, CALL, 20_000)
SHARES = {True: (0.3, 0.6, 0.1), False: (0.95, 0.05)}  # facing a bet or not


def random_play(tree, deal):
    """A hand of a hero who folds, calls and shoves at random: actions, payoff, choices."""
    cards, coins = DealtCards(GAME, deal), np.random.default_rng(deal.seed)
    state, choices = tree.root, []
    while not state.done:
        if state.seat == deal.hero_seat:
            facing = state.observation.to_call > 0
            menu, shares = (MENU, SHARES[True]) if facing else (MENU[1:], SHARES[False])
            if facing and max(state.contributions) == GAME.stack:
                menu, shares = MENU[:2], (0.5, 0.5)
            place = int(coins.choice(len(menu), p=shares))
            choices.append(Choice(menu, shares, place))
            action = menu[place]
        else:
            actions, policy = state.reply(cards.board_of(state.n_board))
            row = policy[cards.villain]
            action = actions[int(coins.choice(len(actions), p=row / row.sum()))]
        state = tree.child(state, action)
    payoff = Knowledge.at_start(cards, whole_board=True, villain=True).payoff(state)
    return state.actions, payoff, choices


def score(choices, credit):
    """A gradient in three numbers: the credit of folding, calling and shoving."""
    total = np.zeros(3)
    for choice, decision in zip(choices, credit.decisions, strict=True):
        weights = np.array(decision.actions)
        weights[choice.played] += decision.played
        for action, rate in zip(choice.actions, weights - np.array(choice.probabilities) * weights.sum(), strict=True):
            total[MENU.index(action)] += rate
    return total


def coarse(holes, boards):
    """Buckets that forget the board: quick, and enough for a villain and a critic that agree about them."""
    low, high = np.sort(np.asarray(holes), axis=1).T
    return PREFLOP_CLASSES[low * (103 - low) // 2 + high - low - 1].astype(np.int32)


def test_credit_is_unbiased_at_the_table(blueprint):
    """And less noisy. Differences from raw, hand by hand, of the value and of three sums of gradients."""
    villain = BlueprintRanges(blueprint, lambda board: PREFLOP_CLASSES.astype(np.int32))
    tree = PublicTree(GAME, villain)
    ways = [
        (CheckDownCritic(), Switches(chance=True)),
        (CheckDownCritic(), Switches(chance=True, range=True)),
        (BlueprintCritic(blueprint, coarse), Switches(villain=True, hero=True, baseline=True, all_action=True)),
        (BlueprintCritic(blueprint, coarse, 2), ALL_ON),
    ]
    raw = CreditAssigner(GAME, villain, None, Switches())
    assigners = [raw, *(CreditAssigner(GAME, villain, critic, switches) for critic, switches in ways)]
    hands = 1_000
    found = np.empty((hands, len(assigners), 4))
    for row, deal in zip(found, make_deals(GAME, hands, 3), strict=True):
        actions, payoff, choices = random_play(tree, deal)
        for place, assigner in enumerate(assigners):
            credit = assigner.assign(deal, actions, payoff, choices)
            row[place] = credit.value, *score(choices, credit)
        assert row[0, 0] == payoff
    differences = found[:, 1:] - found[:, :1]
    assert (np.abs(differences.mean(axis=0)) < 4 * differences.std(axis=0) / hands**0.5).all()
    noise = found.std(axis=0)
    assert (noise[1:] < noise[0]).all()
    assert (noise[-1, 1:] < noise[0, 1:] / 2).all()
