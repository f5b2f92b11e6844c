"""The table in a browser: a gradio app, each browser session with a `Sitting` of its own.

It asks nothing of any other server: no fonts, no analytics, no share link.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from poker_env.errors import UserError
from poker_env.games import Game
from poker_env.knowledge.advisor import Advisor
from poker_env.menu import MenuItem
from poker_env.players.base import Player
from poker_env.state import street_base
from recipes.cli import listen
from recipes.frontends.page import history_html, log_html, result_html, table_html, thoughts_html
from recipes.frontends.sitting import Sitting, raise_action
from recipes.frontends.terminal import advice_in_words
from recipes.frontends.words import offer_in_words

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
try:
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI
except ImportError as error:
    raise UserError(f"--web needs gradio ({error}): pip install 'exploitative-poker[play]'") from error

MOST_SIZES = 8
"""Buttons for bets and raises: more than any menu has."""
IDLE_HOURS = 12
"""How long a browser's hands are remembered."""


@dataclass(frozen=True)
class Room:
    """What all browser sessions share: the opponent, and how it is played."""

    game: Game
    villain: Player
    seed: int | None = None
    """Of everybody's cards; None: each session has its own."""
    advisor: Advisor | None = None
    folder: Path | None = None
    """Where finished hands go, a folder per session; None: nowhere."""
    thoughts: bool = False
    """Whether villain's thoughts are shown after each hand without being asked for."""

    def sit(self) -> Seat:
        """A new session, its first hand dealt."""
        seed = secrets.randbelow(10**9) if self.seed is None else self.seed
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        seat = Seat(Sitting(self.game, self.villain, seed), self.folder / name if self.folder else None)
        seat.save()
        return seat


@dataclass
class Seat:
    """One browser session."""

    sitting: Sitting
    folder: Path | None

    def save(self) -> None:
        """Save the finished hands where they are to be saved."""
        if self.folder is not None and self.sitting.over:
            self.sitting.save(self.folder)


