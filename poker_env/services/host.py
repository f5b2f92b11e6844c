"""One of our players behind Slumbot's protocol: sessions by token, a hand after the other, whoever asks.

Clients send `new_hand` (with a token, or without for a new session) and `act` (`incr`: one action, see `spelling`).
The cards depend on the seed, on which session it is and on which hand of it, and on nothing else; a session begins in
the big blind and seats alternate, as at slumbot.com. An answer of our player's that names no legal action is a fold,
or a check where that is free.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from poker_env.games import Game, make_deals
from poker_env.hand import Answer, Hand
from poker_env.players.base import Player
from poker_env.services.spelling import Misspelt, played_for, read_action, spell
from poker_env.table import LiveHand

MOST_SESSIONS = 10_000
"""When there are more, those that were asked least recently are forgotten."""


class BadRequest(Exception):
    """What a client sent can't be done. One line, for the client."""


@dataclass
class Session:
    """A client's."""

    seed: int
    hands: int = 0
    """How many are over."""
    total: int = 0
    """Chips the client won."""
    hand: LiveHand | None = None
    """The one in progress."""


class Host:
    """Plays with all clients; any number of threads may ask at once."""

    def __init__(self, game: Game, player: Player, seed: int, keep: Callable[[Hand], None] | None = None) -> None:
        """`keep` is given each hand that is over, with the client as hero."""
        self._game, self._player, self._seed, self._keep = game, player, seed, keep
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._begun = 0
        self._lock = threading.Lock()

    def new_hand(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Deal the next hand of a session. Raises `BadRequest`."""
        with self._lock:
            token = request.get("token") or self._open()
            session = self._session(token)
            if session.hand is not None:
                raise BadRequest("Hand in progress: finish it first, or leave the token out for a new session")
            deal = make_deals(self._game, 1, session.seed, start=session.hands)[0]
            session.hand = LiveHand(self._game, deal)
            return self._answer(token, session, "")

    def act(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Play a client's action, and our player's that follow. Raises `BadRequest`."""
        with self._lock:
            token, action = request.get("token"), request.get("incr")
            session = self._session(token)
            if session.hand is None:
                raise BadRequest("No hand in progress: ask for a new one")
            if not isinstance(action, str):
                raise BadRequest("incr has to be an action: k, c, f or b and the chips on this street")
            before = self._spelt(session.hand)
            try:
                session.hand.decide(Answer(read_action(session.hand.observe(), action)))
            except Misspelt as error:
                raise BadRequest(f"Illegal action: {error}") from error
            return self._answer(str(token), session, before)

    def _open(self) -> str:
        token = secrets.token_hex(16)
        seed = int(np.random.SeedSequence((self._seed, self._begun)).generate_state(1, np.uint64)[0])
        self._sessions[token] = Session(seed)
        self._begun += 1
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return token

    def _session(self, token: object) -> Session:
        if not isinstance(token, str) or token not in self._sessions:
            raise BadRequest("Unknown token: leave it out for a new session")
        self._sessions.move_to_end(token)
        return self._sessions[token]

    def _answer(self, token: str, session: Session, before: str) -> dict[str, Any]:
        """Let our player act while it is its turn, then say how the hand stands."""
        hand = session.hand
        assert hand is not None
        while not hand.state.done and not hand.hero_to_act:
            observation = hand.observe()
            answer = self._player.act([observation])[0]
            hand.decide(replace(answer, action=played_for(observation, answer)))
        state, seat = hand.state, hand.state.deal.hero_seat
        answer_: dict[str, Any] = {
            "old_action": before,
            "action": self._spelt(hand),
            "client_pos": seat,
            "hole_cards": list(state.hole(seat)),
            "board": list(state.board),
            "token": token,
        }
        if not state.done:
            return answer_
        won, pot = int(state.payoffs[seat]), sum(state.contributions)
        session.hands, session.total, session.hand = session.hands + 1, session.total + won, None
        if self._keep is not None:
            self._keep(hand.finished())
        return answer_ | {
            "bot_hole_cards": list(state.hole(1 - seat)),
            "winnings": won,
            "won_pot": (won > 0) * pot - (won < 0) * pot,
            "session_num_hands": session.hands,
            "session_total": session.total,
        }

    def _spelt(self, hand: LiveHand) -> str:
        return spell(self._game, hand.state.moves, hand.state.street)
