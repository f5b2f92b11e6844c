"""Histories read back: ours to equal records, others' by hand-written texts, broken ones to one line each."""

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pokerkit import HandHistory

from poker_env.errors import UserError
from poker_env.games import BIG_BLIND_SEAT, BUTTON_SEAT, Game, make_deals
from poker_env.hand import UNKNOWN, Answer, Hand, read_hands, write_hands
from poker_env.histories.phh import to_phh, write_phhs
from poker_env.histories.pokerstars import write_pokerstars
from poker_env.histories.reading import read_histories
from poker_env.histories.steps import in_words
from poker_env.state import Move
from poker_env.table import play

TEXTS = Path(__file__).parent / "texts"
CASH, TOURNAMENT, SPANISH = (TEXTS / f"{name}.txt" for name in ("cash", "tournament", "spanish"))
FIRST = CASH.read_text(encoding="utf-8").split("\n\n\n\n")[0] + "\n"


class Anything:
    """Fold, check, call, any raise, seldom no legal action: whatever its coin says."""

    name = "anything"

    def act(self, observations):
        return [Answer(self._choose(observation, observation.coin)) for observation in observations]

    def _choose(self, observation, coin):
        least, stack = observation.min_raise_to, observation.game.stack
        if coin < 0.03:
            return None
        if coin < 0.2 and observation.to_call:
            return 0
        if coin < 0.6 or least is None:
            return 1
        if coin > 0.97:
            return stack
        return least + int((coin - 0.6) / 0.37 * (min(4 * least, stack) - least))


@st.composite
def games(draw):
    """Any stakes, equal blinds and hardly more than a big blind included."""
    big = draw(st.integers(1, 300))
    return Game("holdem", draw(st.integers(1, big)), big, draw(st.integers(big + 1, 40_000)))


def some_hands(game: Game, count: int, seed: int) -> list[Hand]:
    return play(game, make_deals(game, count, seed), Anything(), Anything())


def as_told(hand: Hand, hides: bool) -> Hand:
    """What a history can carry: no seed, no undealt cards, no words, folds for what was illegal.

    Where checking was free a fold is no legal action when it is read, either. With `hides` villain's cards are known
    after a showdown only.
    """
    hole = list(hand.hole)
    if hides and not hand.showdown:
        hole[1 - hand.hero_seat] = (UNKNOWN, UNKNOWN)
    decisions = []
    for decision in hand.decisions:
        if decision.move is None and decision.to_call:
            own = (decision.pot - decision.to_call) // 2
            fold = Move(decision.seat, decision.street, 0, "fold", own, 0, decision.pot, decision.to_call)
            decision = replace(decision, move=fold)
        decisions.append(replace(decision, answer=Answer(decision.move.action if decision.move else None)))
    deal = replace(hand.deal, seed=0, deck=())
    return replace(hand, deal=deal, hole=tuple(hole), decisions=tuple(decisions))


def without_deck(hand: Hand) -> Hand:
    return replace(hand, deal=replace(hand.deal, deck=()))


def require_the_same(hands: list[Hand], folder: Path) -> None:
    """As PHH and as PokerStars' text, in files."""
    for path, write, hides in (("h.phhs", write_phhs, False), ("h.txt", write_pokerstars, True)):
        write(folder / path, hands, hero="Ann", villain="Bob: the 2nd")
        found = read_histories([folder / path], hero="Ann")
        assert (found.left_out, found.broken, found.raked) == ({}, [], 0)
        assert found.heroes == {"Ann": len(hands)} and found.villains == {"Bob: the 2nd": len(hands)}
        for hand, read in zip(hands, found.hands, strict=True):
            assert without_deck(read) == as_told(hand, hides)
            assert [seen.board for seen in read.observations()] == [seen.board for seen in hand.observations()]


@settings(max_examples=40, deadline=None)
@given(game=games(), seed=st.integers(0, 2**32))
def test_hands_are_read_back_as_they_were(game, seed, tmp_path_factory):
    require_the_same(some_hands(game, 2, seed), tmp_path_factory.mktemp("hands"))


def test_300_hands_are_read_back_as_they_were(tmp_path):
    hands = some_hands(Game("holdem", 50, 100, 20_000), 300, seed=1)
    assert {hand.showdown for hand in hands} == {True, False}
    assert any(not decision.legal for hand in hands for decision in hand.decisions)
    require_the_same(hands, tmp_path)


