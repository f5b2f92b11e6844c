"""Hands read from PokerStars' hand histories, in English: cash games and tournaments, two players dealt in.

pokerkit has a parser of them, too. This one also checks the amounts that are told twice (pots, rake, what is returned
and collected), knows cards that are mucked, and says in which line something is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from poker_env.games import BUTTON_SEAT
from poker_env.histories.told import Act, Broken, LeftOut, Piece, Told, cards_of, only_dealt

_CHIPS = r"[^\d\s]{0,3}(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
"""An amount, with or without a currency's sign."""
_ALL_IN = r"(?: and is all-in)?"

_HEADER = re.compile(r"^PokerStars (?:[A-Za-z]+ )*(?:Hand|Game) #(\d+):(.*)$")
_STAKES = re.compile(rf"Hold'em No Limit .*?\({_CHIPS}/{_CHIPS}[^)]*\)")
_BUTTON = re.compile(r"^Table .*Seat #(\d+) is the button")
_SEAT = re.compile(rf"^Seat (\d+): (.+) \({_CHIPS} in chips(?:, .*)?\)(.*)$")
_SECTION = re.compile(r"^\*\*\* (.+?) \*\*\*(.*)$")
_DEALT = re.compile(r"^Dealt to (.+) \[([^\]]*)\]$")
_POSTS = re.compile(rf"^posts (.+?) {_CHIPS}{_ALL_IN}$")
_UNCALLED = re.compile(rf"^Uncalled bet \({_CHIPS}\) returned to (.+)$")
_COLLECTED = re.compile(rf"^(.+) collected {_CHIPS} from (?:main |side )?pot")
_TOTAL = re.compile(rf"^Total pot {_CHIPS}.*\| Rake {_CHIPS}")
_FATE = re.compile(r"^Seat \d+: (.+?) (?:\([a-z ]+\) )*(?:showed|mucked) \[([^\]]*)\]")

_ACTIONS = {
    "fold": re.compile(r"^folds(?: \[.*\])?$"),
    "check": re.compile(r"^checks$"),
    "call": re.compile(rf"^calls {_CHIPS}{_ALL_IN}$"),
    "bet": re.compile(rf"^bets {_CHIPS}{_ALL_IN}$"),
    "raise": re.compile(rf"^raises {_CHIPS} to {_CHIPS}{_ALL_IN}$"),
}
_SHOWS = re.compile(r"^shows \[([^\]]*)\]")
_SILENT = re.compile(
    r"^(doesn't show hand|mucks hand|(is )?sit(s|ting) out|has (timed out|returned)|is (dis)?connected)"
)
_STREETS = {"FLOP": 1, "TURN": 2, "RIVER": 3}


def split_pokerstars(file: str, text: str) -> Iterator[Piece]:
    """Each hand of a file's text; what comes before the first is none."""
    lines = text.split("\n")
    starts = [(number, found) for number, line in enumerate(lines) if (found := _HEADER.match(line))]
    ends = [*(number for number, _ in starts[1:]), len(lines)]
    for (start, found), end in zip(starts, ends, strict=False):
        yield Piece(file, start + 1, f"#{found[1]}", "\n".join(lines[start:end]))


def tell_pokerstars(piece: Piece) -> Told:
    """A hand as its text tells it. Raises `LeftOut` for another game, `Broken` for what can't be read."""
    lines = [line.rstrip() for line in piece.text.split("\n")]
    stakes = _STAKES.search(lines[0])
    if stakes is None:
        raise LeftOut("another game than no-limit hold'em")
    told = _Text(lines, piece.line)
    if len(told.players) > 2:
        raise LeftOut("other than two players")
    if len(told.blinds) < 2:
        missing = next(kind for kind in ("small blind", "big blind") if kind not in told.blinds)
        raise Broken(f"nobody posts the {missing}")
    names = (told.blinds["big blind"][0], told.blinds["small blind"][0])
    if names[0] == names[1]:
        raise LeftOut("straddles and extra blinds")
    if told.button != told.seats[names[BUTTON_SEAT]]:
        raise LeftOut("a button that doesn't post the small blind")
    blinds = (_number(stakes[1]), _number(stakes[2]))
    posted = tuple(told.blinds[kind][1] for kind in ("small blind", "big blind"))
    stacks = (told.stacks[names[0]], told.stacks[names[1]])
    if min(stacks) > max(blinds) and posted != blinds:
        raise Broken(f"blinds of {posted[0]} and {posted[1]} are posted, of {blinds[0]} and {blinds[1]}")
    if not told.over:
        raise Broken("the hand is cut short: it has no summary with a total pot")
    hole = tuple(told.hole.get(name, ()) for name in names)
    collected = tuple(sum(told.collected.get(name, ()), Decimal(0)) for name in names)
    return Told(
        names=names,
        stacks=stacks,
        blinds=blinds,
        hole=(hole[0], hole[1]),
        dealt_to=only_dealt([told.dealt.get(name, ()) for name in names]),
        board=told.board,
        acts=tuple(Act(names.index(name), *rest) for name, *rest in told.acts),  # type: ignore[arg-type]
        collected=(collected[0], collected[1]),
        rake=told.rake,
        total=told.total,
        uncalled=told.uncalled,
    )


