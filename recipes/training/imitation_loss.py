"""How far a model is from giving wanted answers to prompts, all of them forwarded as one tree of tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from poker_env.forwarding.forward import tree_logits
from poker_env.forwarding.token_tree import TokenTree
from recipes.training.answer_logps import token_logps


@dataclass(frozen=True)
class Example:
    """One prompt, and how probable each answer to it shall be."""

    prompt_ids: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]
    """Token ids; none begins with another."""
    probabilities: tuple[float, ...]


def divergence(
    model: Any, examples: Sequence[Example], temperature: float, call: Callable[..., Any] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """How far a model's answers, sampled at `temperature`, are from the wanted ones: in nats, mean over the examples.

    First the Kullback-Leibler divergence from the wanted answers to the model's. Second the part of it that is due to
    tokens with which no wanted answer goes on, whatever the choice between those that do. `call` is what is called in
    place of the model, if it is wrapped for several processes.
    """
    tree = TokenTree()
    expected: dict[int, dict[int, float]] = {}
    """The tokens that shall follow a node, and how often."""
    for example in examples:
        prompt = tree.add(-1, example.prompt_ids)
        for answer, probability in zip(example.answers, example.probabilities, strict=True):
            node = prompt
            for place, token in enumerate(answer):
                following = expected.setdefault(node, {})
                following[token] = following.get(token, 0.0) + probability
                if place + 1 < len(answer):
                    node = tree.add(node, (token,))
    edges = [(row, *edge) for row, following in enumerate(expected.values()) for edge in following.items()]
    logits = tree_logits(model, tree, list(expected), call)
    rows, tokens, weights = (torch.tensor(column, device=logits.device) for column in zip(*edges, strict=True))
    followed = token_logps(logits, rows, tokens, temperature)
    reached = torch.zeros(len(logits), device=logits.device).index_add(0, rows, weights)
    legal = torch.zeros_like(reached).index_add(0, rows, followed.exp())
    astray = -(reached * legal.clamp(min=1e-30).log()).sum()
    negentropy = sum(p * math.log(p) for example in examples for p in example.probabilities if p > 0)
    cross_entropy = -(weights * followed).sum()
    return (negentropy + cross_entropy) / len(examples), astray / len(examples)
