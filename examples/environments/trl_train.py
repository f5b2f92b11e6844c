"""Train a language model at whole hands with TRL's stock GRPOTrainer and its `environment_factory`.

    python examples/environments/trl_train.py --steps 4

Each hand is one conversation with one reward, so this learns slower than `recipes/train.py`, which credits every
decision. The default model knows of no tools, so its plain words are taken for its calls (`answer_plainly`); a model
with tool calls, say Qwen/Qwen3-0.6B, needs no such thing: `--tools`.
"""

import argparse

import torch
from peft import LoraConfig
from trl import GRPOConfig, GRPOTrainer

from poker_env.language_model.loading import load_model, load_tokenizer
from poker_environments.episode import make_table
from poker_environments.trl import answer_plainly, deals, environment_factory


def main() -> None:
    """Train, and print what hands were worth on the way."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--tools", action="store_true", help="the model calls tools by itself")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--villain", default="cfr:weak")
    parser.add_argument("--output_dir", default="runs/trl_train")
    given = parser.parse_args()
    table = make_table("kuhn", given.villain, rewards=["chips", "illegal"])
    tokenizer = load_tokenizer(given.model)
    if not given.tools:
        answer_plainly(tokenizer)
    options = {
        "max_steps": given.steps,
        "learning_rate": 1e-4,
        "per_device_train_batch_size": 16,
        "num_generations": 8,
    }
    options |= {"max_tool_calling_iterations": 2, "max_completion_length": 512, "gradient_checkpointing": False}
    options |= {"generation_kwargs": {"max_new_tokens": 256 if given.tools else 4}}
    options |= {"use_cpu": not torch.cuda.is_available(), "bf16": False, "report_to": "none", "logging_steps": 1}
    options |= {"save_strategy": "no", "output_dir": given.output_dir}
    trainer = GRPOTrainer(
        model=load_model(given.model, torch.float32),
        args=GRPOConfig(**options),
        train_dataset=deals(table, 1024),
        environment_factory=environment_factory(table),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trainer.train()
    for step in trainer.state.log_history:
        if "rewards/PokerHand/mean" in step:
            print(f"step {step['step']:3}  mean reward of 16 hands {step['rewards/PokerHand/mean']:+.2f}")
    trainer.save_model()


if __name__ == "__main__":
    main()
