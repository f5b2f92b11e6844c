"""Layers below an adapter are forwarded once for each token, and nothing else changes."""

import numpy as np
import pytest
import torch
from architectures import EXPERTS, TREES, VOCABULARY, tiny
from peft import LoraConfig, get_peft_model

from poker_env.forwarding import lower_layers
from poker_env.forwarding.forward import base_of, keep_lower_layers, next_logits, takes_trees, tree_logits
from poker_env.forwarding.generate import sample_completions
from poker_env.forwarding.lower_layers import lower_layers_of
from poker_env.forwarding.score import score
from poker_env.forwarding.token_tree import TokenTree
from recipes.options.adapter import lora_config

QUICK = {"llama", "gemma3_text", "phi3", "olmo2"}


def adapted(name="llama", depth=0.5, layers=2, attention="sdpa", noise=None, **sizes):
    torch.manual_seed(0)
    model = tiny(name, attention, num_hidden_layers=layers, n_layer=layers, **sizes)
    if noise:
        setattr(model.config, noise, 0.1)
    lora = lora_config(model, 2, 4, 0.0, ["all-linear"], depth)
    lora.init_lora_weights = False
    return get_peft_model(model, lora)


def texts(lengths, shared=6, seed=3):
    rng = np.random.default_rng(seed)
    start = rng.integers(3, VOCABULARY, shared).tolist()
    return [start + rng.integers(3, VOCABULARY, length - shared).tolist() for length in lengths]


def forwards(model, layer):
    """Tokens that go through a layer, as they do."""
    seen = []
    found = [own for name, own in base_of(model).named_modules() if name.endswith(f"layers.{layer}")]
    found[0].input_layernorm.register_forward_hook(lambda _, given, output: seen.append(given[0].shape[1]))
    return seen


def as_tree(model, rows):
    tree = TokenTree()
    nodes = [tree.add(-1, row) for row in rows]
    return tree_logits(model, tree, nodes).float().log_softmax(-1)


def losses_and_gradients(model, logps):
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    found = torch.autograd.grad(sum(own[7 + place] for place, own in enumerate(logps)), weights, allow_unused=True)
    return torch.cat([own.flatten() for own in found if own is not None])


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in (*TREES, *EXPERTS)]
)
def test_log_probabilities_and_gradients_are_those_of_plain_forward_passes(name):
    from peft.utils import get_peft_model_state_dict

    try:
        model = adapted(name).train()
    except ValueError as error:  # experts that are no modules
        pytest.skip(str(error))
    if any("layers.0." in key or ".h.0." in key for key in get_peft_model_state_dict(model)):
        pytest.skip("has adapters on all layers")
    keep_lower_layers(model)
    assert lower_layers_of(base_of(model)) or name not in QUICK
    rows = texts([12, 20, 33])
    for known in (rows[:0], rows[:1], rows):  # nothing is known at first, then all is
        if known:
            with torch.no_grad():
                as_tree(model, known)
        found = as_tree(model, rows)
        plain = torch.cat([next_logits(model, [row]) for row in rows]).float().log_softmax(-1)
        torch.testing.assert_close(found, plain, rtol=0, atol=1e-4)
        own, others = losses_and_gradients(model, found), losses_and_gradients(model, plain)
        assert float(others.norm()) > 1e-4
        assert float((own - others).norm()) <= 1e-4 * float(others.norm())
        keep_lower_layers(model)  # anew


def test_a_token_goes_through_the_lower_layers_once_and_always_through_the_upper_ones():
    model = adapted(depth=0.5, layers=4)
    keep_lower_layers(model)
    assert takes_trees(model, 33)  # that is tried first
    lower, upper = forwards(model, 1), forwards(model, 2)
    rows = texts([12, 20, 33], shared=6)
    with torch.no_grad():
        as_tree(model, rows[:2])
        assert (lower, upper) == ([26], [26])
        as_tree(model, rows)  # the new text only, with what it shares
        assert (lower, upper) == ([26, 33], [26, 53])
        as_tree(model, rows)
    as_tree(model, rows[1:]).sum().backward()
    assert (lower, upper) == ([26, 33], [26, 53, 53, 47])


def test_what_sampling_and_scoring_forwarded_is_known_when_it_is_trained_on():
    model = adapted().eval()
    keep_lower_layers(model)
    prompts = texts([12, 20])
    sampled = sample_completions(model, prompts * 3, range(6), max_new_tokens=4, eos_ids=(2,),
                                 answered=lambda row, ids: False)  # fmt: skip
    assert takes_trees(model, 24)  # that is tried first
    lower = forwards(model, 0)
    rows = [prompt + ids[:-1] for prompt, ids in zip(prompts * 3, sampled, strict=True)]
    plain = torch.cat([next_logits(model, [row]) for row in rows]).log_softmax(-1)
    lower.clear()
    torch.testing.assert_close(as_tree(model, rows), plain, rtol=0, atol=1e-4)
    assert lower == []
    score(model, prompts, [[[(5, 9)], [(5, 8)]]] * 2, may_follow=torch.ones(VOCABULARY), end_ids=(2,),
          max_new_tokens=4)  # fmt: skip
    assert len(lower) == 1
    as_tree(model, [[*prompt, 5, 8] for prompt in prompts])
    assert len(lower) == 1


