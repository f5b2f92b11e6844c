"""Which names of TRL our code needs, as its own source says, and whether the installed TRL has them.

It reads sources, and trains nothing: a new TRL that lacks a name, or has one of ours, is told here by name and line.
"""

import ast
import importlib
import inspect
import textwrap
from dataclasses import dataclass, fields
from functools import cache, cached_property, lru_cache
from pathlib import Path

import pytest
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from recipes.options import trl_options
from recipes.options.config import ExploitConfig
from recipes.runs.metrics import TRAINER_METRICS
from recipes.training.fitting import FitsIntoMemory
from recipes.training.trainer import PER_TOKEN, SAMPLED, SUMS, TreeTrainer
from recipes.warm_start import ImitationTrainer

ROOT = Path(__file__).parents[3]

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


@cache
def module(path):
    """A module of ours."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


@lru_cache(16)  # of those that are made up, the last ones
def class_of(source):
    """A class of TRL's or transformers'."""
    return ast.parse(textwrap.dedent(source)).body[0]


@lru_cache(256)
def walk(tree):
    """All nodes of a module, a class or a function."""
    return tuple(ast.walk(tree))


def recipes():
    """(path, module) of each of the recipes'."""
    for path in sorted((ROOT / "recipes").rglob("*.py")):
        yield str(path.relative_to(ROOT)), module(str(path.relative_to(ROOT)))


def read_from(tree, owner):
    """(name, node) of each attribute that is read or set of what `owner` says it is looking for."""
    for node in walk(tree):
        if isinstance(node, ast.Attribute) and owner(node.value):
            yield node.attr, node


def is_name(*names):
    """Whether an expression is one of these variables."""
    return lambda node: isinstance(node, ast.Name) and node.id in names


def is_super(node):
    """Whether an expression is `super()`."""
    return isinstance(node, ast.Call) and is_name("super")(node.func)


def is_trainer(node):
    """Whether an expression is a trainer, where none of its methods is written."""
    held = isinstance(node, ast.Attribute) and node.attr == "_trainer"
    return held or is_name("trainer", "GRPOTrainer")(node)


def is_args(node):
    """Whether an expression is a trainer's config."""
    if not isinstance(node, ast.Attribute):
        return is_name("args")(node)
    return node.attr == "args" and (is_name("self")(node.value) or is_trainer(node.value))


@lru_cache(16)
def methods_of(tree):
    """A class's own, by name."""
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@lru_cache(16)
def set_by(tree):
    """Names that a class gives a value: on itself, or on `self`."""
    found = {name for name, node in read_from(tree, is_name("self")) if isinstance(node.ctx, ast.Store)}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if valued(node) else []
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def valued(node):
    """Whether a statement is an annotated name with a value."""
    return isinstance(node, ast.AnnAssign) and node.value is not None


def text_of(node):
    """A constant's text; None of anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def keys_of(tree, owner):
    """(key, node) of each entry that is read or set of the dictionaries that `owner` knows."""
    for node in walk(tree):
        if isinstance(node, ast.Subscript) and owner(node.value):
            yield text_of(node.slice), node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and owner(node.func.value):
            yield from ((text_of(given), node) for given in node.args[:1] if node.func.attr in ("get", "pop"))
        elif isinstance(node, ast.Dict) and any(map(owner, node.values)):  # {**inputs, "key": …}
            yield from ((text_of(key), node) for key in node.keys if key is not None)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and any(map(owner, node.targets)):
            yield from ((text_of(key), node) for key in node.value.keys)


def known(found):
    """Those keys that are written out."""
    return {key for key, _ in found if key is not None}


def texts_in(tree):
    """All texts that are written out, also in a comparison or a set."""
    return {node.value for node in walk(tree) if text_of(node) is not None}


def signature_of(function):
    """What a method that is written so can be called with, without `self`."""
    given, parameter = function.args, inspect.Parameter
    positional = [*given.posonlyargs, *given.args]
    plain = len(positional) - len(given.defaults)
    found = [
        parameter(own.arg, parameter.POSITIONAL_OR_KEYWORD, default=parameter.empty if place < plain else None)
        for place, own in enumerate(positional)
    ][1:]
    if given.vararg:
        found.append(parameter(given.vararg.arg, parameter.VAR_POSITIONAL))
    for own, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        empty = parameter.empty if default is None else None
        found.append(parameter(own.arg, parameter.KEYWORD_ONLY, default=empty))
    if given.kwarg:
        found.append(parameter(given.kwarg.arg, parameter.VAR_KEYWORD))
    return inspect.Signature(found)


def misfit(call, function):
    """Why a method can't be called so; None where it can. What is behind stars may be anything."""
    signature = signature_of(function)
    positional = [given for given in call.args if not isinstance(given, ast.Starred)]
    named = {given.arg: given for given in call.keywords if given.arg is not None}
    starred = len(positional) < len(call.args) or len(named) < len(call.keywords)
    try:
        (signature.bind_partial if starred else signature.bind)(*positional, **named)
    except TypeError as error:
        return f"{function.name}{signature}: {error}"
    return None


