"""A language model small enough for tests: random weights, character tokens, a chat template."""

import gc
from pathlib import Path

import pytest

ACTION_TOKENS = [f"A{digit}" for digit in range(10)]

CHAT_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def pytest_collection_finish() -> None:
    """What imports made stays: each of the hundreds of runs ends in a garbage collection, 0.3 s with all of it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `from_pretrained` loads: a Llama of about 100,000 random parameters and its tokenizer.

    Its vocabulary is printable ASCII (one token per character), A0 to A9 as one token each, and special tokens. It
    leans towards A0 to A3, blanks and the end, so that some of its answers are legal.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = _tiny_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=64,
                intermediate_size=128,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=2048,
                initializer_range=0.1,  # large enough for next-token probabilities to depend on the prompt
                bos_token_id=None,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
    with torch.no_grad():
        likely = tokenizer.convert_tokens_to_ids([*ACTION_TOKENS[:4], "Ġ", "Ċ", "<|end|>"])
        model.model.embed_tokens.weight[:, 0] = 0.5  # a constant feature, which no layer writes to
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[0] = layer.mlp.down_proj.weight[0] = 0.0
        model.lm_head.weight[:, 0] = 0.0
        model.lm_head.weight[likely, 0] = 12.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tiny_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<|pad|>", "<|start|>", "<|end|>", "<|unknown|>"]
    # How byte-level BPE writes printable ASCII, the space (Ġ) and the newline (Ċ).
    characters = [chr(code) for code in range(ord("!"), ord("~") + 1)] + ["Ġ", "Ċ"]
    vocabulary = {token: index for index, token in enumerate(special + characters + ACTION_TOKENS)}
    bpe = models.BPE(vocab=vocabulary, merges=[("A", token[1]) for token in ACTION_TOKENS], unk_token="<|unknown|>")
    tokenizer = Tokenizer(bpe)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        bos_token="<|start|>",
        eos_token="<|end|>",
        unk_token="<|unknown|>",
        chat_template=CHAT_TEMPLATE,
    )
