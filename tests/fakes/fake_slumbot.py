"""A Slumbot on loopback: the protocol of its sample_api.py, hands by pokerkit, and a book of all it dealt."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable

from faulty_server import Answer, FaultyServer
from pokerkit_hands import PokerkitHand


class FakeSlumbot:
    """Sessions by token; the client begins in the big blind, then seats alternate."""

    def __init__(self, seed: int = 0, fault: Callable[[int], str | None] = lambda number: None) -> None:
        self.rng = random.Random(seed)
        self.sessions: dict[str, dict] = {}
        self.dealt = 0
        self.book: list[dict] = []
        """Every hand that is over, as it was answered."""
        self.complaints: list[str] = []
        """What clients were told they did wrong."""
        self.accounts = {"ann": "secret"}
        self.server = FaultyServer(self.answer, fault)

    @property
    def url(self) -> str:
        return f"{self.server.url}/api"

    def answer(self, method: str, path: str, headers: object, body: bytes) -> Answer:
        request = json.loads(body)
        if path == "/api/login":
            known = self.accounts.get(request.get("username")) == request.get("password")
            return 200, {"token": self.open()} if known else {"error_msg": "Incorrect username or password"}
        if path == "/api/new_hand":
            return 200, self.new_hand(request.get("token"))
        if path == "/api/act":
            return 200, self.act(request.get("token"), request.get("incr"))
        return 404, {"error_msg": "Not found"}

    def open(self) -> str:
        token = str(uuid.UUID(int=self.rng.getrandbits(128)))
        self.sessions[token] = {"hand": None, "hands": 0, "total": 0, "baseline": 0, "dealt": 0}
        return token

    def complain(self, message: str) -> dict:
        self.complaints.append(message)
        return {"error_msg": message}

    def new_hand(self, token: str | None) -> dict:
        token = token or self.open()
        session = self.sessions.get(token)
        if session is None:
            return self.complain("Could not find session")
        if session["hand"] is not None:
            return self.complain("Hand in progress")
        session["hand"], session["seat"] = PokerkitHand(self.rng), session["dealt"] % 2
        session["dealt"] += 1
        self.dealt += 1
        return {**self.go_on(token, session, ""), "token": token}

    def act(self, token: str | None, incr: str) -> dict:
        session = self.sessions.get(token or "")
        if session is None or session["hand"] is None:
            return self.complain("No hand to act in")
        before = self.spelt(session["hand"])
        try:
            session["hand"].play(incr)
        except ValueError as error:
            return self.complain(str(error))
        return self.go_on(token, session, before)

    def go_on(self, token: str, session: dict, before: str) -> dict:
        hand, seat = session["hand"], session["seat"]
        while not hand.over and hand.actor != seat:
            hand.bot_plays()
        answer = {
            "old_action": before,
            "action": self.spelt(hand),
            "client_pos": seat,
            "hole_cards": hand.holes[seat],
            "board": hand.board,
        }
        if not hand.over:
            return answer
        won, pot = hand.won(seat), sum(hand.put)
        baseline = won // 2 + 100 * (2 * seat - 1)
        session.update(hand=None, hands=session["hands"] + 1)
        session.update(total=session["total"] + won, baseline=session["baseline"] + baseline)
        answer |= {
            "bot_hole_cards": hand.holes[1 - seat],
            "winnings": won,
            "won_pot": pot if won > 0 else -pot if won < 0 else 0,
            "session_num_hands": session["hands"],
            "baseline_winnings": baseline,
            "session_total": session["total"],
            "session_baseline_total": session["baseline"],
        }
        self.book.append({**answer, "token": token})
        return answer

    @staticmethod
    def spelt(hand: PokerkitHand) -> str:
        return "/".join("".join(tokens) for tokens in hand.rounds)
