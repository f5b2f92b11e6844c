"""The rollout function for TRL's `GRPOTrainer`: plays whole hands and hands back one training row per hero decision.

TRL asks for exactly as many rows as it passes prompts. An epoch's hands give however many decisions they give, so the
rows are a uniform sample of them, or are filled up with rows that train nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from accelerate.utils import gather_object
from trl import GRPOTrainer

from poker_env.games import make_deals
from poker_env.hand import Hand
from poker_env.players import Player, make_player
from poker_env.players.llm import LLMPlayer
from poker_env.table import play
from recipes.config import ExploitConfig
from recipes.returns import discounted_returns, hand_return, leave_one_out_baseline
from reward_fns import RewardSpec

BASELINE = "baseline"
"""Name under which a baseline joins the reward functions, with weight -1."""


@dataclass(frozen=True)
class Row:
    """One decision as TRL trains on it; `returns` has one return per reward function (and the baseline, if any)."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    returns: tuple[float, ...] | None
    """None for a row that trains nothing."""


@dataclass(frozen=True)
class EpochHands:
    """What an epoch's hands came to, over all processes; a hand's return is weighted, shaped and discounted."""

    payoffs_bb: np.ndarray
    """(hands,): big blinds hero won."""
    returns: np.ndarray
    """(hands,): return from the hand's start."""
    deals: np.ndarray
    """(hands,): number of the hand's deal."""
    decisions: int
    legal: int
    seconds: float
    """Time it took to play them."""


