"""Prompts with wanted answers as one tree of tokens, and how far a model is from giving those answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from poker_env.players.token_tree import TokenTree


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


def divergence(model: Any, batch: dict[str, torch.Tensor], temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """How far a model's answers, sampled at `temperature`, are from the wanted ones: in nats, mean over the examples.

    First the Kullback-Leibler divergence from the wanted answers to the model's. Second the part of it that is due to
    tokens with which no wanted answer goes on, whatever the choice between those that do.
    """
    output = model(
        input_ids=batch["input_ids"],
        position_ids=batch["position_ids"],
        attention_mask=batch["attention_mask"],
        use_cache=False,
        logits_to_keep=batch["predicting"],
    )
    logps = torch.log_softmax(output.logits[0].float() / temperature, dim=-1)
    edges, weights = batch["edges"], batch["weights"]
    followed = logps[edges, batch["next_ids"]]
    reached = torch.zeros(len(logps), device=logps.device).index_add(0, edges, weights)
    legal = torch.zeros_like(reached).index_add(0, edges, followed.exp())
    astray = -(reached * legal.clamp(min=1e-30).log()).sum()
    cross_entropy = -(weights * followed).sum()
    return (batch["negentropy"] + cross_entropy) / batch["examples"], astray / batch["examples"]
