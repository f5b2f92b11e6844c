"""A match against a service: hero plays hands that the service deals, at several tables at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

from poker_env.errors import UserError
from poker_env.games import Game
from poker_env.players.base import Player
from poker_env.services.journal import Journal, Record
from poker_env.services.shown import DISAGREEMENT, Disagreement, Shown, state_of
from poker_env.services.spelling import played_for, spell_action
from poker_env.services.web import Lost, Refused, Web
from poker_env.state import HandState, Observation

MOST_VOID_IN_A_ROW = 20
"""Hands; then something is wrong that more hands won't mend."""
MOST_STUCK = 10
"""Requests of a hand that change nothing."""


class Service(Protocol):
    """A client of a service. What it answers is JSON, and kept as it is."""

    web: Web

    @property
    def name(self) -> str:
        """What it is called as villain."""
        ...

    @property
    def usual_tables(self) -> int:
        """Hands at once where nothing else is asked for."""
        ...

    @property
    def most_tables(self) -> int:
        """Hands at once that it is to be asked for at most."""
        ...

    def new_hand(self, table: str | None) -> dict[str, Any]:
        """Have a hand dealt at a table (None: a new one). Raises as `Web.post` does."""
        ...

    def act(self, table: str, action: str) -> dict[str, Any]:
        """Play an action in a table's hand, spelt as in `spelling`. Raises as `Web.post` does."""
        ...

    def look_up(self, table: str) -> dict[str, Any] | None:
        """How a table's hand stands; None where the service doesn't say. Raises as `Web.get` does."""
        ...

    def table_of(self, answer: Mapping[str, Any]) -> str:
        """The table of a hand."""
        ...

    def shown(self, answer: Mapping[str, Any]) -> Shown:
        """The hand in an answer. Raises `Disagreement` when there is none."""
        ...


