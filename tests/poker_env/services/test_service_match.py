"""Matches against fakes of the services, on networks that fail: nothing is lost, nothing counts twice."""

import json
import random
from collections import Counter
from contextlib import closing

import numpy as np
import pytest
from fake_gtowizard import KEY, FakeGTOWizard
from fake_slumbot import FakeSlumbot
from faulty_server import running
from service_matches import gtowizard, play, slumbot

from poker_env.errors import UserError
from poker_env.hand import Answer
from poker_env.services.gtowizard import GTOWizard
from poker_env.services.journal import Journal
from poker_env.services.match import MOST_VOID_IN_A_ROW
from poker_env.services.slumbot import Slumbot
from poker_env.services.web import Web

LOST = ("unheard", "mute", "half", "garbage", "html")
"""Faults after which nobody knows."""


def some_fault(seed, share, kinds):
    rng = random.Random(seed)
    return lambda number: rng.choice(kinds) if rng.random() < share else None


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("GTOWIZARD_API_KEY", KEY)


def key_of(answer):
    return answer["token"], answer["session_num_hands"]


def check_against_the_book(fake, records, evaluation):
    """What counts is what the fake dealt, once each, with its payoffs; the rest is said to be void."""
    counted = {key_of(record.answer): record.answer["winnings"] for record in records.values() if record.over}
    book = {key_of(answer): answer["winnings"] for answer in fake.book}
    assert len(counted) == sum(record.over for record in records.values()) and len(book) == len(fake.book)
    assert counted.items() <= book.items()
    assert sorted(counted.values()) == sorted(hand.payoff for hand in evaluation.hands)
    voided = sum(record.voided is not None for record in records.values())
    assert len(book) - len(counted) <= fake.dealt - len(counted) <= voided == len(evaluation.voided)
    assert fake.complaints == [] and evaluation.disagreements == {}


def test_every_hand_is_played_and_agreed_on(tmp_path):
    fake = FakeSlumbot(1)
    with running(fake.server):
        records, evaluation = play(tmp_path / "journal.jsonl", slumbot(fake), 200)
    check_against_the_book(fake, records, evaluation)
    assert fake.dealt == len(evaluation.hands) == 200 and evaluation.voided == {}
    assert Counter(hand.hero_seat for hand in evaluation.hands)[0] in range(98, 103)
    assert len(fake.sessions) == 4
    assert set(evaluation.estimates) == {"raw", "all_in", "chance_corrected", "baseline"}


@pytest.mark.parametrize("kinds", [LOST, (*LOST, "stalled", "slow", "busy"), ("busy", "slow")])
def test_a_network_that_fails(kinds, tmp_path):
    fake = FakeSlumbot(2, some_fault(3, 0.03, kinds))
    with running(fake.server):
        records, evaluation = play(tmp_path / "journal.jsonl", slumbot(fake), 100, tables=8)
    check_against_the_book(fake, records, evaluation)
    assert len(evaluation.hands) == 100
    assert bool(evaluation.voided) == bool(set(kinds) & set(LOST))
    assert sum(fake.server.faults[kind] for kind in (*LOST, "stalled")) == len(evaluation.voided)


class Stopped(Exception):
    pass


@pytest.mark.parametrize(("make", "client"), [(FakeSlumbot, slumbot), (FakeGTOWizard, gtowizard)])
def test_a_match_that_is_stopped_goes_on(make, client, tmp_path):
    """Again and again, with some answers still on their way; what was counted before counts just the same."""
    fake, path, before = make(4), tmp_path / "journal.jsonl", {}
    with running(fake.server):
        for stops in range(70):
            left = iter(range(7))

            def note_hand(left=left):
                if next(left) == 6:
                    raise Stopped

            try:
                _, evaluation = play(path, client(fake), 70, tables=3, note_hand=note_hand)
                break
            except Stopped:
                with closing(Journal(path, {"service": client(fake).name})) as journal:
                    counted = {number: record.answer for number, record in journal.hands.items() if record.over}
                assert before.items() <= counted.items() and len(counted) >= 7 * (stops + 1)
                before = counted
    assert stops > 4
    assert len(evaluation.hands) == 70 and evaluation.voided == evaluation.disagreements == {}
    assert sum(hand.payoff for hand in evaluation.hands) == sum(
        fake.book.values() if isinstance(fake, FakeGTOWizard) else (answer["winnings"] for answer in fake.book)
    )
    assert fake.complaints == []


