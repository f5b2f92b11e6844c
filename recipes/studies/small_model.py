"""Make a small language model from nothing: a tokenizer of its own, and weights that know poker and nothing else.

    python recipes/studies/small_model.py --game holdem:stack=2000 --player cfr:weak --output runs/small_model
    accelerate launch recipes/train.py --config quickstart --model_name_or_path runs/small_model --prompt_style brief …

It learns to play as a solved opponent does in hands against itself, from the very prompts that `recipes/train.py`
puts, with all its weights. What comes out is a folder as any instruction-tuned model's: hands against it are played,
judged and learned from as with any other, only many times as fast. It has read no other text, so what is learned with
it says what prompts and training can do, not what a language model's knowledge adds.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from poker_env.errors import UserError
from poker_env.files import output_folder, write_atomically
from poker_env.games import make_deals, make_game
from poker_env.menu import longest_menu, make_menu
from poker_env.parallel import available_cores, progress_bars
from poker_env.player_specs import make_player
from poker_env.players.llm import LLMPlayer
from poker_env.players.poker_config import PokerConfig
from poker_env.prompts import STYLES, Messages, build_messages
from poker_env.state import Observation
from poker_env.table import play
from recipes.cli import Parser, run
from recipes.training.imitation import Demonstration, Imitated, batches_of, examples_of, legal_rate
from recipes.training.imitation_loss import Example, divergence

PAD, END, ROLES = "<pad>", "<end>", ("system", "user", "assistant")
TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}"
    + END
    + "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
POSITIONS = 1_024
"""Longest prompt and answer, in tokens: several times any of hold'em's."""
AT_ONCE = 16
"""Prompts in a tree: more and attention's mask costs more than shared beginnings spare."""
MOST_PARAMETERS = 10_000_000
CLIP = 1.0
"""Of the gradient's norm."""

console = Console(soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Play, learn and save; raises `UserError` for arguments that make no sense."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = Parser(description=__doc__)
    parser.add_argument("--game", default="holdem:stack=2000")
    parser.add_argument("--player", default="cfr:weak", help="who is imitated, in both seats")
    parser.add_argument("--floor", type=float, default=0.02, help="how often that one picks any action of the menu")
    parser.add_argument("--hands", type=int, default=40_000, help="to imitate")
    parser.add_argument("--prompt_style", default="brief", choices=STYLES)
    parser.add_argument("--menu_fractions", type=float, nargs="+", default=[1.0], help="bet sizes, in pots")
    parser.add_argument("--width", type=int, default=128, help="of the layers, a multiple of 32")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=512, help="tokens, at most")
    parser.add_argument("--batch", type=int, default=64, help="prompts in a step")
    parser.add_argument("--steps", type=int, default=3_000)
    parser.add_argument("--learning_rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cores", type=int, default=available_cores())
    parser.add_argument("--output", type=Path, required=True, help="the model's folder")
    options = parser.parse_args(arguments)
    for name in ("hands", "width", "layers", "batch", "steps", "cores", "learning_rate"):
        if not getattr(options, name) > 0:
            raise UserError(f"--{name} {getattr(options, name)} must be above 0")
    if options.width % 32:
        raise UserError(f"--width {options.width} must be a multiple of 32, the width of an attention head")
    if not 0 <= options.floor <= 1:
        raise UserError(f"--floor {options.floor} must be a probability, 0 to 1")
    torch.set_num_threads(options.cores)
    started = time.monotonic()
    folder = output_folder(options.output)
    poker = PokerConfig(
        make_game(options.game), str(folder), options.prompt_style, tuple(options.menu_fractions), temperature=1.0
    )
    decisions = decisions_of(poker, options.player, options.floor, options.hands, options.seed)
    prompts = [messages_of(poker, seen) for seen, _ in decisions]
    tokenizer = new_tokenizer(prompts, longest_menu(poker.game, poker.fractions), options.vocabulary)
    model = new_model(len(tokenizer), options.width, options.layers, options.seed)
    parameters = sum(weights.numel() for weights in model.parameters())
    if parameters > MOST_PARAMETERS:
        raise UserError(
            f"--width {options.width} --layers {options.layers} make {parameters:,} weights, more than "
            f"{MOST_PARAMETERS:,}: give less"
        )
    hero = LLMPlayer(model, tokenizer, poker)
    examples = examples_of(hero, decisions)
    lengths = [len(example.prompt_ids) for example in examples]
    console.print(
        f"{parameters:,} weights, {len(tokenizer)} tokens; {len(decisions):,} decisions at {len(examples):,} prompts "
        f"of {sum(lengths) / len(lengths):.0f} tokens"
    )
    with progress_bars(True) as open_bar:
        losses = learn(
            model, examples, options.steps, options.batch, options.learning_rate, options.seed, open_bar("learning")
        )
    transformers_logging.disable_progress_bar()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    record = {
        "command": shlex.join(["python", "recipes/studies/small_model.py", *arguments]),
        "parameters": parameters,
        "prompts": len(examples),
        "seconds": round(time.monotonic() - started, 1),
        "loss": losses,
        "legal": legal_rate(LLMPlayer(model, tokenizer, poker), [seen for seen, _ in decisions]),
    }
    write_atomically(folder / "made.json", json.dumps(record, indent=2) + "\n")
    console.print(
        f"{folder}: {record['seconds']:.0f} s, divergence {losses[0]:.3f} -> {losses[-1]:.3f} nats, legal answers "
        f"{record['legal']:.2%}"
    )


