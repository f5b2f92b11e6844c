"""Heads-up hold'em hands dealt and refereed by pokerkit, for fakes of services: none of our rules is in it."""

from __future__ import annotations

import random
import warnings

from pokerkit import Automation, Mode, NoLimitTexasHoldem

AUTOMATIONS = (
    Automation.ANTE_POSTING,
    Automation.BET_COLLECTION,
    Automation.BLIND_OR_STRADDLE_POSTING,
    Automation.RUNOUT_COUNT_SELECTION,
    Automation.HOLE_CARDS_SHOWING_OR_MUCKING,
    Automation.HAND_KILLING,
    Automation.CHIPS_PUSHING,
    Automation.CHIPS_PULLING,
)
DECK = [rank + suit for rank in "23456789TJQKA" for suit in "cdhs"]
STACK = 20_000


class PokerkitHand:
    """A hand with blinds 50/100; player 0 is the big blind, player 1 the button. Bets are street totals."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.cards = rng.sample(DECK, 9)
        self.holes = (self.cards[:2], self.cards[2:4])
        self.rounds: list[list[str]] = [[]]
        self.put = [100, 50]
        self.state = NoLimitTexasHoldem.create_state(
            AUTOMATIONS, False, 0, (50, 100), 100, STACK, 2, mode=Mode.CASH_GAME
        )
        self._deal()

    @property
    def over(self) -> bool:
        return not self.state.status

    @property
    def actor(self) -> int | None:
        return self.state.actor_index

    @property
    def board(self) -> list[str]:
        return self.cards[4 : 4 + sum(map(len, self.state.board_cards))]

    @property
    def base(self) -> int:
        """What both had put in before this street."""
        return 0 if len(self.rounds) == 1 else self._base

    def won(self, player: int) -> int:
        return int(self.state.payoffs[player])

    def play(self, token: str) -> None:
        """Raises `ValueError` for what pokerkit doesn't allow, and checks that are calls or the other way round."""
        player, state = self.state.actor_index, self.state
        to_call = state.checking_or_calling_amount
        if token in ("k", "c", "f"):
            if (token == "k") == bool(to_call):
                raise ValueError(f"Illegal {token}")
            state.fold() if token == "f" else state.check_or_call()
            if token == "c":
                self.put[player] = max(self.put)
        elif token[0] == "b" and token[1:].isdigit() and state.can_complete_bet_or_raise_to(int(token[1:])):
            state.complete_bet_or_raise_to(int(token[1:]))
            self.put[player] = self.base + int(token[1:])
        else:
            raise ValueError(f"Illegal {token}")
        self.rounds[-1].append(token)
        self._deal()

    def bot_plays(self) -> None:
        """Mostly passive, sometimes anything else."""
        chance, state = self.rng.random(), self.state
        to_call, least, most = (
            state.checking_or_calling_amount,
            state.min_completion_betting_or_raising_to_amount,
            state.max_completion_betting_or_raising_to_amount,
        )
        if chance < 0.1 and to_call:
            self.play("f")
        elif chance < 0.7 or least is None:
            self.play("c" if to_call else "k")
        else:
            self.play(f"b{self.rng.choice((least, min(2 * least, most), self.rng.randint(least, most)))}")

    def _deal(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            while True:
                dealt = len(self.board)
                if self.state.can_burn_card():
                    self.state.burn_card("??")
                elif self.state.can_deal_hole():
                    self.state.deal_hole("".join(self.holes[self.state.hole_dealee_index]))
                elif self.state.can_deal_board():
                    self.state.deal_board("".join(self.cards[4 + dealt : 4 + (dealt + 1 if dealt else 3)]))
                    self.rounds.append([])
                    self._base = self.put[0]
                else:
                    return
