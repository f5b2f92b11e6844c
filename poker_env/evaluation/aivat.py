"""AIVAT: hands scored with the luck of the cards and of a known player's actions taken out, unbiased whoever plays.

Burch, Schmid, Moravcik, Morrill & Bowling 2018, "AIVAT: A New Variance Reduction Technique for Agent Evaluation in
Imperfect Information Games". One player is known: its probabilities for every holding it could have, with the
translation of bets that its tree doesn't know mixed in. The other one is only watched. From what it won comes off, for
every deal of cards and every action of the known player, by how much that changed the value of the hand, less the
expectation of that change; so it does for the watched player's actions, where it says what it drew them from. The
known player's own cards are never used: its holdings count by their exact probabilities. The work is
`CreditAssigner`'s; here it is chosen who is known and what values hands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poker_env.evaluation.capture import knows_ranges
from poker_env.games import Deal, Game
from poker_env.hand import Decision, Hand
from poker_env.knowledge.beliefs import all_decks
from poker_env.knowledge.control_variates import Choice, CreditAssigner, Switches, assigner_against
from poker_env.knowledge.exact_value import SMALL_GAMES, Policy, known_policy
from poker_env.players.base import KnownPlayer, Player
from poker_env.players.cfr import CFRPlayer, valuing_blueprint
from poker_env.players.simple import SimplePlayer

SAMPLES = 8
"""Of the blueprint critic: twice as many take a quarter more time and leave 2 % less standard deviation."""


@dataclass(frozen=True)
class ValueFunction:
    """What hands were valued by: settled before the first card, and nothing that happens changes it."""

    known_player: str
    """Whose policy is known for every holding."""
    kind: str
    """`exact` (Kuhn, Leduc: both policies, or the known one for both), `blueprint` (both go on as a blueprint does) or
    `check down` (equity times pot)."""
    sha256: str | None
    """Of the known player's checkpoint, or of the file that it was written in."""
    blueprint: str | None
    """Whose: the known player's own, or where that is a network the one shipped for the same stakes."""
    samples: int | None
    """Of a blueprint: worlds that stand for all that are possible before the flop, twice as many with each street."""
    both_decide: bool
    """Whether the luck of the other player's actions is taken out, too: it tells what it drew them from, and they are
    not valued by checking down."""


class AIVAT:
    """Scores the hands of one evaluation."""

    def __init__(
        self, game: Game, assigner: CreditAssigner, other: Player, value_function: ValueFunction, mirrored: bool
    ) -> None:
        """`mirrored`: it is hero who is known, and `other` is villain."""
        self._game, self._assigner, self._mirrored = game, assigner, mirrored
        self._other = other if value_function.both_decide and isinstance(other, KnownPlayer) else None
        """To be asked what it drew its actions from, where that matters and its answers don't say it."""
        self.value_function = value_function
        self._mean_luck = 0.0
        """Of a deal, over both seats: 0 where the value function has both players play alike."""
        if game.name in SMALL_GAMES:
            deals = [Deal(deck, seat, 0) for deck in all_decks(game) for seat in (0, 1)]
            self._mean_luck = float(np.mean([assigner.luck_of_the_deal(deal) for deal in deals]))

    @staticmethod
    def between(game: Game, hero: Player, villain: Player, tables: bool, hero_table: Policy | None) -> AIVAT | None:
        """The scores for a match, None when nobody's policy is known.

        A CFR player is the known one, else villain, else hero. `hero_table` is hero's policy in Kuhn or Leduc, as far
        as it is known: a guess will do, it is only for valuing hands. With `tables` of its buckets hold'em's are
        valued by a blueprint where a CFR player is the known one, else as if they were checked down.
        """
        sides = sorted(((villain, False), (hero, True)), key=lambda side: not isinstance(side[0], CFRPlayer))
        for known, mirrored in sides:
            if _is_known(game, known):
                return AIVAT._with(game, known, villain if mirrored else hero, mirrored, tables, hero_table)
        return None

    @staticmethod
    def _with(
        game: Game, known: Player, other: Player, mirrored: bool, tables: bool, hero_table: Policy | None
    ) -> AIVAT:
        found = valuing_blueprint(game, known) if tables else None
        kind = "exact" if game.name in SMALL_GAMES else "blueprint" if found else "check down"
        tells = isinstance(other, KnownPlayer) or getattr(other, "answers", "free") != "free"
        # Checking down values a bet as if nobody answered it: more luck would come in by that than goes.
        both_decide = tells and kind != "check down"
        switches = Switches(chance=True, range=True, villain=True, hero=both_decide)
        table = known_policy(game, other) if mirrored else hero_table
        assigner = assigner_against(game, known, switches, table, tables=tables, samples=SAMPLES)
        sha256: str | None = getattr(known, "sha256", None)
        samples = SAMPLES if kind == "blueprint" else None
        value_function = ValueFunction(known.name, kind, sha256, found[0] if found else None, samples, both_decide)
        return AIVAT(game, assigner, other, value_function, mirrored)

    def scores(self, hands: Sequence[Hand]) -> list[float]:
        """Chips hero won, with the luck taken out; two hands of each deck, one in either seat.

        The luck of hero's cards is shared between a deck's hands: its mean is known for both seats together only.
        """
        scores: list[float] = []
        for pair in zip(hands[::2], hands[1::2], strict=True):
            values, lucks = zip(*map(self._score, pair), strict=True)
            luck = sum(lucks) / 2 - self._mean_luck
            scores += [(luck - value) if self._mirrored else (value - luck) for value in values]
        return scores

    def scores_apart(self, hands: Sequence[Hand]) -> list[float]:
        """As `scores`, of hands on different decks, each with the luck of its own cards.

        The mean of each seat is biased, by the same amount one way and the other: only that of both is not.
        """
        scores = []
        for hand in hands:
            value, luck = self._score(hand)
            apart = value - luck + self._mean_luck
            scores.append(-apart if self._mirrored else apart)
        return scores

    def _score(self, hand: Hand) -> tuple[float, float]:
        """What the other player won, and the luck of its cards."""
        seat = 1 - hand.hero_seat if self._mirrored else hand.hero_seat
        deal = hand.deal.swapped() if self._mirrored else hand.deal
        payoff = -hand.payoff if self._mirrored else hand.payoff
        actions = [decision.move.action for decision in hand.decisions if decision.move is not None]
        credit = self._assigner.assign(deal, actions, payoff, self._choices(hand, seat))
        return credit.value, self._assigner.luck_of_the_deal(deal)

    def _choices(self, hand: Hand, seat: int) -> list[Choice]:
        """The other player's decisions; empty ones where its probabilities are unknown or don't matter."""
        decisions = [decision for decision in hand.decisions if decision.seat == seat]
        if self._other is None:
            return [Choice.of(decision.answer) for decision in decisions]
        policies = self._other.policy(hand.observations(seat))
        return [_choice(policy, decision) for policy, decision in zip(policies, decisions, strict=True)]


def _is_known(game: Game, player: Player) -> bool:
    """Whether a player's probabilities are known for every holding, and are exactly those it samples from."""
    if game.name in SMALL_GAMES:
        # A language model's are not: it may name an action in more ways than are counted.
        return isinstance(player, KnownPlayer) or (
            isinstance(player, SimplePlayer) and player.name in ("random", "call", "fold")
        )
    return knows_ranges(player)


def _choice(policy: dict[int, float], decision: Decision) -> Choice:
    assert decision.move is not None
    return Choice(tuple(policy), tuple(policy.values()), list(policy).index(decision.move.action))
