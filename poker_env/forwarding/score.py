"""How probable given answers are, for a whole batch of prompts at once, without sampling any."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from poker_env.forwarding.forward import tree_logits
from poker_env.forwarding.generate import TokenIds, batches
from poker_env.forwarding.token_tree import TokenTree

Ids = tuple[int, ...]

Spellings = Sequence[TokenIds]
"""The ways to write the same."""


@dataclass(frozen=True)
class Spelled:
    """An answer that is a candidate and nothing else."""

    ids: Ids
    chances: tuple[float, ...]
    """How probable each token is after those before it."""

    @property
    def probability(self) -> float:
        """Of the whole answer."""
        return math.prod(self.chances)


@dataclass(frozen=True)
class Scores:
    """What a model says to a prompt, by its candidates."""

    begun: tuple[float, ...]
    """How probable it is that an answer begins with each candidate, and then comes a token that `may_follow`."""
    answers: tuple[tuple[Spelled, ...], ...]
    """Of each candidate, all answers that are it and nothing else, by spelling and end."""

    @property
    def whole(self) -> tuple[float, ...]:
        """That the answer is the candidate and nothing else: then comes an end."""
        return tuple(sum(answer.probability for answer in answers) for answers in self.answers)

    def place(self, completion: Ids) -> int | None:
        """Of the candidate that a completion is; None for one that isn't a candidate and nothing else."""
        own = enumerate(self.answers)
        return next((place for place, answers in own if any(completion == each.ids for each in answers)), None)


@torch.no_grad()
def score(
    model: PreTrainedModel,
    prompts: Sequence[TokenIds],
    candidates: Sequence[Sequence[Spellings]],
    *,
    may_follow: torch.Tensor,
    end_ids: Sequence[int],
    max_new_tokens: int,
    temperature: float = 1.0,
    batch_size: int = 64,
) -> list[Scores]:
    """For each prompt, the probabilities of its candidates. What texts share is forwarded once.

    Args:
        prompts: token ids of each prompt, none empty; each distinct one is forwarded once.
        candidates: for each prompt the answers in question, each in all its spellings, none empty and no spelling of
            two of them; equal prompts have equal candidates.
        may_follow: (tokens,) bool: the tokens that end a candidate; those beyond it do not.
        end_ids: the tokens that end the whole answer.
        max_new_tokens: of the sampling. A candidate that fills it needs nothing to follow, a longer one never comes.
        temperature: of the sampling distribution.
        batch_size: distinct prompts forwarded at once.
    """
    asked = {
        tuple(prompt): [tuple(map(tuple, spellings)) for spellings in given]
        for prompt, given in zip(prompts, candidates, strict=True)
    }
    distinct = sorted(asked)  # alike ones come together
    found: dict[Ids, Scores] = {}
    was_training = model.training
    model.eval()
    try:
        for batch in batches(distinct, batch_size):
            tries = [_Trie(prompt, asked[prompt], tuple(end_ids), max_new_tokens) for prompt in batch]
            _fill_in(model, tries, may_follow, temperature)
            found |= {trie.prompt: trie.scores() for trie in tries}
    finally:
        model.train(was_training)
    return [found[tuple(prompt)] for prompt in prompts]


class _Trie:
    """All that a prompt's candidates begin with, and how the answers that begin so go on."""

    def __init__(self, prompt: Ids, candidates: list[tuple[Ids, ...]], end_ids: Ids, max_new_tokens: int) -> None:
        self.prompt = prompt
        self._candidates, self._end_ids, self._limit = candidates, end_ids, max_new_tokens
        self.children: dict[Ids, Ids] = {(): ()}
        """Of each beginning that a token comes after: the tokens with which a candidate goes on or ends."""
        for ids in (ids for spellings in candidates for ids in spellings if len(ids) <= max_new_tokens):
            for length in range(min(len(ids) + 1, max_new_tokens)):
                tokens = ids[length : length + 1] or end_ids
                self.children[ids[:length]] = tuple(dict.fromkeys((*self.children.get(ids[:length], ()), *tokens)))
        self.next: dict[Ids, dict[int, float]] = {}
        """The probability of each of them."""
        self.may_follow: dict[Ids, float] = {}
        """The probability that a token which may end a candidate comes after each beginning."""

    def scores(self) -> Scores:
        """When all is filled in."""
        return Scores(
            tuple(
                sum(math.prod(self._chances(ids)) * self.may_follow.get(ids, 1.0) for ids in own)
                for own in self._candidates
            ),
            tuple(tuple(answer for ids in own for answer in self._ended(ids)) for own in self._candidates),
        )

    def _ended(self, ids: Ids) -> Iterator[Spelled]:
        """The answers that are one spelling."""
        chances = self._chances(ids)
        if len(ids) >= self._limit:
            yield Spelled(ids, chances)
        else:
            yield from (Spelled((*ids, end), (*chances, self.next[ids][end])) for end in self._end_ids)

    def _chances(self, ids: Ids) -> tuple[float, ...]:
        """Of each token after those before it; 0 where all of them are longer than an answer."""
        if len(ids) > self._limit:
            return (0.0,) * len(ids)
        return tuple(self.next[ids[:place]][token] for place, token in enumerate(ids))


def _fill_in(model: PreTrainedModel, tries: Sequence[_Trie], may_follow: torch.Tensor, temperature: float) -> None:
    tree = TokenTree()
    nodes: list[int] = []
    for trie in tries:
        start = tree.add(-1, trie.prompt)
        nodes += [tree.add(start, ids) for ids in trie.children]
    probabilities = torch.softmax(tree_logits(model, tree, nodes).float() / temperature, dim=-1)
    # A tokenizer and an output layer need not know equally many tokens.
    known = min(len(may_follow), probabilities.shape[1])
    following: Iterator[float] = iter(
        (probabilities[:, :known] @ may_follow[:known].to(probabilities.device, probabilities.dtype)).tolist()
    )
    rows: list[int] = []
    tokens: list[int] = []
    for row, children in enumerate(children for trie in tries for children in trie.children.values()):
        rows += [row] * len(children)
        tokens += children
    picked: Iterator[float] = iter(probabilities[rows, tokens].tolist())
    for trie in tries:
        for ids, children in trie.children.items():
            trie.may_follow[ids] = next(following)
            trie.next[ids] = {token: next(picked) for token in children}
