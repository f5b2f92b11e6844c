"""Slumbot, who won the last computer poker competition (2018) and plays everybody at slumbot.com.

A session is a token that comes with the first hand; it begins in the big blind, seats alternate, and stacks are full
again in every hand. Sources: slumbot.com's sample_api.py; ericgjackson/slumbot2019, issue 23, for the fields of
a hand that is over.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from poker_env.errors import UserError
from poker_env.services.shown import Disagreement, Shown
from poker_env.services.web import Lost, Refused, Web

URL = "https://slumbot.com/api"


class Slumbot:
    """A client. `SLUMBOT_URL` names another address, `SLUMBOT_USERNAME` and `SLUMBOT_PASSWORD` an account there."""

    name = "slumbot"
    usual_tables, most_tables = 1, 8

    def __init__(self, web: Web | None = None) -> None:
        """Raises `UserError` for an address that is none, and half an account."""
        self.web = web or Web(os.environ.get("SLUMBOT_URL") or URL, "SLUMBOT_URL")
        self._account = {key: os.environ.get(f"SLUMBOT_{key.upper()}") for key in ("username", "password")}
        if len(set(map(bool, self._account.values()))) > 1:
            raise UserError("an account needs both SLUMBOT_USERNAME and SLUMBOT_PASSWORD: set both, or none")

    def new_hand(self, table: str | None) -> dict[str, Any]:
        """Have a hand dealt, in the session of a token (None: a new one). Raises as `Web.post` does."""
        if table is None and all(self._account.values()):
            try:
                table = str(_checked(self.web.post("/login", self._account))["token"])
            except (Refused, KeyError) as error:
                raise UserError(
                    f"{self.web.url} doesn't know SLUMBOT_USERNAME and SLUMBOT_PASSWORD: {error}"
                ) from error
        answer = self.web.post("/new_hand", {"token": table} if table else {})
        return {"token": table, **_checked(answer)}

    def act(self, table: str, action: str) -> dict[str, Any]:
        """Play an action in a session's hand. Raises as `Web.post` does."""
        return {"token": table, **_checked(self.web.post("/act", {"token": table, "incr": action}))}

    def look_up(self, table: str) -> dict[str, Any] | None:
        """What became of a hand: there is no way to ask."""
        return None

    @staticmethod
    def table_of(answer: Mapping[str, Any]) -> str:
        """The token to go on with."""
        return str(answer["token"])

    @staticmethod
    def shown(answer: Mapping[str, Any]) -> Shown:
        """The hand in an answer. Raises `Disagreement` when there is none."""
        try:
            _text(answer["token"])
            winnings = answer.get("winnings")
            won_pot = answer.get("won_pot")
            return Shown(
                hero_seat={0: 0, 1: 1}[answer["client_pos"]],
                hole=cards(answer["hole_cards"]),
                board=cards(answer["board"]),
                actions=_text(answer["action"]),
                villain_hole=cards(answer["bot_hole_cards"]) if answer.get("bot_hole_cards") else None,
                winnings=None if winnings is None else chips(winnings),
                pot=None if won_pot is None else abs(int(chips(won_pot))),
                baseline=None if answer.get("baseline_winnings") is None else chips(answer["baseline_winnings"]),
            )
        except (LookupError, TypeError, ValueError) as error:
            raise Disagreement(f"no hand in an answer: {type(error).__name__} {error}") from error


def _checked(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise Lost("an answer is no JSON object")
    if "error_msg" in answer:
        raise Refused(str(answer["error_msg"])[:200])
    return {key: value for key, value in answer.items() if key != "token" or value}


def cards(names: Any) -> tuple[str, ...]:
    """Cards of a list of names. Raises `TypeError` for anything else."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("cards are a list of names")
    return tuple(names)


def chips(amount: Any) -> float:
    """Raises `TypeError` for what is no number."""
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        raise TypeError(f"{amount!r} is no amount of chips")
    return float(amount)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("actions are a string")
    return value
