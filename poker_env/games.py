"""Kuhn, Leduc and heads-up no-limit hold'em: OpenSpiel games by short name and parameters."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyspiel

from poker_env.errors import UserError

RANKS = "23456789TJQKA"
SUITS = "cdhs"
HOLDEM_CARDS = tuple(rank + suit for rank in RANKS for suit in SUITS)  # by OpenSpiel's card id

_CARDS = {"kuhn": ("J", "Q", "K"), "leduc": ("J", "J", "Q", "Q", "K", "K"), "holdem": HOLDEM_CARDS}

BIG_BLIND_SEAT = 0  # hold'em: posts the big blind, acts first after the flop
BUTTON_SEAT = 1  # hold'em: posts the small blind, acts first before the flop


@dataclass(frozen=True)
class Game:
    """A two-player game and its stakes, in chips.

    In Kuhn and Leduc the ante is one chip and takes the place of the big blind as the unit of win rates.
    """

    name: str
    small_blind: int
    big_blind: int
    stack: int
    """What each player starts every hand with; heads-up, only the smaller of two stacks can matter."""

    @property
    def spiel(self) -> pyspiel.Game:
        """OpenSpiel's game object (one per process)."""
        return _load_spiel(self)

    @property
    def cards(self) -> tuple[str, ...]:
        """Names of the cards, by OpenSpiel's card id. Leduc's suits never matter, so they aren't named."""
        return _CARDS[self.name]

    @property
    def streets(self) -> tuple[str, ...]:
        """Names of the betting rounds."""
        return {"kuhn": ("Preflop",), "leduc": ("Preflop", "Flop"), "holdem": ("Preflop", "Flop", "Turn", "River")}[
            self.name
        ]

    @property
    def board_cards(self) -> tuple[int, ...]:
        """How many community cards lie on each street."""
        return {"kuhn": (0,), "leduc": (0, 1), "holdem": (0, 3, 4, 5)}[self.name]

    @property
    def deck_length(self) -> int:
        """How many cards one hand can use."""
        return {"kuhn": 2, "leduc": 3, "holdem": 9}[self.name]

    def __str__(self) -> str:
        if self.name != "holdem":
            return self.name
        return f"holdem:small_blind={self.small_blind},big_blind={self.big_blind},stack={self.stack}"


DEFAULTS = {
    "kuhn": Game("kuhn", 1, 1, 2),
    "leduc": Game("leduc", 1, 1, 13),
    "holdem": Game("holdem", 50, 100, 20_000),
}


def make_game(spec: str) -> Game:
    """The game of a spec such as `kuhn` or `holdem:stack=10000,big_blind=100,small_blind=50` (chips).

    Raises `UserError` for an unknown name or parameter and for stakes nobody could play.
    """
    name, _, parameters = spec.partition(":")
    if name not in DEFAULTS:
        raise UserError(f"unknown game {name!r}: choose one of {', '.join(DEFAULTS)}")
    values = {"small_blind": DEFAULTS[name].small_blind, "big_blind": DEFAULTS[name].big_blind}
    values["stack"] = DEFAULTS[name].stack
    for pair in filter(None, parameters.split(",")):
        key, _, value = pair.partition("=")
        if name != "holdem" or key not in values:
            raise UserError(f"unknown parameter {key!r} of game {name}: only holdem has any, {', '.join(values)}")
        if not value.isdecimal() or len(value) > 9:  # OpenSpiel counts in 32 bits
            raise UserError(f"game parameter {key}={value[:20]!r} is not a whole number of chips below a billion")
        values[key] = int(value)
    game = Game(name, **values)
    if not 0 < game.small_blind <= game.big_blind:
        raise UserError(f"blinds {game.small_blind}/{game.big_blind} must be above 0 and the small one no larger")
    if game.stack <= game.big_blind and name == "holdem":
        raise UserError(f"stack {game.stack} must be above the big blind of {game.big_blind} chips")
    return game


@functools.cache
def _load_spiel(game: Game) -> pyspiel.Game:
    if game.name != "holdem":
        return pyspiel.load_game(f"{game.name}_poker")
    return pyspiel.load_game(
        "universal_poker",
        {
            "betting": "nolimit",
            "numPlayers": 2,
            "numRounds": 4,
            "blind": f"{game.big_blind} {game.small_blind}",
            "firstPlayer": "2 1 1 1",
            "numSuits": 4,
            "numRanks": 13,
            "numHoleCards": 2,
            "numBoardCards": "0 3 1 1",
            "stack": f"{game.stack} {game.stack}",
            "bettingAbstraction": "fullgame",
        },
    )


def complete_deck(game: Game, holes: tuple[Sequence[int], Sequence[int]], board: Sequence[int]) -> tuple[int, ...]:
    """A hand's cards in dealing order, by OpenSpiel's ids, any others in the place of those that aren't known.

    Each seat's cards are all known, or none of them; of the board the first ones are.
    """
    known = {*holes[0], *holes[1], *board}
    others = (card for card in range(len(game.cards)) if card not in known)
    each = (game.deck_length - game.board_cards[-1]) // 2
    dealt = [card for own in holes for card in own or itertools.islice(others, each)]
    return (*dealt, *board, *itertools.islice(others, game.board_cards[-1] - len(board)))


@dataclass(frozen=True)
class Deal:
    """A deck order, a seat for hero and a seed for the players' randomness: all the luck of one hand."""

    deck: tuple[int, ...]
    """OpenSpiel card ids in the order they are dealt: seat 0's cards, seat 1's, then the board."""
    hero_seat: int
    seed: int

    def swapped(self) -> Deal:
        """The same deck with hero in the other seat (duplicate evaluation)."""
        return Deal(self.deck, 1 - self.hero_seat, self.seed)


def make_deals(game: Game, count: int, seed: int, start: int = 0) -> list[Deal]:
    """Deals number `start` to `start + count - 1` of the sequence that `seed` names; hero alternates seats.

    Deal i depends on (seed, i) alone, so batch sizes and resumed runs don't change it.
    """
    return [_make_deal(game, seed, index) for index in range(start, start + count)]


def _make_deal(game: Game, seed: int, index: int) -> Deal:
    rng = np.random.default_rng((seed, index))
    deck = tuple(int(card) for card in rng.permutation(len(game.cards))[: game.deck_length])
    return Deal(deck, index % 2, int(rng.integers(2**62)))
