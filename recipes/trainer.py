"""TRL's `GRPOTrainer`, which forwards a batch's rows as trees of tokens."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from trl import GRPOTrainer

from poker_env.players.forward import tree_logits
from poker_env.players.token_tree import TokenTree

# At each checkpoint peft looks on the Hub whether the vocabulary grew, and says when it can't. It never does here.
warnings.filterwarnings("ignore", message="Could not find a config file in|Unable to fetch remote file", module="peft")

ROWS_PER_TREE = 64
"""Rows forwarded together, beside those with the same prompt as the last: more share more, but every token of a tree
is compared with every other one."""

Inputs = dict[str, Any]
"""What the stock trainer makes of a batch: tensors with one row for each, by name."""

Rows = Sequence[tuple[list[int], list[int]]]
"""(prompt, answer), token ids."""


class TreeTrainer(GRPOTrainer):
    """What rows share at their beginning is forwarded once, and only the answers' tokens get logits.

    Both make rows cheap: the answers to one prompt cost hardly more than one of them, and without Triton the stock
    trainer has logits of the whole vocabulary for the prompts' tokens, too.
    """

    _buffered_inputs: list[Inputs] | None  # the stock trainer's

    entropy_of_answers = False
    """Whether the entropy is that of the choice among a batch's answers to a prompt, not of the whole vocabulary."""
    end_ids: Sequence[int] = ()
    """The tokens that end an answer: which of them does is no choice."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None for a run's folder: `recipes.push` writes one of what is published."""

    def _prepare_inputs(self, generation_batch: Inputs) -> Inputs:
        """The stock trainer's next batch; but rows with the same prompt, which it scatters, are in the same one."""
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if self._buffered_inputs is None or self._buffered_inputs is before:  # nothing new has been played
            return inputs
        whole = self.args.steps_per_generation == self.current_gradient_accumulation_steps
        self._buffered_inputs = _regrouped(self._buffered_inputs, shuffled=not whole)
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **inputs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Log-probabilities and entropies (rows, `logits_to_keep`), 0 at padding; see the stock trainer's."""
        split = input_ids.shape[1] - logits_to_keep
        ids, masks = input_ids.tolist(), attention_mask.bool().tolist()
        rows = [
            ([t for t, kept in zip(own[:split], mask, strict=False) if kept], own[split : split + sum(mask[split:])])
            for own, mask in zip(ids, masks, strict=True)
        ]
        logps = torch.zeros(len(rows), logits_to_keep, device=input_ids.device)
        entropies = torch.zeros_like(logps) if compute_entropy else None
        for chosen in _trees(rows):
            where, own_logps, own_entropies = self._score_tree(model, [rows[row] for row in chosen])
            at = (torch.tensor(chosen, device=logps.device)[where[0]], where[1])
            logps = logps.index_put(at, own_logps)
            if entropies is not None:
                entropies = entropies.index_put(at, own_entropies)
        return logps, entropies, None

    def _score_tree(
        self, model: Any, rows: Rows
    ) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor, torch.Tensor]:
        """Of (prompt, answer) rows: each answer token's (row, column), its log-probability, the entropy before it."""
        tree = TokenTree()
        predicting: dict[int, int] = {}  # node -> place among those that get logits
        found = []
        for row, (prompt, answer) in enumerate(rows):
            node = tree.add(-1, prompt)
            for column, token in enumerate(answer):
                found.append((row, column, predicting.setdefault(node, len(predicting)), token))
                node = tree.add(node, (token,))
        with self.accelerator.autocast():
            logits = tree_logits(self.accelerator.unwrap_model(model), tree, list(predicting), call=model)
        distributions = torch.log_softmax(logits.float() / self.temperature, dim=-1)
        entropies = _entropies(distributions)
        if self.entropy_of_answers:
            choices = {(place, self._choice(token)) for _, _, place, token in found}
            entropies = _entropies(_among(distributions, choices))
        rows_of, columns, places, tokens = torch.tensor(found, device=logits.device).unbind(dim=1)
        return (rows_of, columns), distributions[places, tokens], entropies[places]

    def _choice(self, token: int) -> int:
        """What stands for a token where it is chosen."""
        return self.end_ids[0] if token in self.end_ids else token


def _regrouped(batches: Sequence[Inputs], *, shuffled: bool) -> list[Inputs]:
    """The same rows in as many batches, none of which ends amid a prompt's rows; padding is dealt out evenly.

    Prompts that begin alike lie together, unless their order is to be `shuffled`. Where there are fewer prompts than
    batches, they stay as they are.
    """
    whole = {name: _joined([batch[name] for batch in batches]) for name in batches[0]}
    # The stock trainer pads the rows' masks with ones.
    trained = (whole["tool_mask"] * whole["completion_mask"]).any(dim=1).tolist()
    by_prompt: dict[tuple[int, ...], list[int]] = {}
    for row, (ids, kept) in enumerate(zip(whole["prompt_ids"], whole["prompt_mask"].bool(), strict=True)):
        if trained[row]:
            by_prompt.setdefault(tuple(ids[kept].tolist()), []).append(row)
    if len(by_prompt) < len(batches):
        return list(batches)
    groups = [by_prompt[prompt] for prompt in sorted(by_prompt)]
    if shuffled:
        groups = [groups[place] for place in torch.randperm(len(groups))]
    left, chosen = sum(trained), []
    for batch in range(len(batches), 0, -1):  # so many are still to be filled
        own: list[int] = groups.pop(0)
        while len(groups) >= batch and len(own) < left / batch:
            own = own + groups.pop(0)
        left -= len(own)
        chosen.append(own)
    padding = [row for row, weighs in enumerate(trained) if not weighs]
    rows = [[*own, *padding[place :: len(batches)]] for place, own in enumerate(chosen)]
    return [{name: _taken(values, own) for name, values in whole.items()} for own in rows]


def _joined(parts: Sequence[Any]) -> Any:
    """A batch's entry for the rows of all batches: a tensor with a row for each, or one value for all."""
    return torch.cat(list(parts)) if isinstance(parts[0], torch.Tensor) and parts[0].ndim else parts[0]


def _taken(values: Any, rows: Sequence[int]) -> Any:
    return values[list(rows)] if isinstance(values, torch.Tensor) and values.ndim else values


def _trees(rows: Rows) -> Iterator[list[int]]:
    """The rows' places, those forwarded together at a time; those with equal prompts always are."""
    chosen: list[int] = []
    for row in sorted(range(len(rows)), key=rows.__getitem__):
        if len(chosen) >= ROWS_PER_TREE and rows[row][0] != rows[chosen[-1]][0]:
            yield chosen
            chosen = []
        chosen.append(row)
    if chosen:
        yield chosen


def _entropies(distributions: torch.Tensor) -> torch.Tensor:
    """Over the last axis of log-probabilities, some of them minus infinity."""
    return -(distributions.exp() * distributions.clamp(min=-1e4)).sum(dim=-1)


def _among(distributions: torch.Tensor, edges: set[tuple[int, int]]) -> torch.Tensor:
    """Log-probabilities (places, vocabulary) given that one of the tokens follows that do in (place, token)."""
    places, tokens = torch.tensor(sorted(edges), device=distributions.device).unbind(dim=1)
    kept = torch.zeros_like(distributions, dtype=torch.bool)
    kept[places, tokens] = True
    return distributions.masked_fill(~kept, -torch.inf).log_softmax(dim=-1)
