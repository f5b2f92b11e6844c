"""Charts: pictures that show what they should, of any evaluation however short."""

import io

import numpy as np
import pytest
from matplotlib import colors, image

from poker_env.evaluation.hud import habits
from poker_env.games import make_deals, make_game
from poker_env.player_specs import make_player
from poker_env.report.charts import action_mix_chart, pot_size_chart, preflop_chart, winnings_chart
from poker_env.report.preflop import opening
from poker_env.table import play

GAMES = [make_game("kuhn"), make_game("leduc"), make_game("holdem"), make_game("holdem:stack=150")]
FOLD, CALL = "#9db7d5", "#5aa469"


def some_hands(game, decks, hero="random", villain="call"):
    deals = [seated for deal in make_deals(game, decks, 0) for seated in (deal, deal.swapped())]
    return play(game, deals, make_player(hero, game), make_player(villain, game))


def pixels(png):
    """(height, width, 3)"""
    assert png.startswith(b"\x89PNG")
    return image.imread(io.BytesIO(png))[:, :, :3]


def share_of(colour, picture):
    """How much of a picture has a colour."""
    return float(np.isclose(picture, colors.to_rgb(colour), atol=2 / 255).all(axis=2).mean())


@pytest.mark.parametrize(("game", "decks"), [*zip(GAMES, (1, 30, 1, 2), strict=True)], ids=str)
def test_charts_of_any_evaluation(game, decks):
    hands = some_hands(game, decks)
    mbb = np.array([1000 * hand.payoff_bb for hand in hands])
    for chart in (
        winnings_chart(hands, {"duplicate": mbb}),
        pot_size_chart(hands),
        action_mix_chart(habits(hands, game), game),
    ):
        assert pixels(chart).std() > 0.01  # not blank


def test_a_preflop_chart_has_hero_on_the_left():
    game = GAMES[2]
    hands = some_hands(game, 2, "fold", "call")
    charts = (opening(make_player(name, game), hero, hands, False) for name, hero in (("fold", True), ("call", False)))
    picture = pixels(preflop_chart(*charts))
    left, right = np.array_split(picture, 2, axis=1)
    assert share_of(FOLD, left) > 0.5 > 0.05 > share_of(CALL, left)
    assert share_of(CALL, right) > 0.5 > 0.05 > share_of(FOLD, right)


def test_unseen_hands_are_grey():
    game = GAMES[2]
    hero = make_player("tag", game)
    few, many = (opening(hero, True, some_hands(game, decks, "tag"), False) for decks in (3, 300))
    few_seen, many_seen = np.array_split(pixels(preflop_chart(few, many)), 2, axis=1)
    assert share_of("#e6e6e6", few_seen) > 0.6 > 0.2 > share_of("#e6e6e6", many_seen)


def test_the_action_mix_shows_who_calls():
    game = GAMES[2]
    calls = pixels(action_mix_chart(habits(some_hands(game, 20, "call", "call"), game), game))
    folds = pixels(action_mix_chart(habits(some_hands(game, 20, "fold", "fold"), game), game))
    assert share_of(CALL, calls) > 5 * share_of(CALL, folds)
    assert share_of(FOLD, folds) > 5 * share_of(FOLD, calls)
