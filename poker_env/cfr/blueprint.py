"""A solved hold'em strategy: a betting tree, a card abstraction, and 8-bit probabilities for every node and bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from poker_env.cfr.abstraction.card_abstraction import Abstraction
from poker_env.cfr.checkpoint import Checkpoint, Provenance
from poker_env.cfr.tree import BettingTree, TreeConfig, holdem_tree
from poker_env.errors import UserError
from poker_env.games import Game

KIND = "blueprint"
SCALE = 255  # probabilities are kept in a byte
STEP = 5  # rounded to 2 %, finer than their noise: the file is a third smaller


@dataclass(frozen=True)
class Blueprint:
    """What to do at every node of the tree with the hands of every bucket."""

    game: Game
    config: TreeConfig
    tree: BettingTree
    abstraction: Abstraction
    offsets: np.ndarray
    """(nodes,) int64: see `BettingTree.offsets`."""
    strategy: np.ndarray
    """(entries,) uint8: probability * 255; the actions of one node and bucket sum to 255."""

    @staticmethod
    def from_probabilities(
        game: Game, config: TreeConfig, abstraction: Abstraction, probabilities: np.ndarray
    ) -> Blueprint:
        """The blueprint of float probabilities (entries,), rounded to multiples of 5/255."""
        tree = holdem_tree(game, config)
        offsets, n_entries = tree.offsets(abstraction.buckets_per_street)
        strategy = np.empty(n_entries, np.uint8)
        for node, part in _blocks(tree, offsets, abstraction):
            rows = probabilities[part].reshape(-1, int(tree.n_actions[node]))
            # Rounding the cumulative sums keeps every row's total exact.
            cumulative = STEP * np.rint(np.cumsum(rows, axis=1) / rows.sum(axis=1, keepdims=True) * (SCALE / STEP))
            strategy[part] = np.diff(cumulative, axis=1, prepend=0).astype(np.uint8).reshape(-1)
        return Blueprint(game, config, tree, abstraction, offsets, strategy)

    def to_checkpoint(self, provenance: Provenance, settings: dict[str, Any]) -> Checkpoint:
        """What to save; `settings` are added to the blueprint's own."""
        blocks = [
            # All of one action side by side and the last one left out: compresses best.
            self.strategy[part].reshape(-1, int(self.tree.n_actions[node]))[:, :-1].T.reshape(-1)
            for node, part in _blocks(self.tree, self.offsets, self.abstraction)
        ]
        own = {
            "tree": self.config.to_json(),
            "buckets": list(self.abstraction.buckets_per_street),
            "abstraction": self.abstraction.digest,
            "decision_nodes": self.tree.n_decisions,
            "infosets": int(np.sum(self._buckets_by_node()[self.tree.n_actions > 0])),
            "entries": len(self.strategy),
        }
        cards = {f"abstraction/{name}": array for name, array in self.abstraction.to_arrays().items()}
        return Checkpoint(KIND, self.game, provenance, own | settings, cards | {"strategy": np.concatenate(blocks)})

    def _buckets_by_node(self) -> np.ndarray:
        return np.array(self.abstraction.buckets_per_street, np.int64)[self.tree.street]

    @staticmethod
    def from_checkpoint(checkpoint: Checkpoint) -> Blueprint:
        """The blueprint of a hold'em checkpoint; raises `UserError` when its parts don't fit together."""
        try:
            prefix = "abstraction/"
            cards = {name.removeprefix(prefix): a for name, a in checkpoint.arrays.items() if name.startswith(prefix)}
            abstraction = Abstraction.from_arrays(cards)
            if abstraction.digest != checkpoint.settings["abstraction"]:
                raise ValueError("it was solved with card buckets that this version computes otherwise")
            config = TreeConfig.from_json(checkpoint.settings["tree"])
            packed = checkpoint.arrays["strategy"]
            tree = holdem_tree(checkpoint.game, config)
            offsets, n_entries = tree.offsets(abstraction.buckets_per_street)
            strategy = np.empty(n_entries, np.uint8)
            start = 0
            for node, part in _blocks(tree, offsets, abstraction):
                count = int(tree.n_actions[node])
                rows = strategy[part].reshape(-1, count)
                size = len(rows) * (count - 1)
                rows[:, :-1] = packed[start : start + size].reshape(count - 1, -1).T
                rows[:, -1] = SCALE - rows[:, :-1].sum(axis=1, dtype=np.int64)
                start += size
            if start != len(packed):
                raise ValueError(f"{len(packed)} probabilities for a tree of {start}")
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"the checkpoint holds no whole hold'em strategy: {error}") from error
        return Blueprint(checkpoint.game, config, tree, abstraction, offsets, strategy)


def _blocks(tree: BettingTree, offsets: np.ndarray, abstraction: Abstraction) -> list[tuple[int, slice]]:
    """Each decision node and its slice of the entries, (buckets, actions) in C order."""
    buckets = abstraction.buckets_per_street
    nodes = np.flatnonzero(tree.n_actions).tolist()
    sizes = [buckets[tree.street[node]] * int(tree.n_actions[node]) for node in nodes]
    return [
        (node, slice(int(offsets[node]), int(offsets[node]) + size)) for node, size in zip(nodes, sizes, strict=True)
    ]
