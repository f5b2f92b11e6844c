"""Soft steps move a menu to the soft optimum, from wherever it is; lifted ones, to the best sooner than a gradient."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_trainer import make, make_config

from poker_env.forwarding.score import Spelled
from poker_env.games import make_deals
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.player_specs import make_player
from poker_env.players.llm import LLMPlayer
from poker_env.table import play
from recipes.training.credit import LuckRemover
from recipes.training.returns import discounted_returns, lifted, soft_step
from recipes.training.rollout import Rollout
from recipes.training.rows import Row

VALUES = st.lists(st.floats(-400, 400), min_size=1, max_size=9)
TEMPERATURES = st.floats(0.01, 100)


def softmax(logits):
    shifted = np.exp(np.array(logits) - max(logits))
    return shifted / shifted.sum()


@given(VALUES, TEMPERATURES, st.data())
def test_it_is_the_gradient_of_the_cross_entropy_to_the_soft_optimum(values, temperature, data):
    logits = data.draw(st.lists(st.floats(-30, 30), min_size=len(values), max_size=len(values)))
    legal = data.draw(st.floats(0.01, 1))
    chances = softmax(logits)
    step = soft_step(legal * chances, legal * chances * values, temperature)
    leaves = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    target = torch.softmax(torch.tensor(values, dtype=torch.float64) / temperature, dim=0)
    at_stake = np.ptp(values) + temperature
    (target @ leaves.log_softmax(0) * at_stake).backward()
    assert step == pytest.approx(leaves.grad.tolist(), abs=1e-6 * at_stake)
    assert sum(step) == pytest.approx(0, abs=1e-9 * at_stake)


@given(VALUES, TEMPERATURES)
def test_nothing_moves_at_the_soft_optimum(values, temperature):
    chances = np.maximum(softmax(np.array(values) / temperature), 1e-300)
    step = soft_step(chances, chances * values, temperature)
    assert np.abs(step).max() <= 1e-9 * (np.ptp(values) + temperature)


@given(VALUES, st.data())
def test_lifted_by_the_power_1_it_is_the_policy_gradient(values, data):
    chances = 0.7 * softmax(data.draw(st.lists(st.floats(-30, 30), min_size=len(values), max_size=len(values))))
    shares = chances * values
    assert lifted(chances, shares, 1.0) == pytest.approx(shares.tolist(), abs=1e-9 * (1 + np.abs(values).max()))


@given(VALUES, st.floats(0, 1), st.data())
def test_lifting_keeps_the_best_and_what_a_menu_wins(values, power, data):
    """What wins most is pushed up, what wins least down, and nothing moves where all win the same."""
    chances = 0.7 * softmax(data.draw(st.lists(st.floats(-30, 30), min_size=len(values), max_size=len(values))))
    pulls = np.array(lifted(chances, chances * values, power))
    size = 1 + np.abs(values).max()
    assert pulls.sum() == pytest.approx(chances @ values, abs=1e-9 * size)
    pulls -= (chances @ values) * chances / chances.sum()  # against answers that aren't on the menu
    assert pulls[np.argmax(values)] >= -1e-9 * size and pulls[np.argmin(values)] <= 1e-9 * size
    same = lifted(chances, chances * 3.0, power)
    assert same == pytest.approx((chances * 3.0).tolist(), abs=1e-9)


@pytest.mark.parametrize(("power", "most"), [(0.0, 40), (0.5, 300), (1.0, 2_500)])
def test_what_was_given_up_comes_back_the_sooner_the_lower_the_power(power, most):
    """Steps of a tenth until the better of two actions, of a probability of 0.001, is played most of the time."""
    logits, steps = np.log([1e-3, 1 - 1e-3]), 0
    while softmax(logits)[0] < 0.5:
        chances = softmax(logits)
        logits = logits + 0.1 * np.array(lifted(chances, chances * [5.0, 0.0], power))
        steps += 1
    assert most / 4 < steps <= most


@pytest.mark.parametrize("chance", [1e-3, 1e-9, 1e-30])
def test_an_improbable_best_action_comes_back(chance):
    """The policy gradient would move its logit by 40 times its probability."""
    chances = np.array([chance, 1 - chance])
    assert soft_step(chances, chances * [30.0, -10.0], 1.0) == pytest.approx([41, -41], abs=0.1)


def test_an_action_that_never_comes_stays_out():
    assert soft_step([0.0, 0.5, 0.5], [0.0, 5.0, -5.0], 1e-3) == pytest.approx([0, 10, -10], abs=0.01)


SOFT = {"soft_after": 0, "entropy_coef": 0.3}


def soft_pull(chances, values):
    """Of rewards of half of a chip."""
    target = softmax(0.5 * values / 0.3)  # a chip is an ante
    return (0.5 * np.ptp(values) + 0.3) * (target - chances / chances.sum())


def lifted_pull(chances, values):
    legal, roots = chances.sum(), chances**0.5 / (chances**0.5).sum()
    return 0.5 * (legal * roots * (values - roots @ values) + (chances @ values) * chances / legal)


@pytest.mark.parametrize(
    ("step", "pull_of", "shift"),
    [(SOFT, soft_pull, None), (SOFT, soft_pull, 3.0), ({"probability_power": 0.5}, lifted_pull, None)],
    ids=["soft", "soft, after a shift", "lifted"],
)
def test_an_epochs_gradient_is_that_of_its_pulls(tiny_model_dir, tmp_path, step, pull_of, shift):
    """Of all decisions, by plain autograd. Soft however probable the answers were (`shift`, nats), without a bonus."""
    options = {
        "rewards": "chips=0.5 illegal=2.0",
        "villain": "cfr:weak",
        "variance_reduction": "range villain hero baseline all_action",
        "learning_rate": 0.0,
        "gamma": 1.0,
        "episodes_per_epoch": 64,
        "rows_per_epoch": 32,
        "per_device_train_batch_size": 32,
        **step,
    }
    config = make_config(tiny_model_dir, tmp_path, **options)
    rollout = Rollout(config, load_tokenizer(str(tiny_model_dir)))
    trainer, found = make(tiny_model_dir, tmp_path, rollout, **options)
    loss_of_part = trainer._loss_of_part
    if shift:
        trainer._loss_of_part = lambda model, inputs: loss_of_part(
            model, {**inputs, "old_per_token_logps": inputs["completion_mask"] * -shift}
        )
    hero = rollout.hero(trainer.model, 0)
    trainer.train()

    remover = LuckRemover(config, make_player("cfr:weak", config.make_game()))
    penalty = -remover._penalties[1]
    end, loss, tokens = hero.end_ids[0], torch.zeros(()), 0.0
    for hand, credit in zip(rollout.hands, remover.credits(rollout.hands, hero), strict=True):
        rewards = np.array([spec(hand) for spec in config.reward_specs()]).reshape(2, -1)
        left = np.array([0.5, 2.0]) @ remover.returns(discounted_returns(rewards, 1.0), hand, credit)
        for decision, own, unknown in zip(hand.hero_decisions, credit.decisions, left, strict=True):
            prompt, chances = decision.answer.prompt_ids, np.array(decision.answer.probabilities)
            values = np.array(own.actions) / chances
            pull = pull_of(chances, values) + 2.0 * penalty * chances
            if decision.legal:  # what the critic doesn't know of goes to the answer that was given
                pull[decision.answer.place] += unknown
            else:
                pull -= unknown / (1 - chances.sum()) * chances
            for item, weight, chance in zip(decision.answer.menu, pull, chances, strict=True):
                token = hero.answer_ids(f"A{decision.answer.menu.index(item)}")[0]
                ids = torch.tensor([[*prompt, token, end]])
                logps = trainer.model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
                loss = loss - weight * (logps[0, token] + logps[1, end])
                tokens += 2 * max(chance, 1e-3)
    trainer.model.zero_grad()
    (loss / tokens).backward()
    expected = {name: weight.grad for name, weight in trainer.model.named_parameters() if weight.requires_grad}
    largest = max(float(own.abs().max()) for own in expected.values())
    for name, own in expected.items():
        assert torch.allclose(found.updates[0][name], own, rtol=0, atol=1e-4 * largest), name


def test_an_improbable_answers_row_stands_for_something(tiny_model_dir, tmp_path, monkeypatch):
    """Else its mean credit, which is what the stock trainer is handed, would be as large as it is improbable."""
    options = {"rewards": "chips", "villain": "call", "variance_reduction": "range all_action", "soft_after": 0}
    config = make_config(tiny_model_dir, tmp_path, entropy_coef=0.3, **options)
    villain = make_player("call", config.make_game())
    tokenizer = load_tokenizer(str(tiny_model_dir))
    hero = LLMPlayer(load_model(str(tiny_model_dir), torch.float32), tokenizer, config.poker(), answers="menu")
    hand = play(config.make_game(), make_deals(config.make_game(), 1, 3), hero, villain)[0]
    chances = (1e-9, 1 - 1e-9)
    told = [
        replace(decision, answer=replace(decision.answer, probabilities=chances)) if decision.answer.menu else decision
        for decision in hand.decisions
    ]
    spelled = tuple((Spelled((9 + place, 2), (chance, 1.0)),) for place, chance in enumerate(chances))
    monkeypatch.setattr(hero, "answers_to", lambda _: spelled)
    remover, hand = LuckRemover(config, villain), replace(hand, decisions=tuple(told))
    (credit,) = remover.credits([hand], hero)
    given = [Row((5, 6), (), (0.0,)) for _ in hand.hero_decisions]
    for temperature, power, stand_for in ((0.3, 1.0, (1e-3, 1.0)), (None, 1.0, chances), (None, 0.5, (1e-3, 1.0))):
        for _, *rows in remover.decisions(hand, credit, given, hero, temperature, power):
            assert [row.decisions for row in rows] == pytest.approx(stand_for, rel=1e-6)
            assert (abs(rows[0].credit[0]) > 1e-6) == (stand_for != chances)
