"""Tiny random models of many architectures, by the names that transformers gives them."""

import re

import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel

VOCABULARY = 120
WINDOW = 24
"""Of those that look through one: shorter than the texts of the tests."""

SIZES = {
    **{"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512},
    **{"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, "d_model": 32, "n_layers": 2, "n_heads": 4},
    **{"num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1},
    **{"moe_intermediate_size": 16, "shared_expert_intermediate_size": 16, "topk_group": 1, "ffn_hidden_size": 48},
    **{"initializer_range": 0.3, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
    **{"sliding_window": WINDOW, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": VOCABULARY},
}

OTHER_SIZES = {
    "bamba": {"mamba_n_heads": 8, "mamba_d_head": 8},
    "codegen": {"rotary_dim": 4},
    "deepseek_v2": {
        "kv_lora_rank": 8,
        "q_lora_rank": 8,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8,
        "v_head_dim": 8,
        "num_key_value_heads": 4,
    },
    "deepseek_v3": {
        "kv_lora_rank": 8,
        "q_lora_rank": 8,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8,
        "v_head_dim": 8,
        "num_key_value_heads": 4,
    },
    "falcon": {"head_dim": ...},
    "falcon_h1": {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_ssm": 64},
    "gemma3n_text": {"num_kv_shared_layers": 0},
    "gemma4_text": {"num_kv_shared_layers": 0},
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]], "window_size": WINDOW},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": {"mamba_n_heads": 8, "mamba_d_head": 8, "layer_types": ["mamba", "attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "qwen3_5_text": {"layer_types": ["linear_attention", "full_attention"]},
    "qwen3_next": {"layer_types": ["linear_attention", "full_attention"]},
}


def _names(text: str) -> list[str]:
    return text.split()


TREES = _names("""
llama mistral qwen2 qwen3 gemma gemma2 gemma3_text phi phi3 gpt_oss smollm3 granite olmo olmo2 olmo3 gpt2 gpt_neox
falcon cohere cohere2 stablelm starcoder2 glm glm4 exaone4 nemotron helium ministral ministral3 seed_oss
hunyuan_v1_dense ernie4_5 apertus arcee bitnet diffllama persimmon biogpt deepseek_v2 deepseek_v3 nanochat
""")
EXPERTS = _names("""
mixtral qwen2_moe qwen3_moe phimoe granitemoe granitemoeshared olmoe glm4_moe ernie4_5_moe jetmoe flex_olmo
""")
OTHERS = _names("""
mamba mamba2 falcon_mamba jamba bamba falcon_h1 qwen3_next qwen3_5_text granitemoehybrid recurrent_gemma lfm2
nemotron_h minimax rwkv bloom mpt opt gptj gpt_neo codegen gpt_bigcode xglm gemma3n_text gemma4_text llama4_text gemma3
""")


def tiny(name: str, attention: str, **sizes) -> PreTrainedModel:
    """A model of an architecture, random but the same each time. Raises `ValueError` for an attention it hasn't."""
    chosen = {**SIZES, **OTHER_SIZES.get(name, {}), **sizes}
    default = AutoConfig.for_model(name)
    known = default.to_dict()
    noise = [key for key in known if re.search("dropout|pdrop|jitter", key) and isinstance(known[key], float)]
    chosen |= dict.fromkeys(noise, 0.0)
    if known.get("text_config"):
        text = {key: value for key, value in chosen.items() if key in known["text_config"] and value is not ...}
        vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = AutoConfig.for_model(name, text_config=text, vision_config=vision)
    else:
        own = OTHER_SIZES.get(name, {}).keys() | sizes.keys()
        sized = {key: value for key, value in chosen.items() if key in known or hasattr(default, key) or key in own}
        config = AutoConfig.for_model(name, **{key: value for key, value in sized.items() if value is not ...})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()


def parrot(tokenizer, answer, eos=None) -> PreTrainedModel:
    """A model that says some tokens, one after the other, whatever it is asked: it goes by the last one alone."""
    size = len(tokenizer)
    config = LlamaConfig(vocab_size=size, hidden_size=16, intermediate_size=4, num_hidden_layers=1, eos_token_id=eos,
                         num_attention_heads=1, bos_token_id=None, max_position_embeddings=4096)  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        layer = model.model.layers[0]
        for weight in (layer.self_attn.o_proj, layer.mlp.down_proj, model.model.embed_tokens, model.lm_head):
            weight.weight.zero_()
        model.model.embed_tokens.weight[:, 0] = 1.0
        for place, token in enumerate(answer[:-1], start=1):
            model.model.embed_tokens.weight[token] = torch.eye(16)[place]
        for place, token in enumerate(answer):
            model.lm_head.weight[token, place] = 100.0
    return model
