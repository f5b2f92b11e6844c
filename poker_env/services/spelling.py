"""How Slumbot spells actions: `b300c/kb600f`.

`k` is a check, `c` a call, `f` a fold, `b300` a bet or a raise to 300 chips on this street; `/` ends a street, and
after an all-in the streets without actions, too (`b20000c///`). Heads-up the button acts first before the flop.
Source: slumbot.com's sample_api.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyspiel

from poker_env.games import Game
from poker_env.hand import Answer
from poker_env.state import CALL, FOLD, HandState, Move, Observation, street_base

STREET_END = "/"
_TOKEN = re.compile(r"[kcf/]|b\d{1,9}")
_LETTERS = {"fold": "f", "check": "k", "call": "c"}


class Misspelt(ValueError):
    """Actions that nobody can read, or that our rules don't allow. One line."""


def tokens(text: str) -> list[str]:
    """The actions and ends of streets of a text, in order. Raises `Misspelt` when it is none."""
    found = _TOKEN.findall(text)
    if "".join(found) != text:
        raise Misspelt(f"{text[:60]!r} is no string of actions")
    return found


def spell(game: Game, moves: Sequence[Move], street: int) -> str:
    """A hold'em hand's moves; `street` is the one it is on, or ended on: the last one after an all-in is called."""
    text = ""
    for place, move in enumerate(moves):
        text += STREET_END * (move.street - text.count(STREET_END)) + spell_move(game, moves[:place], move)
    return text + STREET_END * (street - text.count(STREET_END))


def spell_move(game: Game, before: Sequence[Move], move: Move) -> str:
    """A move after those before it."""
    return _LETTERS.get(move.kind) or f"b{move.to - street_base(game, before, move.street)}"


def spell_action(observation: Observation, action: int) -> str:
    """An OpenSpiel action id of the hold'em player who is to act."""
    if action == FOLD:
        return "f"
    if action == CALL:
        return "c" if observation.to_call else "k"
    return f"b{action - street_base(observation.game, observation.moves, observation.street)}"


def read_action(observation: Observation, token: str) -> int:
    """The OpenSpiel action id that a token names for the player to act.

    Raises `Misspelt` when it names none, or one that the rules don't allow.
    """
    to_call, stack = observation.to_call, observation.game.stack
    if token == "k" and not to_call:
        return CALL
    if token == "c" and to_call:
        return CALL
    if token == "f" and to_call:
        return FOLD
    if token in ("k", "c", "f"):
        raise Misspelt(f"{_words(token)} {'facing a bet' if to_call else 'with no bet to answer'}")
    if not re.fullmatch(r"b\d{1,9}", token):
        raise Misspelt(f"{token[:20]!r} is no action")
    base = street_base(observation.game, observation.moves, observation.street)
    to = base + int(token[1:])
    if observation.min_raise_to is None:
        raise Misspelt(f"{token}: there is nothing left to bet")
    if not observation.min_raise_to <= to <= stack:
        raise Misspelt(f"{token}: a bet is {observation.min_raise_to - base} to {stack - base} on this street")
    return to


def replay(state: HandState, text: str) -> None:
    """Play a text's actions from a hand's beginning.

    Raises `Misspelt` for an action that our rules don't allow, and for a street's end that isn't one.
    """
    ended = 0
    for token in tokens(text):
        if token == STREET_END:
            ended += 1
            continue
        if state.done:
            raise Misspelt(f"{text!r} goes on after the hand is over")
        if ended != state.street:
            raise Misspelt(f"{text!r} ends {ended} streets where {state.street} are over")
        try:
            state.apply(read_action(state.observe(), token))
        except (Misspelt, pyspiel.SpielError) as error:
            raise Misspelt(f"{text!r}: {error}") from error
    if ended > state.street:
        raise Misspelt(f"{text!r} ends {ended} streets where {state.street} are over")


def played_for(observation: Observation, answer: Answer) -> int:
    """The OpenSpiel action id that is played for an answer: its own, or a fold where it named no legal action.

    Nobody folds where checking is free in these services: there such an answer is a check.
    """
    if answer.action is not None:
        return answer.action
    return FOLD if FOLD in observation.legal else CALL


def _words(token: str) -> str:
    return {"k": "a check", "c": "a call", "f": "a fold"}[token]
