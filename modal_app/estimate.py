"""How long an epoch should take on a GPU: an estimate from what has to be computed, for want of a measurement.

    python -m modal_app.estimate --config holdem_advised
    python -m modal_app.estimate --config holdem_advised --shape qwen2.5-3b

prints seconds and dollars of an epoch by GPU. Time is the sum of

- products of matrices: 2 operations for each weight of the layers and each token forwarded, and 2 more for each
  token backpropagated. Those are the counts of Kaplan et al. 2020 ("Scaling Laws for Neural Language Models"),
  2 and 4, less the 2 for the gradients of the weights, which LoRA (Hu et al. 2021) has frozen. They are computed at
  `UTILISATION` of the GPU's peak;
- the weights, which are read once in each pass, and once more where it goes backward;
- the launch of kernels: passes times layers times operators;
- what stays on the CPU: the table, villain, advice, credit, the trees of tokens.

Left out are attention, which is little at some hundred tokens, the output layer, which few tokens go through, the
optimizer, villains that solve again at the table (`cfr+river`), and that much of this overlaps. Counts of tokens and
decisions are from docs/performance.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modal_app.cost import GPUS, parse_gpu, table

UTILISATION = 0.35
"""Of a GPU's peak: 30 to 40 % is what training of language models in 16 bits commonly reaches."""

FLOAT32 = 1 / 8
"""Speed of float32 over that of 16 bits: a fourth (L4) to a fifteenth (H100) of what is published."""

LAUNCH = 10e-6
"""Seconds that Python and PyTorch need for an operator: some 5 µs are CUDA's launch alone."""

OPERATORS = (71, 232)
"""Of a layer, that launch a kernel: forward; forward and backward. Counted in Llama and Qwen2, LoRA on all layers."""

TOKENS_AT_ONCE = 2048
"""Trained on: up to 16,384 fit, fewer of a large model."""

DECISIONS = {"holdem": 2.5, "leduc": 2.0, "kuhn": 1.1}
"""Hero's, by hand: 2.1 to 2.6 in the epochs and rollouts that were measured, 3.0 of `cfr` against itself."""

ROUNDS = {"holdem": 12, "leduc": 7, "kuhn": 3}
"""How often the pending decisions of all hands are asked for at once until the last hand is over: 10 and 12 in two
epochs of holdem_advised.yaml with 64 hands, 12 of 64 to 512 hands of `cfr` against itself."""

TOKENS = 62
"""Forwarded by decision, what prompts share counted once: 9,025 of 146 decisions (`rollout`, menu)."""

ADVICE_TOKENS = 24
"""More of them with advice: 11,747 of 136 decisions (`epoch` of holdem_advised.yaml)."""

STYLE_TOKENS = {"compact": 1.0, "brief": 0.65, "classic": 4.1}
"""Tokens over those of compact, counted in 64 hands of `cfr` against itself."""

MOST_TOKENS = {"leduc": 5_600, "kuhn": 330}
"""Of all compact prompts there are and their answers; an epoch of leduc.yaml, of kuhn.yaml."""

ANSWER_TOKENS = 3
"""Of a sampled answer, each of them a forward pass; the menu's answers are scored in one."""

EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
"""What configs call the number of a layer's experts."""

HOST = {"holdem": 0.04, "leduc": 0.0025, "kuhn": 0.001}
"""Seconds of a hand on the CPU. In hold'em all but the model's layers, 2.6 of the 57 s of an epoch of 64 hands; in the
others the credit, and some for the table."""


@dataclass(frozen=True)
class Model:
    """What a token goes through."""

    weights: float
    """Of its layers' matrices; neither embeddings nor output layer."""
    layers: int
    bytes_per_weight: int = 2


@dataclass(frozen=True)
class Processor:
    """What computes it."""

    flops: float
    """Operations a second that products of matrices are computed at, not at most but really."""
    bandwidth: float
    """Bytes a second that weights are read at."""
    launch: float
    """Seconds to launch an operator."""


@dataclass(frozen=True)
class Work:
    """An epoch, or a process's share of it."""

    sampled: float
    """Tokens forwarded to play the hands."""
    sampling_passes: float
    trained: float
    """Tokens forwarded and backpropagated."""
    training_passes: float
    host: float
    """Seconds of the CPU."""
    depth: float = 1.0
    """Share of the layers that have an adapter: those below are forwarded to play the hands, and are known then."""


