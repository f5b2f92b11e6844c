"""The report: what is on the page, that nothing else is, and that its hand replayer works in a browser."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import asdict
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from pokerkit import HandHistory

from poker_env.errors import UserError
from poker_env.evaluation.compare import StoredEvaluation, compare
from poker_env.evaluation.match import evaluate
from poker_env.evaluation.results import results, write_results
from poker_env.games import make_game
from poker_env.hand import Answer
from poker_env.histories.steps import contested_pot, in_words, steps
from poker_env.player_specs import make_player
from poker_env.report import page as report
from poker_env.report.page import write_report

NASTY = "</script><img src=x onerror=\"document.title='owned'\"><b>'&amp; \u2028 \ud800 $title"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Talker:
    """Plays like another player and says things that no page should believe."""

    sha256 = "f00d" * 16

    def __init__(self, player):
        self.name, self._player = f"llm:<{NASTY}>", player

    def act(self, observations):
        answers = self._player.act(observations)
        return [
            Answer(None if place % 9 == 8 else answer.action, prompt=f"{NASTY} pot {item.pot}", completion=NASTY * 60)
            for place, (item, answer) in enumerate(zip(observations, answers, strict=True))
        ]


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Folder, evaluation and record of a report, by game."""
    found = {}
    for name, hands in (("kuhn", 6), ("leduc", 20), ("holdem", 240)):
        game = make_game(name)
        hero = Talker(make_player("random", game))
        evaluation = evaluate(
            game, hero, make_player("call" if name == "holdem" else "cfr", game), hands, progress=False
        )
        record = results(evaluation, f"python recipes/evaluate.py --hero '{NASTY}'")
        folder = tmp_path_factory.mktemp("reports") / name
        write_report(folder, evaluation, record)
        found[name] = folder, evaluation, record
    return found


