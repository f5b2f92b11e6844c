"""The rules of imports: down the floors only, in no circle, nothing private; and no room too full to look over."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = [
    floor.split()
    for floor in """
        poker_env.errors
        poker_env.files poker_env.parallel poker_env.plugins poker_env.forwarding
        poker_env.games
        poker_env.state poker_env.suits poker_env.thoughts
        poker_env.menu poker_env.hand
        poker_env.prompts poker_env.cards
        poker_env.cfr.abstraction
        poker_env.cfr
        poker_env.cfr.playing poker_env.language_model poker_env.pokerbot
        poker_env.players
        poker_env.table poker_env.histories
        poker_env.knowledge
        poker_env.player_specs poker_env.evaluation
        poker_env.report poker_env.services
        reward_fns
        recipes.cli recipes.options
        poker_environments
        recipes.training
        recipes.runs
        recipes.publishing recipes.frontends recipes.studies
        recipes
        modal_app exploitative_poker
    """.strip().splitlines()
]
"""Rooms, the ground first: folders, and single modules. Those of one floor are strangers to each other."""

MOST_MODULES = 16


def modules():
    """Each module's path, by its name."""
    found = {}
    for package in ("poker_env", "reward_fns", "poker_environments", "exploitative_poker", "recipes", "modal_app"):
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports_of(source):
    """(module, name) of each import, also those inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield (whole, "") if whole in MODULES else (str(node.module), alias.name)


ARROWS = {
    name: {module for module, _ in imports_of(path.read_text()) if module in MODULES} for name, path in MODULES.items()
}
"""By module, those of ours that it imports."""


def room_of(module):
    """(floor, room): the most particular one."""
    fits = [
        (floor, room)
        for floor, rooms in enumerate(FLOORS)
        for room in rooms
        if module == room or module.startswith(f"{room}.")
    ]
    return max(fits, key=lambda fit: len(fit[1]), default=None)


def wrong(found):
    """Arrows up, or across a floor."""
    for module, imported in sorted(found.items()):
        if module == "poker_env":
            continue
        own = room_of(module)
        for other in sorted(imported - {"poker_env"}):
            floor, room = room_of(other)
            if floor > own[0] or (floor == own[0] and room != own[1]):
                yield f"{module} imports {other}, which is on floor {floor} and it on floor {own[0]}"


def test_every_module_is_in_a_room():
    assert [name for name in MODULES if name != "poker_env" and room_of(name) is None] == []


def test_every_room_says_what_it_holds():
    for folder in {path.parent for path in MODULES.values()}:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder


def test_imports_go_down():
    assert list(wrong(ARROWS)) == []


def test_no_circle():
    tuple(TopologicalSorter(ARROWS).static_order())


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("poker_env.players.llm", "poker_env.knowledge.advisor"),
        ("poker_env.evaluation.match", "recipes.cli"),
        ("poker_env.table", "reward_fns"),
        ("recipes.options.config", "poker_environments.episode"),
        ("recipes.training.rollout", "recipes.train"),
        ("recipes.frontends.web", "recipes.publishing.model_card"),
        ("recipes.push", "modal_app.publish"),
    ],
)
def test_an_arrow_up_would_be_seen(module, imported):
    found = ARROWS | {module: {*ARROWS[module], imported}}
    assert [line.split(",")[0] for line in wrong(found)] == [f"{module} imports {imported}"]


def test_a_circle_would_be_seen():
    found = ARROWS | {"poker_env.cfr.tree": {"poker_env.cfr.mccfr"}}
    with pytest.raises(CycleError):
        tuple(TopologicalSorter(found).static_order())


@pytest.mark.parametrize(
    "package", ["exploitative_poker", "modal_app", "poker_env", "poker_environments", "recipes", "reward_fns"]
)
def test_nothing_private_is_imported(package):
    taken = [
        f"{name}: {module}.{own}"
        for name, path in MODULES.items()
        if name.startswith(package)
        for module, own in imports_of(path.read_text())
        if module in MODULES and (own.startswith("_") or module.rpartition(".")[2].startswith("_"))
    ]
    assert taken == []


def test_a_room_can_be_looked_over():
    folders = {path.parent for path in MODULES.values()}
    full = {folder.name: len(list(folder.glob("*.py"))) for folder in folders}
    assert {name: count for name, count in full.items() if count > MOST_MODULES} == {}
