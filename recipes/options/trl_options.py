"""TRL's and transformers' options: which work as they do there, which a run sets itself, which it refuses.

Every field of `GRPOConfig` that isn't a field of `ExploitConfig`'s own is in exactly one of `WORKS`, `SET` and
`REFUSED`; docs/configuration.md is made from them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field
from typing import Any

from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames
from trl import GRPOConfig

from poker_env.errors import UserError
from poker_env.prompts import STYLES
from recipes.options.values import chosen, shown

OF_MODE = {
    "colocate": ("vllm_model_impl", "vllm_enable_sleep_mode", "vllm_gpu_memory_utilization", "vllm_max_model_length"),
    "server": (
        "vllm_server_base_url",
        "vllm_server_host",
        "vllm_server_port",
        "vllm_server_timeout",
        "vllm_group_port",
    ),
}
"""Options of vLLM that one mode alone has: a server is started with its own."""

OF_CORRECTION = (
    "vllm_importance_sampling_mode",
    "vllm_importance_sampling_clip_max",
    "vllm_importance_sampling_clip_min",
)
"""What says how vLLM's probabilities are corrected for."""

WORKS = {
    "model": ("trust_remote_code", "disable_dropout"),
    "batch": ("num_iterations",),
    "loss": (
        "loss_type",
        "epsilon",
        "epsilon_high",
        "delta",
        "beta",
        "use_bias_correction_kl",
        "entropy_coef",
        "importance_sampling_level",
    ),
    "optimizer": (
        *("optim", "optim_args", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm"),
        "logging_nan_inf_filter",
    ),
    "schedule": ("lr_scheduler_kwargs", "warmup_steps"),
    "hardware": (
        *("tf32", "gradient_checkpointing_kwargs", "torch_empty_cache_steps", "full_determinism", "seed"),
        *("ddp_find_unused_parameters", "ddp_bucket_cap_mb", "ddp_backend"),
    ),
    "folder and logging": (
        *("output_dir", "log_level", "log_level_replica", "log_on_each_node"),
        *("trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"),
    ),
    "vLLM, with thinking": (
        *("use_vllm", "vllm_mode", *OF_MODE["colocate"], *OF_MODE["server"]),
        *("vllm_importance_sampling_correction", *OF_CORRECTION),
    ),
    "Hub": ("push_to_hub", "hub_model_id", "hub_private_repo", "hub_revision", "hub_token", "hub_strategy"),
}
"""By family. `loss_type` is dapo or cispo; `hub_strategy` end or every_save, and the final adapter is all that is
pushed (docs/hub.md)."""

SET = {
    "num_generations": "an epoch's rows are one group: set rows_per_epoch",
    "steps_per_generation": "it follows from rows_per_epoch and per_device_train_batch_size",
    "generation_batch_size": "an epoch's rows are one batch: set rows_per_epoch",
    "gradient_accumulation_steps": "it follows from rows_per_epoch, updates_per_epoch and per_device_train_batch_size",
    "max_steps": "it follows from num_epochs, updates_per_epoch and num_iterations",
    "save_strategy": "every epoch is saved",
    "save_steps": "every epoch is saved",
    "save_total_limit": "two checkpoints are kept to resume from; adapters of all epochs are",
    "logging_strategy": "every epoch is logged",
    "logging_steps": "every epoch is logged",
    "disable_tqdm": "an epoch is a line on the terminal",
    "use_cpu": "a GPU is used where there is one: set CUDA_VISIBLE_DEVICES to hide it",
    "bf16": "it follows from dtype",
    "fp16": "it follows from dtype",
    "router_aux_loss_coef": "an adapter leaves a mixture's router as it is, and rows are forwarded as trees",
    "reward_weights": "the weights are in rewards",
    "ddp_broadcast_buffers": "processes forward different numbers of batches",
}
"""What `ExploitConfig` sets, and what it follows from."""

_SAMPLING = "hands are sampled by the model that is trained, from its whole distribution"
_EVALUATION = "evaluations are told by eval_hands and exact_eval_every"
_DATA = "there is no dataset: rows come from hands played"
_ROWS = "a row stands for many decisions, which it would weigh wrongly"
_ENTROPY = "the entropy bonus is told by entropy_coef and entropy_coef_end"
_COMPLETIONS = "hands are told on the terminal (show_hands) and in the run's folder hands/"
_SHARDING = "the model is whole on every process"
_COMPILE = "batches differ in shape, so that every one would be compiled anew"
_FULL_EVALUATION = "what evaluates is the model as it is trained: set dtype"

REFUSED = {
    "num_train_epochs": "set num_epochs",
    "resume_from_checkpoint": "use --resume, which goes on from the last whole epoch in output_dir",
    "activation_checkpointing": "set gradient_checkpointing, which is the same",
    "activation_checkpointing_kwargs": "set gradient_checkpointing_kwargs, which is the same",
    **dict.fromkeys(("top_p", "top_k", "min_p"), f"{_SAMPLING}: to reshape it biases the policy gradient"),
    **dict.fromkeys(("generation_kwargs", "repetition_penalty", "cache_implementation", "use_cache"), _SAMPLING),
    **dict.fromkeys(
        (
            *("use_transformers_continuous_batching", "transformers_continuous_batching_config"),
            "use_transformers_paged",
        ),
        "hands are sampled by the model that is trained",
    ),
    "vllm_structured_outputs_regex": f"{_SAMPLING}: to reshape it biases the policy gradient",
    "vllm_tensor_parallel_size": "a process has one GPU: with vllm_mode server it is the server's own option",
    "vllm_importance_sampling_cap": "set vllm_importance_sampling_clip_max, which is the same",
    "max_tool_calling_iterations": "a hand has no tools",
    "mask_truncated_completions": "it would mask every answer that stops at its action token",
    "multi_objective_aggregation": f"{_ROWS}; rewards are summed by their weights",
    "top_entropy_quantile": _ROWS,
    "off_policy_mask_threshold": _ROWS,
    **dict.fromkeys(
        (
            *("sapo_temperature_neg", "sapo_temperature_pos", "vespo_k_pos", "vespo_lambda_pos", "vespo_k_neg"),
            "vespo_lambda_neg",
        ),
        "its loss is not among those that a run can have: loss_type is dapo or cispo",
    ),
    **dict.fromkeys(
        ("sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps"),
        "with an adapter the reference is where training starts",
    ),
    **dict.fromkeys(
        ("use_adaptive_entropy", "entropy_coef_min", "entropy_coef_max", "entropy_coef_delta", "entropy_target"),
        _ENTROPY,
    ),
    **dict.fromkeys(
        (
            *("log_completions", "log_multimodal", "num_completions_to_print", "log_unique_prompts"),
            "log_completions_hub_repo",
        ),
        _COMPLETIONS,
    ),
    **dict.fromkeys(
        (
            *("eval_strategy", "eval_steps", "eval_delay", "per_device_eval_batch_size", "prediction_loss_only"),
            *("eval_on_start", "eval_do_concat_batches", "eval_use_gather_object", "eval_accumulation_steps"),
            *(
                "include_for_metrics",
                "batch_eval_metrics",
                "num_generations_eval",
                "do_train",
                "do_eval",
                "do_predict",
            ),
        ),
        _EVALUATION,
    ),
    **dict.fromkeys(("bf16_full_eval", "fp16_full_eval"), _FULL_EVALUATION),
    **dict.fromkeys(
        ("load_best_model_at_end", "metric_for_best_model", "greater_is_better"), "the best adapter is kept in best/"
    ),
    **dict.fromkeys(
        (
            *("shuffle_dataset", "remove_unused_columns", "label_names", "train_sampling_strategy"),
            *("length_column_name", "dataloader_drop_last", "dataloader_num_workers", "dataloader_pin_memory"),
            *("dataloader_persistent_workers", "dataloader_prefetch_factor", "dataloader_multiprocessing_context"),
            *("dataloader_in_order", "ignore_data_skip", "accelerator_config"),
        ),
        _DATA,
    ),
    "data_seed": f"{_DATA}, which seed names",
    "pad_to_multiple_of": "rows are forwarded as trees, without padding",
    "include_num_input_tokens_seen": "rows are forwarded as trees; metrics.jsonl has the tokens saved",
    "average_tokens_across_devices": "the loss divides by all processes' tokens anyway",
    "optim_target_modules": "it is for optimizers of whole layers: lora_target_modules says what is trained",
    "label_smoothing_factor": "answers are sampled, not labels",
    "neftune_noise_alpha": "the policy that is trained has to be the one that played",
    "cast_lm_head_to_fp32": "log-probabilities are float32 anyway: set dtype to float32 for the whole model",
    **dict.fromkeys(("use_liger_kernel", "liger_kernel_config"), "the loss is not what its kernels replace"),
    **dict.fromkeys(("torch_compile", "torch_compile_backend", "torch_compile_mode"), _COMPILE),
    **dict.fromkeys(
        ("fsdp", "fsdp_config", "deepspeed", "parallelism_config", "ds3_gather_for_generation"), _SHARDING
    ),
    "ddp_static_graph": "processes forward different numbers of batches",
    "auto_find_batch_size": "an epoch is one batch: lower per_device_train_batch_size",
    "logging_first_step": "every epoch is logged",
    "save_only_model": "without its optimizer a run can't be resumed",
    "save_on_each_node": "a run has one folder",
    "enable_jit_checkpoint": "a run is resumed from whole epochs",
    "restore_callback_states_from_checkpoint": "a resumed run reads its state from its folder",
    "hub_always_push": "the final adapter alone is pushed, at the end",
    "skip_memory_metrics": "a run doesn't show them",
    "debug": "it isn't known to work here",
    "local_rank": "the launcher says which process it is (accelerate launch)",
}
"""What would do nothing, or something wrong, and why."""

CISPO_BOUND = 5.0
"""What `loss_type: cispo` caps the probability ratio at: TRL would take `epsilon`, a fifth of every gradient."""

BASELINES = ("batch_mean", "leave_one_out")

DTYPES = ("auto", "bfloat16", "float16", "float32")

SCHEDULES = tuple(kind.value for kind in SchedulerType if kind.value not in ("reduce_lr_on_plateau", "greedy"))
"""All but those that go by evaluations of transformers' own."""

OPTIMIZERS = tuple(
    kind.value for kind in OptimizerNames if not kind.value.startswith(("galore", "apollo", "lomo", "adalomo"))
)
"""All but those that need whole layers to train, or a training loop of their own."""

LOSS_TYPES = ("dapo", "cispo")
"""The losses that weigh tokens, and divide by all the tokens of an epoch, as `recipes.training.rows` needs."""

HUB_STRATEGIES = ("end", "every_save")

CHOICES: Mapping[str, Sequence[str]] = {
    "baseline": BASELINES,
    "dtype": DTYPES,
    "prompt_style": STYLES,
    "entropy_schedule": ("linear", "geometric"),
    "lr_scheduler_type": SCHEDULES,
    "optim": OPTIMIZERS,
    "scale_rewards": ("none", "batch"),
    "loss_type": LOSS_TYPES,
    "importance_sampling_level": ("token", "sequence"),
    "vllm_mode": tuple(OF_MODE),
    "vllm_importance_sampling_mode": ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"),
    "hub_strategy": HUB_STRATEGIES,
}
"""What an option is one of."""

PATHS = ("output_dir", "model_name_or_path", "adapter", "villain", "eval_villain", "warm_start_player")
"""Options that are paths, or have some in them."""

ONLY = {
    "loss_type": "a row stands for many decisions, which other losses weigh as one",
    "hub_strategy": "only the final adapter is pushed, at the end",
    "scale_rewards": "a group is the whole batch",
}
"""Why an option is one of fewer than there are."""

BOUNDS: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(
        (
            *(
                "num_epochs",
                "episodes_per_epoch",
                "replicas",
                "updates_per_epoch",
                "self_every",
                "num_iterations",
                "lora_r",
            ),
            *("lora_alpha", "warm_start_hands", "warm_start_steps", "warm_start_batch_size", "max_completion_length"),
            *("per_device_train_batch_size", "torch_empty_cache_steps", "ddp_timeout", "ddp_bucket_cap_mb"),
        ),
        (1, math.inf),
    ),
    "rows_per_epoch": (2, math.inf),
    **dict.fromkeys(
        (
            *("eval_hands", "show_hands", "exact_eval_every", "learning_rate", "warm_start_learning_rate"),
            *("warmup_steps", "weight_decay", "adam_epsilon", "max_grad_norm", "beta", "epsilon", "epsilon_high"),
            *("delta", "entropy_coef", "lifted_after"),
        ),
        (0, math.inf),
    ),
    **dict.fromkeys(
        (
            *("gamma", "visits_power", "probability_power", "trained_share", "warm_start_floor", "lora_depth"),
            *("adam_beta1", "adam_beta2", "lora_dropout"),
        ),
        (0, 1),
    ),
}
"""The least and the most an option may be."""