def test_a_journal_that_was_cut_off_anywhere_goes_on(tmp_path):
    """As a kill leaves it: hands whose request was out are void in Slumbot's case, those that were known go on."""
    whole = FakeSlumbot(5)
    with running(whole.server):
        play(tmp_path / "whole.jsonl", slumbot(whole), 6, tables=2)
    data = (tmp_path / "whole.jsonl").read_bytes()
    rng = random.Random(6)
    for cut in sorted(rng.sample(range(data.find(b"\n") + 1, len(data)), 12)):
        path = tmp_path / f"{cut}.jsonl"
        path.write_bytes(data[:cut])
        lines = data[:cut].split(b"\n")[1:-1]
        last = {event["hand"]: event for event in map(json.loads, lines)}
        unknown = {number for number, event in last.items() if event["event"] == "request"}
        over = {number for number, event in last.items() if event.get("over")}
        fake = FakeSlumbot(7)  # knows none of the old sessions
        with running(fake.server):
            records, evaluation = play(path, slumbot(fake), 8, tables=2)
        assert {number for number in last if records[number].voided} == set(last) - over
        assert all("stopped" in records[number].voided for number in unknown)
        assert len(evaluation.hands) == 8 and len(fake.book) == 8 - len(over)


def test_gto_wizards_lost_answers_are_looked_up(tmp_path):
    """Only hands that ended with the answer that was lost, or were never seen, don't count."""
    kinds = ("mute", "half", "garbage", "unheard", "busy", "html")
    fake = FakeGTOWizard(8, some_fault(9, 0.05, kinds))
    fake.most = 100
    with running(fake.server):
        records, evaluation = play(tmp_path / "journal.jsonl", gtowizard(fake), 100)
    counted = {
        record.answer["hand_id"]: record.answer["game_state"]["winnings"] for record in records.values() if record.over
    }
    assert len(counted) == 100 == len(evaluation.hands) and counted.items() <= fake.book.items()
    lost = sum(fake.server.faults[kind] for kind in kinds if kind != "busy")
    assert 0 < len(evaluation.voided) < lost
    assert fake.complaints == [] and evaluation.disagreements == {}
    assert all(reason.startswith("lost: ") for reason in evaluation.voided.values())


def test_gto_wizards_own_scores_are_the_headline(tmp_path):
    fake = FakeGTOWizard(10)
    with running(fake.server):
        _, evaluation = play(tmp_path / "journal.jsonl", gtowizard(fake), 40)
    seats = np.array([hand.hero_seat for hand in evaluation.hands])
    scores = np.array([hand.payoff / 4 for hand in evaluation.hands]) * 10
    mean = (scores[seats == 0].mean() + scores[seats == 1].mean()) / 2
    assert evaluation.headline == "aivat" and evaluation.estimates["aivat"].mbb_per_hand == pytest.approx(mean)


def test_gto_wizards_places_are_waited_for(tmp_path):
    """A hand too many is refused by 409, and nothing is dealt."""
    fake = FakeGTOWizard(11)
    fake.most = 2
    web = Web(fake.server.url, "GTOWIZARD_URL", {"X-API-KEY": KEY}, timeout=5)
    with running(fake.server):
        _, evaluation = play(tmp_path / "journal.jsonl", GTOWizard(web), 8, tables=3)
    assert len(fake.book) == 8 and evaluation.voided == {}


class LyingSlumbot(FakeSlumbot):
    """Says a hundred chips more of every tenth hand."""

    def go_on(self, *arguments):
        answer = super().go_on(*arguments)
        if "winnings" in answer and len(self.book) % 10 == 0:
            answer["winnings"] += 100
        return answer


def test_hands_that_the_service_gets_wrong_are_kept_apart(tmp_path):
    fake = LyingSlumbot(12)
    with running(fake.server):
        _, evaluation = play(tmp_path / "journal.jsonl", slumbot(fake), 60)
    assert len(evaluation.disagreements) == 6 and len(evaluation.hands) == 54
    assert all("by the service's" in reason for reason in evaluation.disagreements.values())


class RaggedSlumbot(FakeSlumbot):
    """Now and then shows a card too many on the board, or no board at all."""

    def go_on(self, *arguments):
        answer = super().go_on(*arguments)
        if self.rng.random() < 0.05:
            answer["board"] = [*answer["board"], "As"]
        elif self.rng.random() < 0.05:
            del answer["board"]
        return answer


def test_hands_that_cannot_be_are_given_up_and_kept(tmp_path):
    fake, path = RaggedSlumbot(18), tmp_path / "journal.jsonl"
    with running(fake.server):
        records, evaluation = play(path, slumbot(fake), 60)
    assert len(evaluation.disagreements) > 4 and evaluation.voided == {} and fake.complaints == []
    for number, reason in evaluation.disagreements.items():
        assert records[number].answer["action"] is not None and reason
    assert {reason.split()[0] for reason in evaluation.disagreements.values()} >= {"no"}
    with closing(Journal(path, {"service": "slumbot"})) as journal:
        assert journal.hands == records