@pytest.mark.slow
def test_10_000_hands_are_read_back_as_they_were(tmp_path):
    games = [Game("holdem", 50, 100, 20_000), Game("holdem", 5, 5, 400), Game("holdem", 1, 3, 17)]
    require_the_same([hand for game in games for hand in some_hands(game, 3_400, seed=2)][:10_000], tmp_path)


@settings(max_examples=40, deadline=None)
@given(game=games(), seed=st.integers(0, 2**32), more=st.integers(1, 5_000), seat=st.integers(0, 1))
def test_the_smaller_stack_counts(game, seed, more, seat, tmp_path_factory):
    """A player with more chips plays the same hand, and may bet more than the other can call; so says pokerkit."""
    path = tmp_path_factory.mktemp("hands") / "h.phh"
    for hand in some_hands(game, 2, seed):
        stacks = [game.stack, game.stack]
        stacks[seat] += more
        text = to_phh(hand).replace(f"[{game.stack}, {game.stack}]", str(stacks))
        last = next((item for item in reversed(hand.decisions) if item.aggressive), None)
        if last is not None and last.seat == seat and last.move.to == game.stack:
            before, _, amount = text.rpartition("cbr ")
            chips, _, after = amount.partition('"')
            text = f'{before}cbr {int(chips) + more}"{after}'
        path.write_text(text, encoding="utf-8")
        (read,) = read_histories([path], hero="hero").hands
        assert without_deck(read) == as_told(hand, hides=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            *_, end = HandHistory.loads(text)
        assert end.payoffs[read.hero_seat] == read.payoff


# What others write


def test_a_cash_game():
    found = read_histories([CASH])
    raked, all_in, walk, _chop, mucked = found.hands
    assert found.heroes == {"Ann": 5} and found.villains == {"El: Niño 7": 5}
    assert {hand.game for hand in (raked, all_in)} == {Game("holdem", 5, 10, 1_000), Game("holdem", 5, 10, 1_108)}
    assert [hand.hero_seat for hand in found.hands] == [BUTTON_SEAT, BIG_BLIND_SEAT, BIG_BLIND_SEAT, BUTTON_SEAT, 0]
    assert [hand.payoff for hand in found.hands] == [120, 1_108, 5, 0, 84]
    assert [hand.showdown for hand in found.hands] == [True, True, False, True, True]
    assert (found.raked, float(found.rake)) == (3, pytest.approx(12.0))  # $1.20 of 10 cents
    assert raked.hole == (("Ks", "Jh"), ("As", "Kd")) and raked.board == ("Kh", "7c", "2d", "5s", "9h")
    assert [d.move.kind for d in raked.decisions] == [
        *("raise", "call", "check", "bet", "call", "check", "bet", "call", "check", "check")
    ]
    assert all_in.decisions[-2].move.to == 1_108  # of $13.15, which nobody could call
    assert walk.hero_decisions == () and walk.hole == (("7h", "2c"), (UNKNOWN, UNKNOWN))
    assert mucked.hole[BUTTON_SEAT] == (UNKNOWN, UNKNOWN) and not mucked.shows(BUTTON_SEAT)
    assert "villain (button) ?? ??" in in_words(mucked)
    assert {reason: [place.rpartition(" ")[2] for place in places] for reason, places in found.left_out.items()} == {
        "other than two players": ["#2400000006"],
        "another game than no-limit hold'em": ["#2400000007"],
        "it doesn't say who hero is": ["#2400000008"],
    }
    assert found.broken == []


def test_a_tournament():
    found = read_histories([TOURNAMENT])
    (hand,) = found.hands
    assert (hand.game, hand.payoff, hand.showdown) == (Game("holdem", 15, 30, 480), 120, False)
    assert found.villains == {"Bo (x)": 1}
    assert list(found.left_out) == ["a stack no larger than the big blind"]


def test_all_files_share_one_unit():
    """A chip is a cent as soon as any amount has cents."""
    games = {hand.game for hand in read_histories([TOURNAMENT, CASH]).hands}
    assert Game("holdem", 1_500, 3_000, 48_000) in games and Game("holdem", 5, 10, 1_000) in games


def test_folders_line_ends_and_what_was_read_before(tmp_path):
    (tmp_path / "in").mkdir()
    text = CASH.read_text(encoding="utf-8")
    (tmp_path / "in" / "a.TXT").write_bytes(("\ufeff" + text.replace("\n", "\r\n")).encode())
    (tmp_path / "b.txt").write_text(FIRST, encoding="utf-8")
    (tmp_path / "notes.md").write_text("none of ours")
    found = read_histories([tmp_path])
    assert found.hands == read_histories([CASH]).hands
    assert len(found.left_out["told before"]) == 1


def test_hero_is_named_or_said_in_the_file(tmp_path):
    write_phhs(tmp_path / "h.phhs", some_hands(Game("holdem", 1, 2, 100), 4, 0), "Ann", "Bob")
    with pytest.raises(UserError, match=r"give --hero NAME, one of '(Ann|Bob)', '(Ann|Bob)'"):
        read_histories([tmp_path / "h.phhs"])
    with pytest.raises(UserError, match="--hero 'Cid' is in none of these hands: name one of"):
        read_histories([tmp_path / "h.phhs"], hero="Cid")
    ann, bob = (read_histories([tmp_path / "h.phhs"], hero=name).hands for name in ("Ann", "Bob"))
    assert [hand.payoff for hand in ann] == [-hand.payoff for hand in bob]
    niño = read_histories([CASH], hero="El: Niño 7")
    assert [hand.payoff for hand in niño.hands] == [-120, -1_108, 0]
    assert len(niño.left_out["hero's cards aren't shown"]) == 2


def test_unknown_cards_stay_unknown_in_every_format(tmp_path):
    hands = read_histories([CASH]).hands
    write_hands(tmp_path / "h.jsonl", hands)
    assert list(read_hands(tmp_path / "h.jsonl")) == hands
    write_phhs(tmp_path / "h.phhs", hands)
    read = read_histories([tmp_path / "h.phhs"], hero="hero")
    assert read.hands == hands and not read.broken
    write_pokerstars(tmp_path / "h.txt", hands)
    read = read_histories([tmp_path / "h.txt"], hero="hero")
    assert read.hands == hands and not read.broken


# What is broken


def lines_of(found) -> list[str]:
    assert all("\n" not in line for line in found.broken)
    return found.broken


CHECKS = "El: Niño 7: checks \n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: text.index("*** RIVER")], "line 53, hand #2400000001: the hand is cut short"),
        (
            lambda text: text.replace("Total pot $2.40", "Total pot $2.50"),
            "a total pot of 2.50, which the bets make 2.4",
        ),
        (
            lambda text: text.replace("collected $2.28", "collected $2.18"),
            "2.18 collected and a rake of 0.12, of a pot",
        ),
        (
            lambda text: text.replace("raises $0.15 to $0.25", "raises $0.05 to $0.15"),
            "illegal, the least is 0.2 in all",
        ),
        (lambda text: text.replace("raises $0.15 to $0.25", "raises $0.15 to $0.35"), "a raise by 0.15 makes it 0.25"),
        (lambda text: text.replace("bets $0.70", "bets $70"), "more than the stack of 10"),
        (lambda text: text.replace("calls $0.70", "calls $0.60"), "the bet to call is 0.7"),
        (lambda text: text.replace("[As Kd]", "[As Xd]"), "'Xd' in 'As Xd' is no card"),
        (lambda text: text.replace("[Ks Jh]", "[Ks As]"), "the card As is there twice"),
        (lambda text: text.replace("[Kh 7c 2d 5s] [9h]", "[Kh 7c 2h 5s] [9h]"), "Kh 7c 2d 5s was on the board before"),
        (
            lambda text: text.replace(f"{CHECKS}Ann: bets $0.25\n", f"Ann: bets $0.25\n{CHECKS}"),
            "it is El: Niño 7's turn",
        ),
        (lambda text: text.replace("Ann: posts small blind $0.05\n", ""), "nobody posts the small blind"),
        (lambda text: text.replace("small blind $0.05", "small blind $0.04"), "blinds of 0.04 and 0.10 are posted"),
        (lambda text: text.replace("Ann: checks", "Ann: passt"), "line 74 'Ann: passt': an unknown action"),
        (lambda text: text.replace("Ann: checks", "Ann: folds"), "the pot goes to another player than El: Niño 7"),
    ],
)
def test_a_broken_hand_is_told_in_one_line_and_the_others_go_on(change, message, tmp_path):
    good = TOURNAMENT.read_text(encoding="utf-8")
    broken = change(FIRST)
    assert broken != FIRST
    (tmp_path / "h.txt").write_text(good + "\n\n\n" + broken, encoding="utf-8")
    found = read_histories([tmp_path / "h.txt"])
    (line,) = lines_of(found)
    assert message in line and line.startswith(f"{tmp_path / 'h.txt'} line ")
    assert len(found.hands) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b" \r\n ", "empty"),
        (FIRST.encode("utf-16"), "no UTF-8 text (byte 1)"),
        (FIRST.encode("latin-1"), "no UTF-8 text"),
        (bytes(range(256)) * 9, "no UTF-8 text"),
        (b"a letter to Ann", "neither PokerStars' text nor .phh or .phhs"),
        (SPANISH.read_bytes(), "a PokerStars text that isn't in English"),
    ],
)
def test_a_broken_file_is_told_in_one_line(content, message, tmp_path):
    (tmp_path / "h.txt").write_bytes(content)
    (line,) = lines_of(read_histories([tmp_path / "h.txt", TOURNAMENT]))
    assert message in line and str(tmp_path / "h.txt") in line
    with pytest.raises(UserError, match="no hand of heads-up no-limit hold'em can be read") as caught:
        read_histories([tmp_path / "h.txt"])
    assert "\n" not in str(caught.value)


