"""GTO Wizard AI, by its researcher API: a benchmark that scores hands with AIVAT itself.

Provost, Ilenic, Solinas & Beardsell 2026, "GTO Wizard Benchmark" (arXiv 2603.23660). Wire format: the public client
gtowizard-ai/researcher-api-client (src/models.py, src/main.py). A hand has an id, hands in progress can be listed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from poker_env.errors import UserError
from poker_env.games import BIG_BLIND_SEAT, BUTTON_SEAT, DEFAULTS
from poker_env.services.shown import Disagreement, Shown
from poker_env.services.slumbot import chips
from poker_env.services.web import BUSY, Lost, Refused, Web

URL = "https://researcher.gtowizard.com"
KEY = "GTOWIZARD_API_KEY"
GAME = "HUNL 200BB"
OPPONENT = "GTO Wizard"
"""What the name of the seat that isn't ours begins with."""
NOT_DEALT = (409, 502, 504, *BUSY)
"""HTTP statuses of a new hand that wasn't dealt: too many hands at once, or the engine is busy."""


class GTOWizard:
    """A client. `GTOWIZARD_API_KEY` has its key, `GTOWIZARD_URL` names another address."""

    name = "gtowizard"
    usual_tables, most_tables = 5, 20

    def __init__(self, web: Web | None = None) -> None:
        """Raises `UserError` for an address that is none, and without a key."""
        key = os.environ.get(KEY, "")
        if not key:
            raise UserError(f"gtowizard needs a key: get one at https://benchmark.gtowizard.com and set {KEY}")
        if not key.isascii() or not key.isprintable() or " " in key:
            raise UserError(f"{KEY} has characters that no key has: set it to the key alone")
        url = os.environ.get("GTOWIZARD_URL") or URL
        if url.startswith("http:") and urlsplit(url).hostname not in ("127.0.0.1", "::1", "localhost"):
            raise UserError(f"GTOWIZARD_URL={url!r} would send the key for all to read: use https://")
        self.web = web or Web(url, "GTOWIZARD_URL", {"X-API-KEY": key})

    def new_hand(self, table: str | None) -> dict[str, Any]:
        """Have a hand dealt. Raises as `Web.post` does, and `UserError` for a wrong key."""
        return self._checked(lambda: self.web.post("/hands", {"game_name": GAME}, NOT_DEALT))

    def act(self, table: str, action: str) -> dict[str, Any]:
        """Play an action in a hand. Raises as `Web.post` does, and `UserError` for a wrong key."""
        body = {"action": action[0], "amount": int(action[1:]) if action[0] == "b" else None}
        return self._checked(lambda: self.web.post(f"/hands/{quote(table)}/act", body))

    def look_up(self, table: str) -> dict[str, Any] | None:
        """A hand in progress as it is now; None when it isn't in progress any more."""
        listed = self._checked(lambda: {"hands": self.web.get(f"/hands/in-progress?game_name={quote(GAME)}")})["hands"]
        hands = listed if isinstance(listed, list) else []
        return next((hand for hand in hands if isinstance(hand, dict) and str(hand.get("hand_id")) == table), None)

    @staticmethod
    def table_of(answer: Mapping[str, Any]) -> str:
        """The hand's id."""
        return str(answer["hand_id"])

    @staticmethod
    def shown(answer: Mapping[str, Any]) -> Shown:
        """The hand in an answer. Raises `Disagreement` when there is none, or it is of another game."""
        try:
            _require_game(answer["game"])
            chips(answer["hand_id"])
            state = answer["game_state"]
            hero, villain = sorted(state["players"], key=lambda player: str(player["name"]).startswith(OPPONENT))
            big_blinds = [player["position"] == "BB" for player in (hero, villain)]
            ours = [not str(player["name"]).startswith(OPPONENT) for player in (hero, villain)]
            if ours != [True, False] or sum(big_blinds) != 1:
                raise ValueError(f"one seat of two is {OPPONENT}'s, one is BB")
            over = state["is_hand_over"]
            return Shown(
                hero_seat=BIG_BLIND_SEAT if big_blinds[0] else BUTTON_SEAT,
                hole=_cards(hero["hole_cards"]),
                board=_cards(state["board_cards"]),
                actions="".join(map(_token, state["action_history"])),
                villain_hole=_cards(villain["hole_cards"]) if villain.get("hole_cards") else None,
                winnings=chips(state["winnings"]) if over else None,
                aivat=chips(state["aivat_score"]) if over and state.get("aivat_score") is not None else None,
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise Disagreement(f"no hand in an answer: {type(error).__name__} {error}") from error

    def _checked(self, ask: Callable[[], Any]) -> dict[str, Any]:
        try:
            answer = ask()
        except Refused as error:
            if error.status in (401, 403):
                raise UserError(
                    f"{self.web.url} refuses the key in {KEY} ({error}): set it to the one you got"
                ) from error
            raise
        if not isinstance(answer, dict):
            raise Lost("an answer is no JSON object")
        return answer


def _require_game(record: Mapping[str, Any]) -> None:
    game = DEFAULTS["holdem"]
    blinds = sorted(map(chips, record["blinds"]))
    if (blinds, chips(record["starting_stack"])) != ([game.small_blind, game.big_blind], game.stack):
        raise ValueError(f"it plays blinds {blinds} with {record['starting_stack']} chips, not {game}")


def _cards(text: Any) -> tuple[str, ...]:
    """Of `AhKd7c`."""
    if not isinstance(text, str) or len(text) % 2:
        raise TypeError(f"{str(text)[:20]!r} are no cards")
    return tuple(text[place : place + 2] for place in range(0, len(text), 2))


def _token(token: str) -> str:
    """Slumbot's for an entry of the history: `_` ends a street, amounts may be written as 300.0."""
    if token == "_":
        return "/"
    if token[:1] != "b":
        return token
    if not float(token[1:]).is_integer():
        raise ValueError(f"{token!r} is no whole number of chips")
    return f"b{float(token[1:]):.0f}"
