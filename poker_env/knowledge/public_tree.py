"""Betting histories whatever the cards: what everybody at the table sees but the board."""

from __future__ import annotations

import functools

from poker_env.games import Deal, Game
from poker_env.knowledge.ranges import RangePolicy, Reply
from poker_env.state import FOLD, HandState

_CACHED_STATES = 200_000


class PublicState:
    """A betting history, by the rules engine. A fold where checking is free is an answer that names no action."""

    def __init__(self, game: Game, villain: RangePolicy, actions: tuple[int, ...]) -> None:
        hand = HandState(game, Deal(tuple(range(game.deck_length)), 0, 0))  # any cards will do
        for action in actions:
            if action == FOLD and game.name == "holdem" and hand.observe().to_call == 0:
                hand.forfeit()
            else:
                hand.apply(action)
        self.actions = actions
        """OpenSpiel's ids so far."""
        self.done = hand.done
        self.contributions = hand.contributions
        """Chips each seat has put in."""
        self.n_board = len(hand.board)
        """Community cards dealt."""
        self.folded_seat: int | None = None
        """Who ended the hand by giving up."""
        if self.done and not hand.showdown:
            self.folded_seat = hand.moves[-1].seat if hand.forfeited_by is None else hand.forfeited_by
        self.seat = -1 if self.done else hand.current_seat
        """Who acts; -1 when the hand is over."""
        if not self.done:
            self.observation = hand.observe()
        self._villain = villain

    @functools.cached_property
    def reply(self) -> Reply:
        """What villain does here, if it is its turn."""
        return self._villain(self.observation)


class PublicTree:
    """The betting histories of a game met so far."""

    def __init__(self, game: Game, villain: RangePolicy) -> None:
        self._game, self._villain = game, villain
        self._states: dict[tuple[int, ...], PublicState] = {}

    @property
    def root(self) -> PublicState:
        """The state before the first action."""
        return self.state(())

    def child(self, state: PublicState, action: int) -> PublicState:
        """The state after one more action, by OpenSpiel's id."""
        return self.state((*state.actions, action))

    def state(self, actions: tuple[int, ...]) -> PublicState:
        """The state after actions, by OpenSpiel's ids; raises `pyspiel.SpielError` for illegal ones."""
        state = self._states.get(actions)
        if state is None:
            if len(self._states) >= _CACHED_STATES:
                self._states.clear()
            state = self._states[actions] = PublicState(self._game, self._villain, actions)
        return state
