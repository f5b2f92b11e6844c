"""TRL's `GRPOTrainer`, which forwards a batch's rows as trees of tokens."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from trl import GRPOTrainer

from poker_env.forwarding.forward import tree_logits
from poker_env.forwarding.generate import cached_together
from poker_env.forwarding.token_tree import TokenTree
from recipes.options.config import ExploitConfig
from recipes.training.answer_logps import choice_entropies, token_logps, token_logps_and_entropies
from recipes.training.batches import Inputs, Text, in_parts, places_in_parts, regrouped, texts_of
from recipes.training.fitting import FitsIntoMemory
from recipes.training.memory import give_back
from recipes.training.processes import total
from recipes.training.rollout import Rollout
from recipes.training.rows import Ids

# At each checkpoint peft looks on the Hub whether the vocabulary grew, and says when it can't. It never does here.
warnings.filterwarnings("ignore", message="Could not find a config file in|Unable to fetch remote file", module="peft")
# What accelerate and the stock trainer know this option by, torch is about to rename.
warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated", category=FutureWarning)

SUMS = {"entropy", "kl", "policy_loss"}
"""A batch's figures to which its parts add up; others are means over tokens."""

SAMPLED = {"logp_gap"}
"""Figures with one value for each row."""

PER_TOKEN = {"completion_ids", "completion_mask", "tool_mask", "old_per_token_logps", "ref_per_token_logps"}
"""What the stock trainer has for each token of the answers."""

Rows = Sequence[Text]
"""(prompt, answer), token ids."""


@dataclass(frozen=True)
class Sampled:
    """What a model said to a prompt."""

    ids: Ids
    logps: tuple[float | None, ...] | None = None
    """Of each token, by the engine that drew it; None where that isn't known, of a token or of all."""


