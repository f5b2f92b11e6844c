"""Hold'em hands as text in the style of PokerStars' hand histories, for trackers and pokerkit's parser.

A chip is written as a dollar, so a 50/100 game reads as $50/$100. Dates are made up: the first hand is of 1 January
2000, and one is played a minute. Hero's cards are dealt openly, villain's are shown at showdown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from pokerkit import StandardHighHand

from poker_env.errors import UserError
from poker_env.files import write_atomically
from poker_env.games import BIG_BLIND_SEAT, BUTTON_SEAT, RANKS, Game
from poker_env.hand import Decision, Hand
from poker_env.histories.steps import (
    all_in,
    board,
    contested_pot,
    contributions,
    decisions_on,
    first_to_show,
    street_base,
    streets_dealt,
)

_FIRST_HAND = datetime(2000, 1, 1)
_RANK_NAMES = (
    "Deuce",
    "Three",
    "Four",
    "Five",
    "Six",
    "Seven",
    "Eight",
    "Nine",
    "Ten",
    "Jack",
    "Queen",
    "King",
    "Ace",
)


def to_pokerstars(hand: Hand, number: int = 1, hero: str = "hero", villain: str = "villain") -> str:
    """One hand; `number` names it, `hero` and `villain` are the players' names (letters and digits).

    An answer that named no legal action is written as a fold. Equal blinds are written as they are, but pokerkit's
    parser then lets the big blind open, and can't follow. Raises `UserError` for another game than hold'em.
    """
    if hand.game.name != "holdem":
        raise UserError(f"only hold'em hands can be written as PokerStars text, not {hand.game.name}")
    names = [villain, villain]
    names[hand.hero_seat] = hero
    lines = [
        *_header(hand.game, number, names),
        "*** HOLE CARDS ***",
        f"Dealt to {hero} [{' '.join(hand.hole[hand.hero_seat])}]",
        *_betting(hand, names),
        *_end(hand, names),
        "*** SUMMARY ***",
        f"Total pot ${contested_pot(hand)} | Rake $0",
        *([f"Board [{' '.join(hand.board)}]"] if hand.board else []),
        *(f"Seat {seat + 1}: {names[seat]} ({_title(seat)}) {_fate(hand, seat)}" for seat in (0, 1)),
    ]
    return "\n".join(lines) + "\n"


def write_pokerstars(path: Path, hands: Iterable[Hand], hero: str = "hero", villain: str = "villain") -> None:
    """Save hands in one file, numbered from 1.

    Raises `UserError` for another game than hold'em, or when the file can't be written.
    """
    texts = (to_pokerstars(hand, number, hero, villain) for number, hand in enumerate(hands, start=1))
    write_atomically(path, "\n\n\n".join(texts))  # pokerkit tells hands apart by two empty lines and more


def _header(game: Game, number: int, names: list[str]) -> list[str]:
    time = _FIRST_HAND + timedelta(minutes=number - 1)
    stakes = f"${game.small_blind}/${game.big_blind} USD"
    return [
        f"PokerStars Hand #{number}:  Hold'em No Limit ({stakes}) - {time:%Y/%m/%d %H:%M:%S} ET",
        f"Table 'Exploitative' 2-max Seat #{BUTTON_SEAT + 1} is the button",
        *(f"Seat {seat + 1}: {names[seat]} (${game.stack} in chips)" for seat in (0, 1)),
        f"{names[BUTTON_SEAT]}: posts small blind ${game.small_blind}",
        f"{names[BIG_BLIND_SEAT]}: posts big blind ${game.big_blind}",
    ]


def _betting(hand: Hand, names: list[str]) -> list[str]:
    """The actions, with the cards of each street; those dealt after an all-in, too."""
    lines: list[str] = []
    for street in range(streets_dealt(hand)):
        lines += [_dealt(hand, street)] if street else []
        lines += [f"{names[item.seat]}: {_action(hand, item)}" for item in decisions_on(hand, street)]
    return lines


def _action(hand: Hand, decision: Decision) -> str:
    move = decision.move
    if move is None:
        return "folds"
    to = move.to - street_base(hand, move.street)
    highest = (decision.pot + decision.to_call) // 2  # what the other player has put in
    amounts = {"call": f" ${move.added}", "bet": f" ${to}", "raise": f" ${move.to - highest} to ${to}"}
    return f"{move.kind}s{amounts.get(move.kind, '')}{' and is all-in' if all_in(hand.game, decision) else ''}"


def _dealt(hand: Hand, street: int) -> str:
    before, now = board(hand, street - 1), board(hand, street)
    earlier = f"[{' '.join(before)}] " if before else ""
    return f"*** {hand.game.streets[street].upper()} *** {earlier}[{' '.join(now[len(before) :])}]"


def _end(hand: Hand, names: list[str]) -> list[str]:
    """Who shows what, and who gets the pot."""
    pot = contested_pot(hand)
    if hand.showdown:
        first = first_to_show(hand)
        shown = [f"{names[seat]}: {_shown(hand, seat)}" for seat in (first, 1 - first)]
        return [
            "*** SHOW DOWN ***",
            *shown,
            *(f"{names[seat]} collected ${_won(hand, seat)} from pot" for seat in _winners(hand)),
        ]
    winner = 1 - hand.decisions[-1].seat
    uncalled = max(contributions(hand)) - min(contributions(hand))
    returned = [f"Uncalled bet (${uncalled}) returned to {names[winner]}"] if uncalled else []
    return [*returned, f"{names[winner]} collected ${pot} from pot", f"{names[winner]}: doesn't show hand"]


def _shown(hand: Hand, seat: int) -> str:
    if not hand.shows(seat):
        return "mucks hand"
    return f"shows [{' '.join(hand.hole[seat])}] ({made_hand(hand.hole[seat], hand.board)})"


def _fate(hand: Hand, seat: int) -> str:
    last = hand.decisions[-1]
    if not hand.showdown:
        if seat != last.seat:
            return f"collected (${contested_pot(hand)})"
        return "folded before Flop" if last.street == 0 else f"folded on the {hand.game.streets[last.street]}"
    if not hand.shows(seat):
        return "mucked"
    result = f"and won (${_won(hand, seat)})" if seat in _winners(hand) else "and lost"
    return f"showed [{' '.join(hand.hole[seat])}] {result} with {made_hand(hand.hole[seat], hand.board)}"


def _winners(hand: Hand) -> list[int]:
    """Seats that get something at showdown."""
    if hand.payoff == 0:
        return [0, 1]
    return [hand.hero_seat if hand.payoff > 0 else 1 - hand.hero_seat]


def _won(hand: Hand, seat: int) -> int:
    return contested_pot(hand) // len(_winners(hand))


def _title(seat: int) -> str:
    return "button) (small blind" if seat == BUTTON_SEAT else "big blind"


def made_hand(hole: Iterable[str], cards: Iterable[str]) -> str:
    """The best five cards of two and a board of five, in PokerStars' words: `two pair, Aces and Kings`."""
    best = StandardHighHand.from_game("".join(hole), "".join(cards))
    counts = Counter(RANKS.index(card.rank.value) for card in best.cards)
    ranks = sorted(counts, key=lambda rank: (counts[rank], rank), reverse=True)  # the defining ones first
    names, plurals = [_RANK_NAMES[rank] for rank in ranks], [_plural(rank) for rank in ranks]
    straight = "Ace to Five" if ranks[:2] == [12, 3] else f"{names[-1]} to {names[0]}"
    match best.entry.label.value:
        case "Straight flush":
            return "a Royal Flush" if ranks[-1] == 8 else f"a straight flush, {straight}"
        case "Four of a kind":
            return f"four of a kind, {plurals[0]}"
        case "Full house":
            return f"a full house, {plurals[0]} full of {plurals[1]}"
        case "Flush":
            return f"a flush, {names[0]} high"
        case "Straight":
            return f"a straight, {straight}"
        case "Three of a kind":
            return f"three of a kind, {plurals[0]}"
        case "Two pair":
            return f"two pair, {plurals[0]} and {plurals[1]}"
        case "One pair":
            return f"a pair of {plurals[0]}"
        case _:
            return f"high card {names[0]}"


def _plural(rank: int) -> str:
    return _RANK_NAMES[rank] + ("es" if _RANK_NAMES[rank] == "Six" else "s")
