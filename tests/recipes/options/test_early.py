"""What libraries would refuse in the middle of a run is one line before it."""

import json
import shutil
from pathlib import Path

import pytest
from architectures import tiny
from safetensors.torch import load_file, save_file

from poker_env.errors import UserError
from poker_env.games import make_game
from poker_env.language_model.adapter import put_on
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.players.llm import LLMPlayer, load_llm_player
from recipes import train, warm_start
from recipes.options.adapter import layer_of
from recipes.options.config import parse_config
from recipes.options.early import check_early
from recipes.publishing.merge import merge
from recipes.publishing.repository import collect
from recipes.runs.checkpoints import load_adapter, save_adapter


def config_of(model, *options):
    return parse_config(["--game", "kuhn", "--model_name_or_path", str(model), "--output_dir", "unused", *options])


@pytest.fixture(scope="module")
def adapter(tiny_model_dir, tmp_path_factory):
    """A saved adapter of the tiny model."""
    from peft import get_peft_model

    config, folder = config_of(tiny_model_dir), tmp_path_factory.mktemp("adapter") / "adapter"
    model = load_model(str(tiny_model_dir))
    model = get_peft_model(model, config.lora(model))
    save_adapter(folder, model, load_tokenizer(str(tiny_model_dir)), config.poker())
    return folder


