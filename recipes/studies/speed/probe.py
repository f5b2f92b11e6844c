"""Runs a checkout's `recipes/train.py` and measures its epochs from the outside: `python probe.py RECORD OPTIONS…`.

Without options it writes the names of those that there are.

It is run as a file, the checkout being in the PYTHONPATH, and takes nothing of ours for granted but `recipes.train`
with its `ExploitConfig`, `recipes.cli` and `poker_env.table.play`, which all versions have; what it times beside them
is TRL's and accelerate's.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

Work = Callable[..., Any]


def tokens_needed(texts: Iterable[Sequence[int]]) -> int:
    """Tokens of some texts (token ids), what they share at their beginning counted once."""
    nodes: dict[tuple[int, int], int] = {}
    for text in {tuple(text) for text in texts}:
        node = -1
        for token in text:
            node = nodes.setdefault((node, token), len(nodes))
    return len(nodes)


class Probe:
    """What a run's epochs take, in seconds of processor time; by the clock on a GPU."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self.peaks: dict[str, float] = {}
        """MB at most, until the model was loaded, the hands were played, the updates were done."""
        self._open: list[str] = []
        """What is going on, the outermost first."""

    def timed(self, name: str, work: Work, then: Callable[[Any], None] | None = None) -> Work:
        """The same function, whose time is added to an epoch's `name`; `then` is told what it returned.

        Before the first epoch, and of a function in itself, nothing is.
        """

        @functools.wraps(work)
        def measured(*given: Any, **options: Any) -> Any:
            if not self.epochs or name in self._open:
                return work(*given, **options)
            self._open.append(name)
            started = clock()
            try:
                result = work(*given, **options)
            finally:
                self._open.remove(name)
            self._add(name, clock() - started)
            if then is not None:
                then(result)
            return result

        return measured

    def install(self) -> None:
        """Put the watches where an epoch passes by; before `recipes.train` is imported."""
        from accelerate import Accelerator
        from accelerate.optimizer import AcceleratedOptimizer
        from trl import GRPOTrainer

        import poker_env.table

        poker_env.table.play = self.timed("hands", poker_env.table.play, self._played)
        generation = self.timed("generation", GRPOTrainer._generate_and_score_completions, self._credited)

        step = GRPOTrainer.training_step

        def begin(trainer: GRPOTrainer, *given: Any, **options: Any) -> Any:
            if not self.epochs:
                self._warm_up(trainer)
            self.epochs.append({})
            return generation(trainer, *given, **options)

        def training_step(*given: Any, **options: Any) -> Any:
            started, before = clock(), len(self.epochs)
            result = step(*given, **options)
            played = self.epochs[-1]["generation"] if len(self.epochs) > before else 0.0
            self._add("steps", clock() - started - played)
            return result

        GRPOTrainer._generate_and_score_completions = begin
        GRPOTrainer.training_step = training_step
        Accelerator.backward = self.timed("backward", Accelerator.backward)
        AcceleratedOptimizer.step = self.timed("optimizer", AcceleratedOptimizer.step, self._updated)

    def record(self) -> dict[str, Any]:
        """All of it, to be written as JSON."""
        return {"epochs": self.epochs, "peaks_mb": self.peaks}

    def _warm_up(self, trainer: Any) -> None:
        """Some hands by a player that the epoch makes anew, and a look at one of its answers.

        What is done once in a process, such as compiling, or trying what a model can take, is no epoch's time.
        """
        import torch

        import poker_env.table
        from poker_env.games import make_deals

        self.peaks["model loaded"] = peak_mb()
        model, rollout = trainer.accelerator.unwrap_model(trainer.model), trainer.rollout_func
        deals = make_deals(rollout.game, 4, 0, start=1_000_000)
        hands = poker_env.table.play(rollout.game, deals, rollout.hero(model, -1), rollout.villain)
        prompts = [decision.answer.prompt_ids for hand in hands for decision in hand.hero_decisions]
        if prompts:
            ids = torch.tensor([max(prompts, key=len)], device=model.device)
            with torch.no_grad():
                trainer._get_per_token_logps_and_entropies(trainer.model, ids, torch.ones_like(ids), 1)
        model.get_input_embeddings().register_forward_pre_hook(self._forwarded)

    def _add(self, name: str, amount: float) -> None:
        self.epochs[-1][name] = self.epochs[-1].get(name, 0.0) + amount

    def _forwarded(self, module: Any, given: tuple[Any, ...]) -> None:
        import torch

        self._add("tokens trained on" if torch.is_grad_enabled() else "tokens sampled with", given[0].numel())

    def _played(self, hands: Sequence[Any]) -> None:
        answers = [decision.answer for hand in hands for decision in hand.hero_decisions]
        self._add("hands played", len(hands))
        self._add("decisions", len(answers))
        self._add("tokens given", sum(len(answer.prompt_ids) + len(answer.completion_ids) for answer in answers))
        texts = [(*answer.prompt_ids, *answer.completion_ids[:-1]) for answer in answers]
        self._add("length of a text played", mean_length(set(texts)))
        self._add("tokens needed by hands", tokens_needed(texts))
        self.peaks["after the hands"] = peak_mb()

    def _updated(self, result: Any) -> None:
        self.peaks["after the updates"] = peak_mb()

    def _credited(self, rows: dict[str, Any]) -> None:
        weighs = (rows["tool_mask"] * rows["completion_mask"]).any(dim=1).tolist()
        prompts = zip(rows["prompt_ids"], rows["prompt_mask"].bool(), strict=True)
        answers = zip(rows["completion_ids"], rows["completion_mask"].bool(), strict=True)
        texts = [
            (*prompt[kept].tolist(), *answer[own].tolist()[:-1])
            for (prompt, kept), (answer, own), trained in zip(prompts, answers, weighs, strict=True)
            if trained
        ]
        self._add("rows", sum(weighs))
        self._add("length of a text trained on", mean_length(set(texts)))
        self._add("tokens needed by updates", tokens_needed(texts))


def mean_length(texts: Iterable[Sequence[int]]) -> float:
    """Of texts that may be none."""
    lengths = [len(text) for text in texts]
    return sum(lengths) / max(1, len(lengths))


def clock() -> float:
    """Seconds that a difference is to be taken of."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def peak_mb() -> float:
    """The most memory (MB) so far: of the GPU where there is one, else of this process."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    return megabytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def megabytes(maxrss: int) -> float:
    """`ru_maxrss` in MB: macOS counts bytes, Linux 1,024 of them."""
    return maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def main(record: Path, options: Sequence[str]) -> None:
    """Train by `options` and write what it took; without options write the names of those there are."""
    if not options:
        known = importlib.import_module("recipes.train").ExploitConfig
        record.write_text(json.dumps([option.name for option in dataclasses.fields(known)]), encoding="utf-8")
        return
    probe = Probe()
    probe.install()
    cli, train = (importlib.import_module(f"recipes.{name}") for name in ("cli", "train"))  # the checkout's

    def watched() -> None:
        train.main(options)
        record.write_text(json.dumps(probe.record()), encoding="utf-8")

    cli.run(watched)


if __name__ == "__main__":
    sys.path.pop(0)  # this file's folder, whose modules are no packages' rivals
    main(Path(sys.argv[1]), sys.argv[2:])
