"""How probable given answers are, for a whole batch of prompts at once, without sampling any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from poker_env.players.generate import TokenIds, batches
from poker_env.players.token_tree import TokenTree

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Scores:
    """What a model says to a prompt, by its candidates."""

    begun: tuple[float, ...]
    """How probable it is that an answer begins with each candidate, and then comes a token that `may_follow`."""
    whole: tuple[float, ...]
    """That it is the candidate and nothing else: then comes the end."""


@torch.no_grad()
def score(
    model: PreTrainedModel,
    prompts: Sequence[TokenIds],
    candidates: Sequence[Sequence[TokenIds]],
    *,
    may_follow: torch.Tensor,
    end_id: int,
    max_new_tokens: int,
    temperature: float = 1.0,
    batch_size: int = 64,
) -> list[Scores]:
    """For each prompt, the probabilities of its candidates. What texts share is forwarded once.

    Args:
        prompts: token ids of each prompt, none empty; each distinct one is forwarded once.
        candidates: for each prompt the answers in question, none empty; equal prompts have equal candidates.
        may_follow: (vocabulary,) bool: the tokens that end a candidate.
        end_id: the token that ends the whole answer.
        max_new_tokens: of the sampling. A candidate that fills it needs nothing to follow, a longer one never comes.
        temperature: of the sampling distribution.
        batch_size: candidates forwarded at once.
    """
    asked = {tuple(prompt): list(map(tuple, ids)) for prompt, ids in zip(prompts, candidates, strict=True)}
    distinct = sorted(asked)  # alike ones come together
    widest = max(map(len, asked.values()), default=1)
    found: dict[Ids, Scores] = {}
    was_training = model.training
    model.eval()
    try:
        for batch in batches(distinct, max(1, batch_size // widest)):
            tries = [_Trie(prompt, asked[prompt], end_id, max_new_tokens) for prompt in batch]
            _fill_in(model, tries, may_follow.to(model.device), temperature)
            found |= {trie.prompt: trie.scores() for trie in tries}
    finally:
        model.train(was_training)
    return [found[tuple(prompt)] for prompt in prompts]


class _Trie:
    """All that a prompt's candidates begin with, and how the answers that begin so go on."""

    def __init__(self, prompt: Ids, candidates: list[Ids], end_id: int, max_new_tokens: int) -> None:
        self.prompt = prompt
        self._candidates, self._end_id, self._limit = candidates, end_id, max_new_tokens
        self.children: dict[Ids, Ids] = {(): ()}
        """Of each beginning that a token comes after: the tokens with which a candidate goes on or ends."""
        for ids in (ids for ids in candidates if len(ids) <= max_new_tokens):
            for length in range(min(len(ids) + 1, max_new_tokens)):
                token = ids[length] if length < len(ids) else end_id
                known = self.children.get(ids[:length], ())
                self.children[ids[:length]] = known if token in known else (*known, token)
        self.next: dict[Ids, dict[int, float]] = {}
        """The probability of each of them."""
        self.may_follow: dict[Ids, float] = {}
        """The probability that a token which may end a candidate comes after each beginning."""

    def scores(self) -> Scores:
        """When all is filled in."""
        begun = tuple(self._likely(ids) * self.may_follow.get(ids, 1.0) for ids in self._candidates)
        whole = tuple(
            self._likely(ids) * (self.next[ids][self._end_id] if ids in self.next else 1.0) for ids in self._candidates
        )
        return Scores(begun, whole)

    def _likely(self, ids: Ids) -> float:
        if len(ids) > self._limit:
            return 0.0
        probability = 1.0
        for place, token in enumerate(ids):
            probability *= self.next[ids[:place]][token]
        return probability


def _fill_in(model: PreTrainedModel, tries: Sequence[_Trie], may_follow: torch.Tensor, temperature: float) -> None:
    tree = TokenTree()
    nodes: list[int] = []
    for trie in tries:
        start = tree.add(-1, trie.prompt)
        nodes += [tree.add(start, ids) for ids in trie.children]
    output = model(
        **{name: tensor.to(model.device) for name, tensor in tree.inputs().items()},
        use_cache=False,
        logits_to_keep=torch.tensor(nodes, device=model.device),
    )
    probabilities = torch.softmax(output.logits[0].float() / temperature, dim=-1)
    following: Iterator[float] = iter((probabilities @ may_follow.float()).tolist())
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