@pytest.fixture
def no_hands(monkeypatch):
    """Nobody plays."""

    def play(*_):
        raise AssertionError("a hand was played")

    monkeypatch.setattr(warm_start, "play", play)
    monkeypatch.setattr("recipes.training.rollout.play", play)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lora_target_modules", "wq", "wk"], "lora_target_modules wq, wk can't be had: Target modules"),
        (
            ["--lora_target_modules", "embed_tokens", "--lora_depth", "0.5"],
            "embed_tokens with lora_depth 0.5 can't be",
        ),
        (["--optim", "adamw_bnb_8bit"], "optim adamw_bnb_8bit can't be had: .*bitsandbytes"),
        (["--optim", "ademamix", "--optim_args", "alpha"], "optim ademamix, optim_args 'alpha' can't be had"),
        (["--lr_scheduler_type", "cosine_with_min_lr"], "lr_scheduler_type cosine_with_min_lr with {} can't be had"),
        (
            ["--lr_scheduler_kwargs", "{nonsense: 1}"],
            "lr_scheduler_kwargs .* does nothing with lr_scheduler_type cons",
        ),
        (
            ["--lr_scheduler_type", "cosine", "--lr_scheduler_kwargs", "{nonsense: 1}"],
            "lr_scheduler_type cosine with {'nonsense': 1} can't be had",
        ),
        (["--warmup_steps", "3"], "warmup_steps 3.0 does nothing with lr_scheduler_type constant"),
        (["--optim", "sgd", "--optim_args", "a=b"], "optim sgd, optim_args 'a=b' can't be had: this optimizer takes"),
        (["--router_aux_loss_coef", "0.1"], "router_aux_loss_coef 0.1 can't be had, it is 0.0"),
        (["--max_completion_length", "1"], r"max_completion_length 1 is too short for the answer A0<\|end\|> \(2 tok"),
        (["--model_name_or_path", "./none"], "can't load"),
        (["--dtype", "float16"], "dtype float16 is for GPUs"),
    ],
)
@pytest.mark.parametrize("script", [train, warm_start])
def test_a_refusal_comes_before_the_first_hand(
    script, options, message, tiny_model_dir, tmp_path, no_hands, monkeypatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    arguments = ["--game", "kuhn", "--villain", "call", "--model_name_or_path", str(tiny_model_dir)]
    arguments += ["--warm_start_player", "villain", "--output_dir", str(tmp_path / "run"), *options]
    with pytest.raises(UserError, match=message) as caught:
        script.main(arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox", "bloom", "mamba", "qwen2_moe", "gemma3", "gemma4_text"])
def test_an_adapter_goes_as_deep_as_it_is_told(name, tiny_model_dir):
    """Layers are called and counted in many ways; what is outside of them has none then."""
    from peft import get_peft_model

    def layers(depth, *modules):
        model = tiny(name, "eager", **({} if name == "gemma3" else {"num_hidden_layers": 3, "n_layer": 3}))
        count = model.config.get_text_config().num_hidden_layers
        named = ["--lora_target_modules", *modules] if modules else []
        options = config_of(tiny_model_dir, "--lora_depth", str(depth), *named)
        adapted = get_peft_model(model, options.lora(model))
        return count, {layer_of(weight) for weight, own in adapted.named_parameters() if own.requires_grad}

    count, deep = layers(1.0)
    assert deep >= set(range(count))
    assert layers(0.6) == (count, set(range(1, count)))
    assert layers(0.01) == (count, {count - 1})


def test_an_adapter_to_go_on_from_stays_as_deep_as_it_is(adapter, tiny_model_dir, tmp_path, capfd):
    from peft import get_peft_model

    tokenizer, model = load_tokenizer(str(tiny_model_dir)), load_model(str(tiny_model_dir))
    made = config_of(tiny_model_dir, "--lora_depth", "0.5", "--lora_r", "4")
    save_adapter(tmp_path / "upper", get_peft_model(model, made.lora(model)), tokenizer, made.poker())
    loaded = put_on(load_model(str(tiny_model_dir)), tmp_path / "upper")
    assert {layer_of(name) for name, _ in loaded.named_parameters() if "lora_" in name} == {1}
    for start, options in ((tmp_path / "upper", ["--lora_depth", "0.5", "--lora_r", "4"]), (adapter, [])):
        check_early(config_of(tiny_model_dir, "--adapter", str(start), *options), tokenizer)
    assert "stays so" not in capfd.readouterr().err
    check_early(config_of(tiny_model_dir, "--adapter", str(tmp_path / "upper"), "--lora_dropout", "0.1"), tokenizer)
    said = capfd.readouterr().err.splitlines()[-1]
    assert said.endswith("made otherwise and stays so, whatever lora_r 16, lora_dropout 0.1, lora_depth 1.0 say")
    check_early(config_of(tiny_model_dir, "--adapter", str(adapter), "--lora_depth", "0.5"), tokenizer)
    assert capfd.readouterr().err.splitlines()[-1].endswith("whatever lora_depth 0.5 say")
    check_early(config_of(tiny_model_dir, "--adapter", str(adapter), "--lora_target_modules", "q_proj"), tokenizer)
    assert capfd.readouterr().err.splitlines()[-1].endswith("whatever lora_target_modules ['q_proj'] say")


def test_experts_that_are_no_modules_are_not_left_out_in_silence(tiny_model_dir, tmp_path):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "model")
    tokenizer = load_tokenizer(str(folder))
    tiny("mixtral", "eager", vocab_size=len(tokenizer)).save_pretrained(folder)
    check_early(config_of(folder), tokenizer)
    said = r"lora_depth 0.5 can't be had with .*: peft puts the adapter on .*layers\.0\..*, too; set it to 1"
    with pytest.raises(UserError, match=said) as caught:
        check_early(config_of(folder, "--lora_depth", "0.5"), tokenizer)
    assert "\n" not in str(caught.value)


def test_the_longest_answer_of_the_menu_has_to_fit_as_the_chat_template_writes_it(tiny_model_dir):
    """The tiny tokenizer has one token for A0 to A9 each, and another that ends an answer."""
    tokenizer = load_tokenizer(str(tiny_model_dir))
    with pytest.raises(UserError, match=r"max_completion_length 1 is too short for the answer A0<\|end\|> \(2 tok"):
        check_early(config_of(tiny_model_dir, "--max_completion_length", "1"), tokenizer)
    check_early(config_of(tiny_model_dir, "--max_completion_length", "2"), tokenizer)
    blanks = "<|start|>{{ message['role'] }}\n{{ '\n\n' if message['role'] == 'assistant' else '' }}"
    tokenizer.chat_template = tokenizer.chat_template.replace("<|start|>{{ message['role'] }}\n", blanks)
    with pytest.raises(UserError, match=r"max_completion_length 3 .* \(4 tokens\): set it to 4 or more"):
        check_early(config_of(tiny_model_dir, "--max_completion_length", "3"), tokenizer)
    check_early(config_of(tiny_model_dir, "--max_completion_length", "4"), tokenizer)


def test_a_tokenizer_that_can_not_write_the_actions_is_refused(tiny_model_dir):
    """One in lower case, as BERT's."""
    from tokenizers import normalizers

    tokenizer = load_tokenizer(str(tiny_model_dir))
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(UserError, match="can't write A0: choose a model with another one"):
        check_early(config_of(tiny_model_dir), tokenizer)


def rename_a_layer(weights):
    name = next(iter(weights))
    weights[name.replace("layers.0.", "layers.7.")] = weights.pop(name)


def lose_a_layer(weights):
    weights.pop(next(iter(weights)))


def add_a_layer(weights):
    name = next(iter(weights))
    weights[name.replace("layers.0.", "layers.2.")] = weights[name].clone()


def other_prefix(weights):
    for name in list(weights):
        weights[name.removeprefix("base_model.model.")] = weights.pop(name)


def another_shape(weights):
    name = next(iter(weights))
    weights[name] = weights[name][:-1].contiguous()


def load(folder, tiny_model_dir):
    load_llm_player(str(folder), make_game("kuhn"))


def train_on(folder, tiny_model_dir):
    load_adapter(load_model(str(tiny_model_dir)), folder, config_of(tiny_model_dir).poker())


def start_from(folder, tiny_model_dir):
    check_early(config_of(tiny_model_dir, "--adapter", str(folder)), load_tokenizer(str(tiny_model_dir)))


def merge_it(folder, tiny_model_dir):
    merge(str(folder), folder.with_name("merged"))


def push_it(folder, tiny_model_dir):
    (folder.parent / "card").mkdir()
    collect(folder.parent / "card", folder, "org/name", base_model="org/base")


@pytest.mark.parametrize("use", [load, train_on, start_from, merge_it, push_it])
@pytest.mark.parametrize("damage", [rename_a_layer, lose_a_layer, add_a_layer, other_prefix, another_shape])
def test_an_adapter_that_does_not_fit_its_base_is_refused(use, damage, adapter, tiny_model_dir, tmp_path):
    folder = tmp_path / "adapter"
    shutil.copytree(adapter, folder)
    weights = load_file(folder / "adapter_model.safetensors")
    damage(weights)
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"adapter .* (doesn't fit its base model|can't be loaded)") as caught:
        use(folder, tiny_model_dir)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("use", [load, train_on, start_from, merge_it])
