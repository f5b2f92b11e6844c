"""Memories of samples: all that were ever met have the same chance to be in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from poker_env.cfr.deep.traverse import Samples


@dataclass(frozen=True)
class Lesson:
    """What a network is to learn from."""

    nodes: np.ndarray
    """(n,) int32: of the tree."""
    cards: np.ndarray
    """(n, cards) int8."""
    targets: np.ndarray
    """(n, actions) float32."""
    weights: np.ndarray
    """(n,) float32: how much each counts, 1 on average."""

    @staticmethod
    def join(parts: Sequence[Lesson]) -> Lesson:
        """All of them, in order."""
        columns = zip(*((part.nodes, part.cards, part.targets, part.weights) for part in parts), strict=True)
        return Lesson(*(np.concatenate(column) for column in columns))

    def take(self, rows: np.ndarray) -> Lesson:
        """These rows (m,) of it."""
        return Lesson(self.nodes[rows], self.cards[rows], self.targets[rows], self.weights[rows])

    def merged(self) -> Lesson:
        """The same with one row for what a player can't tell apart: its mean counts as much as all of them.

        Neither squared errors nor cross-entropies have another gradient then.
        """
        seen = self.nodes.astype(np.int64)
        for column in self.cards.T:
            seen = seen * (int(self.cards.max()) + 2) + column + 1  # no card is -1
        _, first, row = np.unique(seen, return_index=True, return_inverse=True)
        masses = np.bincount(row, self.weights)
        sums = [np.bincount(row, self.weights * column) for column in self.targets.T]
        targets = np.stack(sums, axis=1) / masses[:, None]
        weights = masses / masses.mean()
        return Lesson(self.nodes[first], self.cards[first], targets.astype(np.float32), weights.astype(np.float32))


class Memory:
    """A reservoir of samples, each with the iteration it is from (Vitter 1985, "Random Sampling with a Reservoir")."""

    def __init__(self, capacity: int, n_cards: int, n_actions: int) -> None:
        self.nodes = np.zeros(capacity, np.int32)
        self.cards = np.zeros((capacity, n_cards), np.int8)
        self.targets = np.zeros((capacity, n_actions), np.float32)
        self.iterations = np.zeros(capacity, np.int32)
        self.seen = 0
        """How many were ever added."""

    @property
    def capacity(self) -> int:
        """How many it can hold."""
        return len(self.nodes)

    def __len__(self) -> int:
        return min(self.seen, self.capacity)

    def add(self, samples: Samples, iteration: int, rng: np.random.Generator) -> None:
        """Add samples, in the place of random older ones where it is full."""
        numbers = self.seen + np.arange(len(samples.nodes))
        drawn = (rng.random(len(numbers)) * (numbers + 1)).astype(np.int64)
        places = np.where(numbers < self.capacity, numbers, drawn)
        kept = np.flatnonzero(places < self.capacity)
        # Of several in one place the last one stays, as if they had come one by one.
        kept = np.array(list({int(places[row]): row for row in kept.tolist()}.values()), np.int64)
        places = places[kept]
        self.nodes[places], self.cards[places] = samples.nodes[kept], samples.cards[kept]
        self.targets[places], self.iterations[places] = samples.targets[kept], iteration
        self.seen += len(numbers)

    def lesson(self, rows: np.ndarray | slice = slice(None)) -> Lesson:
        """All it holds, or these rows; sample of iteration t weighing t, 1 on average of all (linear CFR)."""
        count = len(self)
        nodes, cards, targets, iterations = (
            column[:count][rows] for column in (self.nodes, self.cards, self.targets, self.iterations)
        )
        weights = iterations / self.iterations[:count].mean()
        return Lesson(nodes, cards, targets, weights.astype(np.float32))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What it holds."""
        count = len(self)
        columns: dict[str, np.ndarray] = {"nodes": self.nodes, "cards": self.cards, "targets": self.targets}
        columns["iterations"] = self.iterations
        return {name: column[:count] for name, column in columns.items()} | {"seen": np.array(self.seen)}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Hold what `to_arrays` gave; raises `ValueError` when that is too much, or of another shape."""
        self.seen = int(arrays["seen"])
        count = len(self)
        self.nodes[:count], self.cards[:count] = arrays["nodes"], arrays["cards"]
        self.targets[:count], self.iterations[:count] = arrays["targets"], arrays["iterations"]


def draw(memories: Sequence[Memory], count: int, rng: np.random.Generator) -> Lesson:
    """So many of the samples they hold, any one as likely as another, with replacement and in random order."""
    sizes = np.array([len(memory) for memory in memories])
    counts = rng.multinomial(count, sizes / sizes.sum()).tolist()
    drawn = [
        memory.lesson(rng.integers(len(memory), size=part))
        for memory, part in zip(memories, counts, strict=True)
        if part
    ]
    return Lesson.join(drawn).take(rng.permutation(count))