class ServiceMatch:
    """Hero at a service's tables. All that happens goes into the journal first."""

    def __init__(
        self, game: Game, hero: Player, service: Service, journal: Journal, tables: int, played: Callable[[], None]
    ) -> None:
        """`played` is called for each hand that is over."""
        self._game, self._hero, self._service, self._journal = game, hero, service, journal
        self._tables, self._played = tables, played
        self._free: list[str | None] = [None] * tables
        """Tables without a hand; None is one that is still to be opened."""
        self._out: dict[Future[dict[str, Any]], Record] = {}
        """Requests that nothing is known of yet."""
        self._to_act: list[tuple[Record, HandState]] = []
        self._next = max(journal.hands, default=-1) + 1
        """Number of the next hand to begin."""
        self._counting = sum(record.voided is None for record in journal.hands.values())
        """Hands that are over, or are played."""
        self._void_in_a_row = 0
        self._stuck: Counter[int] = Counter()
        """By hand, how often it stood after a request as before."""

    def play(self, hands: int) -> None:
        """Play until so many hands of the journal are over. A hand that doesn't count is played by another one.

        Raises `UserError` when the service can't be reached, refuses, or too many hands come to nothing. Whatever
        stops it, requests that are out are waited for.
        """
        with ThreadPoolExecutor(self._tables) as pool:
            try:
                self._take_up(pool)
                self._begin(pool, hands)
                while self._to_act or self._out:
                    self._act(pool)
                    for future in wait(self._out, return_when=FIRST_COMPLETED).done:
                        self._answered(future)
                    self._begin(pool, hands)
            finally:
                self._service.web.close()
                for future in wait(self._out).done:
                    self._put_down(future)

    def _take_up(self, pool: ThreadPoolExecutor) -> None:
        """Go on with the hands that were in progress when the journal ended."""
        for record in [record for record in self._journal.hands.values() if record.live]:
            if record.answer is None:
                self._journal.voided(record.number, "lost: the match was stopped before the hand was seen")
                self._counting -= 1
                continue
            del self._free[-1:]
            if record.pending:
                lost, table = Lost("the match was stopped before an answer came"), self._table(record)
                self._out[pool.submit(self._look_up, table, lost)] = record
            else:
                self._seen(record)

    def _begin(self, pool: ThreadPoolExecutor, hands: int) -> None:
        """Have hands dealt at free tables as long as there are hands to play."""
        while self._free and self._counting < hands:
            number, table = self._next, self._free.pop()
            self._next, self._counting = number + 1, self._counting + 1
            self._journal.requested(number, None, table=table)
            self._out[pool.submit(self._deal, table)] = self._journal.hands[number]

    def _act(self, pool: ThreadPoolExecutor) -> None:
        """Ask hero about all hands that wait for it at once."""
        acting, self._to_act = self._to_act, []
        observations = [state.observe("hero0") for _, state in acting]
        answers = self._hero.act(observations) if observations else []
        for (record, _), observation, answer in zip(acting, observations, answers, strict=True):
            action, table = spell_action(observation, played_for(observation, answer)), self._table(record)
            self._journal.requested(record.number, answer, _decisions(observation), table=table, incr=action)
            self._out[pool.submit(self._play, table, action)] = record

    def _deal(self, table: str | None) -> dict[str, Any]:
        """A new hand, at a new table where an old one is closed."""
        try:
            return self._service.new_hand(table)
        except Refused as error:
            if table is not None:
                return self._deal(None)
            raise UserError(f"{self._service.web.url} deals no hand: {error}") from error

    def _play(self, table: str, action: str) -> dict[str, Any]:
        try:
            return self._service.act(table, action)
        except Lost as lost:
            return self._look_up(table, lost)

    def _look_up(self, table: str, lost: Lost) -> dict[str, Any]:
        """How a hand stands after an answer was lost; raises `lost` where the service doesn't say."""
        try:
            found = self._service.look_up(table)
        except (Lost, Refused, UserError) as error:
            raise lost from error
        if found is None:
            raise lost
        return found

    def _answered(self, future: Future[dict[str, Any]]) -> None:
        """Take note of what came back, and go on from there."""
        record = self._out.pop(future)
        before = record.answer
        try:
            answer = future.result()
            self._keep(record, answer)
        except Lost as error:
            self._void(record, f"lost: {error}")
        except Refused as error:
            self._void(record, f"refused: {error}")
        except Disagreement as error:
            self._void(record, f"{DISAGREEMENT}{error}")
        except UserError:
            self._journal.withdrawn(record.number)
            raise
        else:
            self._stuck[record.number] += before is not None and self._same(before, answer)
            if self._stuck[record.number] > MOST_STUCK:
                self._void(record, "lost: its requests come to nothing")
            else:
                self._seen(record)

    def _keep(self, record: Record, answer: Mapping[str, Any]) -> None:
        """Write an answer down, also one that shows no hand; that raises `Disagreement`."""
        over = False
        try:
            over = self._service.shown(answer).over
        finally:
            self._journal.answered(record.number, answer, over)

    def _put_down(self, future: Future[dict[str, Any]]) -> None:
        """Take note of what came back after the match was stopped."""
        record = self._out.pop(future)
        try:
            answer = future.result()
            self._keep(record, answer)
        except Lost:
            pass  # the journal says that a request was out
        except Refused as error:
            self._journal.voided(record.number, f"refused: {error}")
        except Disagreement as error:
            self._journal.voided(record.number, f"{DISAGREEMENT}{error}")
        except UserError:
            self._journal.withdrawn(record.number)

    def _seen(self, record: Record) -> None:
        """Go on from how a hand stands."""
        assert record.answer is not None
        if record.over:
            self._void_in_a_row = 0
            self._leave(self._table(record))
            self._played()
            return
        try:
            state = state_of(self._game, self._service.shown(record.answer), record.number)
        except Disagreement as error:
            self._void(record, f"{DISAGREEMENT}{error}")
        else:
            self._to_act.append((record, state))

    def _void(self, record: Record, reason: str) -> None:
        """Give a hand up, and its table with it: who knows what is dealt there."""
        self._journal.voided(record.number, reason)
        self._leave(None)
        self._counting -= 1
        self._void_in_a_row += 1
        if self._void_in_a_row >= MOST_VOID_IN_A_ROW:
            raise UserError(f"{self._void_in_a_row} hands in a row came to nothing, the last one because: {reason}")

    def _leave(self, table: str | None) -> None:
        """A hand is over or given up: another one can be played, unless that makes more than are wanted at once."""
        if len(self._free) + len(self._to_act) + len(self._out) < self._tables:
            self._free.append(table)

    def _table(self, record: Record) -> str:
        assert record.answer is not None
        return self._service.table_of(record.answer)

    def _same(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        return self._service.shown(before).actions == self._service.shown(after).actions


def _decisions(observation: Observation) -> int:
    """How many decisions the player to act has made before."""
    return sum(move.seat == observation.seat for move in observation.moves)
