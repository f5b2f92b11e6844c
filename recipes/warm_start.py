"""Teach a language model to play as another player does, so that training starts from a legal, sane policy.

    python recipes/warm_start.py --config recipes/configs/kuhn.yaml --output_dir runs/kuhn_start

writes the adapter `runs/kuhn_start/warm_start`, for `recipes/train.py --adapter`. The options are those of
`recipes/train.py`, which does the same before it trains, where `warm_start_player` is set.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from rich.console import Console
from rich.markup import escape
from torch.utils.data import DataLoader
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from trl import SFTConfig, SFTTrainer

from poker_env.errors import UserError
from poker_env.files import output_folder
from poker_env.forwarding.forward import keep_lower_layers
from poker_env.forwarding.lora import fuse
from poker_env.games import make_deals
from poker_env.knowledge.advisor import SOFTNESS
from poker_env.player_specs import advice_for, load_advisor
from poker_env.players.base import Player
from poker_env.players.llm import LLMPlayer
from poker_env.table import play
from recipes.cli import run
from recipes.options.config import ExploitConfig, parse_config
from recipes.options.early import check_early, check_machine
from recipes.runs.checkpoints import save_adapter
from recipes.runs.record import WARM_START
from recipes.training.batches import cut
from recipes.training.exact_watch import ExactWatch, describe
from recipes.training.fitting import FitsIntoMemory
from recipes.training.imitation import (
    Demonstration,
    Imitated,
    batches_of,
    examples_of,
    hands_played,
    imitable,
    legal_rate,
)
from recipes.training.imitation_loss import Example, divergence
from recipes.training.processes import (
    everywhere,
    expect_gradients,
    is_main,
    on_main,
    part,
    processes,
    share_of,
    use_all_cores,
)

VILLAIN = "villain"
"""What `warm_start_player` calls the run's own opponent."""

FOLLOWERS = {"lbr": "advice", "lookahead": "lookahead"}
"""What it calls players that know that opponent, on hero's menu: a local best response, and one that sees further."""

HANDS = "hands:"
"""What a path of played hands begins with: their hero is imitated."""

SEED_OFFSET = 2_000_003
"""The imitated player's decks are neither those of training nor those of evaluation."""

LOGS = 6
"""Lines of progress."""

LEGALITY = 30.0
"""How much more an answer that names no action counts, by the last step, than one that names the wrong one.

It ends a hand, so one in a thousand is too many. From the first step on it would drown what is to be imitated.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Make an adapter as the command line says. Raises `UserError` for what a user got wrong."""
    config = parse_config(argv)
    if config.warm_start_player is None:
        raise UserError("warm_start_player is not set: name the player to imitate, say --warm_start_player villain")
    folder = on_main(lambda: output_folder(Path(str(config.output_dir)))) / WARM_START
    check_machine(config)
    check_early(config, config.load_tokenizer())
    if config.advisor:
        load_advisor(config.villain, config.make_game())  # complains now, not after the self-play
    warm_start(config, config.make_player(config.villain), folder, Console(quiet=not is_main()))
    part()


def warm_start(config: ExploitConfig, villain: Player, folder: Path, console: Console) -> None:
    """Save as `folder` an adapter that plays like `config.warm_start_player`; all processes call it together.

    The divergence from that player to hero is minimised over its decisions, in hands against villain or in those that
    it names, with TRL's `SFTTrainer`.
    """
    started = time.monotonic()
    if str(config.warm_start_player).startswith(HANDS):
        decisions, imitated = played_decisions(config)
    else:
        player = imitated_player(config, villain)
        decisions = imitated_decisions(config, player, villain)
        imitated = f"{player.name} in {config.warm_start_hands} hands against {villain.name}"
    set_seed(config.seed)
    tokenizer = config.load_tokenizer()
    model, poker = config.load_model(), config.poker()

    def as_hero(asked: Any) -> LLMPlayer:
        return LLMPlayer(asked, tokenizer, poker, advise=advice_for(poker))

    examples = examples_of(as_hero(model), decisions)
    console.print(
        f"[bold]warm start[/]: {len(decisions)} decisions at {len(examples)} prompts, imitating {escape(imitated)}"
    )
    trainer = ImitationTrainer(config, model, tokenizer, examples, [_Progress(console)])
    console.print(str(trainer.memory), soft_wrap=True)
    trainer.train()
    adapted = trainer.accelerator.unwrap_model(trainer.model)

    def finish() -> None:
        save_adapter(folder, adapted, tokenizer, poker)
        hero = as_hero(adapted)
        console.print(f"legal answers {legal_rate(hero, [seen for seen, _ in decisions]):.2%}", end="  ")
        exact = ExactWatch.of(config, villain)
        if exact is not None:
            console.print(describe(exact.metrics(hero)), end="  ")
        console.print(f"{time.monotonic() - started:.0f} s  adapter: {folder}", soft_wrap=True)

    on_main(finish)


def imitated_decisions(config: ExploitConfig, player: Player, villain: Player) -> list[Demonstration]:
    """What `player` does in hands against villain, which the processes share out; in all of them, in the same order.

    Where it is villain itself that is imitated, both seats' decisions. Those that a hand begins with come first.
    """
    deals = make_deals(config.make_game(), config.warm_start_hands, config.seed + SEED_OFFSET)
    hero, other = (Imitated(player, tuple(config.menu_fractions), config.warm_start_floor) for _ in range(2))
    share = share_of(len(deals))
    play(config.make_game(), deals[share.start : share.stop], hero, other if player is villain else villain)
    found = [decision for role in (hero, other) for own in everywhere(role.decisions) for decision in own]
    return sorted(found, key=lambda decision: len(decision[0].moves))