PHH = """\
variant = "NT"
antes = [0, 0]
blinds_or_straddles = [1, 2]
min_bet = 2
starting_stacks = [200, 100]
actions = [
  "d dh p1 ????",
  "d dh p2 AsKs",
  "p2 cbr 6 # a usual size",
  "p1 cc",
  "d db 7h8h9h",
  "p1 cc",
  "p2 cbr 8",
  "p1 f",
]
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("p2 cbr 6", "p2 cbr 3"), "action 3 'p2 cbr 3 # a usual size': illegal, the least is 4 in all"),
        (("AsKs", "AsAs"), "the card As is there twice"),
        (("AsKs", "As1s"), "'1s' in 'As1s' is no card"),
        (('"NT"', '"NT'), "no TOML"),
        (('"p1 f"', '"p1 jumps"'), "action 8 'p1 jumps': an unknown action"),
        (('"p1 f"', '"p3 f"'), "p3 is none of two players"),
        (('  "p1 f",\n', ""), "the hand is cut short"),
        (("min_bet = 2", "min_bet = 'two'"), "min_bet: a list of numbers is needed"),
        (("[200, 100]", "[200.000001, 100]"), "an amount has 6 decimals"),
        (("actions = [", "winnings = [0, 13]\nactions = ["), "13 collected and a rake of 0, of a pot of 12"),
        (("actions = [", "finishing_stacks = [190, 110]\nactions = ["), "the pot goes to another player than p2"),
    ],
)
def test_a_broken_phh(change, message, tmp_path):
    assert change[0] in PHH
    (tmp_path / "h.phhs").write_text(f"[1]\n{PHH}\n[2]\n{PHH.replace(*change)}\n['3 a']\n{PHH}")
    found = read_histories([tmp_path / "h.phhs"])
    (line,) = lines_of(found)
    assert message in line and f"line {PHH.count(chr(10)) + 3}, hand 2: " in line
    assert [hand.payoff for hand in found.hands] == [6, 6]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (('"NT"', '"FT"'), "another game than no-limit hold'em"),
        (("antes = [0, 0]", "antes = [1, 1]"), "antes"),
        (("starting_stacks = [200, 100]", "starting_stacks = [200, 100, 100]"), "other than two players"),
        (("[200, 100]", "[inf, 100]"), "stacks or blinds without a number"),
        (("[200, 100]", "[200, 2]"), "a stack no larger than the big blind"),
        (("min_bet = 2", "min_bet = 4"), "a least bet other than the big blind"),
    ],
)
def test_what_does_not_fit_is_left_out(change, reason, tmp_path):
    assert change[0] in PHH
    (tmp_path / "h.phhs").write_text(f"[1]\n{PHH}\n[2]\n{PHH.replace(*change)}")
    found = read_histories([tmp_path / "h.phhs"])
    assert {key: len(places) for key, places in found.left_out.items()} == {reason: 1}
    assert len(found.hands) == 1 and not found.broken


def test_decimals_in_phh_are_read_exactly(tmp_path):
    text = PHH.replace("[1, 2]", "[0.1, 0.2]").replace("min_bet = 2", "min_bet = 0.20").replace("cbr 6", "cbr 0.55")
    (tmp_path / "h.phh").write_text(text)
    (hand,) = read_histories([tmp_path / "h.phh"]).hands
    assert (hand.game, hand.payoff) == (Game("holdem", 10, 20, 10_000), 55)