class Page:
    """The components, and what they show for a `Seat`. Every event updates them all."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.blocks = gr.Blocks(title=f"Poker against {room.villain.name}", analytics_enabled=False)
        with self.blocks:
            self._build()
            self._connect()

    def _build(self) -> None:
        self.seat = gr.State(None, time_to_live=IDLE_HOURS * 3600)
        self.result = _html("result")
        with gr.Row(elem_id="pk-room"):
            with gr.Column(scale=3, min_width=340):
                self.table = _html("felt")
                with gr.Row(elem_id="pk-main"):
                    self.fold = _button("Fold", "pk-fold", "fold")
                    self.passive = _button("Check", "pk-passive", "passive")
                    self.next = _button("Next hand", "pk-go", "next")
                with gr.Row(elem_id="pk-sizes"):
                    self.sizes = [_button("Bet", "pk-raise", f"size-{place}") for place in range(MOST_SIZES)]
                with gr.Row(elem_id="pk-free"):
                    self.amount = gr.Slider(1, 2, step=1, label="Any size", buttons=[], elem_id="pk-amount")
                    self.bet = _button("Bet", "pk-raise", "bet")
                with gr.Row(elem_id="pk-side"):
                    self.undo = _button("Take back", "pk-side", "undo")
                    self.think = _button("What it thought", "pk-side", "think")
            with gr.Column(scale=2, min_width=320):
                self.log = _html("log")
                with gr.Column(elem_classes="pk-panel"):
                    self.always = gr.Checkbox(self.room.thoughts, label="Show what it thought after each hand")
                    self.thoughts = _html("thoughts")
                with gr.Accordion("Hands", open=False, elem_classes="pk-panel", elem_id="pk-history"):
                    self.history = _html("hands")

    @property
    def _shown(self) -> list[Any]:
        return [
            *(self.seat, self.result, self.table, self.fold, self.passive, self.next, *self.sizes, self.amount),
            *(self.bet, self.undo, self.think, self.log, self.thoughts, self.history),
        ]

    def _connect(self) -> None:
        common: dict[str, Any] = {
            "outputs": self._shown,
            "concurrency_id": "villain",  # which all sessions ask
            "concurrency_limit": 1,
            "show_progress": "hidden",
        }
        inputs = [self.seat, self.always]
        self.blocks.load(self.sit, [self.always], api_name="sit", **common)
        self.fold.click(self.choose_fold, inputs, api_name="fold", **common)
        self.passive.click(self.choose_passive, inputs, api_name="passive", **common)
        for place, button in enumerate(self.sizes):
            button.click(_bound(self.choose_size, place), inputs, api_name=f"size_{place}", **common)
        self.bet.click(self.choose_amount, [*inputs, self.amount], api_name="bet", **common)
        self.next.click(self.deal, inputs, api_name="deal", **common)
        self.undo.click(self.take_back, inputs, api_name="take_back", **common)
        self.think.click(self.ask, [self.seat], api_name="think", **common)
        self.always.change(self.toggle, inputs, api_name="toggle", **common)

    def sit(self, always: bool) -> list[Any]:
        """A browser came, or loaded the page again."""
        return self._show(self.room.sit(), always)

    def choose_fold(self, seat: Seat | None, always: bool) -> list[Any]:
        """Fold."""
        return self._choose(seat, always, "fold")

    def choose_passive(self, seat: Seat | None, always: bool) -> list[Any]:
        """Check or call."""
        return self._choose(seat, always, "check", "call")

    def choose_size(self, place: int, seat: Seat | None, always: bool) -> list[Any]:
        """Bet or raise to a size of the menu."""
        seat = seat or self.room.sit()
        offers = [] if seat.sitting.over else _raises(seat.sitting)
        return self._act(seat, always, offers[place].action if place < len(offers) else None)

    def choose_amount(self, seat: Seat | None, always: bool, amount: float | None) -> list[Any]:
        """Bet or raise to any size."""
        seat = seat or self.room.sit()
        if seat.sitting.over:
            return self._show(seat, always)
        try:
            return self._act(seat, always, raise_action(seat.sitting.observation, round(amount or 0)))
        except UserError as error:
            return self._show(seat, always, note=str(error))

    def deal(self, seat: Seat | None, always: bool) -> list[Any]:
        """The next hand."""
        seat = seat or self.room.sit()
        if seat.sitting.over:
            seat.sitting.deal()
            seat.save()
        return self._show(seat, always)

    def take_back(self, seat: Seat | None, always: bool) -> list[Any]:
        """Take the last choice back."""
        seat = seat or self.room.sit()
        try:
            was_over = seat.sitting.over
            seat.sitting.take_back()
            if was_over and seat.folder is not None:
                seat.sitting.save(seat.folder)
        except UserError as error:
            return self._show(seat, always, note=str(error))
        return self._show(seat, always)

    def ask(self, seat: Seat | None) -> list[Any]:
        """Show what villain thought in this hand."""
        return self._show(seat or self.room.sit(), True)

    def toggle(self, seat: Seat | None, always: bool) -> list[Any]:
        """Show villain's thoughts after each hand, or no more."""
        return self._show(seat or self.room.sit(), always)

    def _choose(self, seat: Seat | None, always: bool, *kinds: str) -> list[Any]:
        seat = seat or self.room.sit()
        offers = () if seat.sitting.over else seat.sitting.menu
        return self._act(seat, always, next((item.action for item in offers if item.kind in kinds), None))

    def _act(self, seat: Seat, always: bool, action: int | None) -> list[Any]:
        """Play an action; None, of a click that came too late, plays nothing."""
        if action is not None:
            seat.sitting.act(action)
            seat.save()
        return self._show(seat, always)

    def _show(self, seat: Seat, always: bool, note: str = "") -> list[Any]:
        """What every component of `_shown` becomes."""
        sitting, over = seat.sitting, seat.sitting.over
        thoughts = _thoughts(sitting) if over and (always or sitting.revealed) else ""
        offers = () if over else sitting.menu
        raises = [] if over else _raises(sitting)
        passive = next((item for item in offers if item.kind in ("check", "call")), None)
        advisor = None if over else self.room.advisor
        advice = advice_in_words(advisor, sitting.observation, offers) if advisor else ""
        labels = [_label(sitting, item) for item in raises] + [""] * (MOST_SIZES - len(raises))
        return [
            seat,
            result_html(sitting),
            table_html(sitting, note, advice),
            gr.update(visible=any(item.kind == "fold" for item in offers)),
            gr.update(visible=passive is not None, value=_label(sitting, passive) if passive else ""),
            gr.update(visible=over),
            *(gr.update(visible=bool(label), value=label) for label in labels),
            *_free_size(sitting),
            gr.update(visible=sitting.can_take_back),
            gr.update(visible=over and not thoughts),
            log_html(sitting),
            thoughts,
            history_html(sitting),
        ]


