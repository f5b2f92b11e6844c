"""A hand of heads-up no-limit hold'em as a file tells it, and the record that our own rules make of it.

The smaller of two stacks is the game's: a bet above it can't be called further, and counts as all-in. Payoffs are
those of the rules, before any rake. Cards that weren't shown are `poker_env.hand.UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from poker_env.games import BIG_BLIND_SEAT, BUTTON_SEAT, HOLDEM_CARDS, Deal, Game, complete_deck
from poker_env.hand import UNKNOWN, Answer, Decision, Hand
from poker_env.state import CALL, FOLD, HandState

MOST_PLACES = 4
"""Decimals of an amount; more are a mistake."""

MOST_CHIPS = 10**9
"""OpenSpiel counts in 32 bits."""


class LeftOut(Exception):
    """Why a hand that may be right can't be a record of ours: a few words that are the same for all such hands."""


class Broken(Exception):
    """What is wrong with a hand's text, and where. One line."""


@dataclass(frozen=True)
class Piece:
    """A hand's part of a file."""

    file: str
    line: int
    """Where it begins, from 1."""
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.file} line {self.line}, hand {self.name}"


@dataclass(frozen=True)
class Act:
    """What a player is told to have done."""

    seat: int
    street: int
    kind: str
    """fold, check, call, bet or raise; `cc` for a check or call, `cbr` for a bet or raise."""
    amount: Decimal | None
    """What a call added (None: not told), or what the player had put in on the street after a bet or raise."""
    place: str
    """Where in the file, and what it says there."""


@dataclass(frozen=True)
class Told:
    """A hand as a file tells it. Pairs are by our seats, amounts in the file's unit."""

    names: tuple[str, str]
    stacks: tuple[Decimal, Decimal]
    blinds: tuple[Decimal, Decimal]
    """Small and big."""
    hole: tuple[tuple[str, ...], tuple[str, ...]]
    """Empty where they aren't shown."""
    dealt_to: int | None
    """The seat whose cards alone were dealt openly."""
    board: tuple[str, ...]
    acts: tuple[Act, ...]
    collected: tuple[Decimal, Decimal] | None = None
    """What each player took from the pot, where that is told."""
    finishing: tuple[Decimal, Decimal] | None = None
    """Their stacks at the end, where they are told."""
    rake: Decimal | None = None
    total: Decimal | None = None
    """The pot, without an uncalled bet."""
    uncalled: Decimal | None = None
    mucked: frozenset[int] = frozenset()
    """Seats that gave up at showdown without showing."""

    @property
    def places(self) -> int:
        """How many decimals the stakes and bets need. Raises `Broken` for more than `MOST_PLACES`."""
        amounts = [*self.stacks, *self.blinds, *(act.amount for act in self.acts if act.amount is not None)]
        places = max(0, *(-int(amount.normalize().as_tuple().exponent) for amount in amounts))
        if places > MOST_PLACES:
            raise Broken(f"an amount has {places} decimals")
        return places


@dataclass(frozen=True)
class Retold:
    """A hand's record, and what it leaves out."""

    hand: Hand
    rake: Decimal
    """Of the pot, in big blinds."""


def retell(told: Told, hero_seat: int, scale: int) -> Retold:
    """The record of a hand, seen from a seat; a unit of the file is `scale` chips.

    A fold where checking was free is no legal action by our rules: the hand is given up. Raises `LeftOut` for what our
    records don't know, `Broken` where the hand can't have been so.
    """
    if not told.hole[hero_seat]:
        raise LeftOut("hero's cards aren't shown")
    game = _game(told, scale)
    state = HandState(game, Deal(_deck(game, told), hero_seat, seed=0))
    decisions, put_in = _betting(state, told, scale)
    if not state.done:
        raise Broken("the hand is cut short: it ends before the betting does")
    if state.board != told.board:
        raise Broken(f"{len(told.board)} cards on the board, where {len(state.board)} are dealt")
    pot = 2 * min(state.contributions)
    if told.uncalled is not None and told.uncalled * scale != max(put_in) - min(put_in):
        raise Broken(f"an uncalled bet of {told.uncalled} is returned, not {_plain(max(put_in) - min(put_in), scale)}")
    if told.total is not None and told.total * scale != pot:
        raise Broken(f"a total pot of {told.total}, which the bets make {_plain(pot, scale)}")
    collected = _collected(told, pot, scale)
    payoff = _payoff(state, told, hero_seat, collected)
    first, second = (state.hole(seat) if told.hole[seat] else (UNKNOWN, UNKNOWN) for seat in (0, 1))
    hand = replace(Hand.played(state, decisions), hole=(first, second), payoff=payoff)
    return Retold(hand, _rake(told, pot, collected, scale) / game.big_blind)


def _game(told: Told, scale: int) -> Game:
    small, big = (_chips(blind, scale) for blind in told.blinds)
    stack = min(_chips(stack, scale) for stack in told.stacks)
    if not 0 < small <= big:
        raise Broken(f"blinds of {told.blinds[0]} and {told.blinds[1]}")
    if stack <= big:
        raise LeftOut("a stack no larger than the big blind")
    if max(told.stacks) * scale >= MOST_CHIPS:
        raise LeftOut(f"stacks of {MOST_CHIPS:,} chips and more")
    return Game("holdem", small, big, stack)


def _deck(game: Game, told: Told) -> tuple[int, ...]:
    """See `complete_deck`."""
    known = [*told.hole[0], *told.hole[1], *told.board]
    twice = next((card for card in known if known.count(card) > 1), None)
    if twice is not None:
        raise Broken(f"the card {twice} is there twice")
    first, second = (sorted(map(HOLDEM_CARDS.index, own), reverse=True) for own in told.hole)
    return complete_deck(game, (first, second), [*map(HOLDEM_CARDS.index, told.board)])