def test_one_that_fits_is_taken(use, adapter, tiny_model_dir, tmp_path):
    shutil.copytree(adapter, tmp_path / "adapter")
    use(tmp_path / "adapter", tiny_model_dir)


def test_an_adapter_is_put_on_with_its_weights(adapter, tiny_model_dir):
    saved = load_file(adapter / "adapter_model.safetensors")
    loaded = dict(put_on(load_model(str(tiny_model_dir)), adapter, trainable=True).named_parameters())
    for name, tensor in saved.items():
        parameter = loaded[name.replace(".weight", ".default.weight")]
        assert parameter.requires_grad and parameter.equal(tensor.to(parameter))
    assert not any(p.requires_grad for p in put_on(load_model(str(tiny_model_dir)), adapter).parameters())


def bare(folder):
    """As peft saves an adapter, without anything of ours."""
    for name in ("poker_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).unlink(missing_ok=True)


def with_a_model(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))


@pytest.mark.parametrize("change", [lambda folder: None, bare, with_a_model])
def test_an_adapter_is_no_model(change, adapter, tmp_path):
    folder = tmp_path / "adapter"
    shutil.copytree(adapter, folder)
    change(folder)
    with pytest.raises(UserError, match=r"model_name_or_path .* is an adapter.*--adapter"):
        config_of(folder)
    with pytest.raises(UserError, match="is an adapter"):
        load_model(str(folder))
    poker = json.loads((adapter / "poker_config.json").read_text())
    other = tmp_path / "other"
    shutil.copytree(adapter, other)
    (other / "poker_config.json").write_text(json.dumps({**poker, "base_model": str(folder)}))
    with pytest.raises(UserError, match="is an adapter"):
        load_llm_player(str(other), make_game("kuhn"))


