"""Deep CFR's walk as one writes it down first, a state at a time: what `bench.py deep` compares lockstep with."""

from __future__ import annotations

import numpy as np
import torch

from poker_env.cfr.deep.game import Deals, DeepGame
from poker_env.cfr.deep.network import PokerNetwork
from poker_env.cfr.deep.traverse import match_regrets
from poker_env.cfr.tree import SHOWDOWN


class PlainWalk:
    """A method that calls itself, and asks a network about each state by itself."""

    def __init__(self, game: DeepGame, networks: tuple[PokerNetwork, PokerNetwork]) -> None:
        self._game, self._networks = game, networks
        self._betting = torch.from_numpy(game.betting)
        self.decisions = 0
        """Visited on all walks."""
        self.regrets: list[tuple[int, int, np.ndarray]] = []
        """(walk, node, of each action) at the decisions of the seat that tries them all."""

    @torch.inference_mode()
    def walk(self, deals: Deals, coins: np.ndarray, seat: int) -> None:
        """The same walks as `poker_env.cfr.deep.traverse.walk`, with the same coins."""
        for number in range(len(deals.results)):
            self._visit(deals, coins, seat, number, 0, 0)

    def _visit(self, deals: Deals, coins: np.ndarray, seat: int, number: int, node: int, depth: int) -> float:
        tree, children = self._game.tree, self._game.children[node]
        actor = int(tree.actor[node])
        if not tree.n_actions[node]:
            share = 1.0 if actor == 1 - seat else -1.0
            if actor == SHOWDOWN:
                share = float(deals.results[number, tree.street[node]]) * (1 if seat == 0 else -1)
            return share * float(self._game.stakes[node])
        self.decisions += 1
        hand = number * self._game.n_streets + int(tree.street[node])
        cards = torch.from_numpy(deals.cards[actor, hand : hand + 1].astype(np.int64))
        advantages = self._networks[actor](cards, self._betting[node : node + 1]).numpy()
        chances = match_regrets(advantages, np.array([node]), self._game.children)[0]
        legal = np.flatnonzero(children >= 0).tolist()
        if actor != seat:
            passed = np.flatnonzero(np.cumsum(chances) > coins[number, depth])
            action = passed[0] if len(passed) else legal[-1]
            ends = [each for each in legal if not tree.n_actions[children[each]]]
            followed = ends if action in ends else [action]
            below = [self._visit(deals, coins, seat, number, int(children[each]), depth + 1) for each in followed]
            return float(np.average(below, weights=chances[followed]))
        values = np.zeros(len(children))
        for action in legal:
            values[action] = self._visit(deals, coins, seat, number, int(children[action]), depth + 1)
        value = float(chances @ values)
        self.regrets.append((number, node, np.where(children >= 0, values - value, 0)))
        return value
