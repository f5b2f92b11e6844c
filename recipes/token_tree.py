"""Many prompts with many answers each as one tree of tokens, so that a beginning they share is forwarded once.

The tree's tokens lie in one sequence, and each attends to its ancestors alone: its position, its attention and hence
the model's output are those of the plain sequence from the root (the mask of SpecInfer, Miao et al. 2024, section 4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Example:
    """One prompt, and how probable each answer to it shall be."""

    prompt_ids: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]
    """Token ids; none begins with another."""
    probabilities: tuple[float, ...]


def token_tree(examples: Sequence[Example]) -> dict[str, torch.Tensor]:
    """The batch of some examples, for `divergence`: the model's inputs, and what it shall predict.

    `input_ids` and `position_ids` are (1, tokens), `attention_mask` is (1, 1, tokens, tokens). The tokens `predicting`
    (predictions) are followed by `next_ids` with `weights`, (edges,) each, `edges` saying which prediction an edge
    belongs to. `examples` and `negentropy` (the sum over all answers of p log p) are scalars.
    """
    tree = TokenTree()
    expected: dict[int, dict[int, float]] = {}
    for example in examples:
        prompt = tree.add(-1, example.prompt_ids)
        for answer, probability in zip(example.answers, example.probabilities, strict=True):
            node = prompt
            for place, token in enumerate(answer):
                following = expected.setdefault(node, {})
                following[token] = following.get(token, 0.0) + probability
                if place + 1 < len(answer):
                    node = tree.add(node, (token,))
    nodes = list(expected)
    edges = [(row, *edge) for row, node in enumerate(nodes) for edge in expected[node].items()]
    probabilities = [p for example in examples for p in example.probabilities]
    return {
        **tree.inputs(),
        "predicting": torch.tensor(nodes),
        "edges": torch.tensor([row for row, _, _ in edges]),
        "next_ids": torch.tensor([token for _, token, _ in edges]),
        "weights": torch.tensor([weight for _, _, weight in edges]),
        "examples": torch.tensor(len(examples)),
        "negentropy": torch.tensor(sum(p * math.log(p) for p in probabilities if p > 0)),
    }


def divergence(model: Any, batch: dict[str, torch.Tensor], temperature: float) -> torch.Tensor:
    """Mean over a batch's examples of the Kullback-Leibler divergence from the wanted answers to the model's, in nats.

    The model's are those it samples at `temperature`.
    """
    output = model(
        input_ids=batch["input_ids"],
        position_ids=batch["position_ids"],
        attention_mask=batch["attention_mask"],
        use_cache=False,
        logits_to_keep=batch["predicting"],
    )
    logps = torch.log_softmax(output.logits[0].float() / temperature, dim=-1)
    cross_entropy = -(batch["weights"] * logps[batch["edges"], batch["next_ids"]]).sum()
    return (batch["negentropy"] + cross_entropy) / batch["examples"]


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

    def inputs(self) -> dict[str, torch.Tensor]:
        """What the model is given."""
        mask = torch.eye(len(self._tokens), dtype=torch.bool)
        for node, parent in enumerate(self._parents):  # parents come before their children
            if parent >= 0:
                mask[node] |= mask[parent]
        return {
            "input_ids": torch.tensor([self._tokens]),
            "position_ids": torch.tensor([self._depths]),
            "attention_mask": mask[None, None],
        }
