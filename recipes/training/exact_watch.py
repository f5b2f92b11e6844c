"""Exact values during training, in games small enough: what hero's policy wins from villain, without a hand played."""

from __future__ import annotations

from dataclasses import dataclass

from poker_env.errors import UserError
from poker_env.knowledge.exact_value import ExactJudge, exact_policy, legal_entropy
from poker_env.players.base import Player
from poker_env.players.llm import ModelPlayer
from recipes.options.config import ExploitConfig

DEFAULT_EVERY = {"kuhn": 1, "leduc": 5}
"""Epochs from one to the next, by game: Leduc's 288 distinct prompts take about as long as 100 rows of training."""


@dataclass(frozen=True)
class ExactWatch:
    """When to work out hero's exact value against a run's villain, and how."""

    judge: ExactJudge
    every: int
    epochs: int

    @staticmethod
    def of(config: ExploitConfig, villain: Player) -> ExactWatch | None:
        """None where exact values are switched off, or by default can't be had.

        Raises `UserError` when they were asked for and can't be had.
        """
        every, game = config.exact_eval_every, config.make_game()
        if every == 0 or config.thinking:
            return None
        try:
            return ExactWatch(ExactJudge(game, villain), every or DEFAULT_EVERY[game.name], config.num_epochs)
        except UserError:
            if every is not None:
                raise
            return None

    def due(self, epoch: int) -> bool:
        """Whether an epoch (from 0, the start) is one of those, as the first and the last always are."""
        return epoch % self.every == 0 or epoch == self.epochs

    def metrics(self, hero: ModelPlayer) -> dict[str, float | None]:
        """What `metrics.jsonl` says of hero's policy, in chips per hand; the mean entropy of legal actions in nats."""
        policy = exact_policy(self.judge.game, hero)
        found = self.judge.judge(policy)
        return {
            "value": found.value,
            "self_play": found.self_play,
            "best_response": found.best_response,
            "capture": found.capture,
            "legal_entropy": legal_entropy(policy),
        }


def describe(exact: dict[str, float | None]) -> str:
    """`ExactWatch.metrics` for people, in one line."""
    capture = "" if exact["capture"] is None else f"capture {exact['capture']:+.3f}  "
    return (
        f"{capture}value {exact['value']:+.4f} of {exact['best_response']:+.4f} chips/hand"
        f"  legal entropy {exact['legal_entropy']:.2f}"
    )
