"""Both solvers are run as asked, and judged by the same measure."""

import importlib.machinery
import json
import sys
import types

import pytest
from torch.utils import _pytree

from poker_env.errors import UserError
from recipes.studies import deep_against_openspiel as study


@pytest.fixture
def dm_tree(monkeypatch):
    """What OpenSpiel's solver takes of dm-tree."""
    module = types.ModuleType("tree")
    module.__spec__ = importlib.machinery.ModuleSpec("tree", None)
    module.map_structure = _pytree.tree_map
    monkeypatch.setitem(sys.modules, "tree", module)


@pytest.mark.parametrize("game", ["kuhn", "leduc"])
def test_both_are_solved_and_timed(tmp_path, capsys, game, dm_tree):
    output = tmp_path / "new" / "x.json"
    numbers = ["--iterations", "2", "--walks", "3", "--steps", "2", "--final_steps", "4", "--batch", "8"]
    study.main(["--game", game, *numbers, "--seeds", "3", "4", "--output", str(output)])
    record = json.loads(output.read_text())
    assert [(entry["side"], entry["seed"]) for entry in record["runs"]] == [
        (side, seed) for seed in (3, 4) for side in ("here", "OpenSpiel")
    ]
    assert all(entry["seconds"] > 0 and 0 < entry["exploitability"] < 10 for entry in record["runs"])
    assert record["plan"]["walks"] == 3
    assert "OpenSpiel: exploitability" in capsys.readouterr().out


def test_mistakes_are_one_line():
    with pytest.raises(UserError, match="--walks 0 must be above 0"):
        study.main(["--walks", "0"])


def test_without_dm_tree_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "tree", None)
    monkeypatch.setattr(study.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install dm-tree"):
        study.main(["--walks", "1"])
