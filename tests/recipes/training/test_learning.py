"""The whole chain still learns: warm start, rollouts, credit, trainer, adapter, exact judgement."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from poker_env.games import make_game
from poker_env.knowledge.exact_value import ExactJudge, exact_policy, information_sets
from poker_env.menu import make_menu
from poker_env.player_specs import make_player
from poker_env.prompts import build_messages
from recipes.runs.metrics import read_metrics
from recipes.train import main

CHAT_TEMPLATE = (
    "{% for message in messages %} <|start|> {{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %} <|start|>{% endif %}"
)


@pytest.fixture(scope="module")
def blank_model_dir(tmp_path_factory) -> Path:
    """A Llama of a million random parameters and a tokenizer of its own: a token per word of Kuhn's prompts."""
    folder = tmp_path_factory.mktemp("models") / "blank"
    texts = [
        message["content"]
        for observation in information_sets(make_game("kuhn")).values()
        for message in build_messages(observation, make_menu(observation), "compact")
    ]
    split = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    words = sorted({word for text in texts for word, _ in split.pre_tokenize_str(text)})
    special = ["<|pad|>", "<|start|>", "<|end|>", "<|unknown|>"]
    vocabulary = {word: index for index, word in enumerate([*special, *words])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<|unknown|>"))
    raw.pre_tokenizer = split
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        unk_token="<|unknown|>",
        additional_special_tokens=["<|start|>"],
        chat_template=CHAT_TEMPLATE,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=256,
            initializer_range=0.1,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_million_random_parameters_learn_to_exploit_a_weak_bot(blank_model_dir, tmp_path):
    options = {
        "game": "kuhn",
        "villain": "cfr:weak",
        "model_name_or_path": blank_model_dir,
        "dtype": "float32",
        "lora_r": 32,
        "lora_alpha": 64,
        "warm_start_player": "villain",
        "warm_start_hands": 500,
        "warm_start_steps": 150,
        "warm_start_learning_rate": 3e-3,
        "num_epochs": 24,
        "episodes_per_epoch": 256,
        "variance_reduction": "range villain hero baseline all_action",
        "soft_after": 0,
        "gamma": 1.0,
        "rows_per_epoch": 32,
        "per_device_train_batch_size": 32,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "linear",
        "adam_beta2": 0.95,
        "entropy_coef": 0.1,
        "entropy_coef_end": 0.005,
        "eval_hands": 0,
        "show_hands": 0,
        "output_dir": tmp_path / "run",
    }
    main([word for key, value in options.items() for word in (f"--{key}", *str(value).split())])
    game = make_game("kuhn")
    judge = ExactJudge(game, make_player("cfr:weak", game))
    hero = make_player(f"llm:{tmp_path / 'run' / 'final'}", game)
    capture = judge.judge(exact_policy(game, hero)).capture
    assert capture >= 0.9
    curve = [epoch["capture"] for epoch in read_metrics(tmp_path / "run")]
    assert curve[-1] == pytest.approx(capture, abs=5e-3) and curve[0] < 0.6