def _betting(state: HandState, told: Told, scale: int) -> tuple[list[Decision], list[int]]:
    """Play what is told; also the chips that each seat put in, bets above the other's stack in full."""
    decisions: list[Decision] = []
    put_in, base, street = list(state.contributions), 0, 0
    for act in told.acts:
        if state.done:
            raise Broken(f"{act.place}: the hand is over by then")
        if act.street != state.street:
            names = state.game.streets
            raise Broken(f"{act.place}: on the {names[act.street].lower()}, {names[state.street].lower()} is played")
        if act.seat != state.current_seat:
            raise Broken(f"{act.place}: it is {told.names[state.current_seat]}'s turn")
        if street != state.street:
            street, base = state.street, state.contributions[0]
        seat, pot = act.seat, sum(state.contributions)
        to_call = max(state.contributions) - state.contributions[seat]
        if act.kind in ("bet", "raise", "cbr"):
            put_in[seat] = base + _chips(act.amount or Decimal(0), scale)
            if put_in[seat] > told.stacks[seat] * scale:
                raise Broken(f"{act.place}: more than the stack of {told.stacks[seat]}")
        action = _action(state, act, put_in[seat], to_call, scale)
        if action is None:
            state.forfeit()
            move = None
        else:
            move = state.apply(action)
        if action == CALL:
            put_in[seat] = state.contributions[seat]
        decisions.append(Decision(seat, street, pot, to_call, move, Answer(action)))
    return decisions, put_in


def _action(state: HandState, act: Act, to: int, to_call: int, scale: int) -> int | None:
    """OpenSpiel's action; None for a fold where checking is free."""
    if act.kind == "fold":
        return FOLD if to_call else None
    if act.kind in ("check", "call", "cc"):
        if act.kind == "check" and to_call:
            raise Broken(f"{act.place}: there is a bet to call")
        if act.kind == "call" and not to_call:
            raise Broken(f"{act.place}: there is nothing to call")
        if act.amount is not None and act.amount * scale != to_call:
            raise Broken(f"{act.place}: the bet to call is {_plain(to_call, scale)}")
        return CALL
    action = min(to, state.game.stack)
    if (act.kind == "bet") != (to_call == 0 and state.street > 0) and act.kind != "cbr":
        raise Broken(f"{act.place}: {'a bet' if to_call == 0 and state.street else 'a raise'} is what can be made")
    observation = state.observe()
    if not observation.is_legal(action) or action <= CALL:
        least = observation.min_raise_to
        allowed = "nobody can raise any more" if least is None else f"the least is {_plain(least, scale)} in all"
        raise Broken(f"{act.place}: illegal, {allowed}")
    return action


def _collected(told: Told, pot: int, scale: int) -> tuple[Decimal, Decimal] | None:
    """What each seat took from the pot, in chips, where it is told; both have put half of the pot in."""
    if told.collected is not None:
        return told.collected[0] * scale, told.collected[1] * scale
    if told.finishing is not None:
        first, second = ((told.finishing[seat] - told.stacks[seat]) * scale + pot // 2 for seat in (0, 1))
        return first, second
    return None


def _payoff(state: HandState, told: Told, hero_seat: int, collected: tuple[Decimal, Decimal] | None) -> float:
    """Chips hero won. At a showdown whose cards aren't all shown, who took the pot has won it."""
    if state.showdown and not all(told.hole):
        takes_all = told.mucked == {1 - hero_seat} if collected is None else collected[1 - hero_seat] == 0
        if not takes_all:
            raise LeftOut("villain's cards aren't shown, and hero didn't win the showdown")
        return float(min(state.contributions))
    payoff = state.payoffs[hero_seat]
    if collected is not None:
        shares = [payoff > 0, payoff < 0] if hero_seat == 0 else [payoff < 0, payoff > 0]
        winners = shares if payoff else [True, True]
        if [amount != 0 for amount in collected] != winners:
            who = " and ".join(name for name, won in zip(told.names, winners, strict=True) if won)
            raise Broken(f"the pot goes to another player than {who}, who won it")
    return payoff


def _rake(told: Told, pot: int, collected: tuple[Decimal, Decimal] | None, scale: int) -> Decimal:
    """In chips. Raises `Broken` where what was taken from the pot isn't the pot."""
    if collected is None:
        return (told.rake or Decimal(0)) * scale
    rest = pot - collected[0] - collected[1]
    if rest < 0 or (told.rake is not None and rest != told.rake * scale):
        taken = _plain(collected[0] + collected[1], scale)
        raise Broken(f"{taken} collected and a rake of {told.rake or 0}, of a pot of {_plain(pot, scale)}")
    return rest


def _chips(amount: Decimal, scale: int) -> int:
    return int(amount * scale)


def _plain(chips: Decimal | int, scale: int) -> str:
    """In the file's unit."""
    return f"{(Decimal(chips) / scale).normalize():f}"


def cards_of(text: str) -> tuple[str, ...]:
    """`Ah Kd` or `AhKd`. Raises `Broken` for what is no card."""
    joined = "".join(text.split())
    found = tuple(joined[start : start + 2] for start in range(0, len(joined), 2))
    unknown = next((card for card in found if card not in HOLDEM_CARDS), None)
    if unknown is not None:
        raise Broken(f"{unknown!r} in {text!r} is no card")
    return found


def only_dealt(hole: Sequence[tuple[str, ...]]) -> int | None:
    """The one seat of two that has cards."""
    return next((seat for seat in (BIG_BLIND_SEAT, BUTTON_SEAT) if hole[seat] and not hole[1 - seat]), None)
