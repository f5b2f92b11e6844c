"""What a player does before the flop with each of the 169 hands: opening, and facing a raise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from poker_env.cards.holdings import N_CLASSES, N_HOLDINGS, PREFLOP_CLASSES, holding_index
from poker_env.errors import UserError
from poker_env.games import BUTTON_SEAT, HOLDEM_CARDS, Deal, Game
from poker_env.hand import Hand
from poker_env.knowledge.exact_value import KnowsItsPolicy
from poker_env.knowledge.ranges import hole_cards, range_policy_of
from poker_env.players.base import Player
from poker_env.state import CALL, FOLD, HandState, Observation

ANSWERS = ("fold", "call", "raise", "all-in", "illegal")
"""What the charts tell apart; `call` includes a check."""


@dataclass(frozen=True)
class PreflopChart:
    """A player's answers in one situation."""

    title: str
    shares: np.ndarray
    """(169, answers): of each class, how often each of `ANSWERS`; zeros where unseen."""
    counts: np.ndarray
    """(169,): how many holdings of the class (probabilities) or decisions (samples) that stands on."""
    source: str
    """Where the shares are from, in words."""

    @property
    def totals(self) -> np.ndarray:
        """(answers,): shares over all holdings, or decisions; zeros when there is none."""
        return self.counts @ self.shares / max(1, self.counts.sum())


def opening(player: Player | None, is_hero: bool, hands: Sequence[Hand], ask: bool) -> PreflopChart:
    """What a player does first on the button; see `_chart` for where that is taken from.

    Of None there is nothing but the hands, as of a person.
    """
    seen = [hand for hand in hands if (hand.hero_seat == BUTTON_SEAT) == is_hero]
    if player is None:
        return _sampled("open", seen, 0)
    return _chart("open", player, seen, 0, _observe(hands[0].game, []), ask)


def facing_raise(player: Player | None, is_hero: bool, hands: Sequence[Hand], ask: bool) -> PreflopChart:
    """What a player does in the big blind when the button opens with a raise.

    Probabilities are for the size that the button raised to most often, samples for all sizes. Of None there is
    nothing but the hands.
    """
    seen = [hand for hand in hands if (hand.hero_seat == BUTTON_SEAT) != is_hero and hand.decisions[0].aggressive]
    if player is None:
        return _sampled("facing a raise", seen, 1)
    sizes = Counter(hand.decisions[0].move.to for hand in seen if hand.decisions[0].move)
    game = hands[0].game
    size = min(sizes, key=lambda to: (-sizes[to], to), default=min(3 * game.big_blind, game.stack))
    return _chart("facing a raise", player, seen, 1, _observe(game, [size]), ask)


def class_name(cell: int) -> str:
    """`AA`, `AKs` or `AKo`, by the numbers of `PREFLOP_CLASSES`."""
    first, second = _representative(cell)
    if first[0] == second[0]:
        return first[0] + second[0]
    return first[0] + second[0] + ("s" if first[1] == second[1] else "o")


def _chart(
    title: str, player: Player, seen: Sequence[Hand], place: int, observation: Observation, ask: bool
) -> PreflopChart:
    """From probabilities where the player knows them for all holdings or, if it may be asked, for single ones.

    Else from samples: decision number `place` of the hands `seen`.
    """
    size = f" to {observation.moves[-1].to / observation.game.big_blind:g} bb" if observation.moves else ""
    ranges = _ranges(player, observation)
    if ranges is not None:
        return PreflopChart(title + size, *ranges, "its probabilities")
    if ask and isinstance(player, KnowsItsPolicy):
        return PreflopChart(title + size, *_of_policy(player, observation), "its probabilities, one holding of each")
    return _sampled(title, seen, place)


def _sampled(title: str, seen: Sequence[Hand], place: int) -> PreflopChart:
    """From decision number `place` of the hands, as far as the cards it was made with are known."""
    shown = [hand for hand in seen if hand.shows(hand.decisions[place].seat)]
    hidden = f"the cards shown in {len(shown):,} of " if len(shown) < len(seen) else ""
    return PreflopChart(title, *_of_samples(shown, place), f"{hidden}{len(seen):,} decisions")


def _ranges(player: Player, observation: Observation) -> tuple[np.ndarray, np.ndarray] | None:
    """None for a player that doesn't know its policy for every holding."""
    try:
        policy = range_policy_of(player)
    except UserError:
        return None
    actions, probabilities = policy(observation)(np.empty(0, np.int64))
    of_holdings = np.zeros((N_HOLDINGS, len(ANSWERS)))
    for column, action in enumerate(actions):
        of_holdings[:, _answer(observation.game, action)] += probabilities[:, column]
    shares = np.zeros((N_CLASSES, len(ANSWERS)))
    np.add.at(shares, PREFLOP_CLASSES, of_holdings)
    counts = _holdings_of_classes()
    return shares / counts[:, None], counts


def _of_policy(player: KnowsItsPolicy, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
    """What lacks to a sum of 1 is illegal."""
    policies = player.policy([replace(observation, hole=_representative(cell)) for cell in range(N_CLASSES)])
    shares = np.zeros((N_CLASSES, len(ANSWERS)))
    for cell, policy in enumerate(policies):
        for action, probability in policy.items():
            shares[cell, _answer(observation.game, action)] += probability
        shares[cell, ANSWERS.index("illegal")] += max(0.0, 1 - sum(policy.values()))
    return shares, _holdings_of_classes()


def _of_samples(seen: Sequence[Hand], place: int) -> tuple[np.ndarray, np.ndarray]:
    taken = np.zeros((N_CLASSES, len(ANSWERS)))
    for hand in seen:
        decision = hand.decisions[place]
        answer = ANSWERS.index("illegal") if decision.move is None else _answer(hand.game, decision.move.action)
        taken[_class_of(hand.hole[decision.seat]), answer] += 1
    counts = taken.sum(axis=1)
    return taken / np.maximum(counts, 1)[:, None], counts


def _answer(game: Game, action: int) -> int:
    name = {FOLD: "fold", CALL: "call"}.get(action, "all-in" if action >= game.stack else "raise")
    return ANSWERS.index(name)


def _observe(game: Game, actions: Sequence[int]) -> Observation:
    """What the player to act sees after preflop actions, some hole cards aside."""
    state = HandState(game, Deal(tuple(range(game.deck_length)), 0, 0))
    for action in actions:
        state.apply(action)
    return state.observe()


def _holdings_of_classes() -> np.ndarray:
    """(169,): 6 for pairs, 4 for suited hands, 12 for offsuit ones."""
    return np.bincount(PREFLOP_CLASSES, minlength=N_CLASSES).astype(float)


def _representative(cell: int) -> tuple[str, str]:
    """One holding of a class, the higher card first."""
    return hole_cards(int(np.argmax(cell == PREFLOP_CLASSES)))


def _class_of(hole: Sequence[str]) -> int:
    return int(PREFLOP_CLASSES[holding_index(*map(HOLDEM_CARDS.index, hole))])
