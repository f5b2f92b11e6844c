"""Whether the installed TRL has the names that our code needs of it.

Sources are read, and nothing is trained: a new TRL that lacks a name, or has one of ours, is told of by name and line.
"""

import ast
import importlib

import pytest
from needs_of_trl import (
    CONTRACT,
    OVERRIDES,
    STOCK,
    misfits,
    missing_elsewhere,
    missing_keys,
    missing_names,
    missing_options,
    options_of,
    rollout_keys,
    told,
)
from sources import is_name, module, recipes, walk
from trl import GRPOConfig, SFTConfig

from recipes.options.config import ExploitConfig
from recipes.training.fitting import FitsIntoMemory
from recipes.training.trainer import PER_TOKEN, TreeTrainer


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
