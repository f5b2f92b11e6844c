"""What a causal language model predicts after texts: as one tree of tokens where it can take one, else text by text.

Recurrent layers, windows shorter than a text, positions that come from the mask: many models can't take a tree. For
those each text is a row of its own, filled up on the right, where nothing looks: that is a plain forward pass.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers import Cache, PreTrainedModel

from poker_env.forwarding import lower_layers
from poker_env.forwarding.lower_layers import lower_layers_of
from poker_env.forwarding.self_check import dtype_of, holds, some_texts
from poker_env.forwarding.token_tree import TokenTree
from poker_env.forwarding.tree_attention import Blocks, attending_in_blocks

ROWS = 16
"""Texts forwarded together."""

COMPARED = 32
"""Tokens of each text that a shortcut is tried on, the last one among them; what is wrong before shows there, too."""

TRIED = 16
"""Tokens of texts that kept layers are tried with, fewer than any window has: length makes no difference to them."""

CHECKPOINTING = (
    "is_activation_checkpointing"
    if hasattr(PreTrainedModel, "is_activation_checkpointing")
    else "is_gradient_checkpointing"
)
"""What says that a model keeps few activations."""


def base_of(model: Any) -> PreTrainedModel:
    """The model itself, where an adapter is around it."""
    base: PreTrainedModel = getattr(model, "get_base_model", lambda: model)()
    return base


def tree_logits(
    model: Any, tree: TokenTree, nodes: Sequence[int], call: Callable[..., Any] | None = None
) -> torch.Tensor:
    """Logits (nodes, vocabulary) of the token after each node, as plain forward passes would give them.

    `call` is what is called in place of the model, if it is wrapped for several processes.
    """
    if _takes_blocks(model, tree.length()):
        return in_blocks(model, tree, nodes, call or model)
    if _takes_masks(model, tree.length()):
        return _masked(model, tree, nodes, call or model)
    return _as_rows(model, tree, nodes, call or model)


def next_logits(model: Any, texts: Sequence[Sequence[int]]) -> torch.Tensor:
    """Logits (texts, vocabulary) of the token after each text, by plain forward passes."""
    tree = TokenTree()
    return _as_rows(model, tree, [tree.add(-1, text) for text in texts], model)


def takes_trees(model: Any, length: int) -> bool:
    """Whether trees of texts of so many tokens give what the texts alone do."""
    return _takes_blocks(model, length) or _takes_masks(model, length)


def _takes_blocks(model: Any, length: int) -> bool:
    base = base_of(model)
    if base.training and getattr(base, CHECKPOINTING, False):  # it forwards again, without them, to backpropagate
        return False
    return holds(base, length, functools.partial(_tree_and_rows, in_blocks), "blocks of a tree")


def _takes_masks(model: Any, length: int) -> bool:
    check = functools.partial(_tree_and_rows, _masked)
    return holds(base_of(model), length, check, "token trees", "each text is forwarded by itself")


def in_blocks(
    model: Any,
    tree: TokenTree,
    nodes: Sequence[int],
    call: Callable[..., Any] | None = None,
    *,
    since: int = 0,
    cache: Cache | None = None,
) -> torch.Tensor:
    """Logits (nodes, vocabulary) after some nodes, where only those from `since` on are forwarded.

    What the ones before are to be looked at by is in the `cache`, which then has the new ones, too.
    """
    base, own = base_of(model), (tree, nodes, call or model)
    lower = lower_layers_of(base)
    if lower is None:
        return _blocks_logits(base, *own, since, cache)
    lower.make_room()
    if cache is not None:  # which needs the lower layers' part
        with lower.watched(tree, since):
            return _blocks_logits(base, *own, since, cache)
    unknown = lower.unknown(tree)
    if unknown is not None:
        with torch.no_grad(), lower.alone(), lower.watched(unknown):
            _blocks_logits(base, unknown, [0], base)
    with lower.skipped(tree):
        return _blocks_logits(base, *own)


def keep_lower_layers(model: Any) -> None:
    """Skip from now on layers below a model's adapter, which stays where it is, where what they give is known."""
    base = base_of(model)
    lower_layers.keep(base, works=lambda: holds(base, TRIED, _kept_and_rows, "kept layers"))


