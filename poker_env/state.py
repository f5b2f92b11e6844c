"""One hand in progress: an OpenSpiel state, dealt from a `Deal`, with the accounting that players and prompts need."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import pyspiel

from poker_env.games import BIG_BLIND_SEAT, Deal, Game

FOLD, CALL = 0, 1  # OpenSpiel's ids in Leduc and hold'em; Kuhn's 0/1 are pass/bet


@dataclass(frozen=True)
class Move:
    """One public action."""

    seat: int
    street: int
    action: int
    """OpenSpiel's action id; in hold'em a raise's id is the mover's total chips in the hand."""
    kind: str
    """fold, check, call, bet or raise."""
    to: int
    """Chips the mover has put in over the whole hand, after the move."""
    added: int
    """Chips the move added."""
    pot_before: int
    """Chips in the pot before the move."""
    to_call: int
    """Chips the mover faced."""


@dataclass(frozen=True)
class Observation:
    """All that the player to act may know. Amounts are chips; `contributions` are over the whole hand, by seat."""

    game: Game
    seat: int
    hole: tuple[str, ...]
    board: tuple[str, ...]
    street: int
    contributions: tuple[int, int]
    min_raise_to: int | None
    """Smallest total the player may raise to (hold'em), None when it may not raise."""
    legal: tuple[int, ...]
    """OpenSpiel ids of the legal actions other than hold'em's raises."""
    moves: tuple[Move, ...]
    infoset: str
    """OpenSpiel's information-state string in Kuhn and Leduc, empty in hold'em."""
    coin_seed: int
    """Seeds this decision's randomness; a hash of (the deal's seed, who acts, history), see `coin`."""
    hand_coin: float
    """A number in [0, 1), the same at all the player's decisions in a hand: a hash of (the deal's seed, who acts)."""

    @property
    def pot(self) -> int:
        """Chips in the middle, both players' bets of this street included."""
        return sum(self.contributions)

    @property
    def to_call(self) -> int:
        """Chips needed to call (0 when checking is free)."""
        return max(self.contributions) - self.contributions[self.seat]

    @property
    def stack(self) -> int:
        """Chips the player still has behind."""
        return self.game.stack - self.contributions[self.seat]

    def is_legal(self, action: int) -> bool:
        """Whether an action, by OpenSpiel's id, may be taken."""
        raises = self.min_raise_to is not None and self.min_raise_to <= action <= self.game.stack
        return action in self.legal or raises

    @property
    def coin(self) -> float:
        """A number in [0, 1): the decision's one random draw, the same for the same deal and history."""
        return _unit(self.coin_seed)


class HandState:
    """A hand from the first card to the last: deals its own cards, and turns actions into `Move`s."""

    def __init__(self, game: Game, deal: Deal) -> None:
        self.game = game
        self.deal = deal
        self.moves: list[Move] = []
        self.forfeited_by: int | None = None
        self._state: pyspiel.State = game.spiel.new_initial_state()
        self._dealt = 0
        names, deck, hole_cards = game.cards, deal.deck, 2 if game.name == "holdem" else 1
        self.cards = tuple(names[card] for card in deck)
        """Names of all the cards of the deal, seen and unseen, in dealing order."""
        self._holes = tuple(
            tuple(names[card] for card in sorted(deck[first : first + hole_cards], reverse=True))
            for first in (0, hole_cards)
        )
        self._before_board = 2 * hole_cards
        self._history = ""
        self._hand_coins: dict[str, float] = {}
        self.street = 0
        self.current_seat: int
        """The seat to act."""
        self._blinds = (game.big_blind, game.small_blind) if game.name == "holdem" else (1, 1)
        self._contributions = list(self._blinds)
        self._min_raise_to = 2 * game.big_blind
        self._deal_cards()

    @property
    def done(self) -> bool:
        """Whether the hand is over."""
        return self.forfeited_by is not None or self._state.is_terminal()

    @property
    def contributions(self) -> tuple[int, int]:
        """Chips each seat has put in."""
        return self._contributions[0], self._contributions[1]

    @property
    def board(self) -> tuple[str, ...]:
        """Community cards dealt so far."""
        return self.cards[self._before_board : self._dealt]

    def hole(self, seat: int) -> tuple[str, ...]:
        """A seat's own cards, the higher one first."""
        return self._holes[seat]

    @property
    def payoffs(self) -> tuple[float, float]:
        """Chips each seat won (negative: lost), once the hand is done."""
        if self.forfeited_by is None:
            first, second = self._state.returns()
            return first, second
        loss = float(self._contributions[self.forfeited_by])
        return (-loss, loss) if self.forfeited_by == 0 else (loss, -loss)

    @property
    def showdown(self) -> bool:
        """Whether the hand ended with both players still in."""
        return self.done and self.forfeited_by is None and not (self.moves and self.moves[-1].kind == "fold")

    def observe(self, coin_key: str = "") -> Observation:
        """What the player to act may know. `coin_key` tells apart draws that shall differ (say, hero's replicas)."""
        seat = self.current_seat
        hand_coin = self._hand_coins.get(coin_key)
        if hand_coin is None:
            hand_coin = self._hand_coins[coin_key] = _unit(_hash(f"{self.deal.seed}/{coin_key}"))
        holdem = self.game.name == "holdem"
        return Observation(
            game=self.game,
            seat=seat,
            hole=self.hole(seat),
            board=self.board,
            street=self.street,
            contributions=self.contributions,
            min_raise_to=self._legal_min_raise() if holdem else None,
            legal=self._legal_passive() if holdem else tuple(self._state.legal_actions()),
            moves=tuple(self.moves),
            infoset="" if holdem else self._state.information_state_string(seat),
            coin_seed=_hash(f"{self.deal.seed}/{coin_key}/{self._history}"),
            hand_coin=hand_coin,
        )

    def apply(self, action: int) -> Move:
        """Play OpenSpiel action `action` for the player to act; deals the cards that follow.

        Raises `pyspiel.SpielError` when it is illegal.
        """
        seat, street = self.current_seat, self.street
        before, to_call = sum(self._contributions), max(self._contributions) - self._contributions[seat]
        kind, to = self._meaning(seat, action)
        self._state.apply_action(action)
        move = Move(seat, street, action, kind, to, to - self._contributions[seat], before, to_call)
        if kind in ("bet", "raise"):
            self._min_raise_to = max(self._min_raise_to, 2 * to - max(self._contributions))
        self._contributions[seat] = to
        self.moves.append(move)
        self._history += f"{' ' if self._history else ''}{seat}:{action}"
        self._deal_cards()
        return move

    def forfeit(self) -> None:
        """End the hand: the player to act gives up what it has put in (its answer named no legal action)."""
        self.forfeited_by = self.current_seat

    def _deal_cards(self) -> None:
        """Deal what is to be dealt now, and see who is to act."""
        dealt_before = self._dealt
        while self._state.is_chance_node():
            self._state.apply_action(self.deal.deck[self._dealt])
            self._dealt += 1
        if dealt_before and self._dealt > dealt_before:
            self.street = {"leduc": {3: 1}, "holdem": {7: 1, 8: 2, 9: 3}}[self.game.name][self._dealt]
            self._min_raise_to = max(self._contributions) + self.game.big_blind
        self.current_seat = self._state.current_player()

    def _legal_passive(self) -> tuple[int, ...]:
        facing_bet = max(self._contributions) > self._contributions[self.current_seat]
        return (FOLD, CALL) if facing_bet else (CALL,)

    def _legal_min_raise(self) -> int | None:
        """The ACPC rule: at least the last raise on top of the current bet, or all-in with less."""
        if max(self._contributions) >= self.game.stack:
            return None
        return min(self._min_raise_to, self.game.stack)

    def _meaning(self, seat: int, action: int) -> tuple[str, int]:
        """What an OpenSpiel action id says in poker: its kind and the mover's total chips afterwards."""
        own, highest = self._contributions[seat], max(self._contributions)
        facing_bet = highest > own
        if self.game.name == "kuhn":
            if action == 0:
                return ("fold" if facing_bet else "check"), own
            return ("call", highest) if facing_bet else ("bet", own + 1)
        if action == FOLD:
            return "fold", own
        if action == CALL:
            return ("call" if facing_bet else "check"), highest
        to = highest + (2, 4)[self.street] if self.game.name == "leduc" else action
        opened = self.street == 0 and self.game.name == "holdem"
        return ("raise" if facing_bet or opened else "bet"), to


def _hash(text: str) -> int:
    """64 bits."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _unit(seed: int) -> float:
    """The number in [0, 1) that 64 bits stand for."""
    return (seed >> 11) / 2**53


def street_base(game: Game, moves: Iterable[Move], street: int) -> int:
    """Chips each player had put in before a street (both the same): players name bets by what they make on it."""
    antes = 0 if game.name == "holdem" else 1
    return max((move.to for move in moves if move.street < street), default=antes)


def position(game: Game, seat: int) -> str:
    """What poker players call the seat."""
    if game.name != "holdem":
        return ("first", "second")[seat]
    return "big blind" if seat == BIG_BLIND_SEAT else "button"
