"""Many texts as one tree of tokens, so that a beginning they share is forwarded once.

The tree's tokens lie in one sequence, and each attends to its ancestors alone: its position, its attention and hence
the model's output are those of the plain sequence from the root (the mask of SpecInfer, Miao et al. 2024, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


class TokenTree:
    """Tokens by their path from the root."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[int, int], int] = {}
        self._tokens: list[int] = []
        self._parents: list[int] = []
        self._depths: list[int] = []

    def __len__(self) -> int:
        """Its tokens."""
        return len(self._tokens)

    def add(self, node: int, tokens: Sequence[int]) -> int:
        """The node that tokens lead to from a node (-1: from the start)."""
        for token in tokens:
            child = self._nodes.setdefault((node, token), len(self._tokens))
            if child == len(self._tokens):
                self._tokens.append(token)
                self._parents.append(node)
                self._depths.append(0 if node < 0 else self._depths[node] + 1)
            node = child
        return node

    def length(self, node: int | None = None) -> int:
        """Tokens of the text that ends in a node; of the longest one without."""
        return 1 + (max(self._depths, default=-1) if node is None else self._depths[node])

    def path(self, node: int) -> list[int]:
        """The nodes from the root to a node, itself included."""
        found = []
        while node >= 0:
            found.append(node)
            node = self._parents[node]
        return found[::-1]

    def parent(self, node: int) -> int:
        """The node before it; -1 at the start."""
        return self._parents[node]

    def places(self, other: TokenTree) -> list[int]:
        """The node here of each of another tree's nodes; -1 for those that aren't here."""
        found: list[int] = []
        for token, parent in zip(other._tokens, other._parents, strict=True):
            above = -1 if parent < 0 else found[parent]
            found.append(self._nodes.get((above, token), -1) if parent < 0 or above >= 0 else -1)
        return found

    def part(self, nodes: Sequence[int]) -> TokenTree:
        """The tree of the texts that lead to some nodes."""
        needed = [False] * len(self)
        for node in nodes:
            needed[node] = True
        for node in range(len(self) - 1, -1, -1):
            if needed[node] and self._parents[node] >= 0:
                needed[self._parents[node]] = True
        found, places = TokenTree(), {-1: -1}
        for node, kept in enumerate(needed):
            if kept:
                places[node] = found.add(places[self._parents[node]], (self._tokens[node],))
        return found

    def tokens(self, nodes: Sequence[int]) -> list[int]:
        """Their tokens."""
        return [self._tokens[node] for node in nodes]

    def ancestors(self, since: int = 0) -> np.ndarray:
        """(tokens, depth) for each node from `since` on: those of its path, the root's first; -1 fills up."""
        depths, parents = np.array(self._depths), np.array(self._parents)
        found = np.full((len(depths), self.length()), -1)
        for depth in range(self.length()):
            (nodes,) = np.nonzero(depths == depth)
            if depth:
                found[nodes] = found[parents[nodes]]
            found[nodes, depth] = nodes
        return found[since:]

    def inputs(self, since: int = 0) -> dict[str, torch.Tensor]:
        """What the model is given of the nodes from `since` on: ids and positions, (1, tokens)."""
        return {
            "input_ids": torch.tensor([self._tokens[since:]]),
            "position_ids": torch.tensor([self._depths[since:]]),
        }

    def mask(self, dtype: torch.dtype) -> torch.Tensor:
        """(1, 1, tokens, tokens): what attention adds to its scores where it takes no smaller ones.

        Some implementations add even a mask that is given as booleans.
        """
        ancestors = self.ancestors()
        sees = np.zeros((len(ancestors), len(ancestors) + 1), dtype=bool)
        np.put_along_axis(sees, ancestors, True, axis=1)  # -1 is the column too many
        hidden = torch.from_numpy(~sees[:, :-1])
        return torch.zeros(hidden.shape, dtype=dtype).masked_fill(hidden, torch.finfo(dtype).min)[None, None]
