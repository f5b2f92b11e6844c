"""What an epoch's hands come to: what each decision is credited with, and the figures of the epoch."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from poker_env.games import Deal, make_deals, make_game
from poker_env.hand import Answer
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.menu import make_menu
from poker_env.player_specs import make_player
from poker_env.players.llm import LLMPlayer
from poker_env.table import play
from recipes.options.config import parse_config
from recipes.training.credit import decision_rows
from recipes.training.returns import discounted_returns
from recipes.training.rollout import Rollout
from reward_fns import load_reward


class Scripted:
    """Plays the listed actions in turn, each with its number as the prompt and the completion."""

    name = "scripted"

    def __init__(self, actions):
        self.actions = list(actions)
        self.asked = 0

    def act(self, observations):
        answers = []
        for _ in observations:
            self.asked += 1
            answers.append(Answer(self.actions.pop(0), prompt_ids=(self.asked,), completion_ids=(self.asked, 7)))
        return answers


def kuhn_hand(hero_actions, villain_actions, deck=(2, 1), hero_seat=0):
    game = make_game("kuhn")
    return play(game, [Deal(deck, hero_seat, 0)], Scripted(hero_actions), Scripted(villain_actions))


def rows_of(hands, rewards, gamma, baselines=None):
    returns = [
        discounted_returns(np.array([spec(hand) for spec in rewards]).reshape(len(rewards), -1), gamma)
        for hand in hands
    ]
    return decision_rows(hands, returns, np.zeros((len(hands), len(rewards))) if baselines is None else baselines)


def test_returns_to_go_of_a_kuhn_hand_worked_out_by_hand():
    # Hero (king, first) checks, villain (queen) bets, hero calls: wins 2 chips on its last decision.
    rows = rows_of(kuhn_hand([0, 1], [1]), [load_reward("chips"), load_reward("illegal")], gamma=0.9)
    assert [row.prompt_ids for row in rows] == [(1,), (2,)]
    assert rows[0].credit == pytest.approx((0.9 * 2, 0.0))
    assert rows[1].credit == pytest.approx((2.0, 0.0))


def test_an_illegal_answer_is_penalised_where_it_was_given():
    # Hero checks, villain bets, hero answers rubbish: loses its ante, penalty on the second decision only.
    rows = rows_of(kuhn_hand([0, None], [1]), [load_reward("chips"), load_reward("illegal")], gamma=0.5)
    assert rows[0].credit == pytest.approx((-0.5, -0.25))
    assert rows[1].credit == pytest.approx((-1.0, -0.5))


def test_a_hands_baseline_is_taken_off_each_of_its_returns():
    hands = kuhn_hand([0, 1], [1])
    rows = rows_of(hands, [load_reward("chips"), load_reward("illegal")], 0.5, baselines=np.array([[3.0, -1.0]]))
    assert [row.credit for row in rows] == [(1 - 3, 1), (2 - 3, 1)]


def test_a_hand_without_hero_decisions_gives_no_rows():
    game = make_game("holdem")
    deals = [deal for deal in make_deals(game, 20, 1) if deal.hero_seat == 0]
    hands = play(game, deals, make_player("call", game), make_player("fold", game))  # the button folds at once
    assert rows_of(hands, [load_reward("chips")], 1.0) == []


class RandomPlayer:
    name = "random"

    def act(self, observations):
        return [Answer(menu[int(o.coin * len(menu))].action) for o in observations for menu in [make_menu(o)]]


def test_discounted_rows_of_all_games_sum_up_to_the_hands_payoff():
    for name in ("kuhn", "leduc", "holdem"):
        game = make_game(name)
        hands = play(game, make_deals(game, 50, 3), RandomPlayer(), RandomPlayer())
        for hand in hands:
            assert all(
                row.credit == pytest.approx((hand.payoff_bb,)) for row in rows_of([hand], [load_reward("chips")], 1.0)
            )


def roll_out(model_dir, tmp_path, *options):
    """A rollout that has played its first epoch with the tiny model, and what it handed out."""
    config = parse_config(
        [
            *("--game", "kuhn", "--model_name_or_path", str(model_dir), "--output_dir", str(tmp_path)),
            *("--dtype", "float32", *options),
        ]
    )
    model = load_model(str(model_dir), torch.float32)
    accelerator = SimpleNamespace(process_index=0, num_processes=1, unwrap_model=lambda model: model)
    trainer = SimpleNamespace(state=SimpleNamespace(global_step=0), accelerator=accelerator, model=model)
    rollout = Rollout(config, load_tokenizer(str(model_dir)))
    return rollout, rollout(["dummy"] * config.rows_per_epoch, trainer)


def test_an_epochs_figures(tiny_model_dir, tmp_path):
    options = ("--rewards", "chips", "illegal=3", "--episodes_per_epoch", "300", "--rows_per_epoch", "40")
    rollout, output = roll_out(tiny_model_dir, tmp_path, *options)
    epoch, hands = rollout.epoch, rollout.hands
    decisions = [decision for hand in hands for decision in hand.hero_decisions]
    assert (len(hands), epoch.decisions) == (300, len(decisions))
    chips = np.mean([hand.payoff * 0.99 ** (len(hand.hero_decisions) - 1) for hand in hands if hand.hero_decisions])
    assert epoch.returns_by_name["chips"] == pytest.approx(chips)
    assert epoch.returns.mean() == pytest.approx(epoch.returns_by_name["chips"] + 3 * epoch.returns_by_name["illegal"])
    assert rollout.metrics()["return/chips"] == epoch.returns_by_name["chips"]
    prompts = [decision.answer.prompt_ids for decision in decisions]
    assert epoch.prompt_tokens_saved == pytest.approx(1 - sum(map(len, set(prompts))) / sum(map(len, prompts)))
    masks = [mask[0] for mask in output["env_mask"]]
    assert (epoch.rows, epoch.trained) == (sum(map(bool, masks)), sum(masks)) and epoch.rows == 39
    lengths = [len(p) + len(c) for p, c in zip(output["prompt_ids"], output["completion_ids"], strict=True)]
    trained = [
        (tuple(p), len(c))
        for p, c, mask in zip(output["prompt_ids"], output["completion_ids"], masks, strict=True)
        if mask
    ]
    forwarded = sum(map(len, {prompt for prompt, _ in trained})) + sum(length for _, length in trained)
    assert epoch.tokens_saved == pytest.approx(1 - forwarded / sum(np.multiply(lengths, masks)))
    assert 0 < epoch.tokens_saved < 1 and epoch.trained < epoch.decisions


@pytest.mark.parametrize("hands", [1, 2, 60])
def test_tokens_are_saved_by_the_texts_that_were_merged(tiny_model_dir, tmp_path, hands):
    """Where hardly an answer is legal, too: the rows' weights are far less than the texts that are forwarded."""
    options = ("--variance_reduction", "baseline", "all_action", "--episodes_per_epoch", str(hands))
    rollout, output = roll_out(tiny_model_dir, tmp_path, *options, "--rows_per_epoch", "60")
    rows = zip(output["prompt_ids"], output["completion_ids"], output["env_mask"], strict=True)
    trained = [(tuple(prompt), tuple(answer)) for prompt, answer, mask in rows if any(mask)]
    asked = Counter(decision.answer.prompt_ids for hand in rollout.hands for decision in hand.hero_decisions)
    texts = sum(asked[prompt] * len(prompt + answer) for prompt, answer in trained)
    forwarded = sum(map(len, {prompt for prompt, _ in trained})) + sum(len(answer) for _, answer in trained)
    assert sum(sum(mask) / len(mask) for mask in output["env_mask"]) < sum(asked.values())  # some were illegal
    assert rollout.epoch.tokens_saved == pytest.approx(1 - forwarded / texts)
    assert 0 <= rollout.epoch.tokens_saved < 1


