"""AIVAT: right on average by enumeration of every way a hand can go, exact where it can be, calm where players are."""

import itertools

import numpy as np
import pytest

from poker_env.cfr.full_width import TabularStrategy, information_states
from poker_env.evaluation.aivat import AIVAT
from poker_env.evaluation.estimates import deck_estimate
from poker_env.evaluation.match import evaluate
from poker_env.games import Deal, make_game
from poker_env.hand import Answer, Decision, Hand
from poker_env.knowledge.beliefs import all_decks
from poker_env.knowledge.exact_value import exact_policy, expected_payoff
from poker_env.player_specs import make_player
from poker_env.players.cfr import CFRPlayer
from poker_env.state import HandState

KUHN, LEDUC, HOLDEM = make_game("kuhn"), make_game("leduc"), make_game("holdem")


@pytest.fixture(scope="module")
def cfr():
    return make_player("cfr", HOLDEM)


def random_table(game, seed):
    rng = np.random.default_rng(seed)
    return {
        state: dict(zip(actions, rng.dirichlet(np.ones(len(actions))).tolist(), strict=True))
        for state, actions in information_states(game)
    }


def tabular_player(game, seed):
    return CFRPlayer(f"cfr:{seed}", TabularStrategy(random_table(game, seed)), "c0ffee")


class Watched:
    """A player of whom nothing is known but what it `tells`; its answers name an action as often as `answers` says."""

    def __init__(self, table, answers=1.0, tells=False):
        self.name = "watched"
        self.answers = "menu" if tells else "free"
        self.table = {state: {a: answers * share for a, share in row.items()} for state, row in table.items()}

    def act(self, observations):
        raise AssertionError("every hand is made up")


def table_of(game, player):
    return player.table if isinstance(player, Watched) else exact_policy(game, player)


def made_up_hands(game, hero, villain, deal):
    """Every way a deal can be played, with its probability."""
    tables = {deal.hero_seat: table_of(game, hero), 1 - deal.hero_seat: table_of(game, villain)}
    pending = [(1.0, ())]
    while pending:
        probability, actions = pending.pop()
        state, decisions = HandState(game, deal), []
        for action in (*actions, "stop"):
            if state.done:
                yield probability, finished(game, state, decisions)
                break
            seen = state.observe()
            about = (seen.seat, seen.street, seen.pot, seen.to_call)
            row = tables[seen.seat][seen.infoset]
            tells = getattr((hero, villain)[seen.seat != deal.hero_seat], "answers", "free") != "free"
            told = {"menu": tuple(row), "probabilities": tuple(row.values())} if tells else {}
            if action == "stop":
                pending += [(probability * share, (*actions, act)) for act, share in row.items() if share]
                if sum(row.values()) < 1 - 1e-9:
                    state.forfeit()
                    decisions.append(Decision(*about, None, Answer(None, **told)))
                    yield probability * (1 - sum(row.values())), finished(game, state, decisions)
                break
            answer = Answer(action, **told, place=list(row).index(action) if tells else None)
            decisions.append(Decision(*about, state.apply(action), answer))


def finished(game, state, decisions):
    holes, payoff = (state.hole(0), state.hole(1)), state.payoffs[state.deal.hero_seat]
    return Hand(game, state.deal, 0, tuple(decisions), holes, state.board, payoff, state.showdown)


def expected_score(game, aivat, hero, villain):
    """The mean score of a hand over all decks and all that can happen."""
    total = 0.0
    for deck in all_decks(game):
        seats = [list(made_up_hands(game, hero, villain, Deal(deck, seat, 0))) for seat in (0, 1)]
        # A score depends on the other hand of the pair by its deck alone: any will do.
        for (probability, hand), other in itertools.product(seats[0], [seats[1][0][1]]):
            total += probability * aivat.scores([hand, other])[0]
        for (probability, hand), other in itertools.product(seats[1], [seats[0][0][1]]):
            total += probability * aivat.scores([other, hand])[1]
    return total / (2 * len(all_decks(game)))