class TreeTrainer(FitsIntoMemory, GRPOTrainer):
    """What rows share at their beginning is forwarded once, and only the answers' tokens get logits.

    Both make rows cheap: the answers to one prompt cost hardly more than one of them, and without Triton the stock
    trainer has logits of the whole vocabulary for the prompts' tokens, too.
    """

    entropy_coef: float  # the stock trainer's
    rollout_func: Rollout

    def __init__(self, *, model: Any, args: ExploitConfig, end_ids: Sequence[int], **options: Any) -> None:
        """`end_ids` are the tokens that end an answer: which of them does is no choice."""
        if args.thinking:
            args = _ending_at(tuple(end_ids), model, args)
        super().__init__(model=model, args=args, **options)
        self.end_ids = tuple(end_ids)
        self.entropy_of_answers = "all_action" in args.variance_reduction
        """Whether entropy is that of the choice among an epoch's answers to a prompt, not of the whole vocabulary."""
        self._drawn: Sequence[Sequence[float]] | None = None
        """Log-probabilities of an epoch's rows, token by token, until the stock trainer has asked for them."""
        self._elsewhere: Mapping[Ids, Sequence[Ids]] = {}
        """By prompt, answers to it that another process has the rows of."""
        self._told: Mapping[str, Any] = {}
        """What the rollout says of an epoch's rows beside what the stock trainer wants to know, row by row."""
        self._batches: Sequence[Inputs] = ()
        """An epoch's rows."""
        self._played_at: int | None = None
        """How many steps had been taken when they were played."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None for a run's folder: `recipes.push` writes one of what is published."""

    def sampled(self, prompts: Sequence[Ids], seeds: Sequence[int]) -> list[Sampled]:
        """What the model says to prompts by the stock trainer's own generation: transformers', or vLLM's.

        The same prompts, seeds and weights give the same; of vLLM that isn't promised. All random numbers of
        transformers' come from the seeds together, so that a text depends on those it is sampled with.
        """
        if self.args.use_vllm:
            texts, logps = self._generate_single_turn([list(own) for own in prompts], None, {}, 1)
            return [Sampled(tuple(text), tuple(own)) for text, own in zip(texts, logps, strict=True)]
        device = self.accelerator.device
        found: list[Sampled] = []
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                for rows in cached_together(prompts, self.args.max_completion_length, device):
                    torch.manual_seed(int(np.random.default_rng([seeds[row] for row in rows]).integers(2**63)))
                    texts, _ = self._generate_single_turn([list(prompts[row]) for row in rows], None, {}, 1)
                    found += [Sampled(tuple(text)) for text in texts]
        finally:
            self.model.train(was_training)
        return found

    def _prepare_inputs(self, inputs: Any) -> Inputs:
        """The next batch of an epoch's rows, which are played at its beginning.

        The stock trainer scatters rows with the same prompt, here they are in the same batch; which update they belong
        to doesn't depend on the number of processes. A step that is taken again has the rows it had: its hands aren't
        played again.
        """
        steps = self.args.steps_per_generation
        begins = self.steps_taken % (steps * self.args.num_iterations) == 0
        if begins and self._played_at != self.steps_taken:
            self._played_at = self.steps_taken
            give_back()
            rng = np.random.default_rng((self.args.seed, self.state.global_step))
            self._batches = regrouped(self._rows(inputs), steps, self.args.updates_per_epoch, rng)
            give_back()
        return self._batches[self.steps_taken % steps]

    def _rows(self, inputs: list[Inputs]) -> Inputs:
        """The stock trainer's epoch of rows; what is known of its hands goes among the trainer's figures.

        Its answers have two tokens or more: the stock trainer takes figures of one token for those of whole answers.
        """
        output: Inputs = self._generate_and_score_completions(inputs)
        device = output["completion_ids"].device
        if output["completion_ids"].shape[1] == 1:
            for name in PER_TOKEN & output.keys():
                output[name] = torch.nn.functional.pad(output[name], (0, 1))
        texts = zip(self._told["elsewhere"], texts_of(output), strict=True)
        self._elsewhere = {tuple(prompt): answers for answers, (prompt, _) in texts if answers}
        stood_for = self._told["stood_for"][0]
        if stood_for is not None:
            output["num_items_in_batch"] = torch.tensor(stood_for, device=device)
        sampled = [sum(own or (math.nan,)) for own in self._told["sampled_logps"]]
        output["sampled_logps"] = torch.tensor(sampled, device=device)
        for name, value in self.rollout_func.metrics().items():
            self._metrics["train"][f"poker/{name}"].append(value)
        return output

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        """The stock trainer's hands. Those that rows were drawn with are log-probabilities that it may want next."""
        generated: tuple[Any, ...] = super()._generate(prompts)
        self._told = next(part for part in generated if isinstance(part, dict))
        drawn = self._told["sampled_logps"]
        if self.args.steps_per_epoch > 1 and None not in drawn and not self.args.use_vllm:
            self._drawn = drawn
        return generated

    def compute_loss(
        self,
        model: Any,
        inputs: Inputs,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """The stock trainer's loss, a part of the batch's rows at a time; all parts but the last are backpropagated.

        Each part is one tree of tokens. The loss is a sum over rows, so parts change nothing but the memory it takes.
        """
        parts = in_parts(inputs, self.tokens_per_tree, whole_prompts=not self.args.thinking)
        metrics = self._metrics["train"]
        logged = self.figures_so_far()
        loss = self.sum_of_parts(model, parts, lambda part: self._loss_of_part(model, part))
        shares = total(torch.stack([(part["completion_mask"] * part["tool_mask"]).sum() for part in parts]))
        shares = shares / shares.sum().clamp(min=1e-9)
        for name, values in metrics.items():
            own = values[logged.get(name, 0) :]
            if len(own) == len(parts) and name not in SAMPLED:
                values[-len(own) :] = [_of_parts(name, own, shares.tolist())]
        return loss

    def _loss_of_part(self, model: Any, inputs: Inputs) -> torch.Tensor:
        """The stock trainer's loss; but of entropy and KL a token counts alike, in however large a batch it is.

        The stock trainer averages the entropy bonus, and those two figures, over each batch for itself. Here both are
        divided as the policy's loss is. With a soft step there is no bonus, the credit knows of it; and no ratio to
        the policy that played, which would be far from 1 for answers that were improbable.
        """
        whole = inputs["num_items_in_batch"].clamp(min=1.0)
        own = (inputs["completion_mask"] * inputs["tool_mask"]).sum()
        share = self.args.steps_per_generation / whole
        metrics = self._metrics["train"]
        epoch = self.state.global_step // self.args.steps_per_epoch
        coef, soft = self.args.entropy_coef_at(epoch), self.args.soft_at(epoch)
        self.entropy_coef = 0.0 if soft else coef * float(own.clamp(min=1.0) * share) * self.accelerator.num_processes
        if soft:
            inputs = {**inputs, "old_per_token_logps": None}
        try:
            loss: Any = super().compute_loss(model, inputs)
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
        compute_entropy: bool = False,
        **inputs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Log-probabilities and entropies (rows, `logits_to_keep`), 0 at padding; see the stock trainer's."""
        if self._drawn is not None:
            known = [[*own, *[0.0] * (logits_to_keep - len(own))] for own in self._drawn]
            self._drawn = None
            return torch.tensor(known, device=input_ids.device), None, None
        split = input_ids.shape[1] - logits_to_keep
        ids, masks = input_ids.tolist(), attention_mask.bool().tolist()
        rows = [
            ([t for t, kept in zip(own[:split], mask, strict=False) if kept], own[split : split + sum(mask[split:])])
            for own, mask in zip(ids, masks, strict=True)
        ]
        logps = torch.zeros(len(rows), logits_to_keep, device=input_ids.device)
        entropies = torch.zeros_like(logps) if compute_entropy else None
        # With gradients it is a part of a batch already, without them a whole epoch, which may be long.
        whole = torch.is_grad_enabled() or not self.args.thinking
        for part in [list(range(len(rows)))] if whole else places_in_parts(rows, self.tokens_per_tree, False):
            (own, columns), own_logps, own_entropies = self._score_tree(
                model, [rows[row] for row in part], compute_entropy
            )
            where = torch.tensor(part, device=logps.device)[own], columns
            logps = logps.index_put(where, own_logps)
            if entropies is not None and own_entropies is not None:
                entropies = entropies.index_put(where, own_entropies)
        self._logps = logps.detach().sum(dim=1)
        return logps, entropies, None

    def _score_tree(
        self, model: Any, rows: Rows, compute_entropy: bool
    ) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor, torch.Tensor | None]:
        """Of (prompt, answer) rows: each answer token's (row, column), its log-probability, the entropy before it."""
        tree = TokenTree()
        predicting: dict[int, int] = {}  # node -> place among those that get logits
        found = []
        for row, (prompt, answer) in enumerate(rows):
            node = tree.add(-1, prompt)
            for column, token in enumerate(answer):
                found.append((row, column, predicting.setdefault(node, len(predicting)), token))
                if column + 1 < len(answer):  # nothing comes after the last one
                    node = tree.add(node, (token,))
        with self.accelerator.autocast():
            logits = tree_logits(self.accelerator.unwrap_model(model), tree, list(predicting), call=model)
        rows_of, columns, places, tokens = torch.tensor(found, device=logits.device).unbind(dim=1)
        where = rows_of, columns
        if compute_entropy and not self.entropy_of_answers:
            logps, entropies = token_logps_and_entropies(logits, places, tokens, self.args.temperature)
            return where, logps, entropies[places]
        logps = token_logps(logits, places, tokens, self.args.temperature)
        if not compute_entropy:
            return where, logps, None
        edges = {(place, self._choice(token)) for _, _, place, token in found} | self._other_answers(rows, found)
        at, among = torch.tensor(sorted(edges), device=logits.device).unbind(dim=1)
        return where, logps, choice_entropies(logits, at, among, self.args.temperature)[places]

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


def _ending_at(end_ids: Ids, model: Any, args: ExploitConfig) -> ExploitConfig:
    """Have the stock trainer's generation end at these tokens, too: it ends where the model says, and vLLM is told."""
    own = model.generation_config.eos_token_id
    known = own if isinstance(own, list) else [] if own is None else [own]
    ends = model.generation_config.eos_token_id = list(dict.fromkeys((*known, *end_ids)))
    if args.use_vllm:
        args = copy.copy(args)  # a run's record has what the user wrote
        args.generation_kwargs = {"stop_token_ids": ends}
    return args


def _of_parts(name: str, figures: Sequence[float], shares: Sequence[float]) -> float:
    """A batch's figure out of those of its parts, which have such shares of its tokens."""
    if name in SUMS:
        return sum(figures)
    if name.endswith(("_min", "_max")):
        known = [figure for figure in figures if not math.isnan(figure)]
        return (min if name.endswith("_min") else max)(known, default=math.nan)
    if not any(shares):  # without a token there is no mean
        return figures[-1]
    return sum(figure * share for figure, share in zip(figures, shares, strict=True) if share)
