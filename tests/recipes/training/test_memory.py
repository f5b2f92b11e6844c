"""Freed memory goes back to the system."""

import platform

import psutil
import pytest

from recipes.training.memory import give_back


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that keeps it")
def test_what_lies_between_pieces_in_use_is_given_back():
    pieces = [b"x" * 100_000 for _ in range(4000)]
    before = psutil.Process().memory_info().rss
    pieces = pieces[::10]
    give_back()
    assert before - psutil.Process().memory_info().rss > 200e6
    assert len(pieces) == 400 and set(pieces) == {b"x" * 100_000}


def test_without_such_a_function_nothing_happens(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    give_back()