class Rollout:
    """Callable as `rollout_func(prompts, trainer)`; the dataset's prompts are dummies, their number is what counts.

    The deals of epoch e are numbers e * deals-per-epoch onwards of the sequence that `config.seed` names, so a resumed
    run goes on where it stopped, and the number of processes doesn't change them.
    """

    def __init__(self, config: ExploitConfig, tokenizer: Any, villain: Player | None = None) -> None:
        self.config = config
        self.game = config.make_game()
        self.villain = villain or make_player(config.villain, self.game)
        self.rewards = config.reward_specs()
        self.hands: list[Hand] = []
        """This process's hands of the last epoch."""
        self.epoch: EpochHands | None = None
        """The last epoch's results."""
        self._tokenizer = tokenizer
        self._poker = config.poker()

    def __call__(self, prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        """Rows for the trainer, as many as prompts, in the form of `to_trl`."""
        started = time.monotonic()
        epoch = trainer.state.global_step // self.config.steps_per_epoch
        model = trainer.accelerator.unwrap_model(trainer.model)
        hero = LLMPlayer(model, self._tokenizer, self._poker)
        first, count = self._share_of_deals(trainer.accelerator.process_index, trainer.accelerator.num_processes)
        deals_per_epoch = self.config.episodes_per_epoch // self.config.replicas
        deals = make_deals(self.game, count, self.config.seed, start=epoch * deals_per_epoch + first)
        self.hands = play(self.game, deals, hero, self.villain, self.config.replicas)
        by_hand = rows_of_hands(self.hands, self.rewards, self.config.gamma, self._replicas_for_baseline)
        self.epoch = self._summary(first, time.monotonic() - started)
        rows = [row for rows in by_hand for row in rows]
        rng = np.random.default_rng((self.config.seed, epoch, trainer.accelerator.process_index))
        return to_trl(fit_rows(rows, len(prompts), self._tokenizer.pad_token_id, rng))

    def metrics(self) -> dict[str, float]:
        """The last epoch's figures under the names that trackers see, after `poker/`."""
        assert self.epoch is not None, "no hands were played yet"
        return {
            "bb_per_hand": float(self.epoch.payoffs_bb.mean()),
            "win_rate": float((self.epoch.payoffs_bb > 0).mean()),
            "avg_return": float(self.epoch.returns.mean()),
            "legal_rate": self.epoch.legal / max(1, self.epoch.decisions),
            "hands_per_second": len(self.epoch.payoffs_bb) / self.epoch.seconds,
        }

    @property
    def _replicas_for_baseline(self) -> int:
        return self.config.replicas if self.config.baseline == "leave_one_out" else 0

    def _share_of_deals(self, process: int, processes: int) -> tuple[int, int]:
        """First deal and number of deals of a process: as even as it goes."""
        deals = self.config.episodes_per_epoch // self.config.replicas
        bounds = [deals * index // processes for index in (process, process + 1)]
        return bounds[0], bounds[1] - bounds[0]

    def _summary(self, first_deal: int, seconds: float) -> EpochHands:
        weights = [spec.weight for spec in self.rewards]
        records = [
            (
                hand.payoff_bb,
                hand_return(_rewards(hand, self.rewards), weights, self.config.gamma),
                first_deal + index // self.config.replicas,
                len(hand.hero_decisions),
                sum(decision.legal for decision in hand.hero_decisions),
            )
            for index, hand in enumerate(self.hands)
        ]
        payoffs, returns, deals, decisions, legal = (
            np.array(column) for column in zip(*gather_object(records), strict=True)
        )
        return EpochHands(payoffs, returns, deals, int(decisions.sum()), int(legal.sum()), seconds)


def rows_of_hands(
    hands: Sequence[Hand], rewards: Sequence[RewardSpec], gamma: float, replicas: int = 0
) -> list[list[Row]]:
    """Each hand's rows, one per hero decision, with its return-to-go per reward function.

    With `replicas` of 2 or more, hands come replica by replica for each deal, and a last entry of `returns` is the
    decision's leave-one-out baseline.
    """
    rewards_of = [_rewards(hand, rewards) for hand in hands]
    returns_of = [discounted_returns(hand_rewards, gamma) for hand_rewards in rewards_of]
    if replicas:
        weights = [spec.weight for spec in rewards]
        totals = np.array([hand_return(hand_rewards, weights, gamma) for hand_rewards in rewards_of])
        baselines = leave_one_out_baseline(totals.reshape(-1, replicas)).reshape(-1)
        returns_of = [
            np.vstack([returns, np.full(returns.shape[1], baseline)])
            for returns, baseline in zip(returns_of, baselines, strict=True)
        ]
    return [
        [
            Row(decision.answer.prompt_ids, decision.answer.completion_ids, tuple(map(float, returns[:, index])))
            for index, decision in enumerate(hand.hero_decisions)
        ]
        for hand, returns in zip(hands, returns_of, strict=True)
    ]


def fit_rows(rows: Sequence[Row], count: int, pad_token_id: int, rng: np.random.Generator) -> list[Row]:
    """Exactly `count` rows: a uniform sample without replacement, or all of them and rows that train nothing."""
    if len(rows) >= count:
        return [rows[index] for index in np.sort(rng.choice(len(rows), count, replace=False))]
    return [*rows, *[Row((pad_token_id,), (pad_token_id,), None)] * (count - len(rows))]


def to_trl(rows: Sequence[Row]) -> dict[str, Any]:
    """Rows as the dictionary that TRL's rollout contract asks for."""
    return {
        "prompt_ids": [list(row.prompt_ids) for row in rows],
        "completion_ids": [list(row.completion_ids) for row in rows],
        "logprobs": None,
        "env_mask": [[int(row.returns is not None)] * len(row.completion_ids) for row in rows],
        "returns": [row.returns for row in rows],
    }


def trl_reward_functions(config: ExploitConfig, rollout: Rollout) -> list[Callable[..., list[float | None]]]:
    """One thin TRL reward function per reward function (and the baseline): it reads its return out of the row.

    Discounting is linear, so `reward_weights` and TRL's per-function metrics keep their usual meaning. The first one
    also logs the epoch's poker figures as TRL metrics, for trackers.
    """
    names = [spec.name for spec in config.reward_specs()]
    if config.baseline == "leave_one_out":
        names.append(BASELINE)
    readers = [_return_reader(index, name) for index, name in enumerate(names)]

    def first_reader(
        returns: list[tuple[float, ...] | None], log_metric: Callable[[str, float], None], **_: Any
    ) -> list[float | None]:
        for name, value in rollout.metrics().items():
            log_metric(f"poker/{name}", value)
        return readers[0](returns)

    first_reader.__name__ = names[0]
    return [first_reader, *readers[1:]]


def _return_reader(index: int, name: str) -> Callable[..., list[float | None]]:
    def reader(returns: list[tuple[float, ...] | None], **_: Any) -> list[float | None]:
        return [None if row is None else row[index] for row in returns]

    reader.__name__ = name
    return reader


def _rewards(hand: Hand, rewards: Sequence[RewardSpec]) -> np.ndarray:
    """(reward functions, hero's decisions): unweighted rewards."""
    return np.array([spec(hand) for spec in rewards]).reshape(len(rewards), len(hand.hero_decisions))