def exact_value(game, hero, villain):
    tables = table_of(game, hero), table_of(game, villain)
    return (expected_payoff(game, *tables) - expected_payoff(game, *tables[::-1])) / 2


@pytest.mark.parametrize("guess", [None, "right", "wrong"])
@pytest.mark.parametrize("answers", [1.0, 0.7])
@pytest.mark.parametrize("tells", [False, True])
def test_scores_are_right_on_average_in_kuhn(answers, guess, tells):
    """Whatever hero is taken for, when some of its answers name no action, when it tells what it draws them from."""
    hero, villain = Watched(random_table(KUHN, 1), answers, tells), tabular_player(KUHN, 2)
    table = {None: None, "right": hero.table, "wrong": random_table(KUHN, 3)}[guess]
    aivat = AIVAT.between(KUHN, hero, villain, False, table)
    expected = exact_value(KUHN, hero, villain)
    assert expected_score(KUHN, aivat, hero, villain) == pytest.approx(expected, abs=1e-9)


def test_a_hero_that_tells_what_it_draws_from_has_no_luck_left():
    """Where the value function is that of both policies, and every answer names an action."""
    hero, villain = Watched(random_table(KUHN, 1), tells=True), tabular_player(KUHN, 2)
    aivat = AIVAT.between(KUHN, hero, villain, False, hero.table)
    assert aivat.value_function.both_decide
    expected = exact_value(KUHN, hero, villain)
    for deck in all_decks(KUHN):
        seats = [made_up_hands(KUHN, hero, villain, Deal(deck, seat, 0)) for seat in (0, 1)]
        for (_, first), (_, second) in itertools.product(*map(list, seats)):
            assert np.mean(aivat.scores([first, second])) == pytest.approx(expected, abs=1e-9)


def test_scores_are_right_on_average_in_leduc():
    """Hero takes one action in each state, so there are few enough ways to go."""
    table = {state: {max(row, key=row.get): 1.0} for state, row in random_table(LEDUC, 1).items()}
    hero, villain = Watched(table), tabular_player(LEDUC, 2)
    aivat = AIVAT.between(LEDUC, hero, villain, False, None)
    expected = exact_value(LEDUC, hero, villain)
    assert expected_score(LEDUC, aivat, hero, villain) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("spec", ["cfr", "random", "call"])
def test_the_known_player_may_be_hero(spec):
    hero, villain = make_player(spec, KUHN), Watched(random_table(KUHN, 4), 0.8)
    aivat = AIVAT.between(KUHN, hero, villain, False, exact_policy(KUHN, hero))
    assert aivat.value_function.known_player == spec
    expected = exact_value(KUHN, hero, villain)
    assert expected_score(KUHN, aivat, hero, villain) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("game", [KUHN, LEDUC], ids=str)
def test_two_known_players_and_exact_values_leave_no_variance(game):
    hero, villain = tabular_player(game, 5), tabular_player(game, 6)
    evaluation = evaluate(game, hero, villain, 200, seed=1, progress=False)
    assert evaluation.value_function.both_decide and evaluation.value_function.kind == "exact"
    expected = 1000 * exact_value(game, hero, villain)
    assert evaluation.values["aivat"].reshape(-1, 2).mean(axis=1) == pytest.approx([expected] * 100, abs=1e-6)
    assert evaluation.estimates["exact"].mbb_per_hand == pytest.approx(expected, abs=1e-9)
    assert evaluation.estimates["duplicate"].sd > 300


def test_who_is_known(cfr):
    between = AIVAT.between
    for hero, villain, known in [
        ("tag", "cfr", "cfr"),
        ("cfr", "tag", "cfr"),
        ("cfr", "call", "cfr"),
        ("cfr:weak", "cfr", "cfr"),
        ("call", "random", "random"),
        ("random", "lag", "random"),
    ]:
        players = make_player(hero, KUHN), make_player(villain, KUHN)
        assert between(KUHN, *players, False, None).value_function.known_player == known
    assert between(KUHN, make_player("tag", KUHN), make_player("lag", KUHN), False, None) is None
    assert between(HOLDEM, make_player("tag", HOLDEM), make_player("random", HOLDEM), False, None) is None
    value_function = between(HOLDEM, make_player("tag", HOLDEM), cfr, False, None).value_function
    assert (value_function.kind, value_function.samples) == ("check down", None)
    assert value_function.sha256 == cfr.sha256


