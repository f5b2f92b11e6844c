"""Which names of TRL our code needs, as its own source says, and which of them a TRL lacks, by its source."""

import ast
import inspect
from dataclasses import dataclass, fields
from functools import cache, cached_property

from sources import (
    calls_in,
    class_of,
    is_args,
    is_name,
    is_super,
    is_trainer,
    keys_of,
    known,
    methods_of,
    misfit,
    module,
    read_from,
    recipes,
    returned,
    set_by,
    signature_of,
    text_of,
    texts_in,
    valued,
    walk,
)
from trl import GRPOTrainer, SFTTrainer

from recipes.options import trl_options
from recipes.runs.metrics import TRAINER_METRICS
from recipes.training.trainer import PER_TOKEN, SAMPLED, SUMS, TreeTrainer
from recipes.warm_start import ImitationTrainer

OVERRIDES = {
    TreeTrainer: {
        *("__init__", "compute_loss", "create_model_card", "training_step"),
        *("_generate", "_get_per_token_logps_and_entropies", "_prepare_inputs"),
    },
    ImitationTrainer: {"__init__", "compute_loss", "get_train_dataloader", "training_step"},
}
"""What of the stock trainer is meant to be replaced: another method of ours with a name of its own is an accident."""

REDEFINED = {
    *("chat_template_kwargs", "ddp_timeout", "gradient_checkpointing", "learning_rate", "lr_scheduler_type"),
    *("max_completion_length", "model_init_kwargs", "per_device_train_batch_size", "project", "report_to", "run_name"),
    *("scale_rewards", "temperature"),
}
"""Options of `GRPOConfig` that `ExploitConfig` has with another default or another meaning."""

BATCHES = {"inputs", "output", "batch", "whole", "part"}
"""What batches of rows are called, where they are ours; the stock trainer says `inputs` and `output`."""

OUR_KEYS = {"sampled_logps"}
"""What we add to a batch."""

CONTRACT = {"prompt_ids", "completion_ids", "logprobs", "env_mask"}
"""What of a rollout's rows TRL reads."""


@dataclass(frozen=True)
class Stock:
    """A trainer of TRL's: the source of its class, then of those it is made of."""

    name: str
    sources: tuple[str, ...]

    @staticmethod
    def of(trainer):
        """The installed one."""
        made_of = [part for part in trainer.__mro__ if part is not object]
        return Stock(trainer.__name__, tuple(inspect.getsource(part) for part in made_of))

    def without(self, name, put="renamed"):
        """The same where a name is another one everywhere."""
        return Stock(self.name, tuple(source.replace(name, put) for source in self.sources))

    @cached_property
    def classes(self):
        return list(map(class_of, self.sources))

    @cached_property
    def methods(self):
        return {name: own for tree in reversed(self.classes) for name, own in methods_of(tree).items()}

    @cached_property
    def names(self):
        return set(self.methods).union(*map(set_by, self.classes))

    @cached_property
    def calls(self):
        """(call, how many values its result is unpacked into) of its methods, by their name."""
        found = {}
        for tree in self.classes:
            for name, *how in calls_in(tree, is_name("self")):
                found.setdefault(name, []).append(how)
        return found

    @cached_property
    def keys(self):
        """Of its batches."""
        return known(keys_of(self.classes[0], is_name("inputs", "output")))

    @cached_property
    def figures(self):
        """What it logs, by its name."""

        def of_a_mode(node):
            return (
                isinstance(node, ast.Subscript)
                and isinstance(node.value, ast.Attribute)
                and node.value.attr == "_metrics"
            )

        return known(keys_of(self.classes[0], of_a_mode))


STOCK = {TreeTrainer: Stock.of(GRPOTrainer), ImitationTrainer: Stock.of(SFTTrainer)}


