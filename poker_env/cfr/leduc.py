"""Leduc by the same Monte Carlo solver as hold'em, where its result can be checked exactly."""

from __future__ import annotations

import numpy as np
import pyspiel

from poker_env.cfr.full_width import TabularStrategy
from poker_env.cfr.mccfr import Solver
from poker_env.cfr.tree import BettingTree
from poker_env.games import Game


def leduc_strategy(game: Game, tree: BettingTree, solver: Solver) -> TabularStrategy:
    """The solver's average strategy, by OpenSpiel's information states."""
    strategy = solver.average_strategy()
    table: dict[str, dict[int, float]] = {}

    def visit(state: pyspiel.State, node: int, cards: tuple[int, ...]) -> None:
        if state.is_terminal():
            return
        if state.is_chance_node():
            for card in state.legal_actions():
                visit(state.child(card), node, (*cards, card // 2))
            return
        own, actions = cards[state.current_player()], state.legal_actions()
        bucket = own if len(cards) == 2 else own * 3 + cards[2]
        entry = int(solver.offsets[node]) + bucket * len(actions)
        row = np.float64(strategy[entry : entry + len(actions)])
        table[state.information_state_string()] = dict(zip(actions, (row / row.sum()).tolist(), strict=True))
        for index, action in enumerate(actions):
            visit(state.child(action), int(tree.first_child[node]) + index, cards)

    visit(game.spiel.new_initial_state(), 0, ())
    return TabularStrategy(table)
