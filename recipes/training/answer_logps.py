"""Log-probabilities of single tokens, and entropies, without keeping whole distributions for them.

A vocabulary has 50,000 to 260,000 tokens. Plain autograd would hold several numbers for each of them at every place.
"""

from __future__ import annotations

from typing import Any

import torch

Tensor = torch.Tensor

PLACES = 64
"""Places worked on at a time."""


def token_logps(logits: Tensor, places: Tensor, tokens: Tensor, temperature: float) -> Tensor:
    """Log-probability (n,) of a token at a place, for n of each, in nats, float32.

    Of softmax(logits / temperature), `logits` being (places, vocabulary).
    """
    logps: Tensor = _TokenLogps.apply(logits, places, tokens, temperature, False)[0]
    return logps


def token_logps_and_entropies(
    logits: Tensor, places: Tensor, tokens: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """The same; and the entropy (places,) of each place over the whole vocabulary."""
    logps, entropies = _TokenLogps.apply(logits, places, tokens, temperature, True)
    return logps, entropies


def choice_entropies(logits: Tensor, places: Tensor, tokens: Tensor, temperature: float) -> Tensor:
    """Entropy (places,) in nats of the choice among some tokens alone: those that are paired with the place.

    No pair may come twice; a place without one has 0.
    """
    chosen = logits[places, tokens].float() / temperature
    count = len(logits)
    highest = torch.full((count,), -torch.inf, device=chosen.device)
    highest = highest.scatter_reduce(0, places, chosen.detach(), "amax")
    weights = (chosen - highest[places]).exp()
    sums = torch.zeros(count, device=chosen.device).index_add(0, places, weights)
    logps = chosen - highest[places] - sums[places].log()
    return torch.zeros(count, device=chosen.device).index_add(0, places, -logps.exp() * logps)


class _TokenLogps(torch.autograd.Function):
    """Keeps the logits, and makes distributions of them a few at a time."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, places: Tensor, tokens: Tensor, temperature: float, with_entropies: bool
    ) -> tuple[Tensor, Tensor | None]:
        norms, entropies = [], []
        for own in logits.detach().split(PLACES):
            scaled = own.float() / temperature
            highest = scaled.amax(dim=-1)
            norms.append(torch.stack((highest, (scaled - highest[:, None]).exp().sum(dim=-1).log())))
            if with_entropies:
                logps = _normed(scaled, norms[-1][..., None])
                entropies.append(-(logps.exp() * logps.clamp(min=-1e4)).sum(dim=-1))
        norm, entropy = torch.cat(norms, dim=1), torch.cat(entropies) if with_entropies else None
        ctx.temperature = temperature
        ctx.save_for_backward(logits, places, tokens, norm, entropy)
        return _normed(logits[places, tokens].float() / temperature, norm[:, places]), entropy

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        logits, places, tokens, norm, entropy = ctx.saved_tensors
        of_logps, of_entropy = gradients
        whole = torch.zeros_like(norm[0]).index_add_(0, places, of_logps)
        found = torch.empty_like(logits)
        for own in torch.arange(len(logits), device=logits.device).split(PLACES):
            logps = _normed(logits[own].float() / ctx.temperature, norm[:, own, None])
            outer = whole[own, None]
            if entropy is not None:
                # d entropy / d logit = -p (log p + entropy)
                outer = outer + of_entropy[own, None] * (logps.clamp(min=-1e4) + entropy[own, None])
            found[own] = (-logps.exp() * outer / ctx.temperature).to(found.dtype)
        found.index_put_((places, tokens), (of_logps / ctx.temperature).to(found.dtype), accumulate=True)
        return found, None, None, None, None


def _normed(scaled: Tensor, norm: Tensor) -> Tensor:
    """Log-probabilities of scaled logits; the norm is a place's highest, and how far the log of the sum is above it.

    As one number it would be rounded to a large one's last digit, and all tokens' probabilities be off the same way.
    """
    highest, rest = norm
    return (scaled - highest) - rest