def decisions_of(poker: PokerConfig, spec: str, floor: float, hands: int, seed: int) -> list[Demonstration]:
    """What a player does in hands against itself, held to the menu."""
    player = make_player(spec, poker.game)
    hero, villain = (Imitated(player, poker.fractions, floor) for _ in range(2))
    deals = make_deals(poker.game, hands, seed)
    with progress_bars(True) as open_bar:
        report, share = open_bar(f"{player.name} against itself"), max(1, hands // 50)
        for start in range(0, hands, share):
            play(poker.game, deals[start : start + share], hero, villain)
            report(min(1.0, (start + share) / hands))
    return [*hero.decisions, *villain.decisions]


def messages_of(poker: PokerConfig, seen: Observation) -> Messages:
    """What a model is asked at a decision."""
    return build_messages(seen, make_menu(seen, poker.fractions), poker.style)


def new_tokenizer(prompts: Sequence[Messages], actions: int, vocabulary: int) -> PreTrainedTokenizerFast:
    """Byte pairs that are frequent in the prompts, each digit and each answer (A0, A1, …) a token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [PAD, END, *(f"<{role}>" for role in ROLES)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = dict.fromkeys(message["content"] for prompt in prompts for message in prompt)
    tokenizer.train_from_iterator(list(texts), trainer)
    tokenizer.add_tokens([AddedToken(f"A{place}", single_word=True, normalized=False) for place in range(actions)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, chat_template=TEMPLATE, model_max_length=POSITIONS
    )


def new_model(vocabulary: int, width: int, layers: int, seed: int) -> LlamaForCausalLM:
    """A Llama with random weights."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        num_key_value_heads=width // 32,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
        dtype="float32",
    )
    return LlamaForCausalLM(config)


def learn(
    model: LlamaForCausalLM,
    examples: Sequence[Example],
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
    report: Callable[[float], None] = lambda share: None,
) -> list[float]:
    """Minimise the divergence from the examples' answers to the model's; its mean in each tenth of the steps, nats."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.05)
    found = []
    for step, places in enumerate(batches_of(len(examples), batch, steps, seed)):
        chosen = sorted((examples[place] for place in places), key=lambda example: example.prompt_ids)
        total = 0.0
        for start in range(0, len(chosen), AT_ONCE):
            part = chosen[start : start + AT_ONCE]
            loss = divergence(model, part, 1.0)[0] * len(part) / len(chosen)
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        found.append(total)
        report((step + 1) / steps)
    size = -(-len(found) // 10)
    return [sum(part) / len(part) for part in (found[at : at + size] for at in range(0, len(found), size))]


if __name__ == "__main__":
    run(main)
