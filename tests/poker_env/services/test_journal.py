"""A match's journal."""

import json
from contextlib import closing

import pytest

from poker_env.errors import UserError
from poker_env.hand import Answer
from poker_env.services.journal import Journal

MATCH = {"service": "slumbot", "checkpoints": {"cfr": "abc"}}


def reopened(path):
    with closing(Journal(path, MATCH)) as journal:
        return journal.hands


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "journal.jsonl"


def test_it_says_the_same_when_it_is_read_again(path):
    with closing(Journal(path, MATCH)) as journal:
        journal.requested(0, None, table=None)
        journal.answered(0, {"action": "b200"}, over=False)
        journal.requested(0, Answer(1, prompt_ids=(1, 2), place=3, probabilities=(0.5,)), 0, table="t", incr="c")
        journal.withdrawn(0)
        journal.requested(0, Answer(0, place=0), 0, table="t", incr="f")
        journal.answered(0, {"action": "b200f"}, over=True)
        journal.requested(1, None, table="t")
        journal.requested(2, None, table=None)
        journal.withdrawn(2)
        journal.requested(3, None, table=None)
        journal.voided(3, "lost: HTTP 502")
        hands = journal.hands
    assert hands == reopened(path)
    assert hands[0].answers == [Answer(0, place=0)] and hands[0].over and not hands[0].live
    assert hands[1].pending and hands[1].live and 2 not in hands and not hands[3].live


def test_a_line_that_was_cut_off_never_happened(path):
    with closing(Journal(path, MATCH)) as journal:
        journal.requested(0, None, table=None)
    with path.open("ab") as file:
        file.write(b'{"event":"answer","hand":0,"over":true,"ans')
    with closing(Journal(path, MATCH)) as journal:
        assert journal.hands[0].pending
        journal.answered(0, {"action": ""}, over=False)
    assert not reopened(path)[0].pending
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 3


def test_another_match_is_not_gone_on_with(path):
    with closing(Journal(path, MATCH)), pytest.raises(UserError, match="being written by another process"):
        Journal(path, MATCH)
    with pytest.raises(
        UserError, match=r"of another match \(checkpoints .*'abc'.*, not .*'xyz'.*: give another --output"
    ):
        Journal(path, {**MATCH, "checkpoints": {"cfr": "xyz"}})


@pytest.mark.parametrize("text", ["nonsense\n", "[1]\n", '{"event":"match","service":"slumbot"}\n{}\n'])
def test_a_file_that_is_none(text, tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match="is no journal of a match"):
        Journal(path, {"service": "slumbot"})
    assert path.read_text() == text


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't write"):
        Journal(tmp_path / "file" / "journal.jsonl", MATCH)