def make_app(room: Room, path: str = "/") -> FastAPI:
    """The web player as an ASGI app, with the table at `path` and nothing elsewhere."""
    page = Page(room)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    css = (files("recipes.frontends") / "play.css").read_text()
    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    return gr.mount_gradio_app(app, page.blocks, path, css=css, theme=theme, footer_links=[], ssr_mode=False)


def make_server(room: Room) -> uvicorn.Server:
    """What serves the web player: `run(sockets=[…])`."""
    return uvicorn.Server(uvicorn.Config(make_app(room), log_level="critical", timeout_graceful_shutdown=1))


def serve(room: Room, host: str, port: int) -> None:
    """Serve the web player until Ctrl-C. Raises `UserError` when the port can't be had."""
    listening, url = listen(host, port)
    server = make_server(room)
    saved = f", hands go to {room.folder}" if room.folder else ""
    print(f"Play at {url} (Ctrl-C stops{saved})", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listening])


def _button(text: str, kind: str, name: str) -> gr.Button:
    return gr.Button(text, elem_id=f"pk-{name}", elem_classes=["pk-act", kind], visible=False, min_width=0)


def _html(name: str) -> gr.HTML:
    return gr.HTML(elem_id=f"pk-{name}", apply_default_css=False)


def _bound(choose: Any, place: int) -> Any:
    """`choose` for one button: gradio reads a function's signature, so a partial won't do."""

    def clicked(seat: Seat | None, always: bool) -> list[Any]:
        chosen: list[Any] = choose(place, seat, always)
        return chosen

    return clicked


def _raises(sitting: Sitting) -> list[MenuItem]:
    return [item for item in sitting.menu if item.kind in ("bet", "raise")]


def _label(sitting: Sitting, item: MenuItem) -> str:
    """A button's text: `Raise to 300` over `100 % pot`."""
    text = offer_in_words(sitting.observation, item)
    return (text[0].upper() + text[1:]).replace(" (", "\n").rstrip(")")


def _free_size(sitting: Sitting) -> list[Any]:
    """The slider for any size, and its button; hidden where there is no choice of sizes."""
    lowest = None if sitting.over else sitting.observation.min_raise_to
    if lowest is None or lowest >= sitting.game.stack:
        return [gr.update(visible=False), gr.update(visible=False)]
    seen = sitting.observation
    base = street_base(sitting.game, seen.moves, seen.street)
    verb = "Bet" if seen.to_call == 0 and seen.street else "Raise to"
    slider = gr.update(visible=True, minimum=lowest - base, maximum=sitting.game.stack - base, value=lowest - base)
    return [slider, gr.update(visible=True, value=f"{verb} this")]


def _thoughts(sitting: Sitting) -> str:
    try:
        return thoughts_html(sitting.thoughts(), sitting.names[1])
    except UserError as error:
        return f'<p class="pk-quiet">{error}</p>'