class ForgetfulSlumbot(FakeSlumbot):
    """Shows villain's cards in showdowns only."""

    def go_on(self, *arguments):
        answer = super().go_on(*arguments)
        return {key: value for key, value in answer.items() if key != "bot_hole_cards" or answer["action"][-1] != "f"}


def test_estimators_that_need_what_was_not_shown_are_left_out(tmp_path):
    fake = ForgetfulSlumbot(13)
    with running(fake.server):
        _, evaluation = play(tmp_path / "journal.jsonl", slumbot(fake), 60)
    assert set(evaluation.estimates) == {"raw", "baseline"} and evaluation.headline == "raw"
    assert "didn't show villain's cards" in evaluation.left_out[0]


def test_an_answer_that_names_no_action_is_played_as_a_fold_or_a_check(tmp_path):
    class Speechless:
        name = "speechless"

        def act(self, observations):
            return [Answer(None, completion="er") for _ in observations]

    fake = FakeSlumbot(14)
    with running(fake.server):
        _, evaluation = play(tmp_path / "journal.jsonl", slumbot(fake), 30, hero=Speechless())
    decisions = evaluation.answers
    assert {decision.move.kind for decision in decisions} == {"fold", "check"} and evaluation.legal_rate == 0
    assert decisions[0].answer.completion == "er" and evaluation.action_mix["illegal"] == 1


def test_hands_that_all_come_to_nothing_end_the_match(tmp_path):
    fake = FakeSlumbot(15, lambda number: "garbage")
    with (
        running(fake.server),
        pytest.raises(UserError, match="20 hands in a row came to nothing, the last one because: lost"),
    ):
        play(tmp_path / "journal.jsonl", slumbot(fake), 1000)
    assert MOST_VOID_IN_A_ROW <= fake.server.requests <= MOST_VOID_IN_A_ROW + 4


def test_a_service_that_deals_nothing(tmp_path):
    class Closed(FakeSlumbot):
        def new_hand(self, token):
            return {"error_msg": "Closed for\nthe season"}

    fake = Closed()
    with running(fake.server), pytest.raises(UserError, match="deals no hand: Closed for"):
        play(tmp_path / "journal.jsonl", slumbot(fake), 5)
    with closing(Journal(tmp_path / "journal.jsonl", {"service": "slumbot"})) as journal:
        assert journal.hands == {}


def test_an_account(tmp_path, monkeypatch):
    monkeypatch.setenv("SLUMBOT_USERNAME", "ann")
    with pytest.raises(UserError, match="set both, or none"):
        Slumbot()
    fake = FakeSlumbot(16)
    with running(fake.server):
        monkeypatch.setenv("SLUMBOT_PASSWORD", "wrong")
        with pytest.raises(UserError, match=r"doesn't know SLUMBOT_USERNAME and SLUMBOT_PASSWORD: Incorrect"):
            play(tmp_path / "journal.jsonl", slumbot(fake), 2)
        monkeypatch.setenv("SLUMBOT_PASSWORD", "secret")
        _, evaluation = play(tmp_path / "journal.jsonl", slumbot(fake), 2)
    assert len(evaluation.hands) == 2
    assert "secret" not in (tmp_path / "journal.jsonl").read_text()


def test_a_wrong_key(tmp_path, monkeypatch):
    fake = FakeGTOWizard(17)
    with running(fake.server):
        service = GTOWizard(Web(fake.server.url, "GTOWIZARD_URL", {"X-API-KEY": "other"}))
        with pytest.raises(UserError, match=r"refuses the key in GTOWIZARD_API_KEY \(Invalid API key\)"):
            play(tmp_path / "journal.jsonl", service, 2)
    assert fake.hands == {}


def test_a_key_is_not_sent_in_the_clear(monkeypatch):
    monkeypatch.setenv("GTOWIZARD_URL", "http://researcher.gtowizard.com")
    with pytest.raises(UserError, match="would send the key for all to read"):
        GTOWizard()


@pytest.mark.parametrize("key", ["", "schlüssel", "two words", "line\nbreak"])
def test_a_key_that_is_none(key, monkeypatch):
    monkeypatch.setenv("GTOWIZARD_API_KEY", key)
    with pytest.raises(UserError, match="GTOWIZARD_API_KEY"):
        GTOWizard()
