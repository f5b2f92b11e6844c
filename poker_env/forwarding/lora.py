"""LoRA layers without their overhead: peft's own take a quarter of a small model's time.

Peft adds B(A x) to a layer's output in steps of their own, each of which writes all of it, and in 16 bits casts x to
32 and back for it. Here the product is added in place or, in 32 bits, the weight with the adapter in it is made for
one call, which costs less than a look at many tokens. In 16 bits a weight can't hold an adapter: what changes it by
less than its last digit would be lost.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import layer as peft_lora
from torch import nn
from torch.nn import functional

Tensor = torch.Tensor

TOKENS_PER_RANK = 8
"""From so many tokens on for each of the adapter's ranks, adding it to the weight costs less than to the output."""


def fuse(model: nn.Module) -> None:
    """Have a model's LoRA layers compute what they do in fewer steps. What isn't plain LoRA stays as it is."""
    for module in model.modules():
        if type(module) is peft_lora.Linear and type(module.base_layer) is nn.Linear:
            module.__class__ = FusedLinear


class FusedLinear(peft_lora.Linear):
    """Peft's LoRA layer, which computes an adapter's part and its gradient in one step with the layer's own."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """What peft's gives, to rounding."""
        name = None if args or kwargs else self._lone_adapter()
        weight = self.base_layer.weight
        kind = x.device.type
        if name is None or (torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) != weight.dtype):
            return super().forward(x, *args, **kwargs)
        with torch.autocast(kind, enabled=False):
            low, high = self.lora_A[name].weight, self.lora_B[name].weight
            found: Tensor = _Fused.apply(
                x.to(weight.dtype), weight, self.base_layer.bias, low, high, self.scaling[name]
            )
        return found

    def _lone_adapter(self) -> str | None:
        """The one adapter that counts, where it is plain and there are no others."""
        if self.disable_adapters or self.merged:
            return None
        active = [name for name in self.active_adapters if name in self.lora_A]
        if len(active) != 1 or active[0] in self.lora_variant or self.lora_bias.get(active[0]):
            return None
        dropout = self.lora_dropout[active[0]]
        return None if self.training and not isinstance(dropout, nn.Identity) else active[0]


class _Fused(torch.autograd.Function):
    """x -> x (W + s B A)' + bias; W is frozen."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, low: Tensor, high: Tensor, scale: float
    ) -> Tensor:
        ctx.scale = scale
        ctx.save_for_backward(x, weight, low, high)
        low, high = low.to(weight.dtype), high.to(weight.dtype)
        if _pays(x, low):
            return functional.linear(x, torch.addmm(weight, high, low, alpha=scale), bias)
        found = functional.linear(x, weight, bias)
        found.view(-1, found.shape[-1]).addmm_(x.reshape(-1, x.shape[-1]) @ low.T, high.T, alpha=scale)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, None, Tensor | None, Tensor | None, None]:
        x, weight, low, high = ctx.saved_tensors
        dtypes = low.dtype, high.dtype
        low, high = low.to(weight.dtype), high.to(weight.dtype)
        gradient = gradients[0].reshape(-1, weight.shape[0])
        inner = gradient @ high
        to_x = None
        if ctx.needs_input_grad[0]:
            if _pays(x, low):
                to_x = gradient @ torch.addmm(weight, high, low, alpha=ctx.scale)
            else:
                to_x = torch.addmm(gradient @ weight, inner, low, alpha=ctx.scale)
            to_x = to_x.view(x.shape)
        to_low = to_high = None
        if ctx.needs_input_grad[3] or ctx.needs_input_grad[4]:
            flat = x.reshape(-1, x.shape[-1])
            to_low = (inner.T @ flat).to(dtypes[0]).mul_(ctx.scale)
            to_high = (gradient.T @ (flat @ low.T)).to(dtypes[1]).mul_(ctx.scale)
        return to_x, None, None, to_low, to_high, None


def _pays(x: Tensor, low: Tensor) -> bool:
    """Whether the weight is made with the adapter in it."""
    return x.dtype == torch.float32 and x.numel() >= TOKENS_PER_RANK * low.numel()
