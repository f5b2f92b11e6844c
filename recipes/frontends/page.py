"""The table as HTML, for `recipes/frontends/web.py`: cards, seats, chips, thoughts, history. Styled by `play.css`."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from poker_env.hand import Hand
from poker_env.histories.phh import to_phh
from poker_env.histories.steps import board, streets_dealt
from poker_env.report.html import Markup, details, escape
from recipes.frontends.sitting import Event, Sitting, Thought
from recipes.frontends.words import result_in_words

RANK_NAMES = {str(rank): str(rank) for rank in range(2, 10)}
RANK_NAMES |= {"T": "10", "J": "Jack", "Q": "Queen", "K": "King", "A": "Ace"}
SUIT_NAMES = {"c": "clubs", "d": "diamonds", "h": "hearts", "s": "spades"}
SUIT_SHAPES = {  # in a square of 100
    "h": "M50 92C20 66 4 50 4 30 4 15 15 6 27 6c10 0 18 6 23 15 5-9 13-15 23-15 12 0 23 9 23 24 0 20-16 36-46 62z",
    "d": "M50 4C60 22 72 38 86 50 72 62 60 78 50 96 40 78 28 62 14 50 28 38 40 22 50 4z",
    "s": "M50 4C66 26 94 42 94 62c0 12-9 20-20 20-8 0-15-4-19-11 0 11 4 18 11 25H34c7-7 11-14 11-25-4 7-11 11-19 11"
    "C15 82 6 74 6 62 6 42 34 26 50 4z",
    "c": "M50 4a20 20 0 0 1 15 33 20 20 0 1 1-10 34c1 11 4 18 11 25H34c7-7 10-14 11-25a20 20 0 1 1-10-34A20 20 0 0 1 "
    "50 4z",
}
BOARD_CARDS = {"kuhn": 0, "leduc": 1, "holdem": 5}
LONGEST_HISTORY = 50


def card(name: str) -> Markup:
    """A card's face; Kuhn's and Leduc's have no suit."""
    rank, suit = name[0], name[1:]
    spoken = RANK_NAMES[rank] + (f" of {SUIT_NAMES[suit]}" if suit else "")
    index = "10" if rank == "T" else rank
    shape = f'<svg viewBox="0 0 100 100" aria-hidden="true"><path d="{SUIT_SHAPES[suit]}"/></svg>' if suit else ""
    middle = shape or f"<em>{index}</em>"
    corner = f"<b>{index}{shape}</b>"
    return Markup(
        f'<span class="pk-card{" pk-red" if suit in ("d", "h") else ""}" role="img" aria-label="{spoken}">'
        f'{corner}<i>{middle}</i><b class="pk-turned">{index}{shape}</b></span>'
    )


def cards(names: Sequence[str]) -> Markup:
    """Faces side by side."""
    return Markup("".join(map(card, names)))


def table_html(sitting: Sitting, note: str = "", advice: str = "") -> Markup:
    """The table; `note` is something to tell the person, `advice` what a good player would estimate."""
    view, names = sitting.view(), sitting.names
    hidden = Markup('<span class="pk-card pk-back" role="img" aria-label="face down"></span>') * len(view.hole)
    slots = Markup('<span class="pk-card pk-slot"></span>') * (BOARD_CARDS[sitting.game.name] - len(view.board))
    villain_cards = Markup(hidden) if view.villain_hole is None else cards(view.villain_hole)
    unit = "" if sitting.game.name != "holdem" else f" <small>{view.pot / sitting.game.big_blind:g} bb</small>"
    middle = f'<div class="pk-board">{cards(view.board)}{slots}</div>' if BOARD_CARDS[sitting.game.name] else ""
    return Markup(
        f'<div class="pk-table" data-hand="{sitting.number}" data-over="{str(view.over).lower()}">'
        f"{_seat('villain', names[1], view.stacks[1], villain_cards, not view.hero_acts_first, sitting)}"
        f"{_bet(view.bets[1])}"
        f'<div class="pk-middle">{middle}<div class="pk-pot"><span>Pot</span> {view.pot:,}{unit}</div></div>'
        f"{_bet(view.bets[0])}"
        f"{_seat('hero', names[0], view.stacks[0], cards(view.hole), view.hero_acts_first, sitting)}"
        f"</div>{_status(sitting, note, advice)}"
    )


def log_html(sitting: Sitting) -> Markup:
    """What was done in the hand so far, street by street."""
    events, view = sitting.events(), sitting.view()
    texts = []
    for street in range(sitting.live.state.street + 1):
        done = [event for event in events if event.street == street]
        if done or (street == sitting.live.state.street and not view.over):
            texts.append(f"<dt>{escape(sitting.game.streets[street])}</dt><dd>{_said(done) or '…'}</dd>")
    end = f"<dt>End</dt><dd>{escape(sitting.result_in_words())}</dd>" if view.over else ""
    return Markup(f'<div class="pk-log"><h3>Hand {sitting.number}</h3><dl>{"".join(texts)}{end}</dl></div>')


def thoughts_html(thoughts: Sequence[Thought], name: str) -> Markup:
    """Villain's decisions of a hand: its menu at each, with bars."""
    if not thoughts:
        return Markup(f'<p class="pk-quiet">{escape(name)} had nothing to decide.</p>')
    return Markup("".join(map(_thought, thoughts)))


