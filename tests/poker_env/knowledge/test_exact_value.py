"""Exact values against OpenSpiel's own, and against hands played at the table."""

import itertools
from dataclasses import replace

import numpy as np
import pyspiel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.cfr.full_width import TabularStrategy, information_states, solve_exactly
from poker_env.errors import UserError
from poker_env.games import make_deals, make_game
from poker_env.hand import Answer
from poker_env.knowledge.exact_value import (
    ExactJudge,
    best_response_value,
    exact_policy,
    exact_report,
    expected_payoff,
    exploitability,
    information_sets,
    legal_entropy,
)
from poker_env.player_specs import make_player
from poker_env.players.llm import load_llm_player
from poker_env.table import play

GAMES = ("kuhn", "leduc")
KUHN = make_game("kuhn")


def random_policy(game, seed, total=1.0):
    """Dirichlet probabilities at every information state, with a sum of at least `total`."""
    rng = np.random.default_rng(seed)
    return {
        name: dict(zip(actions, (rng.dirichlet([0.5] * len(actions)) * rng.uniform(total, 1)).tolist(), strict=True))
        for name, actions in information_states(game)
    }


def by_openspiel(game, first, second):
    policies = [pyspiel.TabularPolicy({name: list(row.items()) for name, row in p.items()}) for p in (first, second)]
    return pyspiel.expected_returns(game.spiel.new_initial_state(), policies, -1, True)


class Known:
    """A player of a policy table, whose missing mass is answers that name no action."""

    def __init__(self, table):
        self.name = "known"
        self.table = table

    def policy(self, observations):
        return [self.table[observation.infoset] for observation in observations]

    def act(self, observations):
        answers = []
        for observation, row in zip(observations, self.policy(observations), strict=True):
            reached = np.searchsorted(np.cumsum(list(row.values())), observation.coin, side="right")
            answers.append(Answer([*row, None][reached]))
        return answers


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("seed", range(3))
def test_values_are_openspiels(name, seed):
    game = make_game(name)
    hero, villain = random_policy(game, seed), random_policy(game, seed + 100)
    judge = ExactJudge(game, Known(villain))
    found = judge.judge(hero)
    first, second = by_openspiel(game, hero, villain)[0], by_openspiel(game, villain, hero)[1]
    assert found.by_seat == pytest.approx((first, second), abs=1e-9)
    assert found.value == pytest.approx((first + second) / 2, abs=1e-9)
    assert found.self_play == pytest.approx(sum(by_openspiel(game, villain, villain)) / 2, abs=1e-9)
    # NashConv / 2 of a strategy that both seats play is the best responses' mean value.
    assert found.best_response == pytest.approx(TabularStrategy(villain).exploitability(game), abs=1e-9)
    assert found.capture == pytest.approx((found.value - found.self_play) / (found.best_response - found.self_play))


@pytest.mark.parametrize("name", GAMES)
def test_a_best_response_captures_all_and_villain_itself_nothing(name):
    game = make_game(name)
    villain = random_policy(game, 5)
    judge = ExactJudge(game, Known(villain))
    assert judge.judge(villain).capture == pytest.approx(0, abs=1e-9)
    table = {state: list(row.items()) for state, row in villain.items()}
    best = dict(random_policy(game, 6))
    for seat in (0, 1):
        actions = pyspiel.TabularBestResponse(game.spiel, seat, table).get_best_response_actions()
        best |= {state: {action: 1.0} for state, action in actions.items()}
    assert judge.judge(best).capture == pytest.approx(1, abs=1e-9)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_nobody_beats_the_best_response(hero_seed, villain_seed):
    hero, villain = random_policy(KUHN, hero_seed, total=0.5), random_policy(KUHN, villain_seed)
    found = ExactJudge(KUHN, Known(villain)).judge(hero)
    assert found.value <= found.best_response + 1e-9
    assert found.self_play == pytest.approx(0, abs=1e-9)  # zero-sum, and both seats count alike


@pytest.mark.parametrize("name", GAMES)
def test_answers_without_a_legal_action_cost_what_they_cost_at_the_table(name):
    game = make_game(name)
    hero, villain = Known(random_policy(game, 1, total=0.6)), Known(random_policy(game, 2))
    hands = play(game, make_deals(game, 3_000, 3), hero, villain)
    payoffs = np.array([hand.payoff for hand in hands])
    expected = ExactJudge(game, villain).judge(hero.table).value
    assert any(not decision.legal for hand in hands for decision in hand.hero_decisions)
    assert abs(payoffs.mean() - expected) < 4 * payoffs.std() / len(payoffs) ** 0.5


def test_a_hero_that_answers_nothing_legal_loses_its_ante():
    nothing = {name: {0: 0.0, 1: 0.0} for name in information_sets(KUHN)}
    villain = exact_policy(KUHN, make_player("call", KUHN))
    assert expected_payoff(KUHN, nothing, villain) == -1
    # In the second seat it faces a bet or a check: it loses its ante either way.
    assert expected_payoff(KUHN, villain, nothing) == 1


