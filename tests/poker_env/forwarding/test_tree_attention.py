"""Attention by blocks is attention with a mask of all tokens against all."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from poker_env.forwarding import tree_attention
from poker_env.forwarding.token_tree import TokenTree
from poker_env.forwarding.tree_attention import Blocks, _attention

CPU = torch.device("cpu")


def random_tree(seed, texts):
    """Texts of one to sixty tokens, many of which begin alike."""
    rng = np.random.default_rng(seed)
    tree, known = TokenTree(), [-1]
    for _ in range(texts):
        node = tree.add(known[rng.integers(len(known))], rng.integers(0, 5, rng.integers(1, 20)).tolist())
        known.append(node)
    return tree


def inputs(tokens, kinds, heads, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(1, n, tokens, 8) for n in (kinds * heads, kinds, kinds)]
    return [torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("texts", [1, 3, 40, 200])
@pytest.mark.parametrize("sizes", [(1,), (8,), (64,), tree_attention.SIZES])
@pytest.mark.parametrize(("kinds", "heads"), [(1, 1), (2, 3)])
def test_equals_the_mask_of_all_tokens(texts, sizes, kinds, heads, monkeypatch):
    monkeypatch.setattr(tree_attention, "SIZES", sizes)
    tree = random_tree(texts, texts)
    query, key, value = inputs(len(tree), kinds, heads)
    blocks = Blocks.of(tree.ancestors(), torch.float32, CPU)
    found, _ = _attention(SimpleNamespace(), query, key, value, None, scaling=0.3, token_tree=blocks)
    expected = functional.scaled_dot_product_attention(
        query,
        key.repeat_interleave(heads, dim=1),
        value.repeat_interleave(heads, dim=1),
        attn_mask=tree.mask(torch.float32),
        scale=0.3,
    ).transpose(1, 2)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    own = torch.autograd.grad((found * weights).sum(), (query, key, value))
    for one, other in zip(own, torch.autograd.grad((expected * weights).sum(), (query, key, value)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("since", [1, 30, 150])
def test_the_last_tokens_alone_look_where_they_did(since):
    tree = random_tree(7, 60)
    query, key, value = inputs(len(tree), 2, 2)
    whole, part = (Blocks.of(tree.ancestors(start), torch.float32, CPU) for start in (0, since))
    expected, _ = _attention(SimpleNamespace(), query, key, value, None, token_tree=whole)
    found, _ = _attention(SimpleNamespace(), query[:, :, since:], key, value, None, token_tree=part)
    torch.testing.assert_close(found, expected[:, since:], rtol=1e-5, atol=1e-5)


def test_a_block_looks_at_few_of_a_large_trees_tokens():
    tree = random_tree(0, 2000)
    blocks = Blocks.of(tree.ancestors(), torch.float32, CPU)
    assert blocks.bias.numel() < 0.1 * len(tree) ** 2
    assert blocks.keys.shape[1] % tree_attention.MULTIPLE == 0


@pytest.mark.parametrize("name", ["softcap", "s_aux", "position_bias"])
def test_what_it_does_not_know_is_refused(name):
    tree = random_tree(0, 3)
    query, key, value = inputs(len(tree), 1, 1)
    blocks = Blocks.of(tree.ancestors(), torch.float32, CPU)
    with pytest.raises(NotImplementedError):
        _attention(SimpleNamespace(), query, key, value, None, token_tree=blocks, **{name: 1.0})


def test_ancestors_are_the_paths():
    tree = random_tree(3, 50)
    for node, own in enumerate(tree.ancestors()):
        assert own[own >= 0].tolist() == tree.path(node)
        assert (own[len(tree.path(node)) :] == -1).all()
