"""Probabilities of completions against plain forward passes, one text at a time."""

import numpy as np
import pytest
import torch

from poker_env.forwarding.generate import sample_completions
from poker_env.forwarding.score import score
from poker_env.language_model.loading import load_model

END, OTHER_END = 2, 30


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return load_model(str(tiny_model_dir), torch.float32)


@torch.no_grad()
def plainly(model, prompt, candidate, may_follow, max_new_tokens, temperature):
    if len(candidate) > max_new_tokens:
        return 0.0
    likely = 1.0
    for place, token in enumerate([*candidate, None]):
        logits = model(torch.tensor([[*prompt, *candidate[:place]]])).logits[0, -1]
        probabilities = torch.softmax(logits.double() / temperature, dim=0)
        if token is not None:
            likely *= float(probabilities[token])
        elif place < max_new_tokens:
            likely *= float(probabilities[may_follow].sum())
    return likely


@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_equals_plain_forward_passes(model, batch_size, temperature):
    rng = np.random.default_rng(1)
    vocabulary = model.config.vocab_size
    may_follow = torch.tensor(rng.random(vocabulary) < 0.7)
    start = rng.integers(4, 110, 20).tolist()
    prompts = [
        start[:cut] + rng.integers(4, 110, length).tolist() for cut, length in [(20, 5), (20, 9), (3, 12), (0, 1)]
    ]
    # Likely tokens, shared beginnings, one that begins with another, one that is too long.
    candidates = [
        [(99,), (99, 100), (99, 101, 98), (100, 2), (98, 98, 98, 98)],
        [(99,)],
        [(100, 98), (101,)],
        [(2,), (4,)],
    ]
    asked = [0, 1, 2, 3, 1, 0]  # some twice
    found = score(
        model,
        [prompts[i] for i in asked],
        [[[ids] for ids in candidates[i]] for i in asked],
        may_follow=may_follow,
        end_ids=(END,),
        max_new_tokens=3,
        temperature=temperature,
        batch_size=batch_size,
    )
    for i, row in zip(asked, found, strict=True):
        expected = [plainly(model, prompts[i], ids, may_follow, 3, temperature) for ids in candidates[i]]
        np.testing.assert_allclose(row.begun, expected, rtol=1e-4, atol=1e-9)
        expected = [plainly(model, prompts[i], ids, END, 3, temperature) for ids in candidates[i]]
        np.testing.assert_allclose(row.whole, expected, rtol=1e-4, atol=1e-9)
    assert found[0].begun[-1] == 0 < min(found[0].begun[:-1])


def test_samples_come_as_often_as_they_should(model):
    prompt, candidates = [5, 6, 7, 8], [(ids,) for ids in range(98, 104)] + [(99, 100), (99, 101)]
    everything = torch.ones(model.config.vocab_size, dtype=torch.bool)
    asked = [[ids] for ids in candidates]
    (expected,) = score(model, [prompt], [asked], may_follow=everything, end_ids=(END,), max_new_tokens=2)
    n = 4_000
    sampled = sample_completions(
        model, [prompt] * n, range(n), max_new_tokens=2, eos_ids=(), answered=lambda row, completion: False
    )
    for ids, probability in zip(candidates, expected.begun, strict=True):
        frequency = np.mean([tuple(completion[: len(ids)]) == ids for completion in sampled])
        assert abs(frequency - probability) < 4 * (probability * (1 - probability) / n) ** 0.5 + 1e-3
    assert sum(expected.begun[:6]) > 0.3


def test_the_model_is_left_as_it_was(model):
    model.train()
    everything = torch.ones(model.config.vocab_size, dtype=torch.bool)
    score(model, [[5]], [[[(6,)]]], may_follow=everything, end_ids=(END,), max_new_tokens=1)
    assert model.training
    model.eval()
    assert score(model, [], [], may_follow=everything, end_ids=(END,), max_new_tokens=1) == []


@pytest.mark.parametrize("max_new_tokens", [2, 3, 4])
def test_a_candidate_counts_in_all_its_spellings_and_with_every_end(model, max_new_tokens):
    prompt, spellings = [5, 6, 7, 8], [[(99, 100), (101,)], [(99, 104)]]
    ends = (END, OTHER_END)
    # A tokenizer may know fewer tokens than the output layer, or more.
    for known in (90, model.config.vocab_size, 200):
        may_follow = torch.ones(known, dtype=torch.bool)
        (found,) = score(
            model, [prompt], [spellings], may_follow=may_follow, end_ids=ends, max_new_tokens=max_new_tokens
        )
        for own, answers, begun, whole in zip(spellings, found.answers, found.begun, found.whole, strict=True):
            expected = {
                (*ids, *(ends[end : end + 1] if len(ids) < max_new_tokens else ())): plainly(
                    model, prompt, ids, ends[end], max_new_tokens, 1.0
                )
                for ids in own
                for end in range(2)
            }
            assert {each.ids: each.probability for each in answers} == pytest.approx(expected, rel=1e-4)
            assert all(len(each.chances) == len(each.ids) for each in answers)
            assert whole == pytest.approx(sum(expected.values()), rel=1e-4)
            followed = torch.arange(min(known, model.config.vocab_size))
            expected_begun = sum(plainly(model, prompt, ids, followed, max_new_tokens, 1.0) for ids in own)
            assert begun == pytest.approx(expected_begun, rel=1e-4)
    assert found.place((99, 100)) == (0 if max_new_tokens == 2 else None)
    assert found.place((101, OTHER_END)) == 0 and found.place((99, 104, OTHER_END)) == (
        None if max_new_tokens == 2 else 1
    )
    assert found.place((101, 5)) is None and found.place(()) is None
