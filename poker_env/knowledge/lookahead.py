"""What each action is worth if both players then go on as villain's own solved strategy does.

To take the best is one step of policy improvement (Tesauro & Galperin 1996, "On-line Policy Improvement using
Monte-Carlo Search"; for what villain holds Bayes' rule says how likely it is). It needs to know all of villain's
strategy, as a local best response does, and sees further: that one values a hand as if it were checked down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poker_env.cfr.abstraction.bucket_tables import BucketTables
from poker_env.errors import UserError
from poker_env.games import Deal, Game, complete_deck
from poker_env.knowledge.advisor import Advisor, cards_of
from poker_env.knowledge.beliefs import DealtCards, Knowledge
from poker_env.knowledge.critic import BlueprintCritic, Critic
from poker_env.knowledge.exact_value import SMALL_GAMES, exact_policy
from poker_env.knowledge.small_games import ExactCritic
from poker_env.menu import MenuItem
from poker_env.players.base import Player
from poker_env.players.cfr import CFRPlayer
from poker_env.state import Observation

SAMPLES = 512
"""Hold'em worlds (villain's cards, the board to come) before the flop, twice as many with each street."""

_CACHED = 20_000


class Lookahead:
    """Knows what actions are worth against a villain."""

    def __init__(self, game: Game, advisor: Advisor, critic: Critic[Any]) -> None:
        self._game, self._advisor, self._critic = game, advisor, critic
        self._known: dict[tuple[tuple[int, ...], ...], np.ndarray] = {}

    @staticmethod
    def about(villain: Player, game: Game, samples: int = SAMPLES) -> Lookahead:
        """The lookahead against a player.

        Raises `UserError` where its policy isn't known, or is no strategy that both could go on with.
        """
        advisor = Advisor.about(villain, game)
        if game.name in SMALL_GAMES:
            table = exact_policy(game, villain)
            return Lookahead(game, advisor, ExactCritic(game, table, table))
        blueprint = villain.blueprint if isinstance(villain, CFRPlayer) else None
        if blueprint is None:
            raise UserError(
                f"a lookahead goes on by a solved strategy, and {villain.name} has none: name a cfr player"
            )
        lookup = BucketTables.build(blueprint.abstraction, progress=True).lookup
        return Lookahead(game, advisor, BlueprintCritic(blueprint, lookup, samples))

    def values(self, observation: Observation, menu: Sequence[MenuItem]) -> np.ndarray:
        """(menu,): chips each action wins on top of folding now. Sampled in hold'em, the same every time."""
        hole, board = cards_of(observation)
        moves = tuple(move.action for move in observation.moves)
        key = (moves, tuple(hole.tolist()), tuple(board.tolist()), tuple(item.action for item in menu))
        if key not in self._known:
            if len(self._known) >= _CACHED:
                self._known.clear()
            state, _, weights = self._advisor.situation(observation)
            holes = [hole.tolist(), []]
            by_seat = (holes[observation.seat], holes[1 - observation.seat])
            deal = Deal(complete_deck(self._game, by_seat, board.tolist()), observation.seat, 0)
            knowledge = Knowledge(DealtCards(self._game, deal), len(board), weights)
            seed = np.random.default_rng([len(moves), *moves, *hole, *board]).integers(2**63, dtype=np.uint64)
            worlds = self._critic.worlds(knowledge, np.array([seed * 2 + 1], np.uint64))
            children = (self._advisor.tree.child(state, item.action) for item in menu)
            won = [worlds.weights @ self._critic.values(child, worlds) for child in children]
            self._known[key] = np.array(won) + observation.contributions[observation.seat]
        return self._known[key]
