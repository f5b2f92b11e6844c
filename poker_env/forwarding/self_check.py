"""Whether a shortcut gives a model's own predictions: compared with plain forward passes, as far as texts are long.

No list of architectures says what attention masks, caches and positions a model takes, and which windows it looks
through. So each shortcut is tried on two short texts when it is first used, and again when texts get longer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from transformers import PreTrainedModel

from poker_env.errors import note

STEP = 64
"""Tokens by which texts get longer from one check to the next."""

TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
"""How far logits may be off: root mean square, as a part of how much they differ from one text to another."""

COARSE = 0.1
"""The same in 16 bits, where rounding alone is about 0.01; a token too many in sight makes 0.3 and more."""

Check = Callable[[PreTrainedModel, int], tuple[torch.Tensor, torch.Tensor]]
"""`check(model, length)`: logits (texts, vocabulary) after texts of up to that length, by the shortcut and plainly."""


@dataclass
class _Verdict:
    right_to: int = 0
    wrong_from: float = math.inf


_verdicts: WeakKeyDictionary[PreTrainedModel, dict[str, _Verdict]] = WeakKeyDictionary()


def holds(model: PreTrainedModel, length: int, check: Check, name: str, instead: str | None = None) -> bool:
    """Whether a shortcut, called `name`, is right for texts of `length` tokens.

    The first time it isn't, a line says that the model is forwarded in another way `instead`, if that is named.
    """
    verdict = _verdicts.setdefault(model, {}).setdefault(name, _Verdict())
    if verdict.right_to < length < verdict.wrong_from:
        longest = min(-(-length // STEP) * STEP, max(length, _most_tokens(model)))
        tried = next((size for size in sorted({longest, length}, reverse=True) if _agrees(model, size, check)), 0)
        verdict.right_to = max(verdict.right_to, tried)
        if tried < length:
            if verdict.wrong_from == math.inf and instead is not None:
                note(f"{_called(model)} can't take {name} for texts of {length} tokens: {instead}, right but slower")
            verdict.wrong_from = length
    return length <= verdict.right_to


def some_texts(model: PreTrainedModel, count: int, length: int) -> list[list[int]]:
    """Texts of random tokens, the same for the same model, none of which means anything to it."""
    config = model.config.get_text_config()
    special = {v for k, v in (model.config.to_dict() | config.to_dict()).items() if k.endswith("token_id")
               and isinstance(v, int)}  # fmt: skip
    plain = torch.tensor(
        [token for token in range(min(known_tokens(model), config.vocab_size)) if token not in special] or [0]
    )
    picked = torch.randint(len(plain), (count, length), generator=torch.Generator().manual_seed(0))
    return plain[picked].tolist()


@torch.no_grad()
def _agrees(model: PreTrainedModel, length: int, check: Check) -> bool:
    was_training = model.training
    model.eval()
    try:
        found, expected = (logits.float() for logits in check(model, length))
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever a model raises that can't do it
        return False
    finally:
        model.train(was_training)
    spread = (expected - expected.mean(dim=0)).square().mean().sqrt()
    off = (found - expected).square().mean().sqrt()
    return bool(off <= TOLERANCE.get(dtype_of(model), COARSE) * spread + 1e-6 * expected.abs().mean())


def dtype_of(model: PreTrainedModel) -> torch.dtype:
    """What a model's activations are, be its weights quantised or not."""
    weight: Any = model.get_input_embeddings().weight
    dtype: torch.dtype = weight.dtype
    return dtype


def known_tokens(model: PreTrainedModel) -> int:
    """How many tokens a model has embeddings for; its tokenizer may know more or fewer."""
    weight: Any = model.get_input_embeddings().weight
    return int(weight.shape[0])


def _most_tokens(model: PreTrainedModel) -> int:
    """The longest text it has positions for."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None) or 1 << 30


def _called(model: PreTrainedModel) -> str:
    return str(model.config.name_or_path or type(model).__name__)
