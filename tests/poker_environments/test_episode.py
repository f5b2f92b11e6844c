"""An episode is a hand of the project's own table, played a decision at a time."""

from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import WAYS
from scripted_answers import ScriptedHero, scripted_answer

from poker_env.errors import UserError
from poker_env.games import make_deals
from poker_env.prompts import offered_tokens
from poker_env.table import play
from poker_environments.episode import make_table


def played(table, index):
    episode = table.episode(index)
    while not episode.done:
        episode.answer(scripted_answer(episode.messages[-1]["content"]))
    return episode


@pytest.mark.parametrize(
    ("game", "villain", "style", "count"),
    [
        ("kuhn", "cfr:weak", "compact", 1000),
        ("leduc", "cfr", "brief", 1000),
        ("holdem", "random", "classic", 100),
        ("holdem:stack=2000", "call", "compact", 100),
    ],
)
def test_hands_are_those_of_the_table(game, villain, style, count):
    table = make_table(game, villain, style, seed=3)
    deals = make_deals(table.game, count, seed=3)
    expected = play(table.game, deals, ScriptedHero(style), table.villain)
    hands = [played(table, index).hand for index in range(count)]
    assert [hand.payoff for hand in hands] == [hand.payoff for hand in expected]
    assert [[d.move for d in hand.decisions] for hand in hands] == [
        [d.move for d in hand.decisions] for hand in expected
    ]
    assert any(not d.legal for hand in hands for d in hand.hero_decisions)


@given(words=st.lists(st.text() | st.sampled_from(["A0", "A1", "no, A2.", "A99"]), min_size=8, max_size=8))
@settings(max_examples=40, deadline=None)
def test_any_words_are_an_answer(words):
    episode = make_table("leduc", "random", rewards={"chips": 1, "illegal": 1}).episode(5)
    for text in words:
        if episode.done:
            break
        tokens = offered_tokens(episode.messages[-1]["content"])
        assert tokens == tuple(item.token for item in episode.menu)
        episode.answer(text)
    assert episode.done
    assert episode.reward == pytest.approx(episode.hand.payoff - 0.5 * episode.illegal)


def test_an_answer_without_a_token_gives_the_hand_up():
    episode = make_table("kuhn", "call").episode(0)
    episode.answer("I bet")
    assert episode.done and episode.illegal and episode.hand.payoff == -1 and episode.outcome.endswith("lost 1 chips.")
    with pytest.raises(ValueError, match="over"):
        episode.answer("A0")


@pytest.mark.parametrize(("text", "token"), WAYS.values(), ids=WAYS)
def test_what_a_model_thinks_is_no_answer(text, token):
    episode = make_table("kuhn", "call").episode(0)
    episode.answer(text)
    first = episode.hand.hero_decisions[0]
    # Of several in an answer the first is played.
    expected = {None: None, "A1": 0 if text in (WAYS["several candidates"][0], WAYS["no tags"][0]) else 1}[token]
    assert (first.move and first.move.action) == expected


def test_a_reward_is_what_the_functions_give_all_decisions():
    rewards = ["chips=2", {"name": "aggression", "weight": 3, "args": {"bonus": 0.1}}]
    episode = make_table("kuhn", "call", rewards=rewards).episode(0)
    episode.answer("A1")
    assert episode.reward == pytest.approx(2 * episode.hand.payoff + 3 * 0.1)


def test_only_deals_in_which_hero_is_asked():
    table = make_table("holdem", "fold", seed=1)
    asked = list(islice(table.asked(2), 3))
    assert asked == [3, 5, 7]  # on the button hero acts first; from there villain always folds
    assert table.episode(2).done and table.episode(2).reward == 0 and table.episode(2).hand.payoff == 50


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"game": "chess"}, "unknown game 'chess'"),
        ({"villain": "nobody"}, "unknown player 'nobody'"),
        ({"prompt_style": "long"}, "unknown prompt_style 'long'"),
        ({"rewards": ["luck"]}, "unknown reward function 'luck'"),
        ({"rewards": []}, "rewards are none"),
        ({"rewards": "luck"}, "unknown reward function 'luck'"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 1.5}, "seed 1.5"),
    ],
)
def test_what_there_is_not_is_told(options, said):
    with pytest.raises(UserError, match=said):
        make_table(**options)


@pytest.mark.parametrize(("index", "seed"), [(-1, None), ("3", None), (1.5, 0), (0, -2), (0, "x")])
def test_deals_are_counted_from_0(index, seed):
    with pytest.raises(UserError, match=f"deal {index!r} of seed {seed or 0!r}"):
        make_table().episode(index, seed)


def test_one_reward_needs_no_list():
    assert make_table(rewards="illegal=2").rewards == make_table(rewards={"illegal": 2}).rewards
