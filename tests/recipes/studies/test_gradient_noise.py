"""The variance benchmark: its hero sees what it may, its gradients are right, its statistics mean what they say."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.cards.holdings import PREFLOP_CLASSES
from poker_env.evaluation.estimates import estimate
from poker_env.games import Deal, make_deals, make_game
from poker_env.knowledge.beliefs import DealtCards, Knowledge
from poker_env.knowledge.control_variates import Choice, Credit
from poker_env.knowledge.public_tree import PublicTree
from poker_env.player_specs import make_player
from recipes import bench
from recipes.studies import gradient_noise
from recipes.studies.linear_hero import FEATURES, SHAPE, SLOTS, Sampled, View

GAME = make_game("holdem")


def coarse(holes, boards):
    """Buckets that forget the board: quick, and enough for a villain and a critic that agree about them."""
    low, high = np.sort(np.asarray(holes), axis=1).T
    return PREFLOP_CLASSES[low * (103 - low) // 2 + high - low - 1].astype(np.int32)


@pytest.fixture(scope="module")
def lab():
    blueprint = make_player("cfr:small", GAME).strategy.blueprint
    return gradient_noise.Lab.of(blueprint, coarse, lambda board: PREFLOP_CLASSES.astype(np.int32), samples=2)


@pytest.fixture(scope="module")
def start(lab):
    return gradient_noise.Start.imitating(lab, 100)


@given(seed=st.integers(0, 1000), shuffle=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_what_the_hero_sees_does_not_depend_on_hidden_cards(lab, start, seed, shuffle):
    deal = make_deals(GAME, 1, seed)[0]
    played = lab.table.play(start.parameters, 0.3, deal)
    tree, state = PublicTree(GAME, lab.villain), None
    for number, action in enumerate(played.actions):
        state = tree.state(played.actions[:number])
        if state.seat != deal.hero_seat:
            continue
        deck = np.array(deal.deck)
        seen = [*range(2 * deal.hero_seat, 2 * deal.hero_seat + 2), *range(4, 4 + state.n_board)]
        hidden = [place for place in range(9) if place not in seen]
        others = np.setdiff1d(np.arange(52), deck[seen])
        deck[hidden] = np.random.default_rng(shuffle).permutation(others)[: len(hidden)]
        views = [
            _view(lab, tree, Deal(tuple(cards), deal.hero_seat, deal.seed), played.actions[:number])
            for cards in (deal.deck, deck.tolist())
        ]
        assert views[0].actions == views[1].actions and action in views[0].actions
        assert np.array_equal(views[0].features, views[1].features)


def _view(lab, tree, deal, actions):
    cards = DealtCards(GAME, deal)
    known = Knowledge.at_start(cards, whole_board=False, villain=False)
    for number, action in enumerate(actions):
        state = tree.state(actions[:number])
        if state.n_board > known.n_board:
            known = known.dealt(state.n_board)
        if state.seat != deal.hero_seat:
            menu, policy = state.reply(cards.board_of(state.n_board))
            known = known.after(policy[:, menu.index(action)])
    state = tree.state(actions)
    return lab.table.look(state, known.dealt(state.n_board) if state.n_board > known.n_board else known)


@given(seed=st.integers(0, 10_000), floor=st.sampled_from([0.0, 0.05, 0.5]))
@settings(max_examples=30, deadline=None)
def test_gradients_equal_differences(seed, floor):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, SLOTS + 1))
    view = View(tuple(range(count)), rng.permutation(SLOTS)[:count], rng.normal(size=(count, FEATURES)))
    parameters, weights, played = rng.normal(size=SHAPE), rng.normal(size=count), int(rng.integers(count))

    def objective(at):
        log_probabilities = np.log((1 - floor) * view.softmax(at) + floor / count)
        return float(weights @ log_probabilities + 2 * log_probabilities[played])

    softmax = view.softmax(parameters)
    choice = Choice(view.actions, tuple(((1 - floor) * softmax + floor / count).tolist()), played)
    gradient = Sampled(view, softmax, choice).gradient(Credit(2.0, tuple(weights.tolist())), floor)
    direction = rng.normal(size=SHAPE)
    slope = (objective(parameters + 1e-5 * direction) - objective(parameters - 1e-5 * direction)) / 2e-5
    assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_the_start_imitates_villain(lab, start):
    lessons = [
        lesson for deal in make_deals(GAME, 60, 9) for lesson in lab.table.lesson(deal)
    ]  # not those it learned from
    assert all(target.sum() == pytest.approx(1) for _, target in lessons)

    def cross_entropy(parameters):
        return -np.mean([float(target @ np.log(view.softmax(parameters))) for view, target in lessons])

    assert cross_entropy(start.parameters) < 0.75 * cross_entropy(np.zeros(SHAPE))


def test_in_whitened_coordinates_all_steps_change_the_policy_alike(lab, start):
    """By half their squared length (nats of divergence per decision), or less where the ridge rules."""
    views = [view for deal in make_deals(GAME, 100, 0) for view, _ in lab.table.lesson(deal)]
    rng = np.random.default_rng(0)
    changes = []
    for _ in range(10):
        step = rng.normal(size=SLOTS * FEATURES)
        step *= 0.1 / np.linalg.norm(step)
        moved = start.parameters + (start.whitening @ step).reshape(SHAPE)
        before, after = ([view.softmax(at) for view in views] for at in (start.parameters, moved))
        changes.append(np.mean([float(p @ np.log(p / q)) for p, q in zip(before, after, strict=True)]))
    assert max(changes) < 1.1 * 0.1**2 / 2
    assert min(changes) > 0.2 * 0.1**2 / 2


def test_noise_statistics_on_made_up_gradients():
    """A mean of length 0.5 under noise of trace 40: the mean's own noise isn't taken for signal."""
    rng = np.random.default_rng(0)
    mean = np.zeros(40)
    mean[0] = 0.5
    squares, traces, p_values, off = [], [], [], 0
    for _ in range(40):
        hands = rng.normal(size=(2_000, 40)) + mean
        other = hands + rng.normal(size=hands.shape)
        raw = _gradients(other)
        own = _gradients(hands)
        squares.append(own.squared_mean)
        traces.append(own.trace)
        p_values.append(gradient_noise.disagreement(own, raw))
        longer, half_width = gradient_noise.excess(own, raw, own)
        off += abs(longer) > half_width
    assert np.mean(squares) == pytest.approx(0.25, abs=0.02)
    assert np.mean(traces) == pytest.approx(40, rel=0.01)
    assert 0.3 < np.mean(p_values) < 0.7
    assert off <= 6
    biased = _gradients(hands + 0.2)
    assert gradient_noise.disagreement(biased, raw) < 0.01
    longer, half_width = gradient_noise.excess(_gradients(2 * hands), raw, own)
    assert abs(longer - 1) < half_width < 1


def _gradients(hands):
    blocks = hands.reshape(-1, gradient_noise.BLOCK, hands.shape[1]).sum(axis=1)
    squares = float((hands**2).sum())
    return gradient_noise.Gradients(blocks, squares, np.zeros(1))


def test_runs_of_hands_add_up(lab, start):
    whole = gradient_noise.measure(lab, start, 5, 0, 200)
    parts = gradient_noise.joined(
        [gradient_noise.measure(lab, start, 5, 0, 100), gradient_noise.measure(lab, start, 5, 100, 100)]
    )
    assert whole.keys() == parts.keys() == gradient_noise.SETTINGS.keys()
    for name, own in whole.items():
        assert own.hands == parts[name].hands == 200
        assert parts[name].trace == pytest.approx(own.trace)
        assert np.array_equal(parts[name].credits, own.credits)
    assert whole[gradient_noise.EVERYTHING].trace < whole[gradient_noise.RAW].trace / 3


def test_learning_moves_towards_more_chips(lab, start):
    """Against a villain that forgets the board, a few hundred hands are enough."""
    plan = replace(gradient_noise.Plan(), milestones=(250, 1_000), decks=100)
    early, late = gradient_noise.learn(lab, gradient_noise.EVERYTHING, start, 0, plan)
    assert not np.array_equal(early, late)
    before, after = (gradient_noise.judge(lab, parameters, 0, plan.decks) for parameters in (start.parameters, late))
    assert after.mean() > before.mean() + 100


def run_bench(name, tmp_path):
    small = str(bench.OPPONENTS / "holdem-small.npz")
    bench.main([name, "--checkpoint", small, "--json", str(tmp_path / "x.json")])
    return json.loads((tmp_path / "x.json").read_text())["figures"]


def test_figures_of_noise(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    hands = {
        name: rng.normal(0.3, scale, size=(500, 6))
        for name, scale in zip(gradient_noise.SETTINGS, range(12, 2, -1), strict=True)
    }
    gradients = {name: _gradients(own) for name, own in hands.items()}
    monkeypatch.setattr(gradient_noise, "gradients", lambda blueprint, plan: gradients)
    figures = run_bench("variance", tmp_path)
    assert figures["noise scale, all-action"]["ratio"] == pytest.approx((12 / 3) ** 2, rel=0.2)
    assert figures["agreement with raw, chance"]["sides"]["p-value"] > 0.001


def test_figures_and_plot_of_learning(tmp_path, monkeypatch, capsys):
    found = estimate([1.0, 2.0, 3.0], 6)
    curves = {name: [(1_000, [1.0, 2.0], found), (3_000, [2.0, 3.0], found)] for name in gradient_noise.LEARNING_RATES}
    monkeypatch.setattr(
        gradient_noise, "learning_curves", lambda blueprint, plan: gradient_noise.Curves(found, curves)
    )
    figures = run_bench("learning", tmp_path)
    assert figures["raw after 3,000 hands"]["sides"]["learner 1"] == 3.0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert "all-action after 1,000 hands: mean 2.000, ± 95 % 2.484" in capsys.readouterr().out
