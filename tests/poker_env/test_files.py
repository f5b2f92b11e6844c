"""Files are whole or not there."""

import os
import subprocess
import sys
import threading

import pytest

from poker_env.errors import UserError
from poker_env.files import alone_in, locked, write_atomically


@pytest.mark.parametrize("content", ["", "één\n♠ line\n", b"\x00\xff\n"])
def test_writes_what_it_is_given_and_leaves_nothing_else(tmp_path, content):
    path = tmp_path / "new" / "folder" / "file.txt"
    write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert list(path.parent.iterdir()) == [path]


def test_replaces_an_older_file(tmp_path):
    path = tmp_path / "file.txt"
    write_atomically(path, "a long first version")
    write_atomically(path, "second")
    assert path.read_text() == "second"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_death_on_the_way_leaves_the_older_file_whole(tmp_path, monkeypatch, step):
    path = tmp_path / "file.txt"
    write_atomically(path, "first")

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, step, die)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "second")
    assert path.read_text() == "first"


def test_the_new_file_is_on_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    path, seen = tmp_path / "file.txt", []
    real = os.fsync

    def fsync(descriptor):
        seen.append(path.exists())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomically(path, "content")
    assert seen == [False]


def test_a_full_disk_is_a_user_error_and_leaves_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    write_atomically(path, "first")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"file\.txt: No space left"):
        write_atomically(path, "second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written_are_user_errors(tmp_path):
    (tmp_path / "file").write_text("here")
    for path in (tmp_path / "file" / "inside", tmp_path, tmp_path / ("n" * 300)):
        with pytest.raises(UserError, match="can't write"):
            write_atomically(path, "content")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_one_at_a_time_comes_past_a_lock(tmp_path):
    order = []

    def late():
        with locked(tmp_path / "lock"):
            order.append("late")

    with locked(tmp_path / "lock"):
        waiting = threading.Thread(target=late)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive() and not order
        order.append("first")
    waiting.join(10)
    assert order == ["first", "late"]


def test_a_folder_is_one_process_s_as_long_as_that_works_there(tmp_path):
    work = f"from pathlib import Path; from poker_env.files import *\nwith alone_in(Path({str(tmp_path)!r})): "
    with alone_in(tmp_path):
        done = subprocess.run([sys.executable, "-c", work + "pass"], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "another process is at work in" in done.stderr
    command = [sys.executable, "-c", work + "print(flush=True); input()"]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    other.stdout.readline()
    with pytest.raises(UserError, match="another process is at work in"), alone_in(tmp_path):
        pass
    other.kill()
    other.communicate()
    with alone_in(tmp_path):
        assert list(tmp_path.iterdir()) == []
