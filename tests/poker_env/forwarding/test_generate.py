"""Batched sampling against the plainest one there is: one prompt, one token, one whole forward pass at a time."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from poker_env.forwarding.contexts import common_prefix_length
from poker_env.forwarding.generate import sample_completions
from poker_env.language_model.loading import load_model

EOS = 2  # the tiny tokenizer's <|end|>


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return load_model(str(tiny_model_dir), torch.float32)


def never(row, completion):
    return False


def sample(model, prompts, seeds, *, max_new_tokens=8, answered=never, eos_ids=(EOS,), **options):
    return sample_completions(
        model, prompts, seeds, max_new_tokens=max_new_tokens, eos_ids=eos_ids, answered=answered, **options
    )


@torch.no_grad()
def one_by_one(model, prompts, seeds, *, max_new_tokens=8, answered=never, eos_ids=(EOS,), temperature=1.0):
    completions = []
    for row, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
        completion = []
        for uniform in np.random.default_rng(seed).random(max_new_tokens):
            logits = model(torch.tensor([[*prompt, *completion]])).logits[0, -1]
            probabilities = torch.softmax(logits.double() / temperature, dim=0).numpy()
            completion.append(int(np.searchsorted(np.cumsum(probabilities), uniform, side="right")))
            if completion[-1] in eos_ids or answered(row, completion):
                break
        completions.append(completion)
    return completions


def random_prompts(rng, prefix_length, lengths):
    prefix = rng.integers(4, 110, prefix_length).tolist()
    return [prefix + rng.integers(4, 110, length).tolist() for length in lengths]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
@pytest.mark.parametrize("prefix_length", [0, 25])
def test_equals_one_prompt_at_a_time(model, prefix_length, batch_size):
    rng = np.random.default_rng(prefix_length)
    prompts = random_prompts(rng, prefix_length, [1, 17, 3, 17, 40, 9, 9, 1, 30])
    prompts += [prompts[1], prompts[4], prompts[1]]  # duplicates
    prompts += [prompts[4][:-5], [*prompts[2], 7]]  # one that another goes on from
    seeds = [int(seed) for seed in rng.integers(2**62, size=len(prompts))]
    for eos_ids in ((EOS,), ()):
        expected = one_by_one(model, prompts, seeds, eos_ids=eos_ids)
        assert sample(model, prompts, seeds, eos_ids=eos_ids, batch_size=batch_size) == expected
    assert len({tuple(completion) for completion in expected}) == len(prompts)


@pytest.mark.parametrize(
    "prompts",
    [
        [[5]],
        [[5], [5]],
        [[5], [6]],
        [[5, 6], [5]],
        [[5, 6, 7], [5, 6, 7], [5, 6, 7]],
        [[5, 6], [5, 6, 7], [5, 6, 7, 8]],
    ],
    ids=str,
)
def test_equals_one_prompt_at_a_time_in_small_batches(model, prompts):
    seeds = list(range(len(prompts)))
    assert sample(model, prompts, seeds) == one_by_one(model, prompts, seeds)


def test_temperature(model):
    prompts = random_prompts(np.random.default_rng(0), 5, [4, 8, 2, 6])
    for temperature in (0.05, 0.7, 3.0):
        completions = sample(model, prompts, [1, 2, 3, 4], temperature=temperature)
        assert completions == one_by_one(model, prompts, [1, 2, 3, 4], temperature=temperature)
    cold = sample(model, prompts, [9, 8, 7, 6], temperature=1e-4, max_new_tokens=4)
    for prompt, completion in zip(prompts, cold, strict=True):
        assert completion[0] == int(model(torch.tensor([prompt])).logits[0, -1].argmax())


def test_the_same_seed_gives_the_same_completion_in_any_company(model):
    rng = np.random.default_rng(1)
    prompts = random_prompts(rng, 10, rng.integers(1, 30, 20))
    seeds = list(range(20))
    completions = sample(model, prompts, seeds)
    assert sample(model, prompts, seeds) == completions
    order = rng.permutation(20)
    shuffled = sample(model, [prompts[row] for row in order], [seeds[row] for row in order])
    assert shuffled == [completions[row] for row in order]
    assert sample(model, prompts[3:4], seeds[3:4]) == completions[3:4]
    assert sample(model, prompts, range(100, 120)) != completions


def test_one_prompt_with_many_seeds_differs(model):
    completions = sample(model, [[5, 6, 7]] * 50, range(50))
    assert len({tuple(completion) for completion in completions}) > 30


def test_stops_at_an_end_token_and_keeps_it(model):
    prompts = random_prompts(np.random.default_rng(2), 3, [5] * 60)
    for eos_ids in ((EOS,), (EOS, 98, 99, 100)):
        completions = sample(model, prompts, range(60), eos_ids=eos_ids, max_new_tokens=12)
        assert any(len(completion) < 12 for completion in completions)
        for completion in completions:
            assert not set(completion[:-1]) & set(eos_ids)
            assert len(completion) == 12 or completion[-1] in eos_ids
    assert all(
        len(completion) == 12 for completion in sample(model, prompts, range(60), eos_ids=(), max_new_tokens=12)
    )


def test_stops_each_row_when_it_has_answered(model):
    prompts = random_prompts(np.random.default_rng(3), 3, [7, 2, 11, 5, 2, 9, 4])
    asked = []

    def answered(row, completion):
        asked.append((row, tuple(completion)))
        return len(completion) == 1 + row % 4

    completions = sample(model, prompts, range(7), eos_ids=(), answered=answered, batch_size=3)
    free = sample(model, prompts, range(7), eos_ids=())
    assert completions == [completion[: 1 + row % 4] for row, completion in enumerate(free)]
    assert set(asked) == {(row, tuple(free[row][:length])) for row in range(7) for length in range(1, 2 + row % 4)}


@pytest.mark.parametrize("limit", [1, 2, 9])
def test_max_new_tokens(model, limit):
    completions = sample(model, [[5, 6], [7]] * 5, range(10), eos_ids=(), max_new_tokens=limit)
    assert [len(completion) for completion in completions] == [limit] * 10


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_first_tokens_come_as_often_as_the_model_says(model, temperature):
    """Chi-square over the tokens expected at least five times, the others together; fails by chance once in 1,000."""
    prompt, count = [1, 40, 98, 7], 20_000
    completions = sample(
        model, [prompt] * count, range(count), max_new_tokens=1, temperature=temperature, batch_size=4_000
    )
    observed = np.bincount([completion[0] for completion in completions], minlength=110)
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0, -1].double()
    expected = torch.softmax(logits / temperature, dim=0).numpy() * count
    common = expected >= 5
    assert common.sum() > 5
    observed = [*observed[common], observed[~common].sum()]
    expected = [*expected[common], expected[~common].sum()]
    assert chisquare(observed, expected).pvalue > 0.001


@pytest.fixture
def forwarded(model):
    """The shape of the input of every forward pass, in order; but for what is tried once with a model."""
    sample(model, random_prompts(np.random.default_rng(0), 10, [4]), [0])
    shapes = []
    hook = model.register_forward_pre_hook(
        lambda _, args, inputs: shapes.append(tuple((args or [inputs["input_ids"]])[0].shape)), with_kwargs=True
    )
    yield shapes
    hook.remove()


def test_what_rows_share_is_forwarded_once(model, forwarded):
    """Prompts, and what their completions begin with: as many tokens as the tree of them has, however many rows."""
    prompts = random_prompts(np.random.default_rng(5), 10, [4, 4, 4])
    completions = sample(model, prompts * 400, range(1200), eos_ids=(), max_new_tokens=2)
    first_tokens = {(row % 3, completion[0]) for row, completion in enumerate(completions)}
    assert len(first_tokens) < 300
    assert sum(texts * tokens for texts, tokens in forwarded) == 10 + 3 * 4 + len(first_tokens)


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_no_more_than_a_batch_is_forwarded_at_once(model, forwarded, batch_size):
    prompts = random_prompts(np.random.default_rng(6), 2, [4, 7]) * 30
    completions = sample(model, prompts, range(60), batch_size=batch_size)
    assert max(texts for texts, _ in forwarded) <= batch_size
    assert max(texts * tokens for texts, tokens in forwarded) <= batch_size * max(map(len, prompts))
    assert completions == one_by_one(model, prompts, range(60))


def test_nothing_to_complete(model):
    assert sample(model, [], []) == []


@pytest.mark.parametrize("training", [True, False])
def test_the_models_mode_is_as_before_even_after_an_error(model, training):
    def fail(row, completion):
        raise RuntimeError("from the caller")

    model.train(training)
    try:
        sample(model, [[5]], [0])
        assert model.training is training
        with pytest.raises(RuntimeError, match="from the caller"):
            sample(model, [[5]], [0], answered=fail)
        assert model.training is training
        assert all(module.training is training for module in model.modules())
    finally:
        model.eval()


def test_a_model_in_training_samples_without_dropout_and_without_gradients(model):
    prompts = random_prompts(np.random.default_rng(4), 0, [20, 9, 14])
    expected = sample(model, prompts, range(3))
    layers = [layer.self_attn for layer in model.model.layers]
    model.train()
    try:
        for attention in layers:
            attention.attention_dropout = 0.9
        assert sample(model, prompts, range(3)) == expected
    finally:
        for attention in layers:
            attention.attention_dropout = 0.0
        model.eval()
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("prompts", "length"),
    [
        ([[1, 2, 3]], 0),
        ([[1, 2, 3], [1, 2, 4]], 2),
        ([[1, 2, 3], [1, 2]], 1),  # a token of each is left over
        ([[1, 2, 3], [1, 2, 3]], 2),
        ([[1, 2], [3, 2]], 0),
        ([[1], [1, 5]], 0),
        ([[4, 4, 9, 1], [4, 4, 8], [4, 4, 9, 2, 7]], 2),
    ],
)
def test_common_prefixes(prompts, length):
    assert common_prefix_length(prompts) == length
