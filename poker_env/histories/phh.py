"""Hold'em hands as PHH files, which pokerkit reads back to the same payoffs.

Seats keep their numbers: PHH too calls the big blind its first player and the button its second one heads-up. A hand
that ended with an answer that named no legal action is written as a fold. Where checking was free, pokerkit takes such
a fold in cash games (with a warning) and PHH files are read as cash games, so the payoffs stay the same. At showdown
both players show their cards, the loser too, unless they aren't known.
PHH: Kim 2024, "Recording and Describing Poker Hands", https://phh.readthedocs.io.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from poker_env.errors import UserError
from poker_env.files import write_atomically
from poker_env.games import Game
from poker_env.hand import Decision, Hand
from poker_env.histories.steps import board, decisions_on, first_to_show, street_base


def to_phh(hand: Hand, hero: str = "hero", villain: str = "villain") -> str:
    """The hand as a PHH file's text; `hero` and `villain` are the players' names in it.

    Raises `UserError` for another game than hold'em.
    """
    game = hand.game
    players = [villain, villain]
    players[hand.hero_seat] = hero
    fields = {
        "variant": "NT",
        "ante_trimming_status": False,
        "antes": [0, 0],
        "blinds_or_straddles": list(_blinds(game)),
        "min_bet": game.big_blind,
        "starting_stacks": [game.stack, game.stack],
        "actions": _actions(hand),
        "players": players,
    }
    return "".join(f"{key} = {_toml(value)}\n" for key, value in fields.items())


def _toml(value: object) -> str:
    """JSON's values are TOML's, too, but for surrogate pairs and the one control character JSON doesn't escape."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def write_phhs(path: Path, hands: Iterable[Hand], hero: str = "hero", villain: str = "villain") -> None:
    """Save hands in one file, numbered from 1. Raises `UserError` as `to_phh` does, or when it can't be written."""
    texts = (f"[{number}]\n{to_phh(hand, hero, villain)}\n" for number, hand in enumerate(hands, start=1))
    write_atomically(path, "".join(texts))


def _actions(hand: Hand) -> list[str]:
    """In PHH's notation: player n of it is seat n - 1, amounts are of the street."""
    actions = [f"d dh p{seat + 1} {''.join(hand.hole[seat])}" for seat in (0, 1)]
    for street in range(hand.decisions[-1].street + 1):
        actions += [_dealt(hand, street)] if street else []
        actions += [f"p{item.seat + 1} {_verb(hand, item)}" for item in decisions_on(hand, street)]
    if hand.showdown:
        first = first_to_show(hand)
        actions += [
            f"p{seat + 1} sm {''.join(hand.hole[seat])}" if hand.shows(seat) else f"p{seat + 1} sm"
            for seat in (first, 1 - first)
        ]
        actions += [_dealt(hand, later) for later in range(street + 1, len(hand.game.streets))]
    return actions


def _verb(hand: Hand, decision: Decision) -> str:
    if decision.move is None or decision.move.kind == "fold":
        return "f"
    return f"cbr {decision.move.to - street_base(hand, decision.street)}" if decision.aggressive else "cc"


def _dealt(hand: Hand, street: int) -> str:
    return f"d db {''.join(board(hand, street)[len(board(hand, street - 1)) :])}"


def _blinds(game: Game) -> tuple[int, int]:
    """As PHH lists them heads-up: the small one first, even though the first player posts the big one.

    Of equal blinds pokerkit would let the big blind open; a negative one is paid, too, but not counted for the order.
    """
    if game.name != "holdem":
        raise UserError(f"only hold'em hands can be written as PHH, not {game.name}")
    return (-game.small_blind if game.small_blind == game.big_blind else game.small_blind), game.big_blind