BELOW = {"adam_beta1": 1, "adam_beta2": 1, "lora_dropout": 1}
"""What an option must be below."""

ABOVE = {"temperature": 0, "delta": 0, "adam_epsilon": 0, "trained_share": 0, "lora_depth": 0}
"""What an option must be above."""


def check_choices(values: Mapping[str, Any]) -> None:
    """Raise `UserError` for a text that is none of those an option can be."""
    for name, choices in CHOICES.items():
        if name in ONLY and values[name] not in choices:
            raise UserError(f"{name} {shown(values[name])}: {ONLY[name]}, choose {' or '.join(choices)}")
        chosen(name, values[name], choices)


def check_bounds(values: Mapping[str, Any], world: int) -> None:
    """Raise `UserError` for a number that is too small or too large. A seed has room for the number of a process."""
    for name, (least, most) in {**BOUNDS, "seed": (0, 2**32 - world)}.items():
        value = values[name]
        if value is None:
            continue
        if value < least:
            wanted = "must not be negative" if least == 0 else f"must be at least {least:g}"
            raise UserError(f"{name} {shown(value)} {wanted}")
        if value > most:
            raise UserError(f"{name} {shown(value)} must be at most {most:.0f}")
    for name, limit in BELOW.items():
        if values[name] >= limit:
            raise UserError(f"{name} {shown(values[name])} must be below {limit}")
    for name, limit in ABOVE.items():
        if values[name] is not None and values[name] <= limit:
            raise UserError(f"{name} {shown(values[name])} must be above {limit}")