def test_rewards_are_asked_for_once_per_hand(tiny_model_dir, tmp_path, monkeypatch):
    asked = []

    def count(hand):
        asked.append(hand)
        return [0.0] * len(hand.hero_decisions)

    monkeypatch.setattr("reward_fns.BUILT_IN", {"count": count})
    roll_out(tiny_model_dir, tmp_path, "--rewards", "count", "--episodes_per_epoch", "20", "--villain", "call")
    assert len(asked) == 20


def test_a_thousand_hands_are_asked_a_dozen_prompts(tiny_model_dir, tmp_path, monkeypatch):
    encoded = []
    encode = LLMPlayer.encode
    monkeypatch.setattr(LLMPlayer, "encode", lambda self, messages: encoded.append(messages) or encode(self, messages))
    roll_out(tiny_model_dir, tmp_path, "--episodes_per_epoch", "1000", "--villain", "random")
    assert len(encoded) <= 12  # Kuhn's decision points


def test_a_seed_names_the_rows(tiny_model_dir, tmp_path):
    options = ("--episodes_per_epoch", "50", "--rows_per_epoch", "16")
    outputs = [roll_out(tiny_model_dir, tmp_path, *options, "--seed", seed)[1] for seed in ("3", "3", "4")]
    assert outputs[0] == outputs[1] != outputs[2]
