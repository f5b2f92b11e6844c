"""Blueprints: rounded to a byte, packed, and unpacked as they were."""

import numpy as np
import pytest

from poker_env.cfr.blueprint import SCALE, STEP, Blueprint
from poker_env.cfr.checkpoint import Checkpoint, Provenance, load_checkpoint
from poker_env.cfr.tree import PRESETS, holdem_tree
from poker_env.errors import UserError
from poker_env.games import make_game
from poker_env.players.cfr import OPPONENTS

GAME = make_game("holdem:stack=600")
CONFIG = PRESETS["rich"]
PROVENANCE = Provenance("mccfr", 1, 1.0, 0, "", "")


@pytest.fixture(scope="module")
def abstraction():
    return Blueprint.from_checkpoint(load_checkpoint(OPPONENTS / "holdem-small.npz")).abstraction


def _random_rows(abstraction):
    """Probabilities, many of them 0 or near it, and the first entry and count of each row."""
    tree = holdem_tree(GAME, CONFIG)
    buckets = abstraction.buckets_per_street
    offsets, total = tree.offsets(buckets)
    rng = np.random.default_rng(0)
    probabilities = rng.random(total).astype(np.float32) ** 8
    starts = np.concatenate(
        [
            offsets[node] + np.arange(buckets[tree.street[node]]) * tree.n_actions[node]
            for node in np.flatnonzero(tree.n_actions)
        ]
    )
    totals = np.add.reduceat(probabilities, starts)
    counts = np.diff(np.append(starts, total))
    return probabilities / np.repeat(totals, counts), starts


def test_probabilities_are_rounded_and_still_sum_to_1(abstraction):
    probabilities, starts = _random_rows(abstraction)
    blueprint = Blueprint.from_probabilities(GAME, CONFIG, abstraction, probabilities)
    assert (np.add.reduceat(blueprint.strategy.astype(int), starts) == SCALE).all()
    assert np.abs(blueprint.strategy / SCALE - probabilities).max() <= STEP / SCALE + 1e-6


def test_what_is_packed_is_unpacked(abstraction, tmp_path):
    blueprint = Blueprint.from_probabilities(GAME, CONFIG, abstraction, _random_rows(abstraction)[0])
    checkpoint = blueprint.to_checkpoint(PROVENANCE, {"tremble": 0.01})
    checkpoint.save(tmp_path / "x.npz")
    loaded = Blueprint.from_checkpoint(load_checkpoint(tmp_path / "x.npz"))
    assert np.array_equal(loaded.strategy, blueprint.strategy)
    assert (loaded.config, loaded.game) == (CONFIG, GAME)
    assert len(checkpoint.arrays["strategy"]) < len(blueprint.strategy) * 0.7


@pytest.mark.parametrize("change", [-1, 1])
def test_a_strategy_of_another_tree_is_refused(abstraction, change):
    blueprint = Blueprint.from_probabilities(GAME, CONFIG, abstraction, _random_rows(abstraction)[0])
    whole = blueprint.to_checkpoint(PROVENANCE, {})
    packed = np.resize(whole.arrays["strategy"], len(whole.arrays["strategy"]) + change)
    with pytest.raises(UserError, match="no whole hold'em strategy"):
        Blueprint.from_checkpoint(
            Checkpoint(whole.kind, whole.game, PROVENANCE, whole.settings, {**whole.arrays, "strategy": packed})
        )


def test_the_shipped_default_is_small():
    assert (OPPONENTS / "holdem.npz").stat().st_size < 8_000_000
