"""Reservoirs, and what is learned from them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poker_env.cfr.deep.memory import Memory, draw
from poker_env.cfr.deep.traverse import Samples


def _samples(numbers):
    numbers = np.asarray(numbers)
    return Samples(numbers, numbers.astype(np.int32), numbers[:, None].astype(np.int8) % 5, numbers[:, None] * [1, -2])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(1, 20), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_it_holds_whole_samples_and_each_once(sizes, capacity, seed):
    memory, rng, total = Memory(capacity, 1, 2), np.random.default_rng(seed), 0
    for iteration, size in enumerate(sizes, start=1):
        memory.add(_samples(np.arange(total, total + size)), iteration, rng)
        total += size
    assert (memory.seen, len(memory)) == (total, min(total, capacity))
    held = memory.nodes[: len(memory)]
    assert len(set(held.tolist())) == len(held)
    assert np.array_equal(memory.targets[: len(held)], held[:, None] * [1, -2])
    assert np.array_equal(memory.cards[: len(held), 0], held % 5)
    ends = np.cumsum(sizes)
    assert memory.iterations[: len(held)].tolist() == [1 + int(np.searchsorted(ends, n, "right")) for n in held]


def test_all_that_were_met_have_the_same_chance():
    rng, counts = np.random.default_rng(0), np.zeros(60)
    for _ in range(4_000):
        memory = Memory(12, 1, 2)
        for part in np.split(np.arange(60), [7, 13, 40]):
            memory.add(_samples(part), 1, rng)
        counts[memory.nodes] += 1
    expected = 4_000 * 12 / 60
    assert ((counts - expected) ** 2 / (expected * 48 / 60)).sum() < 95  # chi-squared with 59 degrees: p = 0.002


def test_what_was_saved_is_restored():
    memory, rng = Memory(30, 1, 2), np.random.default_rng(0)
    memory.add(_samples(np.arange(50)), 3, rng)
    other = Memory(30, 1, 2)
    other.restore(memory.to_arrays())
    for iteration in (4, 5):
        for each in (memory, other):
            each.add(_samples(np.arange(50, 70)), iteration, np.random.default_rng(iteration))
    assert memory.seen == other.seen
    for name, column in memory.to_arrays().items():
        assert np.array_equal(column, other.to_arrays()[name])
    with pytest.raises(ValueError, match="broadcast"):
        Memory(20, 1, 2).restore(memory.to_arrays())


def test_samples_are_drawn_from_all_memories_alike():
    rng = np.random.default_rng(0)
    memories = [Memory(capacity, 1, 2) for capacity in (30, 10, 5)]
    memories[0].add(_samples(np.arange(20)), 1, rng)
    memories[1].add(_samples(np.arange(100, 110)), 4, rng)
    drawn = draw(memories, 6_000, rng)
    counts = np.bincount(drawn.nodes, minlength=110)
    assert (counts > 0).nonzero()[0].tolist() == [*range(20), *range(100, 110)]
    assert ((counts[counts > 0] - 200) ** 2 / 200).sum() < 58  # chi-squared with 29 degrees: p = 0.001
    assert np.array_equal(drawn.targets, drawn.nodes[:, None] * [1, -2])
    assert np.array_equal(drawn.cards[:, 0], drawn.nodes % 5)
    assert abs(drawn.nodes[:3_000].mean() - drawn.nodes[3_000:].mean()) < 4  # in no order
    assert (drawn.weights == 1).all()  # all of an iteration


def test_what_is_drawn_weighs_its_iteration():
    memory, rng = Memory(30, 1, 2), np.random.default_rng(0)
    memory.add(_samples(np.arange(10)), 1, rng)
    memory.add(_samples(np.arange(10, 20)), 3, rng)
    drawn = draw([memory], 500, rng)
    assert np.array_equal(drawn.weights, np.where(drawn.nodes < 10, 0.5, 1.5).astype(np.float32))


def test_merging_changes_no_gradient():
    rng = np.random.default_rng(0)
    memory = Memory(200, 2, 3)
    for iteration in range(1, 5):
        cards = rng.integers(-1, 3, (50, 2)).astype(np.int8)
        nodes = rng.integers(0, 4, 50).astype(np.int32)
        memory.add(Samples(nodes, nodes, cards, rng.normal(size=(50, 3))), iteration, rng)
    lesson = memory.lesson()
    merged = lesson.merged()
    seen = {(int(node), *row.tolist()) for node, row in zip(lesson.nodes, lesson.cards, strict=True)}
    assert len(merged.nodes) == len(seen) < 65
    weights = np.random.default_rng(1).normal(size=(4, 4, 4, 3))  # of a linear model

    def gradient(part):
        places = (part.nodes, part.cards[:, 0] + 1, part.cards[:, 1] + 1)
        found = np.zeros_like(weights)
        np.add.at(found, places, part.weights[:, None] * (weights[places] - part.targets))
        return found / len(part.nodes)

    assert gradient(merged) == pytest.approx(gradient(lesson), abs=1e-5)
    assert merged.weights.mean() == pytest.approx(1) == lesson.weights.mean()
