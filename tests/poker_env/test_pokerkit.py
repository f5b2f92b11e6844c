"""OpenSpiel against pokerkit on random hands, and hands exported for pokerkit to read back."""

import multiprocessing
import os
import warnings

import numpy as np
import pytest
from pokerkit import HandHistory

from poker_env import phh
from poker_env.errors import UserError
from poker_env.games import Deal, Game, make_deals, make_game
from poker_env.hand import Answer, Hand
from poker_env.state import HandState
from poker_env.table import play

STAKES = [
    Game("holdem", small_blind=50, big_blind=100, stack=20_000),
    Game("holdem", small_blind=50, big_blind=100, stack=101),
    Game("holdem", small_blind=50, big_blind=100, stack=250),
    Game("holdem", small_blind=7, big_blind=13, stack=1_237),
    Game("holdem", small_blind=1, big_blind=2, stack=99),
    Game("holdem", small_blind=1, big_blind=300, stack=4_001),
    Game("holdem", small_blind=33, big_blind=33, stack=1_000),
]
BATCH = 500


def random_action(state: HandState, rng: np.random.Generator) -> int | None:
    """Fold, check, call, or raise by the minimum, a random amount or everything; rarely no legal action at all."""
    observation = state.observe()
    smallest, stack = observation.min_raise_to, observation.game.stack
    actions = [1, 1, 1, None if rng.random() < 0.05 else 1]
    if observation.to_call:
        actions.append(0)
    if smallest is not None:
        spread = int(smallest * (stack / smallest) ** rng.random())
        actions += [smallest, smallest, min(spread, stack), int(rng.integers(smallest, stack + 1))]
        actions += [stack] if rng.random() < 0.3 else []
    return actions[rng.integers(len(actions))]


def play_in_both(game: Game, deal: Deal, rng: np.random.Generator) -> None:
    """One random hand in both engines in step; they must agree at every decision and at the end."""
    ours = HandState(game, deal)
    theirs = phh.new_state(game)
    shown = Hand(game, deal, 0, (), (ours.hole(0), ours.hole(1)), ours.cards[4:], 0.0, False)
    while not ours.done:
        phh.deal_cards(theirs, shown)
        observation = ours.observe()
        earlier = phh.chips_of_earlier_streets(theirs, observation.seat)
        raise_to = theirs.min_completion_betting_or_raising_to_amount
        assert theirs.actor_index == observation.seat
        assert theirs.total_pot_amount == observation.pot
        assert theirs.checking_or_calling_amount == observation.to_call
        assert (None if raise_to is None else raise_to + earlier) == observation.min_raise_to
        action = random_action(ours, rng)
        if action is None:
            ours.forfeit()
            phh.apply_move(theirs, None)
        else:
            phh.apply_move(theirs, ours.apply(action))
    phh.deal_cards(theirs, shown)
    assert not theirs.status
    assert tuple(theirs.payoffs) == ours.payoffs
    assert sum(ours.payoffs) == 0 and max(ours.payoffs) <= game.stack
    assert sum(theirs.stacks) == 2 * game.stack


def play_batch(seed: int) -> int:
    """`BATCH` random hands at random stakes."""
    rng = np.random.default_rng(seed)
    for index in range(BATCH):
        game = STAKES[rng.integers(len(STAKES))]
        deal = make_deals(game, 1, seed, start=index)[0]
        try:
            play_in_both(game, deal, rng)
        except Exception as error:
            raise AssertionError(f"seed {seed}, hand {index}, {game}, {deal}") from error
    return BATCH


@pytest.mark.parametrize("seed", range(6))
def test_openspiel_and_pokerkit_agree(seed):
    assert play_batch(seed) == BATCH


@pytest.mark.slow
def test_openspiel_and_pokerkit_agree_on_100_000_hands():
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        assert sum(pool.imap_unordered(play_batch, range(1_000, 1_200))) == 100_000


class Chaos:
    """Random actions for the table."""

    name = "chaos"

    def act(self, observations):
        answers = []
        for observation in observations:
            choices = [1, 1, None]
            choices += [0] if observation.to_call else []
            if observation.min_raise_to is not None:
                choices += [observation.min_raise_to, observation.min_raise_to, observation.game.stack]
            answers.append(Answer(choices[int(observation.coin * len(choices))]))
        return answers


@pytest.mark.parametrize("game", STAKES, ids=str)
def test_exported_hands_are_read_back_to_the_same_payoffs(game):
    forfeits = 0
    for hand in play(game, make_deals(game, 40, seed=5), Chaos(), Chaos()):
        text = phh.to_phh(hand, hero="Ann", villain="Bob")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # pokerkit warns of folds where checking was free
            history = HandHistory.loads(text)
            final = list(history)[-1]
        assert not final.status
        assert final.payoffs[hand.hero_seat] == hand.payoff
        assert final.payoffs[1 - hand.hero_seat] == -hand.payoff
        assert history.players[hand.hero_seat] == "Ann"
        forfeits += not hand.decisions[-1].legal
    assert forfeits


def test_other_games_are_refused():
    kuhn = make_game("kuhn")
    hand = play(kuhn, make_deals(kuhn, 1, seed=0), Passive(), Passive())[0]
    with pytest.raises(UserError, match="kuhn"):
        phh.to_phh(hand)


class Passive:
    """Always OpenSpiel's action 0."""

    name = "passive"

    def act(self, observations):
        return [Answer(0) for _ in observations]