class _Text:
    """What the lines of a hand say, by the players' names."""

    def __init__(self, lines: Sequence[str], first: int) -> None:
        self.button: int | None = None
        self.seats: dict[str, int] = {}
        self.stacks: dict[str, Decimal] = {}
        self.players: dict[str, None] = {}
        """Those who posted or acted: whoever else sits there isn't dealt in."""
        self.blinds: dict[str, tuple[str, Decimal]] = {}
        self.hole: dict[str, tuple[str, ...]] = {}
        self.dealt: dict[str, tuple[str, ...]] = {}
        self.board: tuple[str, ...] = ()
        self.acts: list[tuple[str, int, str, Decimal | None, str]] = []
        self.collected: dict[str, list[Decimal]] = {}
        self.uncalled: Decimal | None = None
        self.total: Decimal | None = None
        self.rake: Decimal | None = None
        self._bets: dict[str, Decimal] = {}
        self._section = ""
        for number, line in enumerate(lines, start=first):
            try:
                self._read(line, number)
            except Broken as error:
                raise Broken(f"line {number} {line[:80]!r}: {error}") from error

    @property
    def over(self) -> bool:
        """Whether the text goes on to its end."""
        return self._section == "SUMMARY" and self.total is not None

    def _read(self, line: str, number: int) -> None:
        if section := _SECTION.match(line):
            self._turn_to(section[1], section[2])
        elif self._section == "SUMMARY":
            self._summary(line)
        elif (found := _SEAT.match(line)) and not self._section:
            if "out of hand" not in found[4]:
                self.seats[found[2]], self.stacks[found[2]] = int(found[1]), _number(found[3])
        elif found := _BUTTON.match(line):
            self.button = int(found[1])
        elif found := _DEALT.match(line):
            self.dealt[found[1]] = self._show(found[1], found[2])
        elif found := _UNCALLED.match(line):
            self.uncalled = _number(found[1])
        elif found := _COLLECTED.match(line):
            self.collected.setdefault(found[1], []).append(_number(found[2]))
        elif " cashed out the hand for " in line:
            raise LeftOut("cashed out before the end")
        elif name := self._speaker(line):
            self._act(name, line[len(name) + 2 :], f"line {number} {line!r}")

    def _speaker(self, line: str) -> str | None:
        """The player that a line begins with; of several the one with the longest name."""
        return max((name for name in self.seats if line.startswith(f"{name}: ")), key=len, default=None)

    def _turn_to(self, section: str, rest: str) -> None:
        if section.split()[0] in ("FIRST", "SECOND"):
            raise LeftOut("run twice")
        if section in _STREETS:
            board = cards_of(rest.replace("[", " ").replace("]", " "))
            if len(board) != 2 + _STREETS[section] or board[: len(self.board)] != self.board:
                raise Broken(f"{' '.join(self.board) or 'no card'} was on the board before")
            self.board = board
            self._bets = {}
        self._section = section

    def _act(self, name: str, words: str, place: str) -> None:
        if posts := _POSTS.match(words):
            self._post(name, posts[1], _number(posts[2]))
            return
        for kind, pattern in _ACTIONS.items():
            if found := pattern.match(words):
                self.players[name] = None
                street = max(0, len(self.board) - 2)
                self.acts.append((name, street, kind, self._amount(name, kind, found), place))
                return
        if found := _SHOWS.match(words):
            self._show(name, found[1])
        elif not _SILENT.match(words):
            raise Broken("an unknown action (histories are read in English)")

    def _post(self, name: str, kind: str, amount: Decimal) -> None:
        if kind not in ("small blind", "big blind"):
            raise LeftOut("antes" if "ante" in kind else "straddles and extra blinds")
        if kind in self.blinds:
            raise LeftOut("straddles and extra blinds")
        self.players[name] = None
        self.blinds[kind] = name, amount
        self._bets[name] = amount

    def _amount(self, name: str, kind: str, found: re.Match[str]) -> Decimal | None:
        """What a call adds, what a bet or raise makes it."""
        if kind in ("fold", "check"):
            return None
        highest, amount = max(self._bets.values(), default=Decimal(0)), _number(found[1])
        if kind == "call":
            self._bets[name] = self._bets.get(name, Decimal(0)) + amount
            return amount
        to = amount if kind == "bet" else _number(found[2])
        if kind == "raise" and to - amount != highest:
            raise Broken(f"a raise by {amount} makes it {highest + amount}, not {to}")
        self._bets[name] = to
        return to

    def _show(self, name: str, text: str) -> tuple[str, ...]:
        cards = cards_of(text)
        if name not in self.seats:
            raise Broken("nobody of that name has a seat")
        if len(cards) == 1:  # one card shown after the hand
            return ()
        if len(cards) != 2:
            raise Broken(f"{len(cards)} hole cards")
        if set(self.hole.get(name, cards)) != set(cards):
            raise Broken(f"other cards than {' '.join(self.hole[name])}")
        self.hole[name] = cards
        return cards

    def _summary(self, line: str) -> None:
        if line.startswith("Hand was run"):
            raise LeftOut("run twice")
        if found := _TOTAL.match(line):
            self.total, self.rake = _number(found[1]), _number(found[2])
        elif (found := _FATE.match(line)) and found[1] in self.seats:
            self._show(found[1], found[2])


def _number(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))
