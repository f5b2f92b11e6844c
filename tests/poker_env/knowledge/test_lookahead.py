"""Looking ahead along a strategy: a step of policy improvement, exact in small games and steady in hold'em."""

import numpy as np
import pytest

from poker_env.errors import UserError
from poker_env.evaluation.match import evaluate
from poker_env.games import make_deals, make_game
from poker_env.knowledge.exact_value import ExactJudge, exact_policy, information_sets
from poker_env.knowledge.lookahead import Lookahead
from poker_env.menu import make_menu
from poker_env.player_specs import make_player
from poker_env.table import play

KUHN, LEDUC, HOLDEM = make_game("kuhn"), make_game("leduc"), make_game("holdem")


def lookahead(villain, game):
    return Lookahead.about(make_player(villain, game), game)


@pytest.mark.parametrize(
    ("game", "villain"), [(KUHN, "cfr:weak"), (KUHN, "call"), (LEDUC, "cfr:weak"), (LEDUC, "call")]
)
def test_it_is_a_step_from_villain_s_own_play_towards_the_best_response(game, villain):
    judge = ExactJudge(game, make_player(villain, game))
    found = judge.judge(exact_policy(game, make_player(f"lookahead:{villain}", game)))
    assert judge.self_play + 0.02 < found.value <= judge.best_response + 1e-12


def test_it_sees_further_than_checking_down():
    judge = ExactJudge(LEDUC, make_player("cfr:weak", LEDUC))
    ahead, advised = (
        judge.judge(exact_policy(LEDUC, make_player(f"{kind}:cfr:weak", LEDUC))) for kind in ("lookahead", "advice")
    )
    assert ahead.value > advised.value + 0.01


@pytest.mark.parametrize("game", [KUHN, LEDUC])
def test_its_values_are_those_of_playing_on_as_villain(game):
    """The action's value, less that of another, is what changing to it at one information set wins, by its reach."""
    villain = make_player("cfr:weak", game)
    judge, own = ExactJudge(game, villain), exact_policy(game, villain)
    source = lookahead("cfr:weak", game)
    for infoset, seen in list(information_sets(game).items())[:: 1 if game is KUHN else 17]:
        menu = make_menu(seen)
        values = source.values(seen, menu)
        won = []
        for item in menu:
            only = {action: float(action == item.action) for action in seen.legal}
            found = judge.judge({**own, infoset: only})
            won.append(found.by_seat[seen.seat])
        gaps, expected = values - values[0], np.array(won) - won[0]
        assert (abs(expected) <= abs(gaps) + 1e-9).all()  # reach is at most 1
        assert (np.sign(expected[abs(expected) > 1e-9]) == np.sign(gaps[abs(expected) > 1e-9])).all()
        if len(menu) == 3 and abs(gaps[1]) > 1e-6 and abs(expected[1]) > 1e-9:
            assert expected[2] / expected[1] == pytest.approx(gaps[2] / gaps[1], rel=1e-3)  # ranges tremble


def test_folding_is_worth_nothing_and_everything_else_is_measured_by_it():
    source = lookahead("cfr:weak", KUHN)
    for seen in information_sets(KUHN).values():
        if seen.to_call:
            values = source.values(seen, make_menu(seen))
            assert values[0] == pytest.approx(0, abs=1e-12)
            if seen.hole == ("K",):
                assert values[1] == pytest.approx(3)  # the pot: with its own call, four chips, one of them its own


@pytest.mark.slow
def test_in_holdem_it_is_steady_and_wins():
    player, again = (make_player("lookahead:cfr@0.5/1", HOLDEM) for _ in range(2))
    hands = play(HOLDEM, make_deals(HOLDEM, 20, 1), player, make_player("cfr", HOLDEM))
    seen = [each for hand in hands for each in hand.observations(hand.hero_seat)]
    assert player.policy(seen) == again.policy(seen)
    judged = evaluate(HOLDEM, player, make_player("cfr", HOLDEM), 1_000, 5, progress=False)
    assert judged.estimates["aivat"].ci95[0] > 0


@pytest.mark.parametrize(("spec", "message"), [("lookahead:tag", "policy"), ("lookahead:call", "goes on by a solved")])
def test_who_has_no_strategy_to_go_on_by_is_refused(spec, message):
    with pytest.raises(UserError, match=message):
        make_player(spec, HOLDEM)
