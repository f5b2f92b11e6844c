"""Hold'em hands in pokerkit: replayed by its engine, the second opinion on the rules, and exported as PHH files.

Seats keep their numbers: pokerkit too calls the big blind player 0 and the button player 1 heads-up. A hand that ended
with an answer that named no legal action is written as a fold. Where checking was free, pokerkit takes such a fold in
cash games (with a warning) and PHH files are read as cash games, so the payoffs stay the same.
PHH: Kim 2024, "Recording and Describing Poker Hands", https://phh.readthedocs.io.
"""

from __future__ import annotations

import warnings

from pokerkit import Automation, HandHistory, Mode, NoLimitTexasHoldem, State

from poker_env.errors import UserError
from poker_env.games import Game
from poker_env.hand import Hand
from poker_env.state import Move

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


def replay(hand: Hand) -> State:
    """Pokerkit's state after the hand; `State.payoffs` are chips won by seat.

    Raises `ValueError` where pokerkit thinks an action illegal, `UserError` for another game than hold'em.
    """
    state = new_state(hand.game)
    for decision in hand.decisions:
        deal_cards(state, hand)
        apply_move(state, decision.move)
    deal_cards(state, hand)
    return state


def to_phh(hand: Hand, hero: str = "hero", villain: str = "villain") -> str:
    """The hand as a PHH file's text; `hero` and `villain` are the players' names in it. Raises as `replay` does."""
    players = [villain, villain]
    players[hand.hero_seat] = hero
    history = HandHistory.from_game_state(_game(hand.game), replay(hand), players=players)
    return history.dumps() + "\n"


def new_state(game: Game) -> State:
    """Pokerkit's state before any card is dealt. Raises `UserError` for another game than hold'em."""
    return _game(game)((game.stack, game.stack), 2)


def deal_cards(state: State, hand: Hand) -> None:
    """Deal whatever cards are due."""
    while True:
        if state.can_burn_card():
            state.burn_card("??")
        elif state.can_deal_hole():
            state.deal_hole("".join(hand.hole[state.hole_dealee_index or 0]))
        elif state.can_deal_board():
            dealt = sum(map(len, state.board_cards))
            state.deal_board("".join(hand.board[dealt : dealt + (3 if dealt == 0 else 1)]))
        else:
            return


def apply_move(state: State, move: Move | None) -> None:
    """Let the player to act make a move (None, an answer that named no legal action, is a fold)."""
    if move is None or move.kind == "fold":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is no reason for this player to fold")
            state.fold()
    elif move.kind in ("check", "call"):
        state.check_or_call()
    else:
        state.complete_bet_or_raise_to(move.to - chips_of_earlier_streets(state, move.seat))


def chips_of_earlier_streets(state: State, seat: int) -> int:
    """What a seat had put in before this street: pokerkit's amounts are per street, `Move.to` is over the hand."""
    return int(state.starting_stacks[seat] - state.stacks[seat] - state.bets[seat])


def _game(game: Game) -> NoLimitTexasHoldem:
    if game.name != "holdem":
        raise UserError(f"only hold'em hands can be replayed in pokerkit or exported as PHH, not {game.name}")
    # Blinds are listed small first even though the first player posts the big one: pokerkit's heads-up convention.
    # Of equal blinds it would let the big blind open; a negative one is paid, too, but doesn't count for the order.
    small_blind = -game.small_blind if game.small_blind == game.big_blind else game.small_blind
    return NoLimitTexasHoldem(
        AUTOMATIONS,
        ante_trimming_status=False,
        raw_antes=0,
        raw_blinds_or_straddles=(small_blind, game.big_blind),
        min_bet=game.big_blind,
        mode=Mode.CASH_GAME,
    )
