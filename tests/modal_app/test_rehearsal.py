"""The question that a model is asked before a GPU is: what goes wrong ends in one line, whatever the model's size."""

import json
import shutil

import pytest
from transformers import AutoConfig

from modal_app.preflight import check_player, fetch_model
from modal_app.rehearsal import _make_shallow, rehearse
from poker_env.errors import UserError
from poker_env.games import make_game
from poker_env.players.poker_config import PokerConfig
from recipes.options.config import parse_config

BROKEN = "{% for message in messages %}{{ message['content'] }}"
REFUSING = "{{ raise_exception('no such roles') }}"


@pytest.fixture
def model(tiny_model_dir, tmp_path):
    """A copy of the tiny model, changed as the test likes: what is to be in `config.json`, and the chat template."""

    def changed(template=None, **config):
        folder = shutil.copytree(tiny_model_dir, tmp_path / "model", dirs_exist_ok=True)
        settings = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**settings, **config}))
        if template is not None:
            (folder / "chat_template.jinja").write_text(template)
        return folder

    return changed


def ask(folder, game="kuhn", lora=None, **options):
    rehearse(PokerConfig(make_game(game), str(folder)), lora, options)


@pytest.mark.parametrize("game", ["kuhn", "leduc", "holdem"])
def test_a_model_that_can_be_trained_is_asked_without_a_word(model, game, capsys):
    ask(model(), game, parse_config(["--lora_r", "4", "--lora_depth", "0.5"]).lora)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("template", "config", "message"),
    [
        (BROKEN, {}, r"can't put a question \(Unexpected end of template"),
        (REFUSING, {}, "no such roles"),
        (None, {"vocab_size": 8}, "for which the model has no weights"),  # the tokenizer's has more
        (None, {"num_key_value_heads": 3}, r"preflight: model .* \(\w+: "),
        (None, {"model_type": "t5", "architectures": ["T5"]}, "can't be made .*Unrecognized configuration"),
        (None, {"model_type": "no_such_type"}, "preflight: .*no_such_type"),
    ],
)
def test_what_only_an_answer_shows_is_told_in_one_line(model, template, config, message):
    with pytest.raises(UserError, match=message) as caught:
        ask(model(template, **config))
    assert "\n" not in str(caught.value)


def test_an_adapter_that_fits_no_layer_is_told(model):
    lora = parse_config(["--lora_target_modules", "c_attn"]).lora
    with pytest.raises(UserError, match=r"no adapter on .*c_attn.* can be put on model") as caught:
        ask(model(), lora=lora)
    assert "\n" not in str(caught.value)


def test_weights_are_not_needed_but_their_files_have_to_be_whole(model):
    folder = model()
    size = fetch_model(str(folder))
    assert 100_000 < size < (folder / "model.safetensors").stat().st_size  # they are float32 in the file
    assert fetch_model(str(folder), itemsize=4) == 2 * size
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-7])
    ask(folder)
    with pytest.raises(UserError, match=r"model.safetensors is damaged"):
        fetch_model(str(folder))


def test_a_model_of_any_size_takes_no_more_than_a_few_of_its_layers(model, capsys):
    ask(model(num_hidden_layers=300))
    assert capsys.readouterr().out == ""
    ask(model(hidden_size=16_384, intermediate_size=65_536, num_attention_heads=128))
    assert "isn't asked a question, as no small copy of it can be made" in capsys.readouterr().out


def test_a_layer_of_each_kind_is_left():
    config = AutoConfig.for_model("gemma3_text", num_hidden_layers=24)
    _make_shallow(config)
    assert config.num_hidden_layers == len(config.layer_types) == 6
    assert set(config.layer_types) == {"sliding_attention", "full_attention"}
    for name, depth in (("llama", 2), ("jamba", 5), ("qwen3_next", 4)):
        config = AutoConfig.for_model(name)
        _make_shallow(config)
        assert config.num_hidden_layers == depth


def test_flash_attention_is_for_the_gpu(model, capsys):
    ask(model(), attn_implementation="flash_attention_2", revision=None)
    assert capsys.readouterr().out == ""


def test_players_are_asked_too(model, tmp_path):
    check_player(f"llm:{model()}", "kuhn")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no adapter"):
        check_player(f"llm:{tmp_path / 'empty'}", "kuhn")
    with pytest.raises(UserError, match="no such roles"):
        check_player(f"llm:{model(REFUSING)}", "kuhn")
