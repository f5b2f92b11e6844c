"""Make the pictures of the README: the web player on a desktop and on a phone, and an evaluation's report.

    python docs/screenshots.py

Needs a Chromium and gradio (the extra `play`). Cards and decks come from seeds, so it makes the same pictures again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from browser import Page, browser
from PIL import Image

from poker_env.games import make_game
from poker_env.player_specs import make_player
from recipes import evaluate
from recipes.frontends.web import Room, listen, make_server

DOCS = Path(__file__).resolve().parent
COLOURS = 256
"""Of each picture: a third of the bytes, and nobody sees it."""


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=DOCS, help="folder for the pictures")
    output = parser.parse_args().output.resolve()
    desktop(output / "play_desktop.png")
    phone(output / "play_phone.png")
    report(output / "report.png", output / "report_charts.png")


def desktop(path: Path) -> None:
    """A finished hand and what villain thought in it."""
    with web_player(seed=41) as url, browser(1240, 800) as page:
        page.goto(url)
        play_hand(page, 1)
        page.click("#pk-next")
        play_hand(page, 2)
        page.click("#pk-think")
        page.wait("!!document.querySelector('.pk-bar')")
        page.click("#pk-history button")
        picture(page, path)


def phone(path: Path) -> None:
    """A choice on the turn, on a phone."""
    with web_player(seed=46) as url, browser(390, 844, mobile=True, scale=2) as page:
        page.goto(url)
        play_hand(page, 1, until="bets 1,200")
        picture(page, path)


def report(head: Path, charts: Path) -> None:
    """The head of a report, and some of its charts."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        match = ["--hero", "cfr", "--villain", "tag", "--hands", "400", "--seed", "1", "--capture", "none"]
        evaluate.main([*match, "--exploitability", "0", "--output", "runs/cfr"])
        with browser(1240, 940) as page:
            page.goto((Path(folder) / "runs" / "cfr" / "report.html").as_uri())
            page.wait("document.readyState == 'complete' && document.images.length > 0")
            picture(page, head)
            picture(page, charts, at="figure.wide")


@contextlib.contextmanager
def web_player(seed: int) -> Iterator[str]:
    """The address of a web player against the shipped hold'em opponent."""
    game = make_game("holdem")
    listening = listen("127.0.0.1", 0)
    server = make_server(Room(game, make_player("cfr", game), seed))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    server.should_exit = True
    thread.join()


def play_hand(page: Page, number: int, until: str = "") -> None:
    """Check and call to the hand's end, or until something was done."""
    page.wait(f"document.querySelector('.pk-table')?.dataset.hand == '{number}'")
    while page.evaluate("document.querySelector('.pk-table').dataset.over") == "false":
        told = page.evaluate("document.querySelector('.pk-log').innerText")
        if until and until in told:
            return
        page.click("#pk-passive")
        page.wait(f"document.querySelector('.pk-log').innerText != {json.dumps(told)}")
        page.settle()


def picture(page: Page, path: Path, at: str = "html") -> None:
    """Save what the window shows, from an element on, on which the page begins by default."""
    page.evaluate(f"document.querySelector({json.dumps(at)}).scrollIntoView({{behavior: 'instant'}})")
    page.settle()
    page.screenshot(path)
    with Image.open(path) as shot:
        shot.convert("RGB").quantize(COLOURS).save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    main()
