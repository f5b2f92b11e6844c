"""Variance reduction in training: the same gradient on average, the same prompts, less noise."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from poker_env.errors import UserError
from poker_env.games import make_deals, make_game
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.player_specs import make_player
from poker_env.players.llm import LLMPlayer
from poker_env.state import HandState
from poker_env.table import play
from recipes.options.config import parse_config
from recipes.training.credit import Crediting, LuckRemover, decision_rows
from recipes.training.returns import discounted_returns
from recipes.training.rows import merge

SOFT = ("--variance_reduction", "all_action", "--soft_after", "0")
LIFTED = ("--variance_reduction", "all_action", "--probability_power", "0.5")
EVERYTHING = ("chance", "range", "villain", "hero", "baseline", "all_action")


def make_config(model_dir, tmp_path, *switches, options=()):
    arguments = ["--model_name_or_path", str(model_dir), "--output_dir", str(tmp_path), "--dtype", "float32", *options]
    return parse_config([*arguments, *(("--variance_reduction", *switches) if switches else ())])


@pytest.fixture(scope="module")
def hero_parts(tiny_model_dir):
    return load_model(str(tiny_model_dir), torch.float32), load_tokenizer(str(tiny_model_dir))


class Strict(LLMPlayer):
    """Takes nothing for an action that says more or less than its token."""

    def _answer(self, question, completion):
        answer = super()._answer(question, completion)
        on_menu = tuple(completion) in [self.answer_ids(item.token) for item in question.menu]
        return answer if on_menu else replace(answer, action=None)


def gradients(config, hero, blocks, hands):
    """(blocks, 2, coordinates): each block's policy gradient as it is and without luck, along some directions."""
    game, villain = config.make_game(), make_player(config.villain, config.make_game())
    remover = LuckRemover(config, villain)
    rewards = config.reward_specs()
    found = []
    for block in range(blocks):
        played = play(game, make_deals(game, hands, 5, start=block * hands), hero, villain)
        plain, without_luck = [], []
        for hand, credit in zip(played, remover.credits(played, hero), strict=True):
            given = np.array([reward(hand) for reward in rewards]).reshape(len(rewards), -1)
            raw, no_baseline = discounted_returns(given, config.gamma), np.zeros((1, len(rewards)))
            plain += decision_rows([hand], [raw], no_baseline)
            given = decision_rows([hand], [remover.returns(raw, hand, credit)], no_baseline)
            rows = remover.decisions(hand, credit, given, hero)
            if remover.switches.all_action:
                assert all(own[0].credit == pytest.approx([0] * len(rewards)) for own, decision in
                           zip(rows, hand.hero_decisions, strict=True) if not decision.legal)  # fmt: skip
            without_luck += [row for own in rows for row in own]
        found.append([gradient(hero.model, merge(rows)) for rows in (plain, without_luck)])
    return np.array(found)


def gradient(model, rows):
    """Of the rows' log-probabilities by their credit, along a dozen random directions of two weights."""
    weights = [model.model.layers[0].mlp.down_proj.weight, model.model.layers[1].self_attn.v_proj.weight]
    length = max(row.tokens for row in rows)
    ids = torch.tensor([[*row.prompt_ids, *row.completion_ids, *[0] * (length - row.tokens)] for row in rows])
    credit = torch.zeros(ids.shape)
    for place, row in enumerate(rows):
        credit[place, len(row.prompt_ids) : row.tokens] = sum(row.credit)
    logps = model(ids).logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None])[:, :, 0]
    flat = torch.cat([own.flatten() for own in torch.autograd.grad((credit[:, 1:] * logps).sum(), weights)]).numpy()
    return flat @ np.random.default_rng(0).standard_normal((flat.size, 12))


