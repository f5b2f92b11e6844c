"""Trains on known hands, in one process or in several that a launcher starts with this file; see test_processes."""

import contextlib
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import TrainerCallback

from poker_env.language_model.loading import load_model, load_tokenizer
from recipes import cli
from recipes.options.config import parse_config
from recipes.train import make_trainer
from recipes.training import memory
from recipes.training.processes import everywhere, is_main, part, processes
from recipes.training.rollout import Rollout
from recipes.training.rows import Row, deal_out, to_trl, training_rows


class MadeUp:
    """A rollout of decisions that are known beforehand, merged and dealt out as played ones are."""

    def __init__(self, decisions, weights):
        self.decisions, self.weights = decisions, weights

    def __call__(self, prompts, trainer):
        process, count = trainer.accelerator.process_index, trainer.accelerator.num_processes
        rng = np.random.default_rng(trainer.state.global_step)
        size = len(prompts) * count
        rows, *_ = training_rows(self.decisions, size, weights=self.weights, scale=False, pad_token_id=0, rng=rng)
        share = deal_out(rows, count)[process]
        return to_trl(share.rows, share.elsewhere)

    def metrics(self):
        return {"bb_per_hand": 1.25}


def made_up_decisions(seed, count, menus):
    """Decisions with answers of one to three tokens; with `menus`, of two to five answers that begin alike."""
    rng = np.random.default_rng(seed)
    decisions = []
    for _ in range(count):
        prompt = (5, *(int(token) for token in rng.integers(6, 9, rng.integers(1, 4))))
        answers = [(10,), (11, 3), (12, 4, 5), (12, 4, 6), (13, 4)][: 2 + len(prompt) % 4]
        if not menus:
            answer = answers[rng.integers(len(answers))]
            decisions.append([Row(prompt, answer, tuple(rng.normal(size=2).tolist()))])
            continue
        chances, gains = rng.dirichlet(np.ones(len(answers))), rng.normal(size=(len(answers), 2))
        menu = [
            Row(prompt, answer, tuple((p * gain).tolist()), decisions=float(p))
            for answer, p, gain in zip(answers, chances, gains, strict=True)
        ]
        given = menu[rng.integers(len(menu))]
        decisions.append([Row(prompt, given.completion_ids, (0.0, 0.0), decisions=0), *menu])
    return decisions


class Gradients(TrainerCallback):
    """Every update's gradient, by parameter."""

    def __init__(self):
        self.updates = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.updates.append({name: w.grad.clone() for name, w in model.named_parameters() if w.requires_grad})


def run(model_dir, output_dir, case):
    """Train as a case says: what every update's gradient was, what was logged, and the adapter in the end."""
    options = {
        "game": "kuhn",
        "dtype": "float32",
        "num_epochs": 2,
        "optim": "sgd",
        "learning_rate": 1e-4,
        "max_grad_norm": 0,
        "rewards": "chips bluff=2.0",
        "model_name_or_path": model_dir,
        "output_dir": output_dir,
        **case["options"],
    }
    options["per_device_train_batch_size"] = case["batch"] // int(os.environ.get("WORLD_SIZE", "1"))
    config = parse_config([word for key, value in options.items() for word in (f"--{key}", *str(value).split())])
    tokenizer = load_tokenizer(str(model_dir))
    decisions = case.get("decisions")
    rollout = Rollout(config, tokenizer) if decisions is None else MadeUp(decisions, config.reward_weights)
    found = Gradients()
    trainer = make_trainer(config, load_model(str(model_dir), torch.float32), tokenizer, rollout, [found])
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in trainer.model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) / 10)
    trees = []
    score = trainer._score_tree
    trainer._score_tree = lambda model, rows, *how: (
        trees.append(len({str(row) for row in rows})) or score(model, rows, *how)
    )
    trainer.train()
    return {
        "gradients": found.updates,
        "logs": [entry for entry in trainer.state.log_history if "loss" in entry],
        "weights": {name: w.detach().clone() for name, w in trainer.model.named_parameters() if w.requires_grad},
        "trees": everywhere(trees),
        "split": everywhere(bool(trainer._elsewhere)),
        "processes": processes(),
        "played": None if decisions is not None else rollout.epoch,
    }


@contextlib.contextmanager
def small_trees(tokens):
    usual, memory.FEWEST_TOKENS, memory.MOST_TOKENS = (memory.FEWEST_TOKENS, memory.MOST_TOKENS), 1, {"cuda": tokens}
    try:
        yield
    finally:
        memory.FEWEST_TOKENS, memory.MOST_TOKENS = usual


def run_all(model_dir, output_dir, cases):
    """What each of the cases, by name, gives."""
    found = {}
    for place, (name, case) in enumerate(cases.items()):
        with small_trees(case.get("tokens_per_tree", 8)):
            found[name] = run(model_dir, Path(output_dir) / str(place), case)
    return found


def main():
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    model_dir, cases = pickle.loads((folder / "cases.pickle").read_bytes())
    found = run_all(model_dir, folder / "together", cases)
    if is_main():
        (folder / "found.pickle").write_bytes(pickle.dumps(found))
    part()


if __name__ == "__main__":
    cli.run(main)
