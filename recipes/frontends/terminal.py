"""Playing in a terminal: the table in text, and what a person types."""

from __future__ import annotations

import codecs
import io
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from poker_env.errors import UserError
from poker_env.knowledge.advisor import Advisor
from poker_env.menu import MenuItem
from poker_env.prompts import Advice
from poker_env.state import Observation, position, street_base
from recipes.frontends.sitting import Sitting, Thought, raise_action
from recipes.frontends.words import offer_in_words

Ask = Callable[[str], str]
"""Shows a prompt and returns the line typed; raises `EOFError` or `KeyboardInterrupt` when there will be none."""

PLAIN = {"♣": "c", "♦": "d", "♥": "h", "♠": "s", "█": "#", "→": ">"}
"""What is written where the terminal's encoding lacks a character; others are question marks."""
SUITS = {"c": "♣", "d": "♦", "h": "♥", "s": "♠"}
SUIT_STYLES = {"c": "green", "d": "dodger_blue1", "h": "red", "s": "default"}
HELP = """\
[bold]1[/] [bold]2[/] …  what the menu lists under that number
[bold]f[/]  fold    [bold]x[/] or [bold]k[/]  check    [bold]c[/]  call (or check)    [bold]a[/]  all-in
[bold]b 300[/] or [bold]r 300[/]  bet 300, or raise to 300, on this street; also [bold]r 3bb[/], [bold]b 75%[/] (pot)
[bold]u[/]  take your last choice back, as long as no card was turned over since
[bold]t[/]  when the hand is over: what your opponent thought, with its cards
[bold]h[/]  this help    [bold]q[/]  leave the table (Ctrl-D and Ctrl-C do, too); finished hands are saved"""

LONGEST = 30
"""Characters that a choice may have."""
_SIZE = re.compile(r"[br]\s*(?:to\s*)?(\d+(?:[.,]\d+)*)?\s*(bb|%)?")
_ENDS = ("q", "quit", "exit")


def speak_plainly() -> None:
    """Make standard input and output of this process take any byte, and do with any encoding."""
    codecs.register_error("plain", _plain)
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, "plain")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(missing, "?") for missing in error.object[error.start : error.end]), error.end


class Quit(Exception):
    """The person leaves the table."""


def play_in_terminal(
    sitting: Sitting,
    console: Console,
    ask: Ask,
    hands: int | None,
    folder: Path,
    thoughts: bool,
    advisor: Advisor | None,
) -> None:
    """Play until `hands` hands are finished (None: until the person leaves), saving each in `folder` when it is over.

    Players who need nobody to choose for them play `hands` hands in a row; without that number Enter deals the next.
    `console` is one without markup, as names may hold brackets.
    """
    watched = sitting.hero is not None
    hint = "" if watched else "; h tells what can be typed"
    console.print(f"{sitting.names[0]} against {sitting.names[1]}, {_stakes(sitting)}, seed {sitting.seed}{hint}")
    seat = _Seat(sitting, console, ask, thoughts, advisor)
    try:
        while True:
            seat.play_hand()
            sitting.save(folder)
            console.print(seat.result(), sitting.summary(), sep="\n")
            last = hands is not None and len(sitting.hands) >= hands
            if (hands is None or not watched) and seat.after_hand(last):
                sitting.save(folder)
            elif last:
                break
            else:
                sitting.deal()
    except (EOFError, KeyboardInterrupt, Quit):
        console.print()
        if sitting.hands:
            sitting.save(folder)  # choices taken back since
        if not sitting.over:
            console.print("The hand on the table is not over: it counts for nothing.")
        console.print(sitting.summary())
    if sitting.hands:
        console.print(f"Saved in {folder}")