@pytest.mark.slow  # test_all_action.py compares exact gradients
@pytest.mark.parametrize(
    ("switches", "rewards"),
    [(("range", "baseline"), ["chips"]), (EVERYTHING, ["chips", "illegal"])],
    ids=["range and baseline", "everything"],
)
def test_the_mean_gradient_of_kuhn_stays(hero_parts, tiny_model_dir, tmp_path, switches, rewards):
    config = make_config(tiny_model_dir, tmp_path, *switches, options=("--game", "kuhn", "--rewards", *rewards))
    # The same hands for both, so their answers are spelled out; those off the menu must weigh nothing.
    hero = Strict(*hero_parts, config.poker(), answers="scored")
    raw, own = np.moveaxis(gradients(config, hero, blocks=40, hands=100), 1, 0)
    difference = own - raw
    z = difference.mean(axis=0) / (difference.std(axis=0, ddof=1) / len(difference) ** 0.5)
    assert np.abs(z).max() < 4
    assert np.abs(raw.mean(axis=0) / (raw.std(axis=0) / len(raw) ** 0.5)).max() > 3  # there is a gradient to agree on


def test_hero_is_asked_the_same_and_answers_as_often(hero_parts, tiny_model_dir, tmp_path):
    """Whether its answers are sampled, or drawn from the menu's probabilities."""
    config, game, times = make_config(tiny_model_dir, tmp_path), make_game("holdem"), 6_000
    observation = HandState(game, make_deals(game, 1, 3)[0]).observe()
    asked = [replace(observation, coin_seed=seed) for seed in range(times)]
    said = [kind(*hero_parts, config.poker(), answers=answers).act(asked)
            for kind, answers in ((Strict, "scored"), (LLMPlayer, "menu"))]  # fmt: skip
    assert len({(answer.prompt, answer.prompt_ids, answer.menu) for answers in said for answer in answers}) == 1
    assert said[0][0].probabilities == pytest.approx(said[1][0].probabilities, rel=1e-4)
    for action in (*said[0][0].menu, None):
        counts = [sum(answer.action == action for answer in answers) for answers in said]
        assert abs(counts[0] - counts[1]) <= 4.5 * sum(counts) ** 0.5
    spelled = {answer.action: answer.completion_ids for answer in said[1]}
    assert spelled[None] == () and all(spelled[action] for action in spelled if action is not None)
    assert all(answer.completion_ids == spelled[answer.action] for answer in said[0] if answer.action is not None)


def test_the_menus_probabilities_are_those_of_the_answers_sampled(hero_parts, tiny_model_dir, tmp_path):
    config = make_config(tiny_model_dir, tmp_path, options=("--game", "kuhn"))
    game = make_game("kuhn")
    hero = LLMPlayer(*hero_parts, config.poker(), answers="scored")
    counts: dict[tuple, np.ndarray] = {}
    expected: dict[tuple, tuple[float, ...]] = {}
    for hand in play(game, make_deals(game, 6_000, 1), hero, make_player("call", game)):
        for decision in hand.hero_decisions:
            answer = decision.answer
            ids = [hero.answer_ids(f"A{place}") for place in range(2)]
            given = np.array([answer.completion_ids == own for own in ids] + [1], dtype=float)
            assert answer.place == next((place for place in range(2) if given[place]), None)
            counts[answer.prompt_ids] = counts.get(answer.prompt_ids, 0) + given
            expected[answer.prompt_ids] = answer.probabilities
    for prompt, seen in counts.items():
        share, sd = np.array(expected[prompt]), seen[-1] ** -0.5
        assert seen[:2] / seen[-1] == pytest.approx(share, abs=4.5 * 0.5 * sd)
    assert max(map(sum, expected.values())) > 0.02