def test_who_says_it_knows_its_policy_is_only_taken_for_a_guess():
    """A language model's probabilities leave out some of the ways in which it names an action."""

    class Approximate(Watched):
        def policy(self, observations):
            return [self.table[observation.infoset] for observation in observations]

    players = Approximate(random_table(KUHN, 1)), make_player("tag", KUHN)
    assert AIVAT.between(KUHN, *players, False, exact_policy(KUHN, players[0])) is None


def test_checked_down_hands_are_worth_nothing():
    """Nobody decides anything and the cards' luck is all known: only the small blind's call is valued wrongly."""
    call = make_player("call", HOLDEM)
    evaluation = evaluate(HOLDEM, call, call, 60, progress=False)
    assert np.abs(evaluation.values["aivat"].reshape(-1, 2).mean(axis=1)).max() < 100
    assert evaluation.estimates["raw"].sd > 500


def test_against_the_blueprint_in_few_hands(cfr):
    """Values by checking down, buckets worked out on the spot: no tables."""
    evaluation = evaluate(HOLDEM, cfr, cfr, 120, 2, progress=False)
    assert evaluation.value_function.kind == "check down"
    aivat, duplicate = evaluation.estimates["aivat"], evaluation.estimates["duplicate"]
    assert aivat.ci95[0] < 0 < aivat.ci95[1] and duplicate.ci95[0] < 0 < duplicate.ci95[1]
    assert aivat.sd < 0.8 * duplicate.sd


# With tables of buckets


@pytest.mark.parametrize(("hero", "villain"), [("cfr", "tag"), ("tag", "cfr"), ("call", "random")])
def test_hands_scored_apart_say_the_same_together(hero, villain):
    hero, villain = make_player(hero, HOLDEM), make_player(villain, HOLDEM)
    hands = evaluate(HOLDEM, hero, villain, 20, 5, progress=False).hands
    aivat = AIVAT.between(HOLDEM, hero, villain, tables=False, hero_table=None)
    apart = aivat.scores_apart(hands)
    assert sum(apart) == pytest.approx(sum(aivat.scores(hands)))
    assert aivat.scores_apart(hands[3:5]) == apart[3:5]


@pytest.mark.slow
def test_two_copies_of_one_player_are_worth_nothing(cfr):
    evaluation = evaluate(HOLDEM, cfr, cfr, 6_000, 3, progress=False)
    assert evaluation.value_function.kind == "blueprint"
    for name, found in evaluation.estimates.items():
        assert abs(found.mbb_per_hand) < 3 * found.standard_error, name
    assert evaluation.estimates["aivat"].sd < 0.1 * evaluation.estimates["raw"].sd


@pytest.mark.slow
@pytest.mark.parametrize(("hero", "villain"), [("call", "cfr"), ("tag", "cfr"), ("cfr", "call")])
def test_all_estimators_agree_and_aivat_is_sharpest(hero, villain):
    evaluation = evaluate(HOLDEM, make_player(hero, HOLDEM), make_player(villain, HOLDEM), 12_000, 4, progress=False)
    payoffs = evaluation.values["payoff"]
    for name in ("all_in", "chance_corrected", "aivat"):
        difference = deck_estimate(evaluation.values[name] - payoffs)
        assert abs(difference.mbb_per_hand) < 3 * difference.standard_error, name
    sds = [evaluation.estimates[name].sd for name in ("duplicate", "all_in", "chance_corrected", "aivat")]
    assert sds == sorted(sds, reverse=True)
    if "tag" in (hero, villain):  # nobody plays less as the value function has it than who calls everything
        assert evaluation.estimates["aivat"].sd < 0.45 * evaluation.estimates["raw"].sd