def _blocks_logits(
    base: PreTrainedModel,
    tree: TokenTree,
    nodes: Sequence[int],
    call: Callable[..., Any],
    since: int = 0,
    cache: Cache | None = None,
) -> torch.Tensor:
    inputs: dict[str, Any] = {name: tensor.to(base.device) for name, tensor in tree.inputs(since).items()}
    blocks = Blocks.of(tree.ancestors(since), dtype_of(base), base.device)
    whole = torch.zeros(1, 1, 1, 1, device=base.device)  # so that the model makes no mask of its own
    inputs = {**inputs, "attention_mask": whole, "token_tree": blocks, "past_key_values": cache}
    with attending_in_blocks(base):
        return _logits(base, call, inputs, [node - since for node in nodes])[0]


def _masked(model: Any, tree: TokenTree, nodes: Sequence[int], call: Callable[..., Any]) -> torch.Tensor:
    base = base_of(model)
    inputs = {**tree.inputs(), "attention_mask": tree.mask(dtype_of(base))}
    return _logits(base, call, {name: tensor.to(base.device) for name, tensor in inputs.items()}, nodes)[0]


def _as_rows(model: Any, tree: TokenTree, nodes: Sequence[int], call: Callable[..., Any]) -> torch.Tensor:
    base = base_of(model)
    found: list[torch.Tensor] = []
    at: dict[int, int] = {}
    for paths in _rows(tree, nodes):
        width = max(map(len, paths))
        # Filled up with its own last token, so that no padding has to be told from text.
        ids = torch.tensor([tree.tokens(path + path[-1:] * (width - len(path))) for path in paths])
        wanted = set(nodes) - at.keys()
        here = {node: (row, column) for row, path in enumerate(paths) for column, node in enumerate(path)
                if node in wanted}  # fmt: skip
        columns = sorted({column for _, column in here.values()})
        logits = _logits(base, call, {"input_ids": ids.to(base.device)}, columns)
        at |= {node: len(at) + place for place, node in enumerate(here)}
        rows, places = zip(*((row, columns.index(column)) for row, column in here.values()), strict=True)
        found.append(logits[list(rows), list(places)])
    return torch.cat(found)[[at[node] for node in nodes]]


def _rows(tree: TokenTree, nodes: Sequence[int]) -> Iterator[list[list[int]]]:
    """Paths that hold all the nodes, some at a time, those of about the same length together."""
    paths = {node: tree.path(node) for node in set(nodes)}
    inner = {above for path in paths.values() for above in path[:-1]}
    leaves = sorted((path for node, path in paths.items() if node not in inner), key=len)
    for start in range(0, len(leaves), ROWS):
        yield leaves[start : start + ROWS]


def _logits(
    base: PreTrainedModel, call: Callable[..., Any], inputs: dict[str, Any], columns: Sequence[int]
) -> torch.Tensor:
    """(rows, columns, vocabulary): logits at some tokens of each row."""
    takes = inspect.signature(base.forward).parameters
    if "pixel_values" in takes and base.training:  # some models of pictures and text insist on being told: all is text
        kinds = {"token_type_ids", "mm_token_type_ids"} & takes.keys()
        inputs = inputs | {kind: torch.zeros_like(inputs["input_ids"]) for kind in kinds}
    kept = torch.tensor(list(columns), device=base.device)
    use_cache = inputs.get("past_key_values") is not None
    if "logits_to_keep" in takes:
        logits: torch.Tensor = call(**inputs, use_cache=use_cache, logits_to_keep=kept).logits
        return logits
    return call(**inputs, use_cache=use_cache).logits[:, kept]


def _tree_and_rows(
    forward: Callable[..., torch.Tensor], model: PreTrainedModel, length: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits at some tokens of two texts, one shorter, that share their first half: as a tree, and each by itself."""
    shared = length // 2
    first, second = some_texts(model, 2, length)
    tree = TokenTree()
    start = tree.add(-1, first[:shared])
    leaves = [tree.add(start, first[shared:]), tree.add(start, second[shared : max(shared + 1, length - 1)])]
    paths = [tree.path(leaf) for leaf in leaves]
    places = [torch.linspace(0, len(path) - 1, COMPARED).round().int().unique().tolist() for path in paths]
    nodes = [path[place] for path, own in zip(paths, places, strict=True) for place in own]
    plain = [
        _logits(model, model, {"input_ids": torch.tensor([tree.tokens(path)], device=model.device)}, own)
        for path, own in zip(paths, places, strict=True)
    ]
    return forward(model, tree, nodes, model), torch.cat([logits[0] for logits in plain])


def _kept_and_rows(model: PreTrainedModel, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same by layers that are kept, of which nothing is known yet."""
    lower = lower_layers_of(model)
    assert lower is not None
    lower.forget()
    return _tree_and_rows(in_blocks, model, length)