@dataclass(frozen=True)
class Own:
    """A class of ours that a trainer is made of."""

    path: str
    tree: ast.ClassDef

    @cached_property
    def declared(self):
        """Attributes that it says are the stock trainer's: those with a type and no value."""
        return {
            node.target.id: node for node in self.tree.body if isinstance(node, ast.AnnAssign) and not valued(node)
        }

    @cached_property
    def names(self):
        """What is its own, but for the methods."""
        return set_by(self.tree) - set(self.declared)

    def line(self, node):
        return f"{self.path}:{node.lineno}"


@cache
def own_classes(trainer):
    """A trainer's classes that are ours."""
    found = []
    for part in trainer.__mro__:
        if part.__module__.startswith("recipes."):
            path = part.__module__.replace(".", "/") + ".py"
            tree = next(node for node in walk(module(path)) if getattr(node, "name", None) == part.__name__)
            found.append(Own(path, tree))
    return found


def own_names(trainer):
    """What a trainer has from us."""
    return set().union(*({*own.names, *methods_of(own.tree)} for own in own_classes(trainer)))


def told(found):
    """What each complaint says, once, with all lines."""
    lines = {}
    for complaint, line in found:
        lines.setdefault(complaint, set()).add(line)
    return [f"{complaint}: {', '.join(sorted(where))}" for complaint, where in sorted(lines.items())]


def missing_names(trainer, stock):
    """What our classes override, read or set that the stock trainer no longer has; what it has of ours by now."""
    ours = own_names(trainer)
    for own in own_classes(trainer):
        for name, method in methods_of(own.tree).items():
            if name in OVERRIDES[trainer] and name not in stock.methods:
                yield f"{stock.name}.{name} is gone, which we override", own.line(method)
            elif name not in OVERRIDES[trainer] and name in stock.names:
                yield f"{stock.name} has a {name} of its own, which ours would replace: rename ours", own.line(method)
        for name, node in own.declared.items():
            if name not in stock.names:
                yield f"{stock.name}.{name} is gone", own.line(node)
        for name, node in read_from(own.tree, lambda node: is_name("self")(node) or is_super(node)):
            if name not in stock.names | ours:
                yield f"{stock.name}.{name} is gone", own.line(node)
            elif name in own.names and name in stock.names and isinstance(node.ctx, ast.Store):
                yield f"{stock.name} has a {name} of its own, which ours would replace: rename ours", own.line(node)


def misfits(trainer, stock):
    """Calls of the stock trainer's methods, and its calls of those that we override, that don't fit any more."""
    ours = own_names(trainer)
    for own in own_classes(trainer):
        calls = [*calls_in(own.tree, is_super), *calls_in(own.tree, is_name("self"))]
        for name, call, values in calls:
            if name in stock.methods and (is_super(call.func.value) or name not in ours):
                for why in unlike(call, values, stock.methods[name]):
                    yield f"{stock.name} has another {why}", own.line(call)
        for name in OVERRIDES[trainer] & set(methods_of(own.tree)):
            method = methods_of(own.tree)[name]
            for call, values in stock.calls.get(name, ()):
                for why in unlike(call, values, method):
                    yield f"{stock.name} expects another {why}", own.line(method)


def unlike(call, values, function):
    """In what a method is other than its call, whose result is unpacked into so many values."""
    why = misfit(call, function)
    if why is not None:
        yield why
    if values is not None and returned(function) not in ({values}, set()):
        yield f"{function.name}: {returned(function)} values, where {values} are taken"


def missing_elsewhere(stock):
    """What is read of trainers, and asked of their making, where none of their methods is written."""
    names = stock.names | own_names(TreeTrainer) | own_names(ImitationTrainer)
    start = signature_of(stock.methods["__init__"]).parameters
    for path, tree in recipes():
        for name, node in read_from(tree, is_trainer):
            if name not in names:
                yield f"{stock.name}.{name} is gone", f"{path}:{node.lineno}"
        for node in walk(tree):
            if isinstance(node, ast.Call) and is_name("TreeTrainer")(node.func):
                own = signature_of(methods_of(own_classes(TreeTrainer)[0].tree)["__init__"]).parameters
                for given in node.keywords:
                    if given.arg not in start and given.arg not in own:
                        yield f"{stock.name}() takes no {given.arg} any more", f"{path}:{given.value.lineno}"


