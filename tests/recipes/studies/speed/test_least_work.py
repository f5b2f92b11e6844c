"""Tokens are counted once where texts share them, and a bare pass stands for as many as it is asked of."""

import itertools

import pytest
import torch

from poker_env.language_model.loading import load_model
from recipes.studies.speed import least_work
from recipes.studies.speed.probe import mean_length, tokens_needed
from recipes.studies.speed.rollout import TokenCounter


def test_shared_beginnings_count_once():
    assert tokens_needed([(1, 2, 3), (1, 2, 4), (1, 2), (1, 2, 3), [1, 2, 3]]) == 4
    assert tokens_needed([(1, 2), (2, 2)]) == 4
    assert tokens_needed([]) == 0
    assert mean_length([(1, 2, 3), (1,)]) == 2
    assert mean_length([]) == 0


@pytest.mark.parametrize("backward", [False, True])
def test_a_bare_pass_is_scaled_to_all_tokens(tiny_model_dir, monkeypatch, backward):
    model = load_model(str(tiny_model_dir), torch.float32)
    monkeypatch.setattr(least_work, "MOST_TOKENS", 640)
    monkeypatch.setattr(least_work, "clock", itertools.count().__next__)
    counter = TokenCounter(model)
    # 40 texts of 16 tokens, in three batches, after one that isn't timed
    assert least_work.bare_seconds(model, 6_400, 16, backward=backward) == 10
    assert counter.tokens == 40 * 16 + least_work.ROWS * 16
    assert least_work.bare_seconds(model, 0, 16) == 0
    assert all(weight.grad is None for weight in model.parameters())


def test_a_text_longer_than_all_tokens_is_cut(tiny_model_dir):
    model = load_model(str(tiny_model_dir), torch.float32)
    counter = TokenCounter(model)
    assert least_work.bare_seconds(model, 5, 100) > 0
    assert counter.tokens == 10