def test_how_a_model_is_loaded_and_asked_goes_with_its_adapter(tiny_model_dir, tmp_path, monkeypatch):
    config = config_of(
        tiny_model_dir,
        *("--model_name_or_path", str(tiny_model_dir), "--model_init_kwargs", "{attn_implementation: eager}"),
        *("--chat_template_kwargs", "{shout: true}", "--output_dir", str(tmp_path)),
    )
    from peft import get_peft_model

    model, tokenizer = config.load_model(), config.load_tokenizer()
    assert model.config._attn_implementation == "eager"
    tokenizer.chat_template = "{% if shout %}LOUD{% endif %}" + tokenizer.chat_template
    save_adapter(tmp_path / "final", get_peft_model(model, config.lora(model)), tokenizer, config.poker())
    player = load_llm_player(str(tmp_path / "final"), make_game("kuhn"))
    assert player.model.config._attn_implementation == "eager"
    player = LLMPlayer(player.model, tokenizer, player.config)
    asked = player.tokenizer.decode(player.encode([{"role": "user", "content": "?"}]))
    assert asked.startswith("LOUD")
    merge(str(tmp_path / "final"), tmp_path / "merged")
    merged = load_llm_player(str(tmp_path / "merged"), make_game("kuhn"))
    assert merged.model.config._attn_implementation == "eager"
    assert merged.config.chat_template_kwargs == {"shout": True}


def test_code_of_a_model_runs_only_where_that_is_said(tmp_path, tiny_model_dir, monkeypatch):
    """A model of an architecture that comes with it: without leave it isn't even imported."""
    folder = tmp_path / "own"
    shutil.copytree(tiny_model_dir, folder)
    ran = tmp_path / "ran"
    (folder / "own.py").write_text(
        "from pathlib import Path\nfrom transformers import LlamaConfig, LlamaForCausalLM\n"
        f"Path({str(ran)!r}).touch()\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'own'\n"
        "class OwnModel(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    with pytest.raises(UserError):
        load_model(str(folder))
    with pytest.raises(UserError):
        load_llm_player(str(folder), make_game("kuhn"))
    assert not Path(ran).exists()
    trusted = config_of(folder, "--trust_remote_code")
    assert type(trusted.load_model()).__name__ == "OwnModel"
    check_early(trusted, trusted.load_tokenizer())
    monkeypatch.setenv("POKER_TRUST_REMOTE_CODE", "1")
    assert type(load_llm_player(str(folder), make_game("kuhn")).model).__name__ == "OwnModel"


def test_a_saved_config_can_not_have_code_run(adapter, tmp_path):
    folder = tmp_path / "adapter"
    shutil.copytree(adapter, folder)
    saved = json.loads((folder / "poker_config.json").read_text())
    for kwargs in ({"trust_remote_code": True}, {"use_kernels": True}, {"code_revision": "x"}):
        (folder / "poker_config.json").write_text(json.dumps({**saved, "model_init_kwargs": kwargs}))
        with pytest.raises(UserError, match="model_init_kwargs has"):
            load_llm_player(str(folder), make_game("kuhn"))
