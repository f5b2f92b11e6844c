"""Language models that say one text to whatever they are asked: their weights see to that, nothing is patched."""

from pathlib import Path

import torch

from poker_env.games import make_game
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.players.poker_config import PokerConfig

WAYS = {
    "nested tags": ("<think>A0 <think>A0?</think> or A0.</think>A1", "A1"),
    "unfinished": ("<think>A1 is best, so A1", None),
    "several candidates": ("<think>A0</think>Either A0 or A1: A1", "A1"),
    "cards like tokens": ("<think>cards</think>A1, as A0s, As0d and A0 suited lose", "A1"),
    "other languages": ("<think>A0 不好。</think>我选择A1。", "A1"),
    "no tags": ("A0 loses, A1 wins.", "A1"),
    "capitals and attributes": ('<THINK kind="deep">A0</Think >A1', "A1"),
    "an empty thought": ("<think></think>A1", "A1"),
}
"""Ways to think: what is said, and the action that it is."""


def thinking_model(tiny_model_dir: Path, folder: Path, game: str = "kuhn") -> Path:
    """A folder with the tiny model that thinks first, and with each way's text as one token of its tokenizer's."""
    model, tokenizer = load_model(str(tiny_model_dir), torch.float32), load_tokenizer(str(tiny_model_dir))
    tokenizer.add_tokens([text for text, _ in WAYS.values()])
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    PokerConfig(make_game(game), str(folder), max_new_tokens=64, thinking=True).save(folder)
    return folder


@torch.no_grad()
def say(model, tokenizer, text):
    """Have a model say a text of `WAYS`, and then end its answer."""
    model = getattr(model, "get_base_model", lambda: model)()
    token, end = tokenizer.convert_tokens_to_ids(text), tokenizer.eos_token_id
    for layer in model.model.layers:  # what comes next depends on the last token alone
        for module in (layer.self_attn.o_proj, layer.mlp.down_proj):
            getattr(module, "base_layer", module).weight.zero_()
    model.model.embed_tokens.weight.fill_(0.1)
    model.model.embed_tokens.weight[token, 1] = 5.0
    model.lm_head.weight.zero_()
    model.lm_head.weight[token, 0] = 1_000.0
    model.lm_head.weight[end, 1] = 1_000.0
    model.lm_head.weight[end, 0] = -1_000.0