def history_html(sitting: Sitting) -> Markup:
    """Finished hands, the newest first, and a link that downloads them all."""
    if not sitting.hands:
        return Markup('<p class="pk-quiet">No hand finished yet.</p>')
    shown = list(enumerate(sitting.hands, start=1))[::-1][:LONGEST_HISTORY]
    rows = "".join(_row(number, hand, sitting.names) for number, hand in shown)
    older = len(sitting.hands) - len(shown)
    more = f'<p class="pk-quiet">and {older:,} older</p>' if older else ""
    return Markup(f'{_download(sitting)}<ol class="pk-hands">{rows}</ol>{more}')


def result_html(sitting: Sitting) -> Markup:
    """Who plays whom, and the result so far."""
    game, won = sitting.game, sitting.chips
    stakes = f"{game.small_blind:,}/{game.big_blind:,}" if game.name == "holdem" else game.name
    tone = "pk-good" if won > 0 else "pk-bad" if won < 0 else ""
    return Markup(
        f'<div class="pk-head"><h1>{escape(sitting.names[0])} <span>against</span> {escape(sitting.names[1])}</h1>'
        f'<b class="{tone}">{won:+,} <small>chips</small></b>'
        f'<p class="pk-quiet">{escape(sitting.summary())}</p><p class="pk-quiet">{escape(stakes)}</p></div>'
    )


def _seat(who: str, name: str, stack: int, shown: Markup, button: bool, sitting: Sitting) -> Markup:
    holdem = sitting.game.name == "holdem"
    title = "dealer button: acts first before the flop, last after it" if holdem else "acts first"
    chip = f'<span class="pk-button" title="{title}">{"D" if holdem else "1"}</span>' if button else ""
    turn = " pk-turn" if who == "hero" and not sitting.over else ""
    return Markup(
        f'<div class="pk-seat pk-{who}{turn}"><div class="pk-cards">{shown}</div>'
        f'<div class="pk-name"><strong>{escape(name)}</strong><span>{stack:,}</span>{chip}</div></div>'
    )


def _bet(chips: int) -> Markup:
    return Markup(f'<div class="pk-bet">{f"<i></i>{chips:,}" if chips else ""}</div>')


def _status(sitting: Sitting, note: str, advice: str) -> Markup:
    if sitting.over:
        won = sitting.hand.payoff
        tone = "pk-won" if won > 0 else "pk-lost" if won < 0 else ""
        told = sitting.result_in_words()
    else:
        tone, events, to_call = "", sitting.events(), sitting.observation.to_call
        last = events[-1].text if events and not events[-1].by_hero else ""
        told = f"{last}, {to_call:,} to call" if last and to_call else last or "Your turn"
    lines = f"<p>{escape(told)}</p>" + (f'<p class="pk-note">{escape(note)}</p>' if note else "")
    lines += f'<p class="pk-advice">{escape(advice)}</p>' if advice else ""
    return Markup(f'<div class="pk-status {tone}" aria-live="polite">{lines}</div>')


def _said(events: Sequence[Event]) -> str:
    return ", ".join(
        f'<span class="{"pk-own" if event.by_hero else ""}">{escape(event.text)}</span>' for event in events
    )


def _thought(thought: Thought) -> Markup:
    bars = [(option.text, option.probability, option.taken) for option in thought.options]
    if thought.nothing > 0.0005:
        bars.append(("no legal action", thought.nothing, not any(taken for _, _, taken in bars)))
    rows = "".join(
        f'<tr class="{"pk-taken" if taken else ""}"><td>{escape(text)}</td>'
        f'<td><span class="pk-bar"><i style="width:{100 * share:.1f}%"></i></span></td><td>{share:.1%}</td></tr>'
        for text, share, taken in bars
    )
    said = f'<p class="pk-quiet">It said “{escape(thought.said)}”.</p>' if thought.said else ""
    mused = "" if thought.mused is None else details("What it thought", Markup(f"<pre>{escape(thought.mused)}</pre>"))
    on = f"<span>on</span>{cards(thought.board)}" if thought.board else ""
    return Markup(
        f'<div class="pk-thought"><h3>{escape(thought.street)} <span class="pk-small">{cards(thought.hole)}{on}</span>'
        f"</h3><table>{rows}</table>{mused}{said}</div>"
    )


def _row(number: int, hand: Hand, names: tuple[str, str]) -> Markup:
    won = round(hand.payoff)
    lying = board(hand, streets_dealt(hand) - 1)
    on = f"<span>on</span>{cards(lying)}" if lying else ""
    tone = "pk-good" if won > 0 else "pk-bad" if won < 0 else ""
    return Markup(
        f'<li value="{number}"><span class="pk-small">{cards(hand.hole[hand.hero_seat])}{on}</span>'
        f'<b class="{tone}">{won:+,}</b><p>{escape(result_in_words(hand, *names))}</p></li>'
    )


def _download(sitting: Sitting) -> Markup:
    """A link with the file in it: nothing is left on the server, and nobody else's hands can be fetched."""
    if sitting.game.name == "holdem":
        name, title = "hands.phhs", "Download PHH"
        names = "human" if sitting.hero is None else sitting.hero.name, sitting.villain.name
        text = "\n".join(f"[{number}]\n{to_phh(hand, *names)}" for number, hand in enumerate(sitting.hands, start=1))
    else:
        name, title, text = "hands.jsonl", "Download JSON lines", "".join(f"{x.to_json()}\n" for x in sitting.hands)
    data = base64.b64encode(text.encode()).decode()
    return Markup(f'<a class="pk-file" download="{name}" href="data:text/plain;base64,{data}">{title}</a>')
