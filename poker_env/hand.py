"""Records of finished hands: what was dealt, decided and won, as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from poker_env.errors import UserError
from poker_env.files import write_atomically
from poker_env.games import Deal, Game
from poker_env.state import HandState, Move, Observation

UNKNOWN = "??"
"""In the place of a hole card that was never shown: hands that others' files tell may have some, of villain's."""


@dataclass(frozen=True)
class Answer:
    """What a player says when asked: an OpenSpiel action id (None: no legal one) and, of a model, its words."""

    action: int | None
    prompt: str = ""
    completion: str = ""
    """Of a model that thinks first, what it said after its thought."""
    prompt_ids: tuple[int, ...] = ()
    completion_ids: tuple[int, ...] = ()
    menu: tuple[int, ...] = ()
    """Of a model that says so: the actions on offer, by OpenSpiel's ids, in the order of their tokens."""
    probabilities: tuple[float, ...] = ()
    """How probable each of them was, answered by its token and nothing else."""
    place: int | None = None
    """Which of them it was, answered so; None for another answer, whatever it was taken for."""
    thought: str | None = None
    """What a model thought before its answer; None for one that doesn't think."""
    cut_off: bool = False
    """Whether it never came to the end of its thought."""


@dataclass(frozen=True)
class Decision:
    """A decision of either player; `move` is None when its answer named no legal action: the hand ends as a fold."""

    seat: int
    street: int
    pot: int
    """Chips in the pot before the decision."""
    to_call: int
    """Chips it faced."""
    move: Move | None
    answer: Answer

    @property
    def legal(self) -> bool:
        """Whether the answer named a legal action."""
        return self.move is not None

    @property
    def aggressive(self) -> bool:
        """Whether it was a bet or a raise."""
        return self.move is not None and self.move.kind in ("bet", "raise")

    @property
    def pot_fraction(self) -> float | None:
        """A bet or raise as a fraction of the pot after calling; None for anything else."""
        if self.move is None or not self.aggressive:
            return None
        return (self.move.added - self.to_call) / (self.pot + self.to_call)


@dataclass(frozen=True)
class Hand:
    """A finished hand, seen from hero's side. Chips."""

    game: Game
    deal: Deal
    replica: int
    decisions: tuple[Decision, ...]
    hole: tuple[tuple[str, ...], tuple[str, ...]]
    """Each seat's cards, both `UNKNOWN` where they weren't shown; any others stand in the deal's deck then."""
    board: tuple[str, ...]
    """Community cards that were dealt."""
    payoff: float
    """Chips hero won (negative: lost)."""
    showdown: bool

    @property
    def hero_seat(self) -> int:
        """Hero's seat."""
        return self.deal.hero_seat

    @property
    def hero_decisions(self) -> tuple[Decision, ...]:
        """Hero's decisions, in order."""
        return tuple(decision for decision in self.decisions if decision.seat == self.hero_seat)

    @property
    def payoff_bb(self) -> float:
        """Big blinds (Kuhn, Leduc: antes) hero won."""
        return self.payoff / self.game.big_blind

    @property
    def villain_folded(self) -> bool:
        """Whether the hand ended with villain's fold."""
        last = self.decisions[-1]
        return last.seat != self.hero_seat and last.move is not None and last.move.kind == "fold"

    def shows(self, seat: int) -> bool:
        """Whether a seat's cards are known."""
        return UNKNOWN not in self.hole[seat]

    def observations(self, seat: int | None = None) -> list[Observation]:
        """What the player to act knew at each decision, or at each of one seat's."""
        state, seen = HandState(self.game, self.deal), []
        for decision in self.decisions:
            if seat in (None, decision.seat):
                seen.append(state.observe())
            if decision.move is not None:
                state.apply(decision.move.action)
        return seen

    @staticmethod
    def played(state: HandState, decisions: Sequence[Decision], replica: int = 0) -> Hand:
        """The record of a hand that is over."""
        return Hand(
            game=state.game,
            deal=state.deal,
            replica=replica,
            decisions=tuple(decisions),
            hole=(state.hole(0), state.hole(1)),
            board=state.board,
            payoff=state.payoffs[state.deal.hero_seat],
            showdown=state.showdown,
        )

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @staticmethod
    def from_json(line: str) -> Hand:
        """The hand of a line that `to_json` wrote; raises `UserError` for any other line."""
        try:
            record = json.loads(line)
            deal = record["deal"]
            return Hand(
                game=Game(**record["game"]),
                deal=Deal(tuple(deal["deck"]), deal["hero_seat"], deal["seed"]),
                replica=record["replica"],
                decisions=tuple(_decision(item) for item in record["decisions"]),
                hole=(tuple(record["hole"][0]), tuple(record["hole"][1])),
                board=tuple(record["board"]),
                payoff=record["payoff"],
                showdown=record["showdown"],
            )
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"not a hand record: {line[:60]!r} ({error})") from error


def _decision(record: dict) -> Decision:
    move, answer = record.pop("move"), record.pop("answer")
    answer = {key: tuple(value) if isinstance(value, list) else value for key, value in answer.items()}
    return Decision(**record, move=Move(**move) if move else None, answer=Answer(**answer))


def write_hands(path: Path, hands: Iterable[Hand]) -> None:
    """Save hands as JSON lines."""
    write_atomically(path, "".join(hand.to_json() + "\n" for hand in hands))


def read_hands(path: Path) -> Iterator[Hand]:
    """The hands of a JSON-lines file; raises `UserError` when it can't be read, or a line is no hand."""
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield Hand.from_json(line)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"can't read hands from {path}: {error}") from error