def check_cispo(values: Mapping[str, Any]) -> None:
    """Raise `UserError` for what makes no sense with `loss_type: cispo`."""
    if values["epsilon_high"] is not None and values["epsilon_high"] < 1:
        raise UserError(
            f"epsilon_high {values['epsilon_high']} is what loss_type cispo caps the probability ratio at, and so "
            f"every gradient: leave it out, for {CISPO_BOUND:g}, or set it above 1"
        )
    for name, default in (("epsilon", GRPOConfig.epsilon), ("delta", GRPOConfig.delta)):
        if values[name] != default:
            raise UserError(f"{name} {values[name]} does nothing with loss_type cispo: set epsilon_high")


def default_of(field: Field[Any]) -> Any:
    """An option's default."""
    if field.default_factory is not MISSING:
        return field.default_factory()
    return None if field.default is MISSING else field.default


def refuse(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raise `UserError` for an option of `REFUSED` that isn't at its default."""
    for name, why in REFUSED.items():
        if values[name] != defaults[name]:
            raise UserError(f"{name} {shown(values[name])} is not supported: {why}")


def refuse_overwritten(written: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Raise `UserError` where an option of `SET` was written otherwise than it is set."""
    for name, value in written.items():
        if name in SET and value != values[name]:
            found = shown(getattr(values[name], "value", values[name]))
            raise UserError(f"{name} {shown(value)} can't be had, it is {found}: {SET[name]}; leave it out")
