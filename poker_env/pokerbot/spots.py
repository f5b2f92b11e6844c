"""The earlier bot's own game: what it would see in a hand of ours, the actions on its list, what they are in ours.

Its engine (`poker_game/game.py`) deals 20,000 chips at blinds of 50 and 100, with the big blind in seat 0, as ours.
Its button is drawn for each hand, whoever posted which blind, and has one meaning: the other player acts first on
every street. By our rules the small blind is the first before the flop and the big blind on the other streets, so what
it is told for the button is the seat that acts second on the street: a state of its game on each street.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from poker_env.games import BIG_BLIND_SEAT, BUTTON_SEAT, HOLDEM_CARDS, Game
from poker_env.pokerbot.layouts import Sizes
from poker_env.state import CALL, FOLD, Move, Observation, street_base

GAME = Game("holdem", small_blind=50, big_blind=100, stack=20_000)
"""What it was trained on."""

KINDS = ("fold", "check", "call", "bet", "raise")
"""Its actions; their places are what its networks see."""


class Offer(NamedTuple):
    """An action on its list."""

    kind: str
    amount: int
    """Chips: added in a call or a bet; for a raise, all that the player then has in on the street; else 0."""


class Done(NamedTuple):
    """An action in its history."""

    player: int
    kind: str
    amount: int
    """As an `Offer`'s."""


@dataclass(frozen=True)
class Spot:
    """What that program knows at a decision, the player's own cards aside. Chips; by seat."""

    player: int
    button: int
    street: int
    board: tuple[int, ...]
    """Card ids (rank * 4 + suit). The flop's higher ones first: it saw them as dealt, which says nothing."""
    stacks: tuple[int, int]
    bets: tuple[int, int]
    """Put in on this street."""
    history: tuple[Done, ...]
    min_raise: int
    """By how much a bet has to be raised at least."""

    @property
    def pot(self) -> int:
        """Chips in the middle, this street's bets included."""
        return 2 * GAME.stack - sum(self.stacks)

    @property
    def to_call(self) -> int:
        """Chips that the player faces."""
        return self.bets[1 - self.player] - self.bets[self.player]


def spot_of(observation: Observation) -> Spot:
    """That program's view of a decision in our game; bets off its list are told as they are."""
    street, contributions = observation.street, observation.contributions
    base = street_base(observation.game, observation.moves, street)
    raised = [move for move in observation.moves if move.street == street and move.kind in ("bet", "raise")]
    board = [HOLDEM_CARDS.index(card) for card in observation.board]
    return Spot(
        player=observation.seat,
        button=BIG_BLIND_SEAT if street == 0 else BUTTON_SEAT,
        street=street,
        board=(*sorted(board[:3], reverse=True), *board[3:]),
        stacks=(GAME.stack - contributions[0], GAME.stack - contributions[1]),
        bets=(contributions[0] - base, contributions[1] - base),
        history=tuple(_done(observation, move) for move in observation.moves),
        min_raise=raised[-1].added - raised[-1].to_call if raised else GAME.big_blind,
    )


def _done(observation: Observation, move: Move) -> Done:
    if move.kind in ("check", "call"):
        return Done(move.seat, move.kind, move.added)
    if move.to_call == 0:  # also the big blind's raise of a call before the flop
        return Done(move.seat, "bet", move.added)
    return Done(move.seat, "raise", move.to - street_base(observation.game, observation.moves, move.street))


def offers(spot: Spot, sizes: Sizes) -> list[Offer]:
    """The actions on that program's list, in the order of its logits.

    As that program computes it: folding is always there, also where checking is free. A bet that leaves less behind
    than a minimum raise can only be called. In the first list raises are sized by what is added and then made to what
    they say in all, so some are smaller than its own minimum, and a size can be there twice.
    """
    listed = [Offer("fold", 0), Offer("call", spot.to_call) if spot.to_call else Offer("check", 0)]
    stack, smallest = spot.stacks[spot.player], spot.to_call + spot.min_raise
    if spot.to_call == 0:
        sized = _bets(spot, stack, sizes)
        return listed + [Offer("bet", size) for size in sized if GAME.big_blind <= size <= stack]
    if smallest > stack:
        return listed
    if sizes == "stack shares":
        added = [smallest, smallest + spot.min_raise, spot.pot // 2, stack // 2, stack]
        return listed + [Offer("raise", size) for size in added if smallest <= size <= stack]
    own = spot.bets[spot.player]
    return listed + [Offer("raise", own + added) for added in sorted({smallest, stack})]


def _bets(spot: Spot, stack: int, sizes: Sizes) -> list[int]:
    least = GAME.big_blind
    if sizes == "stack shares":
        return [least, 2 * least, 3 * least, stack // 2, stack * 3 // 4, stack]
    pots = [spot.pot] if sizes == "pot" else [spot.pot // 2, spot.pot * 3 // 4, spot.pot]
    return sorted({least, stack, *(max(least, size) for size in pots)})


def our_actions(observation: Observation, listed: list[Offer]) -> list[int]:
    """What each offer is in our game, by OpenSpiel's id.

    A fold where checking is free is no action of our game: it checks. A raise below the minimum raises to the minimum.
    """
    return [_our_action(observation, offer) for offer in listed]


def _our_action(observation: Observation, offer: Offer) -> int:
    if offer.kind == "fold":
        return FOLD if observation.to_call else CALL
    if offer.kind in ("check", "call"):
        return CALL
    if offer.kind == "bet":
        to = observation.contributions[observation.seat] + offer.amount
    else:
        to = street_base(observation.game, observation.moves, observation.street) + offer.amount
    assert observation.min_raise_to is not None, "it raises only where the other one has chips"
    return min(max(to, observation.min_raise_to), observation.game.stack)


def memory_keys(spot: Spot, holes: Iterable[tuple[int, int]]) -> Iterator[str]:
    """What that program's `strategy_memory` calls the spot with each of some hole cards (card ids)."""
    acted = [f"({done.player}, <Action.{done.kind.upper()}: '{done.kind}'>, {done.amount})" for done in spot.history]
    history = f"({', '.join(acted)}{',' if len(acted) == 1 else ''})"
    rest = f"pot{spot.pot}|stacks{spot.stacks}|bets{spot.bets}|btn{spot.button}"
    board = _named(spot.board)
    for hole in holes:
        yield f"p{spot.player}|h{_named(hole)}|c{board}|s{spot.street}|bh{history}|{rest}"


def can_be_met(memory_key: str) -> bool:
    """Whether a hand of ours can come to a key of `strategy_memory`: after the flop its turns are in another order."""
    return "|s0|" in memory_key and memory_key.endswith(f"|btn{BIG_BLIND_SEAT}")


def _named(cards: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Cards as (rank, suit), sorted."""
    return tuple(divmod(card, 4) for card in sorted(cards))