class _Seat:
    """Hero's seat at a terminal."""

    def __init__(self, sitting: Sitting, console: Console, ask: Ask, thoughts: bool, advisor: Advisor | None) -> None:
        self.sitting, self.console, self.ask, self.thoughts, self.advisor = sitting, console, ask, thoughts, advisor
        self._hand, self._shown = 0, 0
        """The hand's number, and how many of its events are printed."""

    def play_hand(self) -> None:
        """Print what happens, and ask until the hand is over."""
        sitting = self.sitting
        if sitting.number != self._hand:
            self._hand, self._shown = sitting.number, 0
            self.console.rule(f"Hand {sitting.number}")
            if sitting.hero is not None:
                self.console.print("Cards", self._both_hands())
        self._tell()
        while not sitting.over:
            self.console.print(self._table())
            self._choose()
            self._tell()
        if self.thoughts:
            self._think()

    def result(self) -> Text:
        """How the hand ended."""
        view = self.sitting.view()
        text = Text()
        if view.board and view.over and self.sitting.live.state.showdown:
            text.append("Board ").append(cards(view.board)).append("   ")
        if view.villain_hole is not None:
            text.append(self._both_hands()).append("   ")
        style = "green" if self.sitting.hand.payoff > 0 else "red" if self.sitting.hand.payoff < 0 else "bold"
        return text.append(self.sitting.result_in_words(), style=style)

    def after_hand(self, last: bool) -> bool:
        """Ask what is next; True when the hand was taken up again."""
        while True:
            keys = "Enter: " + ("leave" if last else "next hand")
            keys += ", u: take back" if self.sitting.can_take_back else ""
            typed = self._read(f"{keys}, t: its thoughts, q: leave > ")
            if typed in ("", "n"):
                return False
            if typed == "u" and self._take_back():
                return True
            if typed == "t":
                self._think()
            elif typed == "h":
                self.console.print(Text.from_markup(HELP))
            elif typed != "u":
                self.console.print(f"{typed!r} is not one of Enter, u, t, h, q", style="yellow")

    def _choose(self) -> None:
        """Ask until something legal is chosen."""
        sitting = self.sitting
        while True:
            typed = self._read("> ")
            if typed == "h":
                self.console.print(Text.from_markup(HELP))
            elif typed == "t":
                self.console.print("what it thought is told when the hand is over", style="yellow")
            elif typed == "u":
                if self._take_back():
                    return
            elif typed:
                try:
                    sitting.act(read_choice(typed, sitting.observation, sitting.menu))
                    return
                except UserError as error:
                    self.console.print(str(error), style="yellow")

    def _take_back(self) -> bool:
        try:
            self.sitting.take_back()
        except UserError as error:
            self.console.print(str(error), style="yellow")
            return False
        self.console.print("Taken back.")
        self._shown = min(self._shown, len(self.sitting.live.decisions))
        return True

    def _read(self, prompt: str) -> str:
        typed = self.ask(prompt).strip().lower()
        if typed in _ENDS:
            raise Quit
        return typed

    def _tell(self) -> None:
        """Print what was done since the last time, street by street."""
        sitting = self.sitting
        events = sitting.events()
        for place in range(self._shown, len(events)):
            event = events[place]
            if sitting.hero is not None and event.street and events[place - 1].street != event.street:
                board = sitting.view().board[: sitting.game.board_cards[event.street]]
                self.console.print(sitting.game.streets[event.street], cards(board))
            self.console.print(f"  {event.text}", style="dim" if event.by_hero else "cyan")
        self._shown = len(events)

    def _table(self) -> Panel:
        """The table before a choice."""
        sitting, view, observation = self.sitting, self.sitting.view(), self.sitting.observation
        lines = Text()
        lines.append("Board   ").append(cards(view.board) if view.board else Text("none yet", style="dim"))
        lines.append(f"\nPot     {_amount(sitting, view.pot)}")
        if observation.to_call:
            lines.append(f", {_amount(sitting, observation.to_call)} to call", style="bold")
        lines.append(f"\nStacks  you {view.stacks[0]:,}, {sitting.names[1]} {view.stacks[1]:,}")
        lines.append("\nYours   ").append(cards(view.hole))
        lines.append(f"   {position(sitting.game, observation.seat)}\n", style="dim")
        for number, item in enumerate(sitting.menu, start=1):
            lines.append(f"\n {number}  ", style="bold").append(offer_in_words(observation, item))
        if self.advisor is not None:
            lines.append("\n\n").append(advice_in_words(self.advisor, observation, sitting.menu), style="magenta")
        return Panel(lines, title=view.street, title_align="left", expand=False)

    def _think(self) -> None:
        hidden = self.sitting.over and not self.thoughts and self.sitting.view().villain_hole is None
        if hidden:
            self.console.print("Cards", self._both_hands())
        try:
            thoughts = self.sitting.thoughts()
        except UserError as error:
            self.console.print(str(error), style="yellow")
            return
        if not thoughts:
            self.console.print(f"{self.sitting.names[1]} had nothing to decide.")
        for thought in thoughts:
            self.console.print(thought_table(thought, self.sitting.names[1]))

    def _both_hands(self) -> Text:
        state, seat = self.sitting.live.state, self.sitting.live.state.deal.hero_seat
        first, second = self.sitting.names
        text = Text(f"{first} ").append(cards(state.hole(seat)))
        return text.append(f"   {second} ").append(cards(state.hole(1 - seat)))