@pytest.mark.parametrize(("name", "count"), [("kuhn", 12), ("leduc", 936)])
def test_every_information_state_is_seen_once(name, count):
    game = make_game(name)
    found = information_sets(game)
    assert len(found) == count
    assert dict(information_states(game)) == {state: list(seen.legal) for state, seen in found.items()}


@pytest.mark.parametrize("spec", ["cfr", "random", "call", "fold"])
@pytest.mark.parametrize("name", GAMES)
def test_known_policies_are_those_played(name, spec):
    game = make_game(name)
    player = make_player(spec, game)
    policy = exact_policy(game, player)
    assert policy.keys() == information_sets(game).keys()
    assert all(sum(row.values()) == pytest.approx(1) for row in policy.values())
    assert ExactJudge(game, player).judge(policy).value == pytest.approx(0, abs=1e-9)
    villain = Known(random_policy(game, 8))
    payoffs = np.array([hand.payoff for hand in play(game, make_deals(game, 1_500, 9), player, villain)])
    expected = ExactJudge(game, villain).judge(policy).value
    assert abs(payoffs.mean() - expected) < 4 * payoffs.std() / len(payoffs) ** 0.5


@pytest.mark.parametrize("spec", ["tag", "lag"])
def test_unknown_policies_are_refused(spec):
    with pytest.raises(UserError, match=f"the exact policy of {spec} is not known"):
        ExactJudge(KUHN, make_player(spec, KUHN))


def test_large_games_are_refused():
    holdem = make_game("holdem")
    with pytest.raises(UserError, match="too large for exact values"):
        ExactJudge(holdem, make_player("call", holdem))


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_best_responses_to_kuhn_policies_are_openspiels(seed):
    assert_best_response_is_openspiels(KUHN, random_policy(KUHN, seed))


@pytest.mark.parametrize("seed", range(3))
def test_best_responses_to_leduc_policies_are_openspiels(seed):
    game = make_game("leduc")
    assert_best_response_is_openspiels(game, random_policy(game, seed))


def assert_best_response_is_openspiels(game, policy):
    table = {name: list(row.items()) for name, row in policy.items()}
    values = [
        pyspiel.TabularBestResponse(game.spiel, seat, table).value_from_state(game.spiel.new_initial_state())
        for seat in (0, 1)
    ]
    assert [best_response_value(game, policy, seat) for seat in (0, 1)] == pytest.approx(values, abs=1e-9)
    spiels = pyspiel.exploitability(game.spiel, pyspiel.TabularPolicy(table))
    assert exploitability(game, policy) == pytest.approx(spiels, abs=1e-9)


@given(st.integers(0, 10**6), st.integers(0, 1))
@settings(max_examples=10, deadline=None)
def test_the_best_response_to_illegal_answers_is_the_best_of_all_pure_policies(seed, seat):
    villain = random_policy(KUHN, seed, total=0.5)
    own = [name for name, seen in information_sets(KUHN).items() if seen.seat == seat]
    assert len(own) == 6
    values = []
    for actions in itertools.product((0, 1), repeat=len(own)):
        pure = {name: {action: 1.0} for name, action in zip(own, actions, strict=True)}
        tables = (pure, villain) if seat == 0 else (villain, pure)
        values.append(expected_payoff(KUHN, *tables) * (1 if seat == 0 else -1))
    assert best_response_value(KUHN, villain, seat) == pytest.approx(max(values), abs=1e-9)


# With answers that name no action, as a game of OpenSpiel's own


def as_efg(game):
    """A small game as OpenSpiel reads it from Gambit's format, where every decision has one more action, `illegal`.

    It gives up what its player has put in.
    """
    seen, numbers = information_sets(game), ({}, {})
    lines, ends = [f'EFG 2 R "{game.name}" {{ "0" "1" }}'], itertools.count(1)

    def end(first):
        lines.append(f't "" {next(ends)} "" {{ {first} {-first} }}')

    def grow(state):
        actions = state.legal_actions()
        if state.is_terminal():
            end(state.returns()[0])
        elif state.is_chance_node():
            shares = " ".join(f'"{action}" 1/{len(actions)}' for action in actions)
            lines.append(f'c "" 1 "" {{ {shares} }} 0')
        else:
            player, name = state.current_player(), state.information_state_string()
            number = numbers[player].setdefault(name, len(numbers[player]) + 1)
            names = " ".join(f'"{action}"' for action in [*actions, "illegal"])
            lines.append(f'p "" {player + 1} {number} "" {{ {names} }} 0')
        for action in actions:
            grow(state.child(action))
        if not state.is_terminal() and not state.is_chance_node():
            lost = seen[name].contributions[player]
            end(-lost if player == 0 else lost)

    grow(game.spiel.new_initial_state())
    return pyspiel.load_efg_game("\n".join(lines) + "\n")


