"""Fused LoRA layers give what peft's give, and the same gradients."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from poker_env.forwarding.lora import FusedLinear, fuse


class Two(nn.Module):
    def __init__(self, bias):
        super().__init__()
        self.first, self.second = nn.Linear(12, 20, bias=bias), nn.Linear(20, 7, bias=bias)

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


def pair(dtype=torch.float32, bias=True, seed=0, **options):
    """Peft's model, and the same one fused."""
    torch.manual_seed(seed)
    plain = get_peft_model(
        Two(bias).to(dtype), LoraConfig(r=3, lora_alpha=6, target_modules=["first", "second"], **options)
    )
    for name, weight in plain.named_parameters():
        if "lora_" in name:
            weight.data = torch.randn_like(weight, dtype=torch.float32) / 3
    fused = copy.deepcopy(plain)
    fuse(fused)
    return plain, fused


def layers(model):
    return [module for module in model.modules() if isinstance(module, FusedLinear)]


def gradients(model, x, autocast=False):
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = model(x)
    found.float().square().sum().backward()
    return found, [weight.grad for weight in model.parameters() if weight.requires_grad]


# Few tokens are added to the output, many to the weight.
@pytest.mark.parametrize("shape", [(1, 12), (2, 1, 12), (3, 200, 12)])
@pytest.mark.parametrize("bias", [True, False])
def test_output_and_gradients_are_pefts(shape, bias):
    plain, fused = pair(bias=bias)
    assert len(layers(fused)) == 2
    x = torch.randn(shape)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    found, own = gradients(fused, mine)
    expected, other = gradients(plain, theirs)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-4)
    for one, another in zip(own, other, strict=True):
        torch.testing.assert_close(one, another, rtol=1e-4, atol=1e-4 * another.abs().max().item())


@pytest.mark.parametrize("autocast", [True, False])
def test_in_16_bits_too_with_weights_of_32(autocast):
    plain, fused = pair(torch.bfloat16)
    x = torch.randn(2, 300, 12).bfloat16()
    found, own = gradients(fused, x, autocast)
    expected, other = gradients(plain, x, autocast)
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)
    for one, another in zip(own, other, strict=True):
        assert one.dtype == torch.float32
        assert (one - another).norm() < 0.03 * another.norm()


def test_in_16_bits_an_adapter_too_small_for_the_weights_digits_still_counts():
    _, fused = pair(torch.bfloat16)
    layer = layers(fused)[0]
    with torch.no_grad():
        layer.base_layer.weight.fill_(1.0)
        layer.base_layer.bias.zero_()
        layer.lora_A["default"].weight.fill_(0.01)
        layer.lora_B["default"].weight.fill_(0.01)
        x = torch.zeros(400, 12).bfloat16()
        x[:, 0], x[:, 1] = 1.0, -1.0  # which cancel in the weight
        x[:, 2], layer.base_layer.weight[:, 2] = 1.0, 0.0
        layer.base_layer.weight[:, :2] = 1.0
    assert layer(x).min() > 0  # 1 * 2 * 3 * 0.0001, which 1 + 0.0006 hasn't in bfloat16


def test_without_the_adapter_it_is_the_layer_alone():
    _, fused = pair()
    x = torch.randn(3, 12)
    before = fused(x)
    with fused.disable_adapter():
        torch.testing.assert_close(fused(x), fused.get_base_model()(x))
        assert not torch.allclose(fused(x), before)
    fused.merge_adapter()
    torch.testing.assert_close(fused(x), before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [{"lora_dropout": 0.5}, {"use_dora": True}, {"lora_bias": True}])
def test_what_is_not_plain_lora_is_left_to_peft(options):
    plain, fused = pair(**options)
    x = torch.randn(4, 12)
    torch.manual_seed(1)
    expected = plain.train()(x)
    torch.manual_seed(1)
    torch.testing.assert_close(fused.train()(x), expected)


def test_several_adapters_at_once_are_left_to_peft():
    plain, fused = pair()
    for model in (plain, fused):
        torch.manual_seed(2)
        model.add_adapter("other", LoraConfig(r=2, target_modules=["first"], init_lora_weights=False))
        model.base_model.set_adapter(["default", "other"])
    x = torch.randn(4, 12)
    torch.testing.assert_close(fused(x), plain(x))
