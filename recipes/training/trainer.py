"""TRL's `GRPOTrainer`, which forwards a batch's rows as trees of tokens."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from trl import GRPOTrainer

from poker_env.language_model.forward import tree_logits
from poker_env.language_model.token_tree import TokenTree
from recipes.options.config import ExploitConfig
from recipes.training.processes import everywhere, processes, total
from recipes.training.rollout import Rollout
from recipes.training.rows import Ids

# At each checkpoint peft looks on the Hub whether the vocabulary grew, and says when it can't. It never does here.
warnings.filterwarnings("ignore", message="Could not find a config file in|Unable to fetch remote file", module="peft")
# What accelerate and the stock trainer know this option by, torch is about to rename.
warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated", category=FutureWarning)

ROWS_PER_TREE = 64
"""Rows forwarded together, beside those with the same prompt as the last: more share more, but every token of a tree
is compared with every other one."""

PER_TOKEN = {"completion_ids", "completion_mask", "tool_mask", "old_per_token_logps", "ref_per_token_logps"}
"""What the stock trainer has for each token of the answers."""

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
    entropy_coef: float
    rollout_func: Rollout

    def __init__(self, *, args: ExploitConfig, end_ids: Sequence[int], **options: Any) -> None:
        """`end_ids` are the tokens that end an answer: which of them does is no choice."""
        super().__init__(args=args, **options)
        self.end_ids = tuple(end_ids)
        self.entropy_of_answers = "all_action" in args.variance_reduction
        """Whether entropy is that of the choice among an epoch's answers to a prompt, not of the whole vocabulary."""
        self._elsewhere: Mapping[Ids, Sequence[Ids]] = {}
        """By prompt, answers to it that another process has the rows of."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None for a run's folder: `recipes.push` writes one of what is published."""

    def _prepare_inputs(self, generation_batch: Inputs) -> Inputs:
        """The stock trainer's next batch; but rows with the same prompt, which it scatters, are in the same one.

        Which update a prompt's rows belong to doesn't depend on the number of processes.
        """
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if self._buffered_inputs is None or self._buffered_inputs is before:  # nothing new has been played
            return inputs
        updates = self.args.steps_per_generation // self.current_gradient_accumulation_steps
        rng = np.random.default_rng((self.args.seed, self.state.global_step))
        self._buffered_inputs = _regrouped(self._buffered_inputs, updates, rng)
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _generate_and_score_completions(self, inputs: list[Inputs]) -> Inputs:
        """The stock trainer's epoch of rows; what is known of its hands goes among the trainer's figures.

        Its answers have two tokens or more: the stock trainer takes figures of one token for those of whole answers.
        """
        output: Inputs = super()._generate_and_score_completions(inputs)
        if output["completion_ids"].shape[1] == 1:
            for name in PER_TOKEN & output.keys():
                output[name] = torch.nn.functional.pad(output[name], (0, 1))
        prompts = zip(output["prompt_ids"], output["prompt_mask"].bool(), strict=True)
        elsewhere = {
            tuple(ids[kept].tolist()): own.get("elsewhere") for own, (ids, kept) in zip(inputs, prompts, strict=True)
        }
        self._elsewhere = {prompt: answers for prompt, answers in elsewhere.items() if answers}
        sampled = [own.get("sampled_logp", math.nan) for own in inputs]
        output["sampled_logps"] = torch.tensor(sampled, device=output["completion_ids"].device)
        for name, value in self.rollout_func.metrics().items():
            self._metrics["train"][f"poker/{name}"].append(value)
        return output

    def _compute_loss(self, model: Any, inputs: Inputs) -> torch.Tensor:
        """The stock trainer's loss; but of entropy and KL a token counts alike, in however large a batch it is.

        The stock trainer averages the entropy bonus, and those two figures, over each batch for itself. Here both are
        divided as the policy's loss is.
        """
        whole = inputs["num_items_in_batch"].clamp(min=1.0)
        own = (inputs["completion_mask"] * inputs["tool_mask"]).sum()
        share = self.args.steps_per_generation / whole
        metrics = self._metrics["train"]
        coef = self.args.entropy_coef_at(self.state.global_step // self.args.steps_per_epoch)
        self.entropy_coef = coef * float(own.clamp(min=1.0) * share) * self.accelerator.num_processes
        try:
            loss: torch.Tensor = super()._compute_loss(model, inputs)
        finally:
            self.entropy_coef = coef
        weight = float(total(own).clamp(min=1.0) * share)
        for name in ("entropy", "kl"):
            if name in metrics:
                metrics[name][-1] *= weight
        if metrics.get("entropy_coef"):
            metrics["entropy_coef"][-1] = coef
        if self.state.global_step % self.args.steps_per_epoch == 0:  # by the policy that played
            gap = (self._logps - inputs["sampled_logps"]).abs()
            known = gap[~gap.isnan()].tolist()
            if known:
                metrics["logp_gap"] += known
        return loss

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
        self._logps = logps.detach().sum(dim=1)
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
            choices = {(place, token) for _, _, place, token in found} | self._other_answers(rows, found)
            entropies = _entropies(_among(distributions, {(place, self._choice(token)) for place, token in choices}))
        rows_of, columns, places, tokens = torch.tensor(found, device=logits.device).unbind(dim=1)
        return (rows_of, columns), distributions[places, tokens], entropies[places]

    def _choice(self, token: int) -> int:
        """What stands for a token where it is chosen."""
        return self.end_ids[0] if token in self.end_ids else token

    def _other_answers(self, rows: Rows, found: Iterable[tuple[int, int, int, int]]) -> set[tuple[int, int]]:
        """(place, token) with which answers go on that other processes have the rows of."""
        if not self._elsewhere:
            return set()
        return {
            (place, other[column])
            for row, column, place, _ in found
            for other in self._elsewhere.get(tuple(rows[row][0]), ())
            if len(other) > column and list(other[:column]) == rows[row][1][:column]
        }


def _regrouped(batches: Sequence[Inputs], updates: int, rng: np.random.Generator) -> list[Inputs]:
    """The same rows in as many batches, none of which ends amid a prompt's rows; padding is dealt out evenly.

    The batches of each of so many `updates` follow one another. Prompts that begin alike lie together, but in which
    update is random where there are several: all processes deal the prompts out alike. The stock trainer needs batches
    of one size from all processes, none of them empty: they are filled up with copies of a row, which weigh nothing.
    """
    whole = {name: _joined([batch[name] for batch in batches]) for name in batches[0]}
    # The stock trainer pads the rows' masks with ones.
    trained = (whole["tool_mask"] * whole["completion_mask"]).any(dim=1).tolist()
    by_prompt: dict[tuple[int, ...], list[int]] = {}
    for row, (ids, kept) in enumerate(zip(whole["prompt_ids"], whole["prompt_mask"].bool(), strict=True)):
        if trained[row]:
            by_prompt.setdefault(tuple(ids[kept].tolist()), []).append(row)
    chosen: list[list[int]] = []
    for prompts in _by_update({prompt: len(rows) for prompt, rows in by_prompt.items()}, updates, rng):
        own = [by_prompt[prompt] for prompt in sorted(prompts & by_prompt.keys())]
        for batch in _cut([len(rows) for rows in own], len(batches) // updates):
            chosen.append([row for rows in own[batch.start : batch.stop] for row in rows])
    padding = [row for row, weighs in enumerate(trained) if not weighs]
    rows = [[*own, *padding[place :: len(batches)]] for place, own in enumerate(chosen)]
    size = 1 if processes() == 1 else max(everywhere(max(map(len, rows))))
    return [_filled(whole, own, max(size, len(own))) for own in rows]


def _by_update(rows: Mapping[Ids, int], updates: int, rng: np.random.Generator) -> list[set[Ids]]:
    """The prompts of all processes by update, of which this process has so many rows each."""
    if updates == 1:
        return [set(rows)]
    counts: Counter[Ids] = Counter()
    for own in everywhere(dict(rows)):
        counts.update(own)
    prompts = sorted(counts)
    prompts = [prompts[place] for place in rng.permutation(len(prompts))]
    return [set(prompts[own.start : own.stop]) for own in _cut([counts[prompt] for prompt in prompts], updates)]


def _cut(sizes: Sequence[int], parts: int) -> list[range]:
    """Neighbours by part, so that the sizes' sums are about as large; none is empty as long as there are enough."""
    left, start, cuts = sum(sizes), 0, []
    for part in range(parts, 0, -1):  # so many are still to be filled
        stop, own = start, 0
        while stop < len(sizes) and (own == 0 or (len(sizes) - stop >= part and own < left / part)):
            own += sizes[stop]
            stop += 1
        cuts.append(range(start, stop))
        left, start = left - own, stop
    return cuts


def _filled(whole: Inputs, rows: Sequence[int], size: int) -> Inputs:
    """The batch of some rows, and of copies of one that weigh nothing."""
    copies = [rows[0] if rows else 0] * (size - len(rows))
    batch = {name: _taken(values, [*rows, *copies]) for name, values in whole.items()}
    batch["tool_mask"][len(rows) :] = 0
    return batch


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
