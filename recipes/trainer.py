"""TRL's `GRPOTrainer`, which forwards a batch's rows as trees of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from trl import GRPOTrainer

from poker_env.players.token_tree import TokenTree

ROWS_PER_TREE = 64
"""Rows forwarded together: more share more, but every token of a tree is compared with every other one."""


class TreeTrainer(GRPOTrainer):
    """What rows share at their beginning is forwarded once, and only the answers' tokens get logits.

    Both make rows cheap: the answers to one prompt cost hardly more than one of them, and without Triton the stock
    trainer has logits of the whole vocabulary for the prompts' tokens, too.
    """

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
        if compute_aux_loss:  # of a mixture of experts, over the stock trainer's batch
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, True, **inputs
            )
        split = input_ids.shape[1] - logits_to_keep
        ids, masks = input_ids.tolist(), attention_mask.bool().tolist()
        rows = [
            ([t for t, kept in zip(own[:split], mask, strict=False) if kept], own[split : split + sum(mask[split:])])
            for own, mask in zip(ids, masks, strict=True)
        ]
        logps = torch.zeros(len(rows), logits_to_keep, device=input_ids.device)
        entropies = torch.zeros_like(logps) if compute_entropy else None
        order = sorted(range(len(rows)), key=rows.__getitem__)  # alike rows come together
        for start in range(0, len(order), ROWS_PER_TREE):
            chosen = order[start : start + ROWS_PER_TREE]
            where, own_logps, own_entropies = self._score_tree(model, [rows[row] for row in chosen])
            at = (torch.tensor(chosen, device=logps.device)[where[0]], where[1])
            logps = logps.index_put(at, own_logps)
            if entropies is not None:
                entropies = entropies.index_put(at, own_entropies)
        return logps, entropies, None

    def _score_tree(
        self, model: Any, rows: Sequence[tuple[list[int], list[int]]]
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
        device = self.accelerator.device
        with self.accelerator.autocast():
            output = model(
                **{name: tensor.to(device) for name, tensor in tree.inputs().items()},
                use_cache=False,
                logits_to_keep=torch.tensor(list(predicting), device=device),
            )
        distributions = torch.log_softmax(output.logits[0].float() / self.temperature, dim=-1)
        entropies = -(distributions.exp() * distributions).sum(dim=-1)
        rows_of, columns, places, tokens = torch.tensor(found, device=device).unbind(dim=1)
        return (rows_of, columns), distributions[places, tokens], entropies[places]
