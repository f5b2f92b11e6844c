"""The earlier bot's policy network: features in, logits of its actions out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from poker_env.pokerbot.layouts import BLOCKS, Layout, network_shapes

_RUNNING_VAR = ".running_var"


class PolicyNetwork:
    """`PokerNet` with a policy head, of that program's `models/`, in evaluation mode: no dropout, running averages."""

    def __init__(self, layout: Layout, tensors: Mapping[str, torch.Tensor]) -> None:
        """Raises `ValueError`, which says what is wrong, for tensors that make no such network."""
        self._batch_norm = layout.batch_norm
        self._tensors: dict[str, torch.Tensor] = {}
        for name, shape in network_shapes(layout).items():
            tensor = tensors.get(name)
            if not isinstance(tensor, torch.Tensor):
                raise ValueError(f"its policy network has no tensor {name!r}")
            if tensor.shape != shape or not tensor.is_floating_point():
                raise ValueError(f"{name!r} is {tensor.dtype} {tuple(tensor.shape)}, not a float {shape}")
            if not tensor.isfinite().all() or (name.endswith(_RUNNING_VAR) and (tensor < 0).any()):
                raise ValueError(f"{name!r} holds NaN, infinite or impossible numbers")
            self._tensors[name] = tensor.detach().float().contiguous()

    @property
    def tensors(self) -> Mapping[str, torch.Tensor]:
        """By that program's names, float32."""
        return self._tensors

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Softmax over all 20 logits, (n, 20) float32, of features (n, …)."""
        with torch.inference_mode():
            x = self._norm(self._linear(torch.from_numpy(features), "input_proj"), "input_bn")
            for block in range(BLOCKS):
                x = self._block(x, f"res_blocks.{block}")
            hidden = functional.relu(self._linear(x, "policy_head.0"))
            return torch.softmax(self._linear(hidden, "policy_head.2"), dim=1).numpy()

    def _block(self, x: torch.Tensor, name: str) -> torch.Tensor:
        hidden = functional.relu(self._norm(self._linear(x, f"{name}.fc1"), f"{name}.bn1"))
        hidden = self._norm(self._linear(hidden, f"{name}.fc2"), f"{name}.bn2")
        # With layer norm came a line that adds the input a second time.
        return functional.relu(hidden + (1 if self._batch_norm else 2) * x)

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        if not self._batch_norm:
            return functional.layer_norm(x, weight.shape, weight, bias)
        mean, variance = self._tensors[f"{name}.running_mean"], self._tensors[f"{name}{_RUNNING_VAR}"]
        return functional.batch_norm(x, mean, variance, weight, bias)