def calls_in(tree, owner):
    """(name, call, how many values its result is unpacked into or None) of each method that is called."""
    unpacked = {
        node.value: len(node.targets[0].elts)
        for node in walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)
    }
    for node in walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and owner(node.func.value):
            yield node.func.attr, node, unpacked.get(node)


def returned(function):
    """How many values a method returns; nothing where it returns no tuple that is written out."""
    nodes = (node.value for node in walk(function) if isinstance(node, ast.Return))
    return {len(value.elts) for value in nodes if isinstance(value, ast.Tuple)}


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


@pytest.mark.parametrize("trainer", OVERRIDES)
def test_the_names_that_our_trainers_need_are_there(trainer):
    assert set(FitsIntoMemory.__subclasses__()) == set(OVERRIDES)
    assert told(missing_names(trainer, STOCK[trainer])) == []
    assert told(misfits(trainer, STOCK[trainer])) == []


def test_what_is_read_of_trainers_elsewhere_is_there():
    assert told(missing_elsewhere(STOCK[TreeTrainer])) == []


def test_batches_rows_and_figures_have_the_keys_that_we_read():
    assert rollout_keys() >= CONTRACT
    assert told(missing_keys(STOCK[TreeTrainer])) == []


def test_the_options_that_we_name_are_there():
    assert told(missing_options(options_of(GRPOConfig))) == []
    path = "recipes/warm_start.py"
    made = next(node for node in walk(module(path)) if isinstance(node, ast.Call) and is_name("SFTConfig")(node.func))
    given = {own.arg: own.value.lineno for own in made.keywords}
    gone = {name: line for name, line in given.items() if name not in options_of(SFTConfig)}
    assert gone == {}, f"SFTConfig has no {', '.join(gone)} any more: {path}"


def test_what_we_import_of_trl_is_there():
    taken = [
        (node.module, alias.name, f"{path}:{node.lineno}")
        for path, tree in recipes()
        for node in walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "trl"
        for alias in node.names
    ]
    assert {"GRPOTrainer", "GRPOConfig", "is_vllm_available"} <= {name for _, name, _ in taken}
    gone = [own for own in taken if not hasattr(importlib.import_module(own[0]), own[1])]
    assert gone == []


# What the checker would say of a TRL that has moved.


@pytest.mark.parametrize("name", sorted(OVERRIDES[TreeTrainer] - {"__init__"}))
def test_a_method_that_we_override_would_be_missed(name):
    found = told(missing_names(TreeTrainer, STOCK[TreeTrainer].without(f"def {name}(", "def renamed(")))
    assert any(f"GRPOTrainer.{name} is gone, which we override: recipes/training/" in line for line in found), found


@pytest.mark.parametrize(
    "name", ["_generate_single_turn", "_generate_and_score_completions", "_metrics", "entropy_coef", "rollout_func"]
)
def test_what_we_read_would_be_missed(name):
    found = told(missing_names(TreeTrainer, STOCK[TreeTrainer].without(name)))
    assert [line.partition(":")[0] for line in found] == [f"GRPOTrainer.{name} is gone"]
    assert "recipes/training/" in found[0]