def test_samples_are_those_without_it():
    found = []
    for keeps in (False, True):
        model = adapted().eval()
        if keeps:
            keep_lower_layers(model)
        for _ in range(2):
            found.append(sample_completions(model, texts([12, 20, 9]) * 5, range(15), max_new_tokens=4, eos_ids=(2,),
                                            answered=lambda row, ids: False))  # fmt: skip
    assert all(own == found[0] for own in found)


def test_it_follows_the_adapter_as_that_learns():
    model = adapted().train()
    keep_lower_layers(model)
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.02)
    rows, seen = texts([12, 20]), []
    for _ in range(3):
        logps = as_tree(model, rows)
        plain = torch.cat([next_logits(model, [row]) for row in rows]).log_softmax(-1)
        torch.testing.assert_close(logps, plain, rtol=0, atol=1e-4)
        seen.append(float(logps[0, 7].detach()))
        optimizer.zero_grad()
        (-logps[0, 7]).backward()
        optimizer.step()
    assert seen[2] > seen[0] + 0.1


def test_more_than_there_is_room_for_is_forgotten(monkeypatch):
    model = adapted()
    keep_lower_layers(model)
    assert takes_trees(model, 33)
    monkeypatch.setattr(lower_layers, "MOST_BYTES", 100 * 32 * 4)  # of a hundred tokens
    kept, old, forgotten = lower_layers_of(base_of(model)), [], 0
    for seed in range(12):
        rows = [*old[-3:], *texts([12, 20, 33], seed=seed)]  # some are known and some are not
        plain = torch.cat([next_logits(model, [row]) for row in rows]).log_softmax(-1)
        torch.testing.assert_close(as_tree(model, rows), plain, rtol=0, atol=1e-4)
        tree = TokenTree()
        for row in rows:
            tree.add(-1, row)
        assert kept.unknown(tree) is None
        old += rows[-3:]
        first = TokenTree()
        first.add(-1, old[0])
        forgotten += kept.unknown(first) is not None
    assert 3 < forgotten < 12
    sample_completions(model.eval(), old[-3:], range(3), max_new_tokens=4, eos_ids=(2,),
                       answered=lambda row, ids: False)  # fmt: skip
    plain = torch.cat([next_logits(model, [row]) for row in old[-6:]]).log_softmax(-1)
    torch.testing.assert_close(as_tree(model, old[-6:]), plain, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "why", ["all layers", "dropout", "jitter", "rows only", "keys shared across layers", "embeddings"]
)
def test_nothing_is_kept_where_it_would_be_wrong(why):
    model = {
        "all layers": lambda: adapted(depth=1.0),
        "dropout": lambda: adapted(noise="attention_dropout"),
        "jitter": lambda: adapted(noise="router_jitter_noise"),
        "rows only": lambda: adapted("bloom", attention="eager"),
        "keys shared across layers": lambda: adapted("gemma3n_text", num_kv_shared_layers=2, layers=4),
        "embeddings": lambda: get_peft_model(
            tiny("llama", "sdpa"), LoraConfig(r=2, target_modules=["embed_tokens", "layers.1.mlp.up_proj"])
        ),
    }[why]()  # fmt: skip
    keep_lower_layers(model)
    assert lower_layers_of(base_of(model)) is None
    rows = texts([12, 20])
    with torch.no_grad():
        plain = torch.cat([next_logits(model.eval(), [row]) for row in rows]).log_softmax(-1)
        torch.testing.assert_close(as_tree(model, rows), plain, rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_under_autocast_to_its_own_type_it_is_kept_and_else_left_alone(dtype):
    model = adapted().to(dtype)
    keep_lower_layers(model)
    rows = texts([12, 20])
    with torch.no_grad():
        expected = as_tree(model, rows)
        lower = forwards(model, 0)
        with torch.autocast("cpu", torch.bfloat16):
            found = as_tree(model, rows)
    assert bool(lower) == (dtype == torch.float32)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.3)


def test_a_failed_pass_leaves_nothing_half_kept():
    model = adapted()
    keep_lower_layers(model)
    rows, base = texts([12, 20]), base_of(model)
    broken = base.model.layers[1].register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError), torch.no_grad():
        as_tree(model, rows)
    broken.remove()
    plain = torch.cat([next_logits(model, [row]) for row in rows]).log_softmax(-1)
    torch.testing.assert_close(as_tree(model, rows), plain, rtol=0, atol=1e-4)
    assert all("forward" not in layer.__dict__ for layer in base.model.layers)
