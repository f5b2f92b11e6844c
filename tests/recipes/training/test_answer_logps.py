"""Log-probabilities and entropies that keep no distributions are those that do, with the same gradients."""

import pytest
import torch

from recipes.training import answer_logps
from recipes.training.answer_logps import choice_entropies, token_logps, token_logps_and_entropies


def drawn(dtype=torch.float64, places=9, vocabulary=13, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(places, vocabulary, generator=generator)).to(dtype).requires_grad_()
    at = torch.randint(places, (20,), generator=generator)
    tokens = torch.randint(vocabulary, (20,), generator=generator)
    return logits, at, tokens


@pytest.mark.parametrize("temperature", [1.0, 0.4])
@pytest.mark.parametrize("at_once", [1, 4, 100])
def test_logps_and_entropies_are_autograds(temperature, at_once, monkeypatch):
    monkeypatch.setattr(answer_logps, "PLACES", at_once)
    logits, at, tokens = drawn()
    logps, entropies = token_logps_and_entropies(logits, at, tokens, temperature)
    whole = (logits / temperature).log_softmax(-1)
    expected, spread = whole[at, tokens], -(whole.exp() * whole).sum(-1)
    torch.testing.assert_close(logps.double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(entropies.double(), spread, rtol=1e-5, atol=1e-5)
    weights, others = torch.arange(20.0), torch.arange(9.0).cos()
    (own,) = torch.autograd.grad((logps * weights).sum() + (entropies * others).sum(), logits)
    (wanted,) = torch.autograd.grad((expected * weights).sum() + (spread * others).sum(), logits)
    torch.testing.assert_close(own, wanted, rtol=1e-4, atol=1e-4)
    alone = token_logps(logits, at, tokens, temperature)
    assert torch.equal(alone, logps)
    (own,) = torch.autograd.grad((alone * weights).sum(), logits)
    (wanted,) = torch.autograd.grad(((logits / temperature).log_softmax(-1)[at, tokens] * weights).sum(), logits)
    torch.testing.assert_close(own, wanted, rtol=1e-4, atol=1e-4)


def test_entropies_that_nobody_wants_are_not_worked_out():
    logits, at, tokens = drawn()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        token_logps(logits, at, tokens, 1.0)
        alone = len(kept)
        token_logps_and_entropies(logits, at, tokens, 1.0)
    assert len(kept) - alone == alone + 1


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_large_logits_cost_no_digits(temperature):
    """What is added to all of a place's logits changes nothing; in 32 bits, 4096 leaves the rest only four digits."""
    logits, at, tokens = drawn(torch.float32)
    logits = (logits.detach() * 256).round() / 256  # to which 4096 can be added exactly
    found = []
    for added in (0, 4096, -4096):
        shifted = (logits + added).requires_grad_()
        logps, entropies = token_logps_and_entropies(shifted, at, tokens, temperature)
        loss = (logps * torch.arange(20.0)).sum() + (entropies * torch.arange(9.0).cos()).sum()
        found.append((logps, entropies, *torch.autograd.grad(loss, shifted)))
    for own in found:
        for ours, plain in zip(own, found[0], strict=True):
            torch.testing.assert_close(ours, plain, rtol=1e-6, atol=1e-6)
    sums = found[0][2].sum(dim=1)
    torch.testing.assert_close(sums, torch.zeros_like(sums), rtol=0, atol=5e-5)


def test_a_token_that_never_comes_has_a_gradient_all_the_same():
    for numbers in ([0.0, -torch.inf, 1.0], [-torch.inf, 0.0, 1.0]):
        logits = torch.tensor([numbers], requires_grad=True)
        logps, entropies = token_logps_and_entropies(logits, torch.tensor([0]), torch.tensor([2]), 1.0)
        (logps.sum() + entropies.sum()).backward()
        assert logps.isfinite().all() and entropies.isfinite().all()
        assert logits.grad is not None and logits.grad.isfinite().all()
        assert logits.grad[logits == -torch.inf].tolist() == [0]


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_a_choice_among_some_tokens_has_their_entropy(temperature):
    logits, _, _ = drawn()
    edges = sorted({(place, token) for place in range(0, 9, 2) for token in range(place, 13, 3)})
    at, tokens = torch.tensor(edges).unbind(dim=1)
    found = choice_entropies(logits, at, tokens, temperature)
    total = torch.zeros((), dtype=torch.float64)
    for place in range(9):
        own = [token for where, token in edges if where == place]
        chances = (logits[place, own] / temperature).softmax(-1)
        expected = -(chances * chances.log()).sum()
        assert float(found[place].detach()) == pytest.approx(float(expected.detach()), rel=1e-5, abs=1e-6)
        total = total + (place + 1) * expected
    (own,) = torch.autograd.grad((found * torch.arange(1, 10)).sum(), logits)
    (wanted,) = torch.autograd.grad(total, logits)
    torch.testing.assert_close(own, wanted, rtol=1e-4, atol=1e-5)