class Page(HTMLParser):
    """Tags with their attributes, the text of the page, and what its script elements hold."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.scripts, self._inside = [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page_of(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def replayed(folder):
    return json.loads(page_of(folder).scripts[0])


GAMES = pytest.mark.parametrize("name", ["kuhn", "leduc", "holdem"])


@GAMES
def test_the_page_needs_nothing_else(reports, name):
    folder, _, _ = reports[name]
    page = page_of(folder)
    pictures = sorted(folder.glob("*.png"))
    assert len(pictures) == (5 if name == "holdem" else 3)
    sources = [value for _, attributes in page.tags for key, value in attributes.items() if key in ("src", "href")]
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert sum(source.startswith("data:") for source in sources) == len(pictures)
    assert not re.search(r"url\(|@import|https?://", (folder / "report.html").read_text(encoding="utf-8"))
    policy = next(item["content"] for tag, item in page.tags if item.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    hands = {f"hand-{hand['number']}" for hand in replayed(folder)}
    assert {source[1:] for source in sources if source.startswith("#")} <= targets | hands


@GAMES
def test_nothing_that_was_said_becomes_markup(reports, name):
    folder, _, _ = reports[name]
    page = page_of(folder)
    assert {attributes["id"] for tag, attributes in page.tags if tag == "script" and attributes} == {"hands"}
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert all(attributes["src"].startswith("data:") for tag, attributes in page.tags if tag == "img")
    assert "onerror=\"document.title='owned'\"" in page.text  # it is there, as text
    asked = [step for hand in replayed(folder) for step in hand["steps"] if "asked" in step]
    assert asked and all(step["asked"].startswith(NASTY) for step in asked)
    assert all(len(step["answered"]) < 2_100 and "characters …" in step["answered"] for step in asked)


@GAMES
def test_the_numbers_are_there(reports, name):
    folder, _, record = reports[name]
    text = page_of(folder).text
    headline = record["estimates"][record["headline"]]
    told = [f"{value:+,.0f}".replace("-", "−") for value in (headline["mbb_per_hand"], *headline["ci95"])]
    assert f"{told[0]} mbb/hand" in text and f"95 % interval: {told[1]} to {told[2]}." in text
    for estimate in [*record["estimates"].values(), *record["by_seat"].values()]:
        assert f"{estimate['mbb_per_hand']:+,.0f}".replace("-", "−").replace("+0", "0").replace("−0", "0") in text
    assert f"{record['hands']:,} hands on {record['deals']:,} decks, seed {record['seed']}" in text
    for digest in record["checkpoints"].values():
        assert digest in text
    assert f"{record['legal_rate']:.1%}" in text
    assert "Wilson" not in text and "Aggression factor" in text
    if name == "holdem":
        assert "W$SD" in text and "Fold to c-bet" in text


@GAMES
def test_the_replayer_has_the_hands(reports, name):
    folder, evaluation, _ = reports[name]
    hands = {hand["number"]: hand for hand in replayed(folder)}
    assert list(hands) == sorted(hands)
    assert len(hands) <= 200
    biggest = sorted(range(len(evaluation.hands)), key=lambda index: -contested_pot(evaluation.hands[index]))[:10]
    assert {*range(1, min(150, len(evaluation.hands)) + 1)} <= set(hands)
    assert {contested_pot(evaluation.hands[index]) for index in biggest} <= {
        contested_pot(evaluation.hands[number - 1]) for number in hands
    }
    for number, shown in hands.items():
        hand = evaluation.hands[number - 1]
        told = steps(hand)
        assert [step["text"] for step in shown["steps"]] == [step.text for step in told]
        assert [step["pot"] for step in shown["steps"]] == [step.pot for step in told]
        assert shown["hole"] == [list(hand.hole[hand.hero_seat]), list(hand.hole[1 - hand.hero_seat])]
        stacks = shown["steps"][-1]["stacks"]
        assert stacks[0] - hand.game.stack == hand.payoff == hand.game.stack - stacks[1]
        for step, drawn in zip(told, shown["steps"], strict=True):
            heros = step.decision is not None and step.decision.seat == hand.hero_seat
            assert ("asked" in drawn) == heros
            assert drawn["actor"] == (None if step.decision is None else 0 if heros else 1)


def test_the_biggest_pots_are_told_in_words(reports):
    folder, evaluation, _ = reports["holdem"]
    biggest = max(evaluation.hands, key=contested_pot)
    assert " ".join(in_words(biggest).split()) in page_of(folder).text


def test_hand_histories_lie_beside_a_holdem_report(reports):
    folder, evaluation, _ = reports["holdem"]
    with (folder / "hands.phhs").open("rb") as file:
        assert len(list(HandHistory.load_all(file))) == len(evaluation.hands)
    assert (folder / "hands.txt").read_text().count("PokerStars Hand #") == len(evaluation.hands)
    assert not list(reports["leduc"][0].glob("hands.*"))


def test_the_same_evaluation_gives_the_same_bytes(reports, tmp_path):
    for name in ("kuhn", "leduc"):
        folder, evaluation, record = reports[name]
        write_report(tmp_path / name, evaluation, {**record, "seconds": 123.4})
        for path in folder.iterdir():
            old, new = path.read_bytes(), (tmp_path / name / path.name).read_bytes()
            if path.name == "report.html":
                assert old != new
                new = new.replace(b"123.4", f"{record['seconds']:.4g}".encode())
            assert old == new, path.name


def test_other_keys_of_the_record_are_shown(reports, tmp_path):
    _, evaluation, record = reports["kuhn"]
    extra = {
        "charts": {"nested": {"deep": [1, 2.5, None]}, "plain": "<i>"},
        "capture": {"lbr:fcpa": {"value": 0.3125, "best_response_mbb": 716.0, "on_tree": {"value": 0.25}}},
        "a_list": [{"seed": 7, "win": True}, {"seed": 8}],
        "nothing": None,
    }
    write_report(tmp_path, evaluation, record | extra)
    page = page_of(tmp_path)
    for words in ("Capture", "0.3125", "best response mbb", "0.25", "1, 2.5, –", "A list", "yes", "<i>"):
        assert words in page.text
    assert page.text.count("Charts") == 4  # links and headings of the record's key and of the page's own part
    assert "Nothing" not in page.text and "i" not in {tag for tag, _ in page.tags}


def test_a_comparison_is_one_table(reports, tmp_path):
    _, evaluation, record = reports["leduc"]
    other = evaluate(evaluation.game, make_player("call", evaluation.game), evaluation.villain, 20, progress=False)
    write_results(tmp_path / "other", other, "")
    comparison = compare(evaluation, StoredEvaluation.load(tmp_path / "other"))
    write_report(tmp_path, evaluation, {**record, "comparison": json.loads(json.dumps(asdict(comparison)))})
    text = page_of(tmp_path).text
    assert "Both on the 10 decks that call against cfr played, too" in text
    row = (comparison.own["aivat"], comparison.other["aivat"], comparison.difference["aivat"])
    shown = " ".join(report._signed(found.mbb_per_hand) for found in row)
    low, high = map(report._signed, comparison.difference["aivat"].ci95)
    assert f"aivat {shown} {low} to {high}" in text


@pytest.mark.parametrize(
    ("interval", "verdict"), [((5.0, 9.0), "wins"), ((-9.0, -5.0), "loses"), ((-5, 9), "can't"), (None, "can't")]
)
def test_the_verdict_is_the_intervals(reports, tmp_path, monkeypatch, interval, verdict):
    _, evaluation, record = reports["kuhn"]
    monkeypatch.setattr(report, "draw_charts", lambda *_, **__: [])
    estimate = {
        "mbb_per_hand": 7.0 if interval is None else sum(interval) / 2,
        "sd": None,
        "ci95": interval,
        "hands": 2,
    }
    write_report(tmp_path, evaluation, {**record, "headline": "raw", "estimates": {"raw": estimate}})
    assert re.search(rf"Hero('s win rate)? {verdict}", page_of(tmp_path).text)


def test_a_folder_that_cannot_be_written(reports, tmp_path):
    _, evaluation, record = reports["kuhn"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        write_report(tmp_path / "file", evaluation, record)


def test_the_template_is_in_the_package():
    import tomllib

    assert files("poker_env.report").joinpath(report.TEMPLATE).is_file()
    pyproject = Path(report.__file__).parents[2] / "pyproject.toml"
    assert "report/*.html" in tomllib.loads(pyproject.read_text())["tool"]["setuptools"]["package-data"]["poker_env"]


# The page in a frame as wide as a phone; a script outside walks through every hand and reports what it saw.
DRIVER = """
<!DOCTYPE html><meta charset="utf-8"><pre id="saw"></pre><iframe width="%d" height="800" srcdoc="%s"></iframe>
<script>
document.querySelector("iframe").addEventListener("load", function () {
  var page = this.contentDocument, window = this.contentWindow, saw = { hands: [], errors: [] };
  function by(id) { return page.getElementById(id); }
  window.onerror = function (message) { saw.errors.push(message); };
  saw.title = page.title;
  saw.overflow = page.documentElement.scrollWidth - window.innerWidth;
  saw.pictures = Array.from(page.images).map(function (image) { return image.complete && image.naturalWidth > 0; });
  Array.from(by("hand").options).forEach(function (option) {
    by("hand").value = option.value;
    by("hand").dispatchEvent(new window.Event("change"));
    var steps = [];
    for (;;) {
      steps.push({
        text: by("log").querySelector("[aria-current]").textContent, pot: by("pot").textContent,
        board: by("board").textContent, hero: by("hero").textContent, villain: by("villain").textContent,
        asked: by("words").hidden ? null : by("asked").textContent
      });
      if (by("next").disabled) { break; }
      by("next").click();
    }
    by("first").click();
    saw.hands.push({ title: option.textContent, steps: steps, back: by("back").disabled });
  });
  saw.backgrounds = window.getComputedStyle(page.body).backgroundColor;
  document.getElementById("saw").textContent = JSON.stringify(saw);
});
</script>
"""


def in_browser(folder, width, *flags):
    """What `DRIVER` saw."""
    driver = folder.parent / f"{folder.name}-{width}.html"
    page = (folder / "report.html").read_text(encoding="utf-8")
    driver.write_text(DRIVER % (width, html.escape(page)), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run([*command, *flags, driver.as_uri()], capture_output=True, text=True, timeout=300, check=True)
    return json.loads(html.unescape(re.search(r'<pre id="saw">(.*?)</pre>', done.stdout, re.DOTALL).group(1)))


@pytest.mark.skipif(CHROMIUM is None, reason="needs a chromium to run the page in")
@pytest.mark.parametrize(("name", "width"), [("leduc", 1200), ("holdem", 390)])
def test_in_a_browser(reports, name, width):
    folder, _, _ = reports[name]
    saw = in_browser(folder, width)
    assert saw["errors"] == []
    assert saw["title"].startswith("llm:<</script>") and saw["title"].endswith(name)
    assert saw["overflow"] <= 0
    assert saw["pictures"] and all(saw["pictures"])
    hands = replayed(folder)
    assert [hand["title"] for hand in saw["hands"]] == [hand["title"] for hand in hands]
    for shown, hand in zip(saw["hands"], hands, strict=True):
        assert shown["back"]
        assert [step["text"] for step in shown["steps"]] == [step["text"] for step in hand["steps"]]
        for seen, step in zip(shown["steps"], hand["steps"], strict=True):
            assert seen["pot"] == (f"pot {step['pot']:,}" if step["pot"] else "")
            assert seen["board"].count("\ufe0e" if name == "holdem" else "") >= len(step["board"])
            for who, stack, bet in zip(("hero", "villain"), step["stacks"], step["bets"], strict=True):
                assert f"stack {stack:,}" in seen[who]
                assert (f"in front {bet:,}" in seen[who]) == bool(bet)
            assert (seen["asked"] is None) == ("asked" not in step)


@pytest.mark.skipif(CHROMIUM is None, reason="needs a chromium to run the page in")
def test_dark_and_light(reports):
    folder, _, _ = reports["kuhn"]
    light, dark = (in_browser(folder, 390, f"--blink-settings=preferredColorScheme={scheme}") for scheme in (1, 0))
    assert light["backgrounds"] != dark["backgrounds"]