def test_each_epoch_is_credited_by_its_own_power_of_probabilities(hero_parts, tiny_model_dir, tmp_path):
    """Two epochs lifted from the second one on are those of runs that are never lifted, and always."""
    game = ("--game", "leduc", "--villain", "cfr:weak", "--rewards", "chips", "--num_epochs", "2")

    def crediting(*power):
        config = make_config(tiny_model_dir, tmp_path, "range", "all_action", options=(*game, *power))
        return config, Crediting(config, make_player(config.villain, config.make_game()))

    config, later = crediting("--probability_power", "0.5", "--lifted_after", "1")
    hero = LLMPlayer(*hero_parts, config.poker(), answers=later.answers)
    villain = make_player(config.villain, config.make_game())
    hands = play(config.make_game(), make_deals(config.make_game(), 8, 3), hero, villain)
    credited = [later.credited(hands, hero, epoch).decisions for epoch in range(2)]
    for epoch, power in enumerate(("1", "0.5")):
        _, steady = crediting("--probability_power", power)
        assert credited[epoch] == steady.credited(hands, hero, epoch).decisions
    assert credited[0] != credited[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--variance_reduction", "luck"), "unknown variance_reduction .luck.: choose one of chance, range"),
        (("--variance_reduction", "range", "--baseline", "leave_one_out", "--replicas", "2"), "leave one out"),
        (("--variance_reduction", "all_action", "--scale_rewards", "batch"), "set scale_rewards to none"),
        (("--soft_after", "0", "--entropy_coef", "1"), "soft_after 0 .* add all_action .* or set soft_after to none"),
        (("--probability_power", "0.5"), "probability_power 0.5 takes what every action wins: add all_action"),
        (("--lifted_after", "3"), "lifted_after 3 does nothing with probability_power 1.0"),
        ((*LIFTED, "--lifted_after", "-1"), "lifted_after -1"),
        (
            (*SOFT, "--entropy_coef", "1", "--probability_power", "0.5"),
            "probability_power 0.5 does nothing with soft_af",
        ),
        (
            (*LIFTED, "--entropy_coef", "1", "--soft_after", "2", "--lifted_after", "2", "--num_epochs", "9"),
            "probability_power 0.5 does nothing with soft_after 2",
        ),
        ((*SOFT, "--entropy_coef", "0"), "entropy_coef 0.0: with soft_after it is a temperature"),
        ((*SOFT, "--entropy_coef", "1", "--entropy_coef_end", "0"), "entropy_coef_end 0.0: with soft_after"),
        ((*SOFT, "--entropy_coef", "1", "--epsilon", "10"), "epsilon 10.0 is for ratios .* leave one of them out"),
        ((*SOFT[:-1], "50", "--entropy_coef", "1", "--num_epochs", "50"), "soft_after 50: give one of the 50 epochs"),
        ((*SOFT[:-1], "-1", "--entropy_coef", "1"), "soft_after -1: give one of the"),
    ],
)
def test_options_that_make_no_sense_together(tiny_model_dir, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        make_config(tiny_model_dir, tmp_path, options=options)


def test_luck_can_only_be_taken_out_of_chips(tiny_model_dir, tmp_path):
    config = make_config(tiny_model_dir, tmp_path, "range", options=("--game", "kuhn", "--rewards", "bluff"))
    with pytest.raises(UserError, match="add the reward chips"):
        LuckRemover(config, make_player("cfr", make_game("kuhn")))


def test_villains_policy_must_be_known(hero_parts, tiny_model_dir, tmp_path):
    config = make_config(tiny_model_dir, tmp_path, "range", options=("--game", "kuhn"))
    hero = LLMPlayer(*hero_parts, config.poker(), answers="scored")
    with pytest.raises(UserError, match="is not known"):
        LuckRemover(config, make_player("tag", make_game("kuhn"))).credits([], hero)


@pytest.mark.parametrize(("spec", "villain", "hands"), [("kuhn", "cfr", 2_000), ("holdem", "call", 300)])
def test_what_hands_won_without_luck_is_the_same_on_average(
    hero_parts, tiny_model_dir, tmp_path, spec, villain, hands
):
    config = make_config(tiny_model_dir, tmp_path, *EVERYTHING, options=("--game", spec, "--villain", villain))
    game, opponent = config.make_game(), make_player(villain, config.make_game())
    remover = LuckRemover(config, opponent)
    hero = LLMPlayer(*hero_parts, config.poker(), answers=remover.answers)
    played = play(game, make_deals(game, hands, 2), hero, opponent)
    won = np.array([hand.payoff for hand in played])
    scores = np.array(remover.scores(played, remover.credits(played, hero)))
    difference = won - scores
    assert abs(difference.mean()) < 4 * difference.std() / hands**0.5
    assert scores.std() < won.std()
