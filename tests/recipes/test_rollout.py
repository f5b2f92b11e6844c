"""Rows for the trainer: what a decision is credited with, and how many rows there are."""

import numpy as np
import pytest

from poker_env.games import make_deals, make_game
from poker_env.hand import Answer
from poker_env.menu import make_menu
from poker_env.players import make_player
from poker_env.table import play
from recipes.rollout import Row, fit_rows, rows_of_hands, to_trl
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
    from poker_env.games import Deal

    game = make_game("kuhn")
    return play(game, [Deal(deck, hero_seat, 0)], Scripted(hero_actions), Scripted(villain_actions))


def test_returns_to_go_of_a_kuhn_hand_worked_out_by_hand():
    # Hero (king, first) checks, villain (queen) bets, hero calls: wins 2 chips on its last decision.
    hands = kuhn_hand([0, 1], [1])
    (rows,) = rows_of_hands(hands, [load_reward("chips"), load_reward("illegal")], gamma=0.9)
    assert [row.prompt_ids for row in rows] == [(1,), (2,)]
    assert rows[0].returns == pytest.approx((0.9 * 2, 0.0))
    assert rows[1].returns == pytest.approx((2.0, 0.0))


def test_an_illegal_answer_is_penalised_where_it_was_given():
    # Hero checks, villain bets, hero answers rubbish: loses its ante, penalty on the second decision only.
    hands = kuhn_hand([0, None], [1])
    (rows,) = rows_of_hands(hands, [load_reward("chips"), load_reward("illegal")], gamma=0.5)
    assert rows[0].returns == pytest.approx((-0.5, -0.25))
    assert rows[1].returns == pytest.approx((-1.0, -0.5))


def test_leave_one_out_baseline_is_the_mean_of_the_other_replicas():
    game = make_game("kuhn")
    # One deal, three replicas; hero is first with the king, villain always calls: bets win 2, checks win 1.
    from poker_env.games import Deal

    deal = Deal((2, 1), 0, 0)
    hands = play(game, [deal], Scripted([1, 0, 1]), Scripted([1, 0, 1]), replicas=3)
    assert [hand.payoff for hand in hands] == [2, 1, 2]
    rows = rows_of_hands(hands, [load_reward("chips", weight=10.0)], gamma=1.0, replicas=3)
    assert [row.returns for hand in rows for row in hand] == [(2, 15), (1, 20), (2, 15)]


def test_a_hand_without_hero_decisions_gives_no_rows():
    game = make_game("holdem")
    deals = [deal for deal in make_deals(game, 20, 1) if deal.hero_seat == 0]
    hands = play(game, deals, make_player("call", game), make_player("fold", game))  # the button folds at once
    assert [len(rows) for rows in rows_of_hands(hands, [load_reward("chips")], 1.0)] == [0] * len(deals)


def test_too_many_rows_are_sampled_uniformly_and_too_few_filled_up():
    rows = [Row((i,), (i,), (float(i),)) for i in range(10)]
    counts = np.zeros(10)
    for seed in range(2000):
        picked = fit_rows(rows, 4, 0, np.random.default_rng(seed))
        assert len(picked) == 4 and len({row.prompt_ids for row in picked}) == 4
        for row in picked:
            counts[row.prompt_ids[0]] += 1
    expected = 2000 * 4 / 10
    assert ((counts - expected) ** 2 / expected).sum() < 27.9  # chi-square, 9 degrees of freedom, p = 0.001
    filled = fit_rows(rows, 13, 5, np.random.default_rng(0))
    assert filled[:10] == rows and filled[10:] == [Row((5,), (5,), None)] * 3


def test_trl_gets_masks_of_ones_for_decisions_and_zeros_for_padding():
    output = to_trl([Row((1, 2), (3, 4, 5), (1.0, 2.0)), Row((0,), (0,), None)])
    assert output["env_mask"] == [[1, 1, 1], [0]]
    assert output["returns"] == [(1.0, 2.0), None]
    assert output["completion_ids"] == [[3, 4, 5], [0]] and output["logprobs"] is None


class RandomPlayer:
    name = "random"

    def act(self, observations):
        return [Answer(menu[int(o.coin * len(menu))].action) for o in observations for menu in [make_menu(o)]]


def test_discounted_rows_of_all_games_sum_up_to_the_hands_payoff():
    for name in ("kuhn", "leduc", "holdem"):
        game = make_game(name)
        hands = play(game, make_deals(game, 50, 3), RandomPlayer(), RandomPlayer())
        for hand, rows in zip(hands, rows_of_hands(hands, [load_reward("chips")], 1.0), strict=True):
            assert all(row.returns == pytest.approx((hand.payoff_bb,)) for row in rows)
