"""What a service shows of a hand, in our terms, and what our own rules say of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from pokerkit import HandHistory

from poker_env.games import Deal, Game, complete_deck
from poker_env.hand import Answer, Decision, Hand
from poker_env.histories.phh import to_phh
from poker_env.services.spelling import Misspelt, replay
from poker_env.state import HandState

DISAGREEMENT = "disagreement: "
"""What the reason begins with why a hand in progress was given up, where the service showed what can't be."""


class Disagreement(Exception):
    """What a service shows can't be by our rules. One line."""


@dataclass(frozen=True)
class Shown:
    """A hand as a service shows it, in progress or over."""

    hero_seat: int
    hole: tuple[str, ...]
    """Hero's cards."""
    board: tuple[str, ...]
    """Community cards so far."""
    actions: str
    """All so far, see `spelling`."""
    villain_hole: tuple[str, ...] | None
    """Where they are shown."""
    winnings: float | None
    """Chips hero won (negative: lost); None: the hand isn't over."""
    pot: int | None = None
    """Chips in the middle at the end, where the service says it."""
    baseline: float | None = None
    """Chips that Slumbot's own strategy won with hero's cards against itself."""
    aivat: float | None = None
    """Chips hero won with the luck taken out, by the service."""

    @property
    def over(self) -> bool:
        """Whether the hand is over."""
        return self.winnings is not None


def state_of(game: Game, shown: Shown, number: int) -> HandState:
    """The hand by our own rules; hand `number` of a match seeds the coins of hero's decisions.

    Cards that aren't shown are any others: no observation of hero's has them. Raises `Disagreement` when there is no
    such hand.
    """
    state = HandState(game, Deal(_deck(game, shown), shown.hero_seat, _coins(number)))
    try:
        replay(state, shown.actions)
    except Misspelt as error:
        raise Disagreement(str(error)) from error
    if len(shown.board) != len(state.board):
        raise Disagreement(f"{shown.actions!r} with {len(shown.board)} cards on the board, not {len(state.board)}")
    if state.done != shown.over:
        raise Disagreement(f"{shown.actions!r} {'is over' if state.done else 'goes on'}, which the service denies")
    if not state.done and state.current_seat != shown.hero_seat:
        raise Disagreement(f"{shown.actions!r}: villain is to act, which the service leaves to hero")
    return state


def finished(game: Game, shown: Shown, number: int, answers: Sequence[Answer]) -> Hand:
    """The record of hand `number` of a match, which is over; `answers` are hero's, decision by decision.

    Decisions have the moves that were played, also where an answer named no legal action (see
    `spelling.played_for`). Raises `Disagreement` when our rules don't say the same of the hand, its payoff or its pot.
    """
    state = state_of(game, shown, number)
    payoff, pot = state.payoffs[shown.hero_seat], sum(state.contributions)
    if state.showdown and shown.villain_hole is None:
        raise Disagreement("a showdown without villain's cards")
    if payoff != shown.winnings:
        raise Disagreement(f"hero won {payoff:+,.0f} by our rules, {shown.winnings:+,.0f} by the service's")
    if shown.pot is not None and payoff and shown.pot != pot:
        raise Disagreement(f"{pot:,} chips in the pot by our rules, {shown.pot:,} by the service's")
    own = [move for move in state.moves if move.seat == shown.hero_seat]
    if len(own) != len(answers) or any(
        answer.action not in (None, move.action) for move, answer in zip(own, answers, strict=True)
    ):
        raise Disagreement(f"hero's actions in {shown.actions!r} aren't those that were sent")
    said = iter(answers)
    decisions = [
        Decision(
            seat=move.seat,
            street=move.street,
            pot=move.pot_before,
            to_call=move.to_call,
            move=move,
            answer=next(said) if move.seat == shown.hero_seat else Answer(move.action),
        )
        for move in state.moves
    ]
    hand = Hand.played(state, decisions)
    if (second := _by_pokerkit(hand)) != payoff:
        raise Disagreement(f"hero won {payoff:+,.0f} by our rules, {second:+,.0f} by pokerkit's")
    return hand


def _by_pokerkit(hand: Hand) -> float:
    """Chips hero won."""
    *_, end = HandHistory.loads(to_phh(hand))
    return float(end.payoffs[hand.hero_seat])


def _deck(game: Game, shown: Shown) -> tuple[int, ...]:
    """See `complete_deck`."""
    names = (*shown.hole, *(shown.villain_hole or ()), *shown.board)
    unknown = [name for name in names if name not in game.cards]
    if unknown:
        raise Disagreement(f"{unknown[0]!r} is no card")
    if len(set(names)) < len(names):
        raise Disagreement(f"a card is there twice: {' '.join(names)}")
    if len(shown.hole) != 2 or len(shown.villain_hole or "12") != 2 or len(shown.board) not in game.board_cards:
        raise Disagreement(f"{' '.join(names)}: two cards each and {len(shown.board)} on the board")
    holes = [[game.cards.index(name) for name in own] for own in (shown.hole, shown.villain_hole or ())]
    by_seat = (holes[shown.hero_seat], holes[1 - shown.hero_seat])
    return complete_deck(game, by_seat, [game.cards.index(name) for name in shown.board])


def _coins(number: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"service/{number}".encode(), digest_size=7).digest(), "big")
