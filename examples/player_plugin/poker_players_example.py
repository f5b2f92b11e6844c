"""Two players: one that knows what it would do with every holding, and one that knows its probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poker_env.cards.holdings import HOLDINGS, N_HOLDINGS
from poker_env.errors import UserError
from poker_env.games import Game
from poker_env.menu import make_menu
from poker_env.state import CALL, FOLD, Observation


class PushFold:
    """Goes all-in before the flop with the best PERCENT of its holdings (20), and checks or folds the others."""

    latency = "microseconds"

    def __init__(self, game: Game, percent: str = "20") -> None:
        if game.name != "holdem":
            raise UserError(f"pushfold plays hold'em, not {game}")
        if not percent.isdecimal() or not 0 <= int(percent) <= 100:
            raise UserError(f"pushfold:{percent}: give a whole number of percent, 0 to 100")
        order = np.argsort(-strengths(), kind="stable")
        self._pushed = np.zeros(N_HOLDINGS, bool)
        self._pushed[order[: N_HOLDINGS * int(percent) // 100]] = True

    def range_policy(self, observation: Observation) -> tuple[tuple[int, ...], np.ndarray]:
        """Actions, and for each of the 1,326 holdings their probabilities (1326, actions)."""
        passive = FOLD if observation.to_call else CALL
        if observation.street > 0:  # someone called without being all-in: it gives up
            return (passive,), np.ones((N_HOLDINGS, 1))
        raising = observation.min_raise_to is not None
        push = observation.game.stack if raising else CALL
        if push == passive:
            return (passive,), np.ones((N_HOLDINGS, 1))
        return (passive, push), np.stack([~self._pushed, self._pushed], axis=1).astype(float)


def strengths() -> np.ndarray:
    """(1326,): about the share of random hands that a holding beats."""
    # A card's id is 4 * rank + suit, a holding's lower card comes first.
    low, high = HOLDINGS[:, 0] // 4, HOLDINGS[:, 1] // 4
    suited = HOLDINGS[:, 0] % 4 == HOLDINGS[:, 1] % 4
    pairs = 0.50 + 0.35 * high / 12
    return np.where(low == high, pairs, 0.30 + 0.25 * high / 12 + 0.09 * low / 12 + 0.03 * suited)


class Pester:
    """Makes the smallest bet or raise of its menu one time in three, whatever it holds, else checks or calls."""

    latency = "microseconds"

    def __init__(self, game: Game) -> None:
        pass

    def policy(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        """For each observation the probability of each action."""
        return [self._policy(observation) for observation in observations]

    def _policy(self, observation: Observation) -> dict[int, float]:
        menu = make_menu(observation)
        calm = next(item.action for item in menu if item.kind in ("check", "call"))
        bets = [item.action for item in menu if item.kind in ("bet", "raise")]
        return {calm: 2 / 3, bets[0]: 1 / 3} if bets else {calm: 1.0}
