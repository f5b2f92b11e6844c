"""What the earlier bot's networks see, as its `poker_game/state_encoder.py` computes it.

| Features | What |
|---|---|
| 34 | the two hole cards, each a one-hot rank and a one-hot suit |
| 85 | the same for five board cards, zeros for those to come |
| 40 | the first 20 actions of the hand: kind (fold 0 to raise 4) and amount in big blinds, without who acted |
| 4 | pot, own stack, other's stack, chips to call, as shares of all chips |
| 4 | on the button, street / 3, own bet and other's bet on this street in big blinds |
| 11 | of 178: the hand's strength, and its class one-hot |

Actions beyond the twentieth aren't seen, a check is nearly a zero, and an all-in bet is up to 200. Hole cards come in
the order dealt, which says nothing: here the higher one is first, as in a hand that was dealt so.
"""

from __future__ import annotations

import numpy as np

from poker_env.pokerbot.hand_ranks import N_RANKS, hand_classes, hand_ranks
from poker_env.pokerbot.layouts import Layout
from poker_env.pokerbot.spots import GAME, KINDS, Spot

_CARD = 17
_HISTORY = 20
_BOARD, _ACTIONS = 2 * _CARD, 7 * _CARD
_CHIPS = _ACTIONS + 2 * _HISTORY
_STRENGTH = _CHIPS + 8


def encode(spot: Spot, holes: np.ndarray, layout: Layout) -> np.ndarray:
    """Features (n, 167 or 178), float32, of a spot with each of n pairs of hole cards (n, 2), card ids."""
    player, other, total = spot.player, 1 - spot.player, 2 * GAME.stack
    public = np.zeros(layout.n_features)
    for place, card in enumerate(spot.board):
        start = _BOARD + place * _CARD
        public[[start + card // 4, start + 13 + card % 4]] = 1
    for place, done in enumerate(spot.history[:_HISTORY]):
        start = _ACTIONS + 2 * place
        public[start : start + 2] = KINDS.index(done.kind), done.amount / GAME.big_blind
    shares = [spot.pot, spot.stacks[player], spot.stacks[other], spot.to_call]
    public[_CHIPS : _CHIPS + 4] = [share / total for share in shares]
    bets = [spot.bets[player] / GAME.big_blind, spot.bets[other] / GAME.big_blind]
    public[_CHIPS + 4 : _STRENGTH] = [spot.button == player, spot.street / 3, *bets]

    features = np.repeat(public[None], len(holes), axis=0)
    rows, cards = np.arange(len(holes)), np.sort(holes.astype(np.int64), axis=1)[:, ::-1]
    for place in (0, 1):
        features[rows, place * _CARD + cards[:, place] // 4] = 1
        features[rows, place * _CARD + 13 + cards[:, place] % 4] = 1
    if layout.pair_class is not None:
        strength, classes = _strength(spot, cards, layout.pair_class)
        features[:, _STRENGTH] = strength
        shown = classes >= 0
        features[rows[shown], _STRENGTH + 1 + classes[shown]] = 1
    return features.astype(np.float32)


def _strength(spot: Spot, cards: np.ndarray, pair_class: int) -> tuple[np.ndarray, np.ndarray]:
    """The hand's strength and class (n,) each.

    As that program computes it: before the flop a deuce is worth 0 and a suit 0.05, and in 1131c79 the classes are one
    further on than after it. A royal flush has no class (-1), as `treys` numbers it 0.
    """
    if spot.board:
        board = np.broadcast_to(np.array(spot.board), (len(cards), len(spot.board)))
        ranks = hand_ranks(np.concatenate([cards, board], axis=1))
        return 1 - ranks / N_RANKS, hand_classes(ranks) - 1
    first, second = cards[:, 0] // 4, cards[:, 1] // 4
    pair, suited = first == second, cards[:, 0] % 4 == cards[:, 1] % 4
    strength = np.where(pair, 0.5 + first / 26, np.maximum(first, second) / 26 + 0.05 * suited)
    return strength, np.where(pair, pair_class, pair_class + 1)