@pytest.mark.parametrize("name", ["processing_class", "callback_handler", "_get_per_token_logps_and_entropies"])
def test_what_is_read_elsewhere_would_be_missed(name):
    stock = STOCK[TreeTrainer].without(name)
    found = told(missing_elsewhere(stock))
    if name in OVERRIDES[TreeTrainer]:  # ours has it
        assert found == []
    else:
        assert any(f"GRPOTrainer.{name} is gone: recipes/" in line for line in found)


@pytest.mark.parametrize("name", ["_told", "steps_taken", "sampled", "_score_tree"])
def test_a_name_of_ours_that_trl_has_taken_would_be_seen(name):
    found = told(missing_names(TreeTrainer, STOCK[TreeTrainer].without("_tool_call_loop", name)))
    assert [line.partition(":")[0] for line in found] == [
        f"GRPOTrainer has a {name} of its own, which ours would replace"
    ]


@pytest.mark.parametrize(
    ("then", "now", "message"),
    [
        (
            "multimodal_fields, num_generations, has_tool_images=False",
            "multimodal_fields, num_generations, tools, has_tool_images=False",
            "GRPOTrainer has another _generate_single_turn(",
        ),
        ("return completion_ids, logprobs\n", "return completion_ids\n", None),
        (
            "return completion_ids, logprobs\n",
            "return completion_ids, logprobs, images\n",
            "GRPOTrainer has another _generate_single_turn: {3} values, where 2 are taken: recipes/",
        ),
        (
            "compute_entropy=True,",
            "entropy=True, compute_entropy=True,",
            None,  # it goes into the rest, which we ignore
        ),
        (
            "= self._generate(prompts)",
            "= self._generate(prompts, images)",
            "GRPOTrainer expects another _generate(prompts): too many positional arguments",
        ),
        (
            "old_per_token_logps, _, _ = self",
            "old_per_token_logps, _ = self",
            "GRPOTrainer expects another _get_per_token_logps_and_entropies: {3} values, where 2 are taken",
        ),
        (
            "        rollout_func: RolloutFunc",
            "        rollout: RolloutFunc",
            "GRPOTrainer() takes no rollout_func any",
        ),
    ],
)
def test_other_parameters_or_values_would_be_seen(then, now, message):
    stock = STOCK[TreeTrainer].without(then, now)
    assert stock != STOCK[TreeTrainer]
    found = told([*misfits(TreeTrainer, stock), *missing_elsewhere(stock)])
    assert (message is None and found == []) or (len(found) == 1 and message in found[0]), found


@pytest.mark.parametrize(
    ("key", "what"),
    [
        *((key, "batches of GRPOTrainer have no {} any more") for key in sorted(PER_TOKEN | {"num_items_in_batch"})),
        *((key, "GRPOTrainer logs no {} any more") for key in ("entropy_coef", "kl", "policy_loss")),
        *((key, "GRPOTrainer reads no {} of a rollout any more") for key in ("env_mask", "logprobs")),
    ],
)
def test_a_key_that_we_read_would_be_missed(key, what):
    found = told(missing_keys(STOCK[TreeTrainer].without(f'"{key}"', '"renamed"')))
    assert any(line.startswith(what.format(key)) and "recipes/" in line for line in found), found


@pytest.mark.parametrize("name", ["generation_kwargs", "num_iterations", "temperature", "top_p", "_n_gpu"])
def test_an_option_that_is_gone_would_be_missed(name):
    found = told(missing_options(options_of(GRPOConfig) - {name}))
    assert len(found) == 1
    assert found[0].startswith(f"GRPOConfig has no {name} any more: recipes/")


def test_an_option_of_ours_that_trl_has_taken_would_be_seen():
    assert told(missing_options(options_of(GRPOConfig) | {"villain"}))[0].startswith(
        "GRPOConfig has a villain of its own"
    )
    assert options_of(ExploitConfig) > options_of(GRPOConfig)
