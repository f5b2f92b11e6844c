"""Watching a run: a line and a few replayed hands per epoch on the terminal, and all that is saved per epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from poker_env.files import write_atomically
from poker_env.hand import Hand, write_hands
from poker_env.players.hub import epoch_folder
from recipes.options.config import ExploitConfig
from recipes.runs.checkpoints import copy_adapter, mark_complete, save_adapter
from recipes.runs.metrics import epoch_metrics, plot_learning_curve, read_metrics, untracked, write_metrics
from recipes.runs.trackers import track
from recipes.training.exact_watch import ExactWatch, describe
from recipes.training.processes import everywhere, gather_to_main, on_main
from recipes.training.returns import discounted_returns
from recipes.training.rollout import EpochHands, Rollout
from reward_fns import RewardSpec

SAVED_HANDS = 8
"""Hands of each epoch that are kept in `hands/`, as records and in words, and sent to trackers."""
DRAWN_EVERY = 20.0
"""Seconds between drawings of the learning curve, which take half of one; the last epoch's is drawn in any case."""


class Watcher(TrainerCallback):
    """Reports and saves each epoch. An adapter `epoch_NNN` is the one after NNN epochs, so it plays epoch NNN + 1."""

    def __init__(
        self,
        config: ExploitConfig,
        rollout: Rollout,
        tokenizer: Any,
        console: Console,
        exact: ExactWatch | None,
        trackers: Sequence[TrainerCallback],
    ) -> None:
        """`exact` says when to work out hero's exact value, too: that of its policy after an epoch's updates.

        `trackers` are the trainer's callbacks that report to trackers, to be told what the trainer doesn't know of.
        """
        self.config = config
        self.rollout = rollout
        self.tokenizer = tokenizer
        self.console = console
        self.exact = exact
        self.trackers = trackers
        self.run = Path(str(config.output_dir))
        self._started = time.monotonic()
        self._drawn = -math.inf
        self._first_epoch = 0
        self._best: int | None = None
        """The epoch after which the adapter was the best so far, if this epoch showed it."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Forget epochs after the one resumed from; keep the adapter training starts with."""
        self._started = time.monotonic()
        self._first_epoch = state.global_step // self.config.steps_per_epoch
        on_main(lambda: self._begin(kwargs["model"]))

    def _begin(self, model: Any) -> None:
        write_metrics(self.run, [row for row in read_metrics(self.run) if row["epoch"] <= self._first_epoch])
        if self._first_epoch == 0:
            save_adapter(epoch_folder(self.run, 0), model, self.tokenizer, self.config.poker())
            if self.exact is not None:
                exact = self.exact.metrics(self.rollout.hero(model, 0))
                self.console.print(f"[bold]start[/]  {describe(exact)}")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """An epoch's updates are done: report it."""
        played = self.rollout.epoch
        if not logs or "loss" not in logs or played is None:
            return
        hands = gather_to_main(self.rollout.hands[:SAVED_HANDS])[:SAVED_HANDS]
        on_main(lambda: self._report(played, hands, args, state, control, logs, kwargs["model"]))

    def _report(
        self,
        played: EpochHands,
        hands: Sequence[Hand],
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float],
        model: Any,
    ) -> None:
        number = state.global_step // self.config.steps_per_epoch
        epochs = read_metrics(self.run)
        seconds = time.monotonic() - self._started - sum(row["seconds"] for row in epochs[self._first_epoch :])
        row = epoch_metrics(number, played, logs, seconds)
        if self.exact is not None and self.exact.due(number):
            row |= self.exact.metrics(self.rollout.hero(model, state.global_step))
        self._best = best_adapter(row, epochs)
        epochs.append(row)
        write_metrics(self.run, epochs)
        told = [replay(hand, self.rollout.rewards, self.config.gamma) for hand in hands]
        write_hands(self.run / "hands" / f"epoch_{number:03d}.jsonl", hands)
        write_atomically(self.run / "hands" / f"epoch_{number:03d}.txt", "\n\n\n".join(told) + "\n")
        track(self.trackers, untracked(row, self.rollout.metrics()), told, args, state, control)
        self._print(row, told[: self.config.show_hands])
        if number == self.config.num_epochs or time.monotonic() - self._drawn >= DRAWN_EVERY:
            plot_learning_curve(self.run, epochs, f"{self.config.model_name_or_path} against {self.config.villain}")
            self._drawn = time.monotonic()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The trainer's checkpoint is written: save the adapter too and the best, then mark the checkpoint whole."""
        everywhere(None)  # each process has written its part of the checkpoint
        on_main(lambda: self._save(state.global_step, kwargs["model"]))

    def _save(self, step: int, model: Any) -> None:
        epoch = step // self.config.steps_per_epoch
        save_adapter(epoch_folder(self.run, epoch), model, self.tokenizer, self.config.poker())
        if self._best is not None:
            copy_adapter(epoch_folder(self.run, self._best), self.run / "best")
        mark_complete(self.run, step)

    def _print(self, row: dict[str, Any], hands: Sequence[str]) -> None:
        for hand in hands:
            self.console.print(Panel(escape(hand), title="one hand"))
        elapsed = time.monotonic() - self._started
        left = elapsed / (row["epoch"] - self._first_epoch) * (self.config.num_epochs - row["epoch"])
        bb = f"bb/hand {row['bb_per_hand']:+.1f}{_margin(row['bb_ci95'])}"
        if "bb_aivat" in row:
            bb += f", luck taken out {row['bb_aivat']:+.2f}{_margin(row['bb_aivat_ci95'])}"
        extra = f"  KL {row['kl']:.3f}" if row["kl"] is not None else ""
        exact = f"  [bold]{describe(row)}[/]" if "value" in row else ""
        cut_off = f"  cut off {row['cut_off_rate']:.0%}" if "cut_off_rate" in row else ""
        self.console.print(
            f"[bold]epoch {row['epoch']}/{self.config.num_epochs}[/]{exact}  {row['hands']} hands"
            f"  return {row['avg_return']:+.2f}{' [green]best[/]' if self._best is not None else ''}"
            f"  {bb}  won {row['win_rate']:.0%}  legal {row['legal_rate']:.0%}{cut_off}"
            f"{untrained(row)}  loss {row['loss']:.3f}  entropy {row['entropy']:.2f}{extra}"
            f"  grad {row['grad_norm']:.2f}"
            f"  {row['hands_per_second']:.1f} hands/s  ETA {int(left // 60)}:{int(left % 60):02d}",
            soft_wrap=True,
        )


