"""What layers below an adapter make of texts: it never changes, so that it is worked out once for each token.

Hands are played and then trained on, and games of few cards come back to the same texts: layers without an adapter
would give the same again. They are skipped where what they gave is known, in hands as in updates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from transformers import PreTrainedModel

from poker_env.forwarding.self_check import dtype_of
from poker_env.forwarding.token_tree import TokenTree

Tensor = torch.Tensor

MOST_BYTES = 2**27
"""When more than that is kept, all of it is forgotten: of a model of 3 billion weights, 32,768 tokens."""

ADAPTERS = (".lora_", "modules_to_save", "trainable_tokens")
"""What peft's adapters have in the names of their weights."""


class LowerLayers:
    """A model's layers from the lowest up to its adapter, and what the last of them gave."""

    def __init__(self, lower: Sequence[nn.Module], upper: Sequence[nn.Module]) -> None:
        """The layers without and with an adapter, lowest first."""
        self.lower, self.upper = lower, upper
        self.forget()

    def forget(self) -> None:
        """Keep nothing."""
        self._tree = TokenTree()
        self._states: Tensor | None = None
        """(tokens of the tree, dimensions)."""

    def make_room(self) -> None:
        """Before a pass: keep nothing of earlier ones if that is too much."""
        if self._states is not None and self._states.nbytes > MOST_BYTES:
            self.forget()

    def unknown(self, tree: TokenTree) -> TokenTree | None:
        """The texts of a tree that have tokens of which nothing is kept; None where there are none."""
        nodes = [node for node, known in enumerate(self._tree.places(tree)) if known < 0]
        return tree.part(nodes) if nodes else None

    @contextmanager
    def watched(self, tree: TokenTree, since: int = 0) -> Iterator[None]:
        """Within it one forward pass of a tree's tokens from `since` on is to take place; what comes of it is kept."""
        seen: list[Tensor] = []
        hook = self.lower[-1].register_forward_hook(lambda _, given, output: seen.append(output.detach()))
        try:
            yield
        finally:
            hook.remove()
        self._take_in(tree, since, seen[0][0])

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within it the other layers give back what they get."""
        with _forwarding(self.upper, lambda hidden_states, *args, **kwargs: hidden_states):
            yield

    @contextmanager
    def skipped(self, tree: TokenTree) -> Iterator[None]:
        """Within it these layers give what is kept of all of a tree's tokens."""
        places = self._tree.places(tree)
        assert self._states is not None and min(places) >= 0, "not all is known"
        states = self._states[places][None]
        with _forwarding(self.lower, lambda *args, **kwargs: states):
            yield

    def _take_in(self, tree: TokenTree, since: int, states: Tensor) -> None:
        """Keep (tokens, dimensions) of a tree's tokens from `since` on, if all of those before are known."""
        places = self._tree.places(tree)
        new = [node for node in range(since, len(tree)) if places[node] < 0]
        if min(places[:since], default=0) < 0 or not new:
            return
        for node in new:
            above = tree.parent(node)
            places[node] = self._tree.add(places[above] if above >= 0 else -1, tree.tokens([node]))
        own = states[[node - since for node in new]]
        self._states = own if self._states is None else torch.cat([self._states, own.to(self._states.dtype)])


_kept: WeakKeyDictionary[nn.Module, LowerLayers] = WeakKeyDictionary()


def keep(base: PreTrainedModel, works: Callable[[], bool]) -> None:
    """Keep from now on what a model's layers below its adapter give, if there are any and it `works`.

    `works` is asked while they are kept. Adapters must stay where they are; of a model that has noise while it is
    trained nothing can be kept.
    """
    _kept.pop(base, None)
    lower, upper = _below_and_above(base)
    if not lower or _is_noisy(base):
        return
    _kept[base] = LowerLayers(lower, upper)
    if works():
        _kept[base].forget()
    else:
        del _kept[base]


def lower_layers_of(base: PreTrainedModel) -> LowerLayers | None:
    """What is kept of a model's; None where nothing is, and under autocast to another type, which rounds otherwise."""
    kind = base.device.type
    if torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) != dtype_of(base):
        return None
    return _kept.get(base)


def _below_and_above(base: PreTrainedModel) -> tuple[Sequence[nn.Module], Sequence[nn.Module]]:
    """A text model's layers without and with adapters, where those have none below them and nowhere else below."""
    adapted = [name for name, weight in base.named_parameters() if _is_adapters(name) or weight.requires_grad]
    count = base.config.get_text_config().num_hidden_layers
    lists = [(name, module) for name, module in base.named_modules()
             if isinstance(module, nn.ModuleList) and len(module) == count]  # fmt: skip
    own = [(name, layers) for name, layers in lists if any(weight.startswith(f"{name}.") for weight in adapted)]
    if len(own) != 1:
        return (), ()
    name, layers = own[0]
    inside = {int(weight[len(name) + 1 :].split(".")[0]) for weight in adapted if weight.startswith(f"{name}.")}
    if any(not weight.startswith(f"{name}.") for weight in adapted):
        return (), ()
    return [*layers][: min(inside)], [*layers][min(inside) :]


def _is_adapters(name: str) -> bool:
    return any(part in name for part in ADAPTERS)


def _is_noisy(base: PreTrainedModel) -> bool:
    """Whether a model does something at random while it is trained."""
    options = base.config.get_text_config().to_dict()
    return any(
        re.search("drop|jitter", name) and isinstance(value, float) and value > 0 for name, value in options.items()
    )


@contextmanager
def _forwarding(layers: Sequence[nn.Module], forward: Callable[..., Any]) -> Iterator[None]:
    """Within it layers do something else."""
    with ExitStack() as put_back:
        for layer in layers:
            own = layer.__dict__.get("forward")
            put_back.callback(_set_forward, layer, own)
            _set_forward(layer, forward)
        yield


def _set_forward(layer: nn.Module, forward: Callable[..., Any] | None) -> None:
    """None: that of the layer's class."""
    if forward is None:
        del layer.__dict__["forward"]
    else:
        layer.__dict__["forward"] = forward
