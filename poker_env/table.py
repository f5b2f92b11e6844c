"""Plays any number of hands in lockstep: collects every pending decision and asks each player once per round."""

from __future__ import annotations

from collections.abc import Sequence

from poker_env.games import Deal, Game
from poker_env.hand import Answer, Decision, Hand
from poker_env.players.base import Player
from poker_env.state import HandState, Observation


def play(game: Game, deals: Sequence[Deal], hero: Player, villain: Player, replicas: int = 1) -> list[Hand]:
    """Play each deal `replicas` times; hands come back deal by deal, replica by replica.

    Villain's coin is the same in every replica of a deal, so replicas that play alike meet the same answer; hero's
    differs.
    """
    live = [LiveHand(game, deal, replica) for deal in deals for replica in range(replicas)]
    pending = live
    while pending := [hand for hand in pending if not hand.state.done]:
        heroes = [hand for hand in pending if hand.hero_to_act]
        villains = [hand for hand in pending if not hand.hero_to_act]
        for player, group in ((hero, heroes), (villain, villains)):
            if group:
                answers = player.act([hand.observe() for hand in group])
                for hand, answer in zip(group, answers, strict=True):
                    hand.decide(answer)
    return [hand.finished() for hand in live]


class LiveHand:
    """A hand on the table and its record so far."""

    def __init__(self, game: Game, deal: Deal, replica: int = 0) -> None:
        self.state = HandState(game, deal)
        self.decisions: list[Decision] = []
        self._replica = replica

    @property
    def hero_to_act(self) -> bool:
        """Whether hero is the one to act, not villain."""
        return self.state.current_seat == self.state.deal.hero_seat

    def observe(self) -> Observation:
        """What the player to act may know."""
        return self.state.observe(f"hero{self._replica}" if self.hero_to_act else "villain")

    def decide(self, answer: Answer) -> None:
        """Play an answer of the player to act; raises `pyspiel.SpielError` when its action is illegal."""
        seat, contributions = self.state.current_seat, self.state.contributions
        street, pot, to_call = self.state.street, sum(contributions), max(contributions) - contributions[seat]
        if answer.action is None:
            self.state.forfeit()
            move = None
        else:
            move = self.state.apply(answer.action)
        self.decisions.append(Decision(seat, street, pot, to_call, move, answer))

    def finished(self) -> Hand:
        """The record of a hand that is over."""
        return Hand.played(self.state, self.decisions, self._replica)
