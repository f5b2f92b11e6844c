"""Models of one name hold their weights once, and are otherwise strangers to each other."""

import gc
import shutil

import torch
from peft import LoraConfig, get_peft_model

from poker_env.language_model.loading import load_model, load_shared


def storages(model):
    return {tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers())}


def test_the_weights_are_there_once(tiny_model_dir):
    one, other, alone = (load(str(tiny_model_dir)) for load in (load_shared, load_shared, load_model))
    assert storages(one) == storages(other) and not storages(one) & storages(alone)
    ids = torch.arange(12)[None]
    assert torch.equal(one(ids).logits, alone(ids).logits)
    assert set(one.state_dict()) == set(alone.state_dict())


def test_adapters_on_them_do_not_meet(tiny_model_dir):
    """One is trained, the other keeps its answers; the model without an adapter, too."""
    plain = load_shared(str(tiny_model_dir))
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    one, other = (get_peft_model(load_shared(str(tiny_model_dir)), config) for _ in range(2))
    ids = torch.arange(12)[None]
    before, others = plain(ids).logits, other(ids).logits
    assert not torch.allclose(one(ids).logits, others)
    optimizer = torch.optim.AdamW((weight for weight in one.parameters() if weight.requires_grad), lr=0.1)
    own = one(ids).logits
    own.square().mean().backward()
    optimizer.step()
    assert not torch.allclose(one(ids).logits, own)
    assert torch.equal(other(ids).logits, others) and torch.equal(plain(ids).logits, before)
    assert all(weight.grad is None for weight in plain.parameters())


def test_they_outlive_the_first_and_die_with_the_last(tiny_model_dir):
    one = load_shared(str(tiny_model_dir))
    kept = storages(one)
    other = load_shared(str(tiny_model_dir))
    del one
    gc.collect()
    assert storages(load_shared(str(tiny_model_dir))) == kept == storages(other)


def test_another_dtype_or_other_weights_are_another_model(tiny_model_dir, tmp_path):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "model")
    one = load_shared(str(folder), torch.float32)
    half = load_shared(str(folder), torch.bfloat16)
    assert not storages(one) & storages(half) and half.dtype == torch.bfloat16
    changed = load_model(str(folder), torch.float32)
    with torch.no_grad():
        changed.get_input_embeddings().weight.add_(1.0)
    changed.save_pretrained(folder)
    ids = torch.arange(12)[None]
    assert torch.equal(load_shared(str(folder), torch.float32)(ids).logits, changed(ids).logits)