def epoch_work(
    game: str,
    hands: float,
    *,
    style: str = "compact",
    advised: bool = False,
    menu: bool = False,
    trained_share: float = 1.0,
    times: int = 1,
    depth: float = 1.0,
) -> Work:
    """What so many hands of a game (`holdem`, `leduc`, `kuhn`) come to.

    `menu`: whether the menu's answers are scored, as with `all_action`, instead of one being sampled. `times`: how
    often an epoch's rows are trained on. `depth`: share of the layers that have an adapter.
    """
    tokens = hands * DECISIONS[game] * (TOKENS + ADVICE_TOKENS * advised)
    tokens = STYLE_TOKENS[style] * min(tokens, MOST_TOKENS.get(game, tokens))
    trained = times * trained_share * tokens
    return Work(
        sampled=tokens,
        sampling_passes=ROUNDS[game] * (1 if menu else ANSWER_TOKENS),
        trained=trained,
        training_passes=max(times, trained / TOKENS_AT_ONCE),
        host=hands * HOST[game],
        depth=depth,
    )


def seconds(work: Work, model: Model, processor: Processor) -> float:
    """How long it takes; the formula is this module's."""
    passed = 2 * work.depth  # forward and backward, as far down as adapters go
    products = 2 * model.weights * (work.sampled + passed * work.trained)
    read = model.weights * model.bytes_per_weight * (work.sampling_passes + passed * work.training_passes)
    forward, both = OPERATORS
    launched = model.layers * (forward * work.sampling_passes + both * work.depth * work.training_passes)
    return products / processor.flops + read / processor.bandwidth + launched * processor.launch + work.host


def seconds_of_epoch(config: Any, model: Model, gpu: str) -> float:
    """Of an epoch of an `ExploitConfig` on a GPU as `--gpu` takes it; of several each has its share of the hands."""
    kind, count = parse_gpu(gpu)
    speed = UTILISATION * kind.teraflops * 1e12 * (FLOAT32 if model.bytes_per_weight == 4 else 1)
    work = epoch_work(
        config.make_game().name,
        config.episodes_per_epoch / count,
        style=config.prompt_style,
        advised=config.advisor,
        menu="all_action" in config.variance_reduction,
        trained_share=config.trained_share,
        times=config.num_iterations,
        depth=config.lora_depth,
    )
    return seconds(work, model, Processor(speed, kind.gb_per_second * 1e9, LAUNCH))


def model_of_config(config: Any) -> Model:
    """The size of an `ExploitConfig`'s model. Raises `UserError` when its config can't be had."""
    from poker_env.language_model.skeleton import skeleton  # here, as it imports torch

    model = skeleton(
        config.model_name_or_path, config.model_init_kwargs, trust_remote_code=bool(config.trust_remote_code)
    )
    return Model(*weights_and_layers(model), 4 if config.dtype == "float32" else 2)


def weights_and_layers(model: Any) -> tuple[float, int]:
    """Of a causal language model of transformers: the weights a token is multiplied with, and how many layers.

    Of a mixture of experts those weights count that a token goes through.
    """
    from torch.nn import Embedding  # here, as the machine that asks Modal may lack it

    config = model.config.get_text_config(decoder=True)
    apart = [module for module in model.modules() if isinstance(module, Embedding)]
    apart += [output] if (output := model.get_output_embeddings()) is not None else []
    looked_up = {id(module.weight) for module in apart}
    experts = next((number for name in EXPERTS if (number := getattr(config, name, None))), 1)
    share = min(1.0, (getattr(config, "num_experts_per_tok", None) or 1) / experts)
    weights = sum(
        own.numel() * (share if ".experts." in name else 1.0)
        for name, own in model.named_parameters()
        if own.ndim > 1 and id(own) not in looked_up
    )
    return weights, config.num_hidden_layers


def model_of_shape(shape: dict[str, int]) -> Model:
    """The size of a model of Qwen2's kind, by its shape as `recipes.studies.speed.shapes` has it."""
    from recipes.studies.speed.shapes import skeleton_of  # here, as it imports torch

    return Model(*weights_and_layers(skeleton_of(shape)))


def main(argv: Sequence[str] | None = None) -> None:
    """Print the estimates."""
    from modal_app.common import one_line_errors
    from recipes.options.config import parse_config
    from recipes.studies.speed.shapes import parse_shape

    parser = argparse.ArgumentParser(description="What an epoch should take on a GPU, estimated, not measured.")
    parser.add_argument("--config", required=True, help="a YAML file, or the name of one of ours")
    parser.add_argument("--shape", help="of the model, such as qwen2.5-3b, instead of the config's own")
    options = parser.parse_args(argv)
    with one_line_errors():
        config = parse_config(["--config", options.config])
        model = model_of_shape(parse_shape(options.shape)) if options.shape else model_of_config(config)
        rates = table()
        print(f"an epoch of {config.episodes_per_epoch} hands, estimated, not measured (prices: {rates.source})")
        for gpu in GPUS:
            time = seconds_of_epoch(config, model, gpu.name)
            print(f"{gpu.name:14}{time:8.1f} s  ${time * rates.container(gpu.name):.4f}")


if __name__ == "__main__":
    main()