def efg_policy(game, efg, policy):
    """A policy of the game with what lacks to 1 as `illegal`, by the names of the other one's information states."""
    table, pending = {}, [(game.spiel.new_initial_state(), efg.new_initial_state())]
    while pending:
        state, other = pending.pop()
        if state.is_terminal():
            continue
        children = {other.action_to_string(action): action for action in other.legal_actions()}
        pending += [(state.child(action), other.child(children[str(action)])) for action in state.legal_actions()]
        if not state.is_chance_node():
            row = policy[state.information_state_string()]
            shares = {str(action): share for action, share in row.items()} | {"illegal": 1 - sum(row.values())}
            table[other.information_state_string()] = [(children[name], share) for name, share in shares.items()]
    return table


def assert_all_is_openspiels(game, hero, villain):
    """Value, exploitability and the best response to villain, illegal answers included."""
    efg = as_efg(game)
    tables = [efg_policy(game, efg, policy) for policy in (hero, villain)]
    hero_in_efg, villain_in_efg = map(pyspiel.TabularPolicy, tables)
    start = efg.new_initial_state()
    first = pyspiel.expected_returns(start, [hero_in_efg, villain_in_efg], -1, True)[0]
    second = pyspiel.expected_returns(start, [villain_in_efg, hero_in_efg], -1, True)[1]
    found = ExactJudge(game, Known(villain)).judge(hero)
    assert found.by_seat == pytest.approx((first, second), abs=1e-9)
    assert exploitability(game, hero) == pytest.approx(pyspiel.exploitability(efg, hero_in_efg), abs=1e-9)
    assert found.best_response == pytest.approx(pyspiel.exploitability(efg, villain_in_efg), abs=1e-9)
    for seat in (0, 1):
        best = pyspiel.TabularBestResponse(efg, seat, tables[0]).value_from_state(start)
        assert best_response_value(game, hero, seat) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("total", [0.3, 1.0])
def test_all_is_openspiels_with_illegal_answers_too(name, total):
    game = make_game(name)
    assert_all_is_openspiels(game, random_policy(game, 11, total), random_policy(game, 12, total))


@pytest.mark.parametrize("name", GAMES)
def test_a_language_models_exact_figures_are_openspiels(tiny_model_dir, name):
    """Its whole policy sums to 1 with the answers that name no action, whose probability is counted on its own."""
    torch = pytest.importorskip("torch")
    game = make_game(name)
    hero = load_llm_player(str(tiny_model_dir), game)
    hero.model.float()
    hero.config = replace(hero.config, max_new_tokens=1)  # an answer is one token: the others can be added up
    policy, seen = exact_policy(game, hero), information_sets(game)
    assert policy.keys() == seen.keys() and all(min(row.values()) > 0 for row in policy.values())
    questions = dict(zip(seen, hero.ask(list(seen.values())), strict=True))
    for infoset in list(seen)[:: len(seen) // 12]:
        question = questions[infoset]
        with torch.no_grad():
            logits = hero.model(torch.tensor([question.prompt_ids])).logits[0, -1]
        others = torch.ones(len(logits), dtype=torch.bool)
        others[[hero.spellings(item.token)[0][0] for item in question.menu]] = False
        illegal = float(torch.softmax(logits, -1)[others].sum())
        assert sum(policy[infoset].values()) + illegal == pytest.approx(1, abs=1e-5)
    villain = make_player("cfr", game)
    assert_all_is_openspiels(game, policy, exact_policy(game, villain))
    report = exact_report(game, policy, villain)
    assert report.exploitability == exploitability(game, policy)
    assert report.value == ExactJudge(game, villain).judge(policy)


def test_an_equilibrium_leaves_nothing_to_capture():
    strategy, _ = solve_exactly(KUHN, "cfr", lambda done: done < 5)
    assert ExactJudge(KUHN, Known(strategy.table)).best_response == pytest.approx(strategy.exploitability(KUHN))
    # With alpha = 0: no bluffs, kings bet never, a queen calls a bet one time in three in the second seat.
    third = 1 / 3
    equilibrium = {
        **{"0": {0: 1.0}, "1": {0: 1.0}, "2": {0: 1.0}},
        **{"0pb": {0: 1.0}, "1pb": {0: 2 * third, 1: third}, "2pb": {1: 1.0}},
        **{"0p": {0: 2 * third, 1: third}, "1p": {0: 1.0}, "2p": {1: 1.0}},
        **{"0b": {0: 1.0}, "1b": {0: 2 * third, 1: third}, "2b": {1: 1.0}},
    }
    full = {state: {action: row.get(action, 0.0) for action in (0, 1)} for state, row in equilibrium.items()}
    assert best_response_value(KUHN, full, 0) == pytest.approx(-1 / 18)
    assert best_response_value(KUHN, full, 1) == pytest.approx(1 / 18)
    assert ExactJudge(KUHN, Known(full)).judge(full).capture is None


def test_entropy_is_that_of_the_legal_actions():
    assert legal_entropy({"a": {0: 0.5, 1: 0.5}, "b": {0: 1.0, 1: 0.0}}) == pytest.approx(np.log(2) / 2)
    assert legal_entropy({"a": {0: 0.1, 1: 0.1}}) == pytest.approx(np.log(2))
    assert legal_entropy({"a": {0: 0.0, 1: 0.0}}) == 0