def untrained(row: Mapping[str, Any]) -> str:
    """What is to be said where an epoch's rows held only a part of its decisions, or none."""
    trained, decisions = row["trained_decisions"], row["decisions"]
    if trained == decisions:
        return ""
    advice = "rows_per_epoch is too small for all" if decisions else "hero never had to act"
    return f"  [yellow]trained on {trained:,} of {decisions:,} decisions ({advice})[/]"


def _margin(ci95: float | None) -> str:
    return "" if ci95 is None else f" ± {ci95:.1f}"


def best_adapter(row: dict[str, Any], earlier: Sequence[dict[str, Any]]) -> int | None:
    """The epoch after which the adapter was better than any before, if an epoch's metrics show one; else None.

    Where exact values are worked out, they decide. Else it is what an epoch's hands won with the luck taken out, or
    their mean return where it isn't; those hands the adapter of the epoch before played. With the luck taken out,
    intervals differ in width more than in their middle: there the lower ends are compared.
    """
    ages = {"value": 0, "bb_aivat": 1, "avg_return": 1}
    name, age = next(item for item in ages.items() if any(item[0] in each for each in (row, *earlier)))

    def merit(epoch: dict[str, Any]) -> float:
        if name not in epoch:
            return -math.inf
        width = epoch["bb_aivat_ci95"] if name == "bb_aivat" else 0.0
        return -math.inf if width is None else epoch[name] - width

    return int(row["epoch"]) - age if merit(row) > max(map(merit, earlier), default=-math.inf) else None


def replay(hand: Hand, rewards: list[RewardSpec], gamma: float) -> str:
    """A hand told in words: cards, every decision, what hero answered word for word, and hero's returns."""
    hero = hand.hero_seat
    lines = [
        f"hero {' '.join(hand.hole[hero])}   villain {' '.join(hand.hole[1 - hero])}   board {' '.join(hand.board)}"
    ]
    returns = [discounted_returns(spec(hand), gamma) for spec in rewards]
    index = 0
    if hand.hero_decisions:
        lines += ["", hand.hero_decisions[0].answer.prompt, ""]
    for decision in hand.decisions:
        move = decision.move
        what = "no legal action" if move is None else f"{move.kind} {move.added}" if move.added else move.kind
        line = (
            f"{hand.game.streets[decision.street].lower():8}{'hero' if decision.seat == hero else 'villain':9}{what}"
        )
        if decision.seat == hero:
            credit = ", ".join(
                f"{spec.name} {value[index]:+.2f}" for spec, value in zip(rewards, returns, strict=True)
            )
            if decision.answer.thought is not None:
                line += f"   thought {decision.answer.thought!r}{', cut off' if decision.answer.cut_off else ''}"
            line += f"   answered {decision.answer.completion!r}   returns: {credit}"
            index += 1
        lines.append(line)
    lines.append(f"hero wins {hand.payoff:+g} chips" + (" at showdown" if hand.showdown else ""))
    return "\n".join(lines)