def played_decisions(config: ExploitConfig) -> tuple[list[Demonstration], str]:
    """What the hero of played hands did, and whose and how many hands these are, in words.

    Advice is of the run's game alone. Raises `UserError` where nothing can be imitated.
    """
    path, game = Path(str(config.warm_start_player).removeprefix(HANDS)), config.make_game()
    hands = hands_played(path, game)
    fitting = [hand for hand in hands if not config.advisor or hand.game == game]
    if not fitting:
        raise UserError(
            f"{path} has no hands of {game}, the one game that advice is for: leave advisor out, or set game"
        )
    taken = fitting[: config.warm_start_hands]
    found = imitable(taken, tuple(config.menu_fractions), config.warm_start_floor)
    if not found.decisions:
        raise UserError(f"{path} has no decisions of hero's to imitate in its first {len(taken)} hands")
    said = [f"hero in {len(taken)} of the {len(hands)} hands of {path}"]
    if found.moved:
        said.append(f"{found.moved} bets and raises became the nearest on the menu")
    if found.illegal:
        said.append(f"{found.illegal} that named no legal action are left out")
    if len(fitting) < len(hands):
        said.append(f"{len(hands) - len(fitting)} hands of other stakes, which there is no advice for, are left out")
    return sorted(found.decisions, key=lambda decision: len(decision[0].moves)), "; ".join(said)


def imitated_player(config: ExploitConfig, villain: Player) -> Player:
    """Who `config.warm_start_player` is. Raises `UserError` when there is no such player."""
    spec = str(config.warm_start_player)
    if spec in (VILLAIN, config.villain):
        return villain
    if spec in FOLLOWERS:
        sizes = "/".join(map(str, config.menu_fractions))
        return config.make_player(f"{FOLLOWERS[spec]}:{config.villain}~{SOFTNESS}@{sizes}")
    return config.make_player(spec)


class ImitationTrainer(FitsIntoMemory, SFTTrainer):
    """Supervised fine-tuning on whole distributions over answers instead of single ones.

    Its loss is the divergence from them, in nats, of which what names no action counts more with every step, at last
    `LEGALITY` times. A batch is forwarded as trees of tokens, as large as there is memory for.
    """

    def __init__(
        self,
        config: ExploitConfig,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        examples: Sequence[Example],
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self._sampling_temperature = config.temperature
        self._examples = examples
        super().__init__(
            model=model,
            args=SFTConfig(
                output_dir=str(config.output_dir),  # required; nothing is saved there
                max_steps=config.warm_start_steps,
                per_device_train_batch_size=config.warm_start_batch_size,
                learning_rate=config.warm_start_learning_rate,
                lr_scheduler_type="cosine",
                warmup_steps=min(3, config.warm_start_steps // 4),
                adam_beta2=0.95,  # of few steps: 0.999 would remember the first, large gradients to the end
                weight_decay=0.0,
                gradient_checkpointing=config.gradient_checkpointing,
                bf16=config.bf16,
                fp16=config.fp16,
                use_cpu=config.use_cpu,
                router_aux_loss_coef=0.0,  # experts stay as they are
                seed=config.seed,
                ddp_broadcast_buffers=False,
                ddp_timeout=config.ddp_timeout,
                save_strategy="no",
                logging_steps=-(-config.warm_start_steps // LOGS),
                report_to="none",
                disable_tqdm=True,
                remove_unused_columns=False,
                dataset_kwargs={"skip_prepare_dataset": True},  # token ids already
            ),
            train_dataset=Dataset.from_list([asdict(example) for example in examples]),
            data_collator=list,  # required; batches are `get_train_dataloader`'s
            processing_class=tokenizer,
            peft_config=config.lora(model),
            callbacks=list(callbacks),
        )
        fuse(self.model)
        keep_lower_layers(self.model)
        expect_gradients(self)
        self.remove_callback(PrinterCallback)
        self.args._n_gpu = min(self.args.n_gpu, 1)  # see `ExploitConfig`

    def get_train_dataloader(self) -> DataLoader:
        """This process's share of each step's batch; what all of them learn from doesn't depend on their number."""
        size = self.args.per_device_train_batch_size * processes()
        batches = batches_of(len(self._examples), size, self.args.max_steps, self.args.seed)
        return DataLoader(batches, collate_fn=lambda one: self._collate(*one))  # type: ignore[arg-type]

    def _collate(self, batch: Sequence[int]) -> dict[str, Any]:
        """This process's share of a batch, and its weight: the mean of all processes' losses is that of the batch."""
        own = share_of(len(batch))
        places = batch[own.start : own.stop] or batch[:1]  # fewer examples than processes: that one counts nothing
        examples = [self._examples[place] for place in places]
        return {"examples": examples, "weight": len(own) * processes() / len(batch)}

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """The batch's mean."""
        # What begins alike lies together.
        examples = sorted(inputs["examples"], key=lambda example: example.prompt_ids)
        texts = [[(example.prompt_ids, answer) for answer in example.answers] for example in examples]
        parts = [[examples[place] for place in places] for places in cut(texts, self.tokens_per_tree)]
        base = self.accelerator.unwrap_model(model)
        legality = (LEGALITY - 1) * self.state.global_step / self.state.max_steps

        def loss_of(part: Sequence[Example]) -> torch.Tensor:
            whole, astray = divergence(base, part, self._sampling_temperature, call=model)
            return inputs["weight"] * len(part) / len(examples) * (whole + legality * astray)

        return self.sum_of_parts(model, parts, loss_of)


class _Progress(TrainerCallback):
    """A line now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if state.is_world_process_zero and logs and "loss" in logs:
            self._console.print(f"  step {state.global_step}/{state.max_steps}  loss {logs['loss']:.4f} nats")


if __name__ == "__main__":
    use_all_cores()
    run(main)
