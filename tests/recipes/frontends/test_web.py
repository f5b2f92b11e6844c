"""The web player: its HTML, its sessions through gradio's own client, and hands played by clicking in Chromium."""

import base64
import contextlib
import json
import re
import socket
import threading
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("gradio")

import browser
from gradio_client import Client
from pokerkit import HandHistory

from poker_env.errors import UserError
from poker_env.games import HOLDEM_CARDS, make_game
from poker_env.hand import Answer, read_hands
from poker_env.player_specs import make_player
from recipes import play
from recipes.cli import listen
from recipes.frontends import page as play_page
from recipes.frontends import web as play_web
from recipes.frontends.sitting import Sitting
from recipes.frontends.web import Room

ROOT = Path(__file__).resolve().parents[3]
NASTY = "llm:<img src=x onerror=\"document.title='owned'\"><b>'&amp;"
GAMES = ["kuhn", "leduc", "holdem"]


class Talker:
    """Calls, and says things that no page should believe."""

    name = NASTY

    def act(self, observations):
        return [Answer(1 if 1 in seen.legal else 0, completion=NASTY) for seen in observations]

    def policy(self, observations):
        return [{1: 0.7} for _ in observations]


class Parsed(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def spoken(self):
        return [attributes["aria-label"] for _, attributes in self.tags if "aria-label" in attributes]


def room(spec="holdem", villain="call", **options):
    game = make_game(spec)
    return Room(game, make_player(villain, game) if isinstance(villain, str) else villain, **options)


def sitting(spec="holdem", villain="call", seed=1):
    game = make_game(spec)
    return Sitting(game, make_player(villain, game) if isinstance(villain, str) else villain, seed)


@contextlib.contextmanager
def served(room):
    """The address of a running server."""
    listening, url = listen("127.0.0.1", 0)
    server = play_web.make_server(room)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"{url}/"
    finally:
        server.should_exit = True
        thread.join(20)


def test_every_card_has_a_face():
    faces = {play_page.card(name) for name in HOLDEM_CARDS}
    assert len(faces) == 52
    assert sum("pk-red" in face for face in faces) == 26
    assert Parsed(play_page.card("Th")).spoken() == ["10 of hearts"]
    assert Parsed(play_page.card("K")).spoken() == ["King"]


@pytest.mark.parametrize("spec", GAMES)
def test_the_table_shows_what_hero_may_see(spec):
    table = sitting(spec, "random", seed=3)
    for _ in range(10):
        while True:
            page, view = Parsed(play_page.table_html(table)), table.view()
            faces = [play_page.card(name) for name in (*(view.villain_hole or ()), *view.board, *view.hole)]
            assert [label for label in page.spoken() if label != "face down"] == [
                label for face in faces for label in Parsed(face).spoken()
            ]
            assert page.spoken().count("face down") == (0 if view.villain_hole else len(view.hole))
            assert f"{view.stacks[0]:,}" in page.text and f"Pot {view.pot:,}" in page.text
            if table.over:
                assert table.result_in_words() in page.text
                break
            table.act(table.menu[-1 if len(table.hands) % 3 == 0 else min(1, len(table.menu) - 1)].action)
        table.deal()


def test_nothing_that_was_said_becomes_markup():
    table = sitting("kuhn", Talker())
    while not table.over:
        table.act(1)
    thoughts = play_page.thoughts_html(table.thoughts(), table.names[1])
    parts = [play_page.table_html(table, NASTY, NASTY), play_page.log_html(table), play_page.result_html(table)]
    pages = [Parsed(part) for part in (*parts, thoughts, play_page.history_html(table))]
    assert not any(tag == "img" or "onerror" in attributes for page in pages for tag, attributes in page.tags)
    assert NASTY in pages[3].text and "no legal action" in pages[3].text and "30.0%" in pages[3].text


def test_the_download_is_the_hands():
    table = sitting(villain="lag")
    for _ in range(4):
        while not table.over:
            table.act(1)
        table.deal()
    page = Parsed(play_page.history_html(table))
    link = next(attributes for tag, attributes in page.tags if tag == "a")
    text = base64.b64decode(link["href"].partition("base64,")[2]).decode()
    assert link["download"] == "hands.phhs"
    histories = list(HandHistory.loads_all(text))
    assert [list(item)[-1].payoffs[hand.hero_seat] for item, hand in zip(histories, table.hands, strict=True)] == [
        hand.payoff for hand in table.hands
    ]
    table = sitting("kuhn")
    while not table.over:
        table.act(1)
    link = next(attributes for tag, attributes in Parsed(play_page.history_html(table)).tags if tag == "a")
    assert json.loads(base64.b64decode(link["href"].partition("base64,")[2]))["payoff"] == table.hand.payoff


def test_the_page_needs_nothing_else():
    css = (ROOT / "recipes" / "frontends" / "play.css").read_text()
    assert not re.search(r"url\(|@import|https?:", css)
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["recipes"]
    assert "frontends/*.css" in packaged


def predict(client, name, *arguments):
    """What an event shows: its outputs by name, without gradio's wrapping."""
    outputs = client.predict(*arguments, api_name=f"/{name}")
    return json.dumps(outputs)


@pytest.fixture
def connected(monkeypatch):
    """All addresses that this process connects to."""
    addresses, connect = [], socket.socket.connect

    def watched(own, address):
        addresses.append(address)
        return connect(own, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    return addresses


def test_sessions_do_not_mix_and_nothing_phones_home(tmp_path, connected):
    with served(room("leduc", "cfr", seed=3, folder=tmp_path)) as url:
        one, two = (Client(url, verbose=False) for _ in range(2))
        assert "Hand 1" in predict(one, "sit", False) and "Hand 1" in predict(two, "sit", False)
        while "Next hand" not in (shown := predict(one, "passive", False)) and "End" not in shown:
            pass
        assert "1 hand: " in shown
        assert "Hand 2" in predict(one, "deal", False)
        assert "no hand finished yet" in predict(two, "toggle", False)  # the other one still plays its first
        assert "Hand 1" in predict(two, "toggle", False)
        assert "“" not in predict(two, "think") and "pk-thought" not in predict(two, "think")  # not before the end
    assert connected and {address[0] for address in connected} == {"127.0.0.1"}
    folders = list(tmp_path.iterdir())
    assert len(folders) == 1  # of the session that has finished a hand
    assert len(list(read_hands(folders[0] / "hands.jsonl"))) == 1


def test_events_through_the_page(tmp_path):
    """Every event, as gradio calls them."""
    page = play_web.Page(room("holdem", "call", seed=1, folder=tmp_path))
    names = ["seat", "result", "table", "fold", "passive", "next", *(f"size{place}" for place in range(8))]
    names += ["amount", "bet", "undo", "think", "log", "thoughts", "history"]

    def of(outputs):
        return dict(zip(names, outputs, strict=True))

    def visible(shown):
        return {name for name, value in shown.items() if isinstance(value, dict) and value.get("visible")}

    shown = of(page.sit(False))
    seat = shown["seat"]
    assert visible(shown) == {"passive", "amount", "bet", *(f"size{place}" for place in range(5))}
    assert shown["passive"]["value"] == "Check" and shown["bet"]["value"] == "Raise to this"
    assert (shown["amount"]["minimum"], shown["amount"]["maximum"]) == (200, 20_000)
    assert shown["size4"]["value"] == "All-in 20,000"
    shown = of(page.choose_fold(seat, False))  # a click that came too late, or by hand: nothing happens
    assert not seat.sitting.over and shown["passive"]["value"] == "Check"
    shown = of(page.choose_amount(seat, False, 150))
    assert "150 is not legal: 200 to 20,000 is" in shown["table"]
    shown = of(page.choose_amount(seat, False, 300))
    assert "Pot</span> 600" in shown["table"] and shown["passive"]["value"] == "Check"
    assert "nothing to take back" in of(page.take_back(seat, False))["table"]
    shown = of(page.choose_size(5, seat, False))
    assert seat.sitting.over and visible(shown) == {"next", "think"} and "at showdown" in shown["table"]
    assert page.choose_size(5, seat, False)[0].sitting.over
    shown = of(page.ask(seat))
    assert "can&#x27;t say" in shown["thoughts"] or "can't say" in shown["thoughts"]
    shown = of(page.deal(seat, False))
    assert seat.sitting.number == 2 and "fold" in visible(shown)
    shown = of(page.choose_fold(seat, False))
    assert {"next", "undo"} <= visible(shown)
    assert len(list(read_hands(next(tmp_path.iterdir()) / "hands.jsonl"))) == 2
    page.take_back(seat, False)
    assert len(list(read_hands(next(tmp_path.iterdir()) / "hands.jsonl"))) == 1
    assert of(page.deal(seat, False))["seat"].sitting.number == 2  # not in the middle of a hand


def test_thoughts_are_shown_when_the_hand_is_over():
    page = play_web.Page(room("kuhn", "cfr", seed=4))
    seat, *_ = page.sit(True)
    while not seat.sitting.over:
        assert page._show(seat, True)[-2] == ""
        shown = page.choose_size(0, seat, True)
    assert "pk-bar" in shown[-2] and "pk-taken" in shown[-2]


def test_a_taken_port(tmp_path):
    with listen("127.0.0.1", 0)[0] as taken:
        port = taken.getsockname()[1]
        arguments = ["--against", "cfr", "--game", "kuhn", "--web", "--port", str(port), "--output", str(tmp_path)]
        with pytest.raises(UserError, match=f"port {port} .*another --port"):
            play.main(arguments)
    with pytest.raises(UserError, match="can't listen"):
        listen("127.0.0.1", 99_999)


needs_chromium = pytest.mark.skipif(browser.CHROMIUM is None, reason="needs a chromium to run the page in")


def click_through(page, *, hands, finger):
    """Play hands to their ends with what is offered; returns what the table said at each."""
    said = []
    for number in range(1, hands + 1):
        page.wait(f"document.querySelector('.pk-table')?.dataset.hand == '{number}'")
        while page.evaluate("document.querySelector('.pk-table').dataset.over") == "false":
            before = page.evaluate("document.querySelector('.pk-log').innerText")
            page.click(finger(page))
            page.wait(f"document.querySelector('.pk-log').innerText != {json.dumps(before)}")
            page.settle()
        said.append(page.evaluate("document.querySelector('.pk-status').innerText"))
        page.wait("!!document.querySelector('#pk-next')")
        if number < hands:
            page.click("#pk-next")
    return said


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize(("width", "height", "mobile"), [(390, 844, True), (1280, 900, False)])
def test_hands_are_played_by_clicking(tmp_path, width, height, mobile):
    with served(room("holdem", "cfr", seed=7, folder=tmp_path)) as url, browser.browser(width, height, mobile) as page:
        page.goto(url)
        page.wait("!!document.querySelector('.pk-table')")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        said = click_through(page, hands=2, finger=lambda _: "#pk-passive")
        assert all(re.search(r"wins? [\d,]+|split", text) for text in said)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.click("#pk-think")
        page.wait("!!document.querySelector('.pk-bar')")
        page.click("#pk-history button")
        page.wait("document.querySelectorAll('.pk-hands li').length == 2")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.querySelector('.pk-file').download") == "hands.phhs"
        assert page.errors == [] and page.requests
        assert [address for address in page.requests if not address.startswith(url)] == []
    hands = list(read_hands(next(tmp_path.iterdir()) / "hands.jsonl"))
    assert len(hands) == 2 and all(hand.hero_seat == number for number, hand in enumerate(hands))


@needs_chromium
@pytest.mark.slow
def test_a_size_of_ones_own_and_taking_it_back():
    with served(room("holdem", "lag", seed=2)) as url, browser.browser(1280, 900) as page:
        page.goto(url)
        page.wait("!!document.querySelector('#pk-bet')")
        page.evaluate(
            "(() => { const it = document.querySelector('#pk-amount input[type=number]'); it.value = 777;"
            "it.dispatchEvent(new Event('input', {bubbles: true})); it.dispatchEvent(new Event('change')); })()"
        )
        page.click("#pk-bet")
        page.wait("document.querySelector('.pk-log').innerText.includes('You raise to 777')")
        if page.evaluate("!!document.querySelector('#pk-undo')"):
            page.click("#pk-undo")
            page.wait("!document.querySelector('.pk-log').innerText.includes('777')")
        page.goto(url)  # loading the page again sits down anew
        page.wait("document.querySelector('.pk-log')?.innerText.includes('Hand 1')")
