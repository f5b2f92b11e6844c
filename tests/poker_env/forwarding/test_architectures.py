"""Whatever the architecture: trees, scores, samples and their gradients are those of plain forward passes."""

import numpy as np
import pytest
import torch
from architectures import EXPERTS, OTHERS, TREES, VOCABULARY, tiny

from poker_env.forwarding.forward import base_of, takes_trees, tree_logits
from poker_env.forwarding.generate import sample_completions
from poker_env.forwarding.score import score
from poker_env.forwarding.token_tree import TokenTree
from recipes.options.adapter import NO_ADAPTERS

QUICK = [("gemma2", "eager"), ("gpt_oss", "eager"), ("mamba", "eager"), ("lfm2", "sdpa"), ("mixtral", "sdpa"),
         ("bloom", "eager")]  # fmt: skip
ALL = [
    pytest.param(name, attention, marks=[] if (name, attention) in QUICK else pytest.mark.slow)
    for name in (*TREES, *EXPERTS, *OTHERS)
    for attention in ("sdpa", "eager")
]


def texts(lengths, shared, seed=3):
    """Random texts of given lengths that share a beginning; some go on where another one ends."""
    rng = np.random.default_rng(seed)
    start = rng.integers(3, VOCABULARY, shared).tolist()
    return [start + rng.integers(3, VOCABULARY, length - shared).tolist() for length in lengths]


def make(name, attention):
    try:
        return tiny(name, attention)
    except ValueError as error:
        assert attention == "sdpa" and "does not support" in str(error)
        pytest.skip("has no such attention")


def plainly(model, text):
    """Log-probabilities (tokens, vocabulary) after each token of one text."""
    return model(input_ids=torch.tensor([text]), use_cache=False).logits[0].float().log_softmax(-1)


@pytest.mark.parametrize(("name", "attention"), ALL)
def test_trees_scores_and_samples_are_those_of_plain_forward_passes(name, attention):
    model = make(name, attention)
    prompts = texts([9, 14, 30, 41], shared=6)  # some are longer than a window
    answers = [(7, 9), (7, 9, 11), (8,), (100, 4, 5)]
    tree = TokenTree()
    nodes, rows = [], []
    for prompt in prompts:
        for answer in answers:
            node = tree.add(-1, prompt)
            for place in range(len(answer)):
                nodes.append(node)
                rows.append(prompt + list(answer[:place]))
                node = tree.add(node, answer[place : place + 1])
    with torch.no_grad():
        expected = torch.stack([plainly(model, row)[-1] for row in rows])
        found = tree_logits(model, tree, nodes).float().log_softmax(-1)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
        assert float((expected[0] - expected[-1]).abs().max()) > 0.1  # texts matter
        scores = score(model, prompts, [[[answer] for answer in answers]] * 4, may_follow=torch.ones(VOCABULARY),
                       end_ids=(2, 3), max_new_tokens=6)  # fmt: skip
        for prompt, own in zip(prompts, scores, strict=True):
            for answer, said in zip(answers, own.answers, strict=True):
                logps = plainly(model, [*prompt, *answer])[len(prompt) - 1 :]
                for spelled, end in zip(said, (2, 3), strict=True):
                    assert spelled.ids == (*answer, end)
                    expected_logps = [float(logps[place, token]) for place, token in enumerate(spelled.ids)]
                    assert np.log(spelled.chances) == pytest.approx(expected_logps, abs=1e-4)
        asked = [prompt for prompt in prompts for _ in range(3)]
        sampled = sample_completions(model, asked, range(12), max_new_tokens=4, eos_ids=(2,),
                                     answered=lambda row, ids: False)  # fmt: skip
        for prompt, seed, ids in zip(asked, range(12), sampled, strict=True):
            uniforms = np.random.default_rng(seed).random(4)
            for place, token in enumerate(ids):
                cumulative = plainly(model, [*prompt, *ids[:place]])[-1].exp().cumsum(0, dtype=torch.float64)
                low = float(cumulative[token - 1]) if token else 0.0
                assert low - 1e-4 <= uniforms[place] * float(cumulative[-1]) <= float(cumulative[token]) + 1e-4
            assert ids[-1] == 2 or len(ids) == 4


@pytest.mark.parametrize(("name", "attention"), ALL)
def test_an_adapters_gradients_are_those_of_plain_forward_passes(name, attention):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    lora = LoraConfig(r=2, target_modules="all-linear", exclude_modules=NO_ADAPTERS, init_lora_weights=False)
    model = get_peft_model(make(name, attention), lora).train()
    rows = texts([12, 20, 33], shared=5)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    gradients = []
    for plain in (False, True):
        if plain:
            kinds = {"token_type_ids": 0} if name == "gemma3" else {}
            logits = [
                model(
                    input_ids=torch.tensor([row]),
                    use_cache=False,
                    **{k: torch.zeros(1, len(row)).long() for k in kinds},
                ).logits[0, -1]
                for row in rows
            ]
        else:
            tree = TokenTree()
            nodes = [tree.add(-1, row) for row in rows]
            logits = list(tree_logits(model, tree, nodes))
        loss = sum(own.float().log_softmax(-1)[7 + place] for place, own in enumerate(logits))
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        gradients.append(torch.cat([own.flatten() for own in found if own is not None]))
    assert float(gradients[1].norm()) > 1e-4
    assert float((gradients[0] - gradients[1]).norm()) <= 1e-4 * float(gradients[1].norm())
    assert base_of(model).training


@pytest.mark.parametrize("name", ["llama", "gemma2", "mixtral", "smollm3", "olmo2"])
def test_attention_alone_takes_trees(name):
    """The fallback is right everywhere, so that nothing else would show that trees went unused."""
    assert takes_trees(tiny(name, "eager"), 20)


def test_a_line_says_once_that_a_model_is_slower(capfd):
    model = tiny("mamba", "eager")
    model.config.name_or_path = "some/mamba"
    for _ in range(3):
        assert not takes_trees(model, 30)
    assert capfd.readouterr().err.count("some/mamba") == 1


def test_a_window_matters_from_its_length_on():
    model = tiny("mistral", "eager", sliding_window=100)
    assert takes_trees(model, 90)
    assert not takes_trees(model, 150)
    assert takes_trees(model, 64) and takes_trees(model, 100)
