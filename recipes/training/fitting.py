"""Training steps that fit into memory: a batch in parts, and in smaller ones where it doesn't suffice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from transformers import Trainer

from poker_env.errors import note
from recipes.training.memory import estimated
from recipes.training.processes import processes

T = TypeVar("T")

LEAST_TOKENS = 128
"""As few tokens at a time don't make memory suffice."""


class FitsIntoMemory(Trainer):
    """What a trainer does before it is TRL's: put it in front of one of those.

    It knows how many tokens can be forwarded and backpropagated at once. A loss that is a sum is worked out in parts.
    """

    args: Any
    model: Any
    _metrics: Mapping[str, Mapping[str, list[float]]]  # TRL's

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.memory = estimated(self.model, long_answers=getattr(self.args, "thinking", False))
        """What training is expected to take."""
        self.tokens_per_tree = self.memory.tokens
        """How large a tree is that is forwarded and backpropagated at once."""
        self.steps_taken = 0
        """How many batches' gradients there were."""
        self._logged: dict[str, int] | None = None
        """How many figures there were when a step's loss was begun with; None before it is."""

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """TRL's; where memory doesn't suffice for its loss it is taken again, with half as large a part at a time.

        `_prepare_inputs` is then called twice after as many `steps_taken`, and has to give the same.
        """
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        before = [None if weight.grad is None else weight.grad.clone() for weight in weights]
        while True:
            self._logged = None
            try:
                loss: torch.Tensor = super().training_step(*args, **kwargs)
            except torch.OutOfMemoryError:
                if self._logged is None or processes() > 1 or self.tokens_per_tree < LEAST_TOKENS:
                    raise
            else:
                self.steps_taken += 1
                return loss
            self.tokens_per_tree //= 2
            note(f"out of memory: going on with {self.tokens_per_tree} tokens at a time")
            for name, values in self._metrics["train"].items():
                del values[self._logged.get(name, 0) :]
            for weight, gradient in zip(weights, before, strict=True):
                weight.grad = None if gradient is None else gradient.clone()

    def figures_so_far(self) -> dict[str, int]:
        """How many of each there are since they were last told."""
        return {name: len(values) for name, values in self._metrics["train"].items()}

    def sum_of_parts(self, model: Any, parts: Sequence[T], loss_of: Callable[[T], torch.Tensor]) -> torch.Tensor:
        """The sum of the parts' losses, of which all but the last are backpropagated already.

        It is what is to be backpropagated as if it were the whole batch's.
        """
        self._logged = self.figures_so_far()
        before = torch.zeros((), device=self.accelerator.device)
        for part in parts[:-1]:
            with self.accelerator.no_sync(model):
                loss = loss_of(part)
                self.accelerator.backward(loss)  # scaled for accumulation already
            before += loss.detach()
        return before + loss_of(parts[-1])
