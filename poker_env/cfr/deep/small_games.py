"""Kuhn and Leduc: a strategy as a table of OpenSpiel's information states."""

from __future__ import annotations

import numpy as np
import pyspiel

from poker_env.cfr.deep.game import NO_CARD, DeepGame
from poker_env.cfr.deep.traverse import Strategy
from poker_env.cfr.full_width import TabularStrategy


def tabulate(game: DeepGame, strategy: Strategy) -> TabularStrategy:
    """What a strategy does in each information state."""
    found: dict[str, tuple[list[int], int, list[int]]] = {}  # cards, node, actions

    def visit(state: pyspiel.State, node: int, dealt: tuple[int, ...]) -> None:
        if state.is_terminal():
            return
        if state.is_chance_node():
            for card in state.legal_actions():
                visit(state.child(card), node, (*dealt, card))
            return
        ranks = [card // (len(game.game.cards) // game.deck.ranks) for card in dealt]
        cards = [ranks[state.current_player()], *ranks[2:]]
        cards += [NO_CARD] * (game.deck.length - len(cards))
        actions = state.legal_actions()
        found[state.information_state_string()] = (cards, node, actions)
        children = game.children[node][game.children[node] >= 0].tolist()
        for action, child in zip(actions, children, strict=True):
            visit(state.child(action), child, dealt)

    visit(game.game.spiel.new_initial_state(), 0, ())
    cards, nodes, actions = zip(*found.values(), strict=True)
    chances = strategy(np.array(cards, np.int8))(np.arange(len(nodes)), np.array(nodes, np.int32)).astype(np.float64)
    table = {}
    for name, node, its_actions, row in zip(found, nodes, actions, chances, strict=True):
        legal = row[game.children[node] >= 0]
        table[name] = dict(zip(its_actions, (legal / legal.sum()).tolist(), strict=True))
    return TabularStrategy(table)