def missing_keys(stock):
    """Entries of batches, of a rollout's rows, and figures, that the stock trainer doesn't have any more."""
    for path in ("recipes/training/trainer.py", "recipes/training/batches.py"):
        for key, node in keys_of(module(path), is_name(*BATCHES)):
            if key is not None and key not in stock.keys | OUR_KEYS:
                yield f"batches of {stock.name} have no {key} any more", f"{path}:{node.lineno}"
        for key, node in keys_of(module(path), is_name("metrics")):
            if key is not None and key not in stock.figures | SAMPLED:
                yield f"{stock.name} logs no {key} any more", f"{path}:{node.lineno}"
    for key in sorted(PER_TOKEN - stock.keys):
        yield f"batches of {stock.name} have no {key} any more", "PER_TOKEN in recipes/training/trainer.py"
    for key in sorted(SUMS - stock.figures):
        yield f"{stock.name} logs no {key} any more", "SUMS in recipes/training/trainer.py"
    texts = texts_in(stock.classes[0])
    everywhere = set().union(*map(texts_in, stock.classes))
    for key in sorted(set(TRAINER_METRICS) - SAMPLED - everywhere):
        yield f"{stock.name} logs no {key} any more", "TRAINER_METRICS in recipes/runs/metrics.py"
    for key in sorted(CONTRACT - texts):
        yield f"{stock.name} reads no {key} of a rollout any more", "to_trl in recipes/training/rows.py"
    for key in sorted(rollout_keys() - CONTRACT & texts | OUR_KEYS & stock.keys | SAMPLED & stock.figures):
        yield f"{stock.name} has a {key} of its own, which ours would be taken for: rename ours", "see `to_trl`"


def rollout_keys():
    """Of the rows that a rollout gives."""
    path = "recipes/training/rows.py"
    function = next(node for node in walk(module(path)) if getattr(node, "name", None) == "to_trl")
    return {text_of(key) for node in walk(function) if isinstance(node, ast.Dict) for key in node.keys}


def missing_options(theirs):
    """Options of `GRPOConfig`, of which there are `theirs`, that are gone, or have come and have a name of ours."""
    path = "recipes/options/config.py"
    tree = next(node for node in walk(module(path)) if getattr(node, "name", None) == "ExploitConfig")
    own = {node.target.id: node for node in tree.body if isinstance(node, ast.AnnAssign)}
    for name in sorted(REDEFINED - theirs):
        yield f"GRPOConfig has no {name} any more", f"{path}:{own[name].lineno}"
    for name in sorted(set(own) & theirs - REDEFINED):
        yield f"GRPOConfig has a {name} of its own, which ours replaces", f"{path}:{own[name].lineno}"
    ours = {*own, *methods_of(tree), "steps_per_epoch", "scale_advantages"}
    for name, node in read_from(tree, is_name("self")):
        if name not in ours | theirs:
            yield f"GRPOConfig has no {name} any more", f"{path}:{node.lineno}"
    for where, listing in recipes():
        for name, node in read_from(listing, is_args):
            if name not in ours | theirs:
                yield f"GRPOConfig has no {name} any more", f"{where}:{node.lineno}"
    path = "recipes/options/trl_options.py"
    named = {
        *(name for family in trl_options.WORKS.values() for name in family),
        *trl_options.SET,
        *trl_options.REFUSED,
    }
    lines = {text_of(node): node.lineno for node in walk(module(path)) if text_of(node) in named}
    for name in sorted(named - theirs):
        yield f"GRPOConfig has no {name} any more", f"{path}:{lines[name]}"


@cache
def options_of(config):
    """An options class's names, also of what it works out."""
    return Stock.of(config).names | {option.name for option in fields(config)}
