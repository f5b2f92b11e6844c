"""Many texts as one tree of tokens, so that a beginning they share is forwarded once.

The tree's tokens lie in one sequence, and each attends to its ancestors alone: its position, its attention and hence
the model's output are those of the plain sequence from the root (the mask of SpecInfer, Miao et al. 2024, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


class TokenTree:
    """Tokens by their path from the root."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[int, int], int] = {}
        self._tokens: list[int] = []
        self._parents: list[int] = []
        self._depths: list[int] = []

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

    def tokens(self, nodes: Sequence[int]) -> list[int]:
        """Their tokens."""
        return [self._tokens[node] for node in nodes]

    def inputs(self, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """What the model is given: ids and positions (1, tokens), and a mask (1, 1, tokens, tokens) of `dtype`.

        The mask is what attention adds to its scores: some implementations add even one that is given as booleans.
        """
        sees = torch.eye(len(self._tokens), dtype=torch.bool)
        for node, parent in enumerate(self._parents):  # parents come before their children
            if parent >= 0:
                sees[node] |= sees[parent]
        mask = torch.zeros(sees.shape, dtype=dtype).masked_fill(~sees, torch.finfo(dtype).min)
        return {
            "input_ids": torch.tensor([self._tokens]),
            "position_ids": torch.tensor([self._depths]),
            "attention_mask": mask[None, None],
        }
