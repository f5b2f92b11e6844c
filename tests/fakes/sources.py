"""Python sources, read for what they name, call and return."""

import ast
import inspect
import textwrap
from functools import cache, lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


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