def read_choice(typed: str, observation: Observation, menu: Sequence[MenuItem]) -> int:
    """The action that a person typed, see `HELP`. Raises `UserError` for what is none, or is illegal."""
    typed = typed.strip().lower()
    if len(typed) > LONGEST:
        raise UserError(f"{typed[:LONGEST]!r}… is nothing that can be done here: h tells what is")
    kinds = {item.kind: item.action for item in menu}
    if typed.isdecimal():
        if not 1 <= int(typed) <= len(menu):
            raise UserError(f"the menu has numbers 1 to {len(menu)}; an amount is typed as r {typed}")
        return menu[int(typed) - 1].action
    if typed in ("f", "fold"):
        if "fold" not in kinds:
            raise UserError("checking is free: x checks")
        return kinds["fold"]
    if typed in ("x", "k", "check"):
        if "check" not in kinds:
            raise UserError(f"you face a bet of {observation.to_call:,}: call (c), fold (f) or raise (r)")
        return kinds["check"]
    if typed in ("c", "call"):
        return kinds["call"] if "call" in kinds else kinds["check"]
    raises = [item.action for item in menu if item.kind in ("bet", "raise")]
    size = _SIZE.fullmatch(typed)
    all_in = typed in ("a", "all-in", "allin")
    if not all_in and size is None:
        raise UserError(f"{typed!r} is nothing that can be done here: h tells what is")
    if all_in and any(item.kind == "call" and item.all_in for item in menu):
        return kinds["call"]
    if not raises:
        raise UserError("you can't bet or raise any more")
    if size is None or (observation.game.name != "holdem" and typed in ("b", "r")):
        return raises[-1]
    if not size[1]:
        raise UserError("say how much: r 300, or the number of an offer")
    return raise_action(observation, _chips(size[1], size[2], observation))


def _chips(number: str, unit: str | None, observation: Observation) -> int:
    """What was typed as an amount, in chips of this street."""
    try:
        amount = float(number.replace(",", "") if unit is None else number.replace(",", "."))
    except ValueError:
        raise UserError(f"{number!r} is not a number") from None
    if unit == "bb":
        amount *= observation.game.big_blind
    elif unit == "%":
        base = street_base(observation.game, observation.moves, observation.street)
        amount = max(observation.contributions) - base + amount / 100 * (observation.pot + observation.to_call)
    return round(amount)


def cards(names: Sequence[str]) -> Text:
    """Cards with coloured suits."""
    text = Text()
    for place, name in enumerate(names):
        text.append(" " if place else "")
        text.append(name[0] + SUITS.get(name[1:], ""), style=f"bold {SUIT_STYLES.get(name[1:], '')}".strip())
    return text


def thought_table(thought: Thought, name: str) -> Table:
    """A decision of villain's: its menu with bars, and its words where it thinks in some."""
    title = Text(f"{name}, {thought.street} ").append(cards(thought.hole))
    if thought.board:
        title.append(" on ").append(cards(thought.board))
    width = title.cell_len
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 1), min_width=width)
    for option in thought.options:
        bar = "█" * round(30 * option.probability)
        style = "bold" if option.taken else "dim"
        table.add_row("→" if option.taken else "", option.text, f"{option.probability:.1%}", bar, style=style)
    if thought.nothing > 0.0005:
        table.add_row("", "no legal action", f"{thought.nothing:.1%}", "█" * round(30 * thought.nothing), style="red")
    if thought.mused is not None:
        table.add_row("", Text(f"{thought.mused or '(no thought)'} → {thought.said or '(nothing)'}"))
    return table


def advice_in_words(advisor: Advisor, observation: Observation, menu: Sequence[MenuItem]) -> str:
    """What a good player would estimate, in a line."""
    advice: Advice = advisor.advise(observation, menu)
    text = f"Equity {advice.equity:.0%}"
    if advice.pot_odds is not None:
        text += f", {advice.pot_odds:.0%} needed to call"
    raises = [item for item in menu if item.action in advice.folds]
    folds = [f"{advice.folds[item.action]:.0%} to {offer_in_words(observation, item)}" for item in raises]
    return text + (f"; folds {', '.join(folds)}" if folds else "")


def _stakes(sitting: Sitting) -> str:
    game = sitting.game
    if game.name != "holdem":
        return game.name
    return f"hold'em {game.small_blind:,}/{game.big_blind:,}, {game.stack / game.big_blind:g} big blinds deep"


def _amount(sitting: Sitting, chips: int) -> str:
    if sitting.game.name != "holdem":
        return f"{chips:,}"
    return f"{chips:,} ({chips / sitting.game.big_blind:.1f} bb)"
