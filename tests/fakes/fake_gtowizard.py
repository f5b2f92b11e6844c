"""GTO Wizard's researcher API on loopback: the fields of its public client's models.py, hands by pokerkit, a book."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable

from faulty_server import Answer, FaultyServer
from pokerkit_hands import STACK, PokerkitHand

KEY = "key-of-the-tests"
STREETS = ("preflop", "flop", "turn", "river")
GAME = {
    "game_id": 1,
    "game_name": "HUNL 200BB",
    "game_format": "cash",
    "starting_stack": float(STACK),
    "blinds": [100.0, 50.0],
    "stack_reset_per_hand": True,
}


class FakeGTOWizard:
    """Hands by id, twenty at once at most."""

    def __init__(self, seed: int = 0, fault: Callable[[int], str | None] = lambda number: None) -> None:
        self.rng = random.Random(seed)
        self.hands: dict[int, tuple[PokerkitHand, int]] = {}
        """By id: the hand and the client's seat."""
        self.complaints: list[str] = []
        self.game = dict(GAME)
        self.most = 20
        self.server = FaultyServer(self.answer, fault)

    @property
    def book(self) -> dict[int, int]:
        """Of all hands that are over, what the client won."""
        return {number: hand.won(seat) for number, (hand, seat) in self.hands.items() if hand.over}

    def answer(self, method: str, path: str, headers: dict, body: bytes) -> Answer:
        if headers.get("X-API-KEY") != KEY:
            return 401, {"detail": "Invalid API key"}
        if (method, path) == ("POST", "/hands"):
            assert json.loads(body) == {"game_name": "HUNL 200BB"}
            if sum(not hand.over for hand, _ in self.hands.values()) >= self.most:
                return 409, {"detail": "Cannot start a new hand. The maximum number of concurrent hands is reached."}
            number = len(self.hands) + 1
            self.hands[number] = PokerkitHand(self.rng), number % 2
            return 200, self.go_on(number)
        if (method, path) == ("GET", "/hands/in-progress?game_name=HUNL%20200BB"):
            return 200, [self.shown(number) for number, (hand, _) in self.hands.items() if not hand.over]
        found = re.fullmatch(r"/hands/(\d+)/act", path)
        if method == "POST" and found and int(found[1]) in self.hands:
            return self.act(int(found[1]), **json.loads(body))
        return 404, {"detail": "Not Found"}

    def act(self, number: int, action: str, amount: int | None = None) -> Answer:
        hand, _ = self.hands[number]
        if hand.over:
            self.complaints.append("Hand is over")
            return 409, {"detail": "Hand is over"}
        try:
            hand.play(action if amount is None else f"{action}{amount}")
        except ValueError as error:
            self.complaints.append(str(error))
            return 422, {"detail": str(error)}
        return 200, self.go_on(number)

    def go_on(self, number: int) -> dict:
        hand, seat = self.hands[number]
        while not hand.over and hand.actor != seat:
            hand.bot_plays()
        return self.shown(number)

    def shown(self, number: int) -> dict:
        hand, seat = self.hands[number]
        state, won = hand.state, hand.won(seat) if hand.over else None
        players = [
            {
                "name": "ours" if player == seat else "GTO Wizard",
                "stack": float(state.stacks[player]),
                "position": ("BB", "SB")[player],
                "hole_cards": "".join(hand.holes[player]) if player == seat or hand.over else None,
            }
            for player in (1, 0)
        ]
        history = [token for tokens in hand.rounds for token in (*tokens, "_")][:-1]
        return {
            "hand_id": number,
            "game": self.game,
            "game_state": {
                "street": STREETS[len(hand.rounds) - 1],
                "common_pot": float(2 * min(hand.put)),
                "total_pot": float(sum(hand.put)),
                "board_cards": "".join(hand.board),
                "is_hand_over": hand.over,
                "players": players,
                "legal_actions": [],
                "raise_range": None,
                "action_history": history,
                "has_gto_wizard_folded": hand.over and history[-1] == "f" and (won or 0) > 0,
                "winnings": None if won is None else float(won),
                "aivat_score": None if won is None else won / 4,
            },
        }
