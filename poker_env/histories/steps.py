"""A finished hand step by step: what happened, and what the table looked like then. In words, for people."""

from __future__ import annotations

from dataclasses import dataclass

from poker_env import state
from poker_env.games import Game
from poker_env.hand import Decision, Hand
from poker_env.state import position


@dataclass(frozen=True)
class Step:
    """One thing that happened, and the table after it. Chips; pairs are by seat."""

    text: str
    street: int
    board: tuple[str, ...]
    pot: int
    """In the middle, bets of this street included; 0 once it is paid out."""
    stacks: tuple[int, int]
    bets: tuple[int, int]
    """What each seat has put in on this street."""
    decision: Decision | None = None
    """What was decided; None for cards, blinds and the result."""


def steps(hand: Hand, hero: str = "hero", villain: str = "villain") -> list[Step]:
    """All that happened in a hand, from the blinds to the result; `hero` and `villain` are the players' names."""
    game, names = hand.game, [villain, villain]
    names[hand.hero_seat] = hero
    contributions = list(first_chips(game))
    found: list[Step] = []

    def add(text: str, street: int, decision: Decision | None = None, net: tuple[int, int] | None = None) -> None:
        """`net`: what the seats won, once the pot is paid."""
        base = street_base(hand, street)
        bets = (0, 0) if net else (contributions[0] - base, contributions[1] - base)
        gains = net or (-contributions[0], -contributions[1])
        stacks = (game.stack + gains[0], game.stack + gains[1])
        found.append(Step(text, street, board(hand, street), -sum(gains), stacks, bets, decision))

    add(f"{_forced(game, names)}; {names[0]} {' '.join(hand.hole[0])}, {names[1]} {' '.join(hand.hole[1])}", 0)
    for street in range(streets_dealt(hand)):
        if street:
            add(f"{game.streets[street]}: {' '.join(board(hand, street))}", street)
        base = street_base(hand, street)
        for decision in decisions_on(hand, street):
            if decision.move is not None:
                contributions[decision.seat] = decision.move.to
            add(f"{names[decision.seat]} {action_in_words(game, decision, base)}", street, decision)
    won = round(hand.payoff)
    net = (won, -won) if hand.hero_seat == 0 else (-won, won)
    add(_result(hand, names), streets_dealt(hand) - 1, net=net)
    return found


def in_words(hand: Hand) -> str:
    """The hand in a few lines, with the pot at each street's start."""
    game = hand.game
    seats = {"hero": hand.hero_seat, "villain": 1 - hand.hero_seat}
    lines = [", ".join(f"{who} ({position(game, seat)}) {' '.join(hand.hole[seat])}" for who, seat in seats.items())]
    told = steps(hand)
    pot = sum(first_chips(game))
    for street in range(streets_dealt(hand)):
        title = " ".join([game.streets[street], *board(hand, street)])
        actions = [step for step in told if step.decision and step.street == street]
        lines.append(f"{title} (pot {pot:,}): {', '.join(step.text for step in actions) or 'all-in'}")
        pot = actions[-1].pot if actions else pot
    return "\n".join([*lines, told[-1].text])


def board(hand: Hand, street: int) -> tuple[str, ...]:
    """The community cards that lie on a street."""
    return hand.board[: hand.game.board_cards[street]]


def decisions_on(hand: Hand, street: int) -> list[Decision]:
    """Both players' decisions on a street, in order."""
    return [decision for decision in hand.decisions if decision.street == street]


def streets_dealt(hand: Hand) -> int:
    """How many streets the hand saw, those dealt after an all-in included."""
    return len(hand.game.streets) if hand.showdown else hand.decisions[-1].street + 1


def street_base(hand: Hand, street: int) -> int:
    """As `poker_env.state.street_base`, of a finished hand."""
    return state.street_base(hand.game, (item.move for item in hand.decisions if item.move), street)


def first_chips(game: Game) -> tuple[int, int]:
    """What each seat posts before any card: blinds in hold'em, else antes."""
    return (game.big_blind, game.small_blind) if game.name == "holdem" else (1, 1)


def contributions(hand: Hand) -> tuple[int, int]:
    """Chips each seat had put in at the end, an uncalled bet included."""
    last = hand.decisions[-1]
    own = (last.pot - last.to_call) // 2
    both = [own + last.to_call] * 2
    both[last.seat] = last.move.to if last.move else own
    return both[0], both[1]


def contested_pot(hand: Hand) -> int:
    """Chips in the pot at the end, without an uncalled bet."""
    return 2 * min(contributions(hand))


def first_to_show(hand: Hand) -> int:
    """The seat that shows its cards first at showdown: the last aggressor of the last betting round, else seat 0."""
    street = hand.decisions[-1].street
    return next((item.seat for item in reversed(hand.decisions) if item.street == street and item.aggressive), 0)


def all_in(game: Game, decision: Decision) -> bool:
    """Whether the mover bet, raised or called with its last chips; Kuhn and Leduc know no such thing."""
    move = decision.move
    return game.name == "holdem" and move is not None and move.added > 0 and move.to >= game.stack


def _forced(game: Game, names: list[str]) -> str:
    if game.name != "holdem":
        return "both ante 1"
    return f"{names[1]} posts the small blind {game.small_blind:,}, {names[0]} the big blind {game.big_blind:,}"


def action_in_words(game: Game, decision: Decision, base: int) -> str:
    """What a player did, such as `raises to 300`; `base` is the street's, see `street_base`."""
    move = decision.move
    if move is None:
        return "names no legal action: a fold"
    to = move.to - base
    amounts = {"call": f" {move.added:,}", "bet": f" {to:,}", "raise": f" to {to:,}"}
    return f"{move.kind}s{amounts.get(move.kind, '')}{' and is all-in' if all_in(game, decision) else ''}"


def _result(hand: Hand, names: list[str]) -> str:
    if hand.payoff == 0:
        return "the pot is split"
    winner = names[hand.hero_seat if hand.payoff > 0 else 1 - hand.hero_seat]
    how = "at showdown" if hand.showdown else "without a showdown"
    return f"{winner} wins {abs(round(hand.payoff)):,} {how}"
