"""The rollout function for TRL's `GRPOTrainer`: plays whole hands and hands back their decisions as training rows.

TRL asks for exactly as many rows as it passes prompts. An epoch's hands give however many distinct decisions they
give; `recipes.training.rows` makes the one out of the other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from trl import GRPOTrainer

from poker_env.games import make_deals
from poker_env.hand import Hand
from poker_env.player_specs import advice_for
from poker_env.players.asking import Ids
from poker_env.players.llm import ModelPlayer, model_player
from poker_env.players.poker_config import Answers, PokerConfig
from poker_env.players.thinking import ThinkingPlayer
from poker_env.table import play
from recipes.options.config import ExploitConfig
from recipes.training.credit import Credited, Crediting
from recipes.training.opponents import Opponents
from recipes.training.processes import everywhere, share_of
from recipes.training.rows import DecisionRows, Row, deal_out, to_trl, training_rows


@dataclass(frozen=True)
class EpochHands:
    """What an epoch's hands came to, over all processes; returns are shaped and discounted."""

    payoffs_bb: np.ndarray
    """(hands,): big blinds hero won."""
    aivat_bb: np.ndarray | None
    """(hands,): the same with the luck taken out; None where it isn't worked out."""
    returns: np.ndarray
    """(hands,): weighted return from the hand's start."""
    returns_by_name: dict[str, float]
    """Each reward function's own mean return from the hand's start, unweighted."""
    deals: np.ndarray
    """(hands,): number of the hand's deal."""
    decisions: int
    legal: int
    seconds: float
    """Time it took to play them."""
    prompt_tokens_saved: float
    """Share of the prompts' tokens that sampling did not forward, because another decision's prompt was the same."""
    trained: int
    """Decisions that fitted into the rows; with the all-action gradient by their share of legal answers."""
    rows: int
    """Rows they were merged into."""
    tokens_saved: float
    """Share of their texts' tokens that training did not forward, because rows were merged or had one prompt.

    A text is a decision's prompt and an answer: the one given, or with the all-action gradient each of the menu's.
    """
    cut_off: int | None = None
    """Decisions at which hero never came to the end of its thought; None for a model that doesn't think."""


class Rollout:
    """Callable as `rollout_func(prompts, trainer)`; the dataset's prompts are dummies, their number is what counts.

    The deals of epoch e are numbers e * deals-per-epoch onwards of the sequence that `config.seed` names, so a resumed
    run goes on where it stopped, and the number of processes doesn't change them.
    """

    def __init__(self, config: ExploitConfig, tokenizer: Any) -> None:
        self.config = config
        self.game = config.make_game()
        self._opponents = Opponents(config)
        judge = config.make_player(config.eval_villain) if config.eval_villain else self._opponents.constant
        assert judge is not None  # see `check_villain`
        self.judge = judge
        """Whom hero is judged against."""
        self.villain = self._opponents.constant or judge
        """Who hero plays against; where that changes, whom it is judged against."""
        self.rewards = config.reward_specs()
        self._credit = Crediting(config, self.villain)
        self.hands: list[Hand] = []
        """This process's hands of the last epoch."""
        self.epoch: EpochHands | None = None
        """The last epoch's results."""
        self._tokenizer = tokenizer
        self._poker = config.poker()
        self._hero: tuple[int, ModelPlayer] | None = None

    def __call__(self, prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        """Rows for the trainer, as many as prompts, in the form of `to_trl`."""
        started = time.monotonic()
        step = trainer.state.global_step
        epoch = step // self.config.steps_per_epoch
        model, drawn = trainer.accelerator.unwrap_model(trainer.model), Drawn(trainer)
        hero = drawn.hero(model, self._tokenizer, self._poker) if self._poker.thinking else self.hero(model, step)
        process, processes = trainer.accelerator.process_index, trainer.accelerator.num_processes
        first, count = self._share_of_deals(process, processes)
        deals_per_epoch = self.config.episodes_per_epoch // self.config.replicas
        deals = make_deals(self.game, count, self.config.seed, start=epoch * deals_per_epoch + first)
        self.hands = play(self.game, deals, hero, self._opponents.at(epoch), self.config.replicas)
        seconds = max(everywhere(time.monotonic() - started))
        credited = self._credit.credited(self.hands, hero, epoch)
        played = everywhere(drawn.told(credited.decisions) if self.config.use_vllm else credited.decisions)
        rows, tokens, answers = training_rows(
            [decision for decisions in played for decision in decisions],
            len(prompts) * processes,
            weights=[spec.weight for spec in self.rewards],
            scale=self.config.scale_advantages,
            pad_token_id=self._tokenizer.pad_token_id,
            rng=np.random.default_rng((self.config.seed, epoch)),
            share=self.config.trained_share,
            power=self.config.visits_power,
            merged=not self.config.use_vllm,  # TRL's correction takes a row's weight for a mask
        )
        self.epoch = self._summary(first, credited, played, rows, answers, seconds)
        share = deal_out(rows, processes)[process]
        return to_trl(share.rows, share.elsewhere, tokens, drawn_elsewhere=self.config.use_vllm)

    @property
    def answers(self) -> Answers:
        """How hero answers."""
        return self._credit.answers

    def hero(self, model: Any, step: int) -> ModelPlayer:
        """The model as a player, as it is after so many optimizer steps."""
        if self._hero is None or self._hero[0] != step:
            advise = advice_for(self._poker)
            self._hero = step, model_player(model, self._tokenizer, self._poker, answers=self.answers, advise=advise)
        return self._hero[1]

    def metrics(self) -> dict[str, float]:
        """The last epoch's figures under the names that trackers see, after `poker/`."""
        assert self.epoch is not None, "no hands were played yet"
        aivat, cut_off = self.epoch.aivat_bb, self.epoch.cut_off
        return {
            "bb_per_hand": float(self.epoch.payoffs_bb.mean()),
            **({} if aivat is None else {"bb_aivat": float(aivat.mean())}),
            "win_rate": float((self.epoch.payoffs_bb > 0).mean()),
            "avg_return": float(self.epoch.returns.mean()),
            "legal_rate": self.epoch.legal / max(1, self.epoch.decisions),
            **({} if cut_off is None else {"cut_off_rate": cut_off / max(1, self.epoch.decisions)}),
            "hands_per_second": len(self.epoch.payoffs_bb) / self.epoch.seconds,
            "prompt_tokens_saved": self.epoch.prompt_tokens_saved,
            "trained_decisions": self.epoch.trained,
            "rows": self.epoch.rows,
            "tokens_saved": self.epoch.tokens_saved,
            **{f"return/{name}": value for name, value in self.epoch.returns_by_name.items()},
        }

    def _share_of_deals(self, process: int, processes: int) -> tuple[int, int]:
        """First deal and number of deals of a process: as even as it goes."""
        share = share_of(self.config.episodes_per_epoch // self.config.replicas, process, processes)
        return share.start, len(share)

    def _summary(
        self,
        first_deal: int,
        credited: Credited,
        played: list[list[DecisionRows]],
        rows: list[Row],
        answers: float,
        seconds: float,
    ) -> EpochHands:
        scores = [hand.payoff for hand in self.hands] if credited.scores is None else credited.scores
        records = [
            (
                hand.payoff_bb,
                scores[index] / self.game.big_blind,
                start,
                first_deal + index // self.config.replicas,
                len(hand.hero_decisions),
                sum(decision.legal for decision in hand.hero_decisions),
                sum(decision.answer.cut_off for decision in hand.hero_decisions),
            )
            for index, (hand, start) in enumerate(zip(self.hands, credited.starts, strict=True))
        ]
        payoffs_bb, scores_bb, returns, deals, decisions, legal, cut_off = (
            np.array(column) for column in zip(*(hand for own in everywhere(records) for hand in own), strict=True)
        )
        trained = [row for row in rows if row.decisions]
        asked_of = [row for decisions in played for decision in decisions for row in decision if row.completion_ids]
        share = answers / (sum(row.decisions for row in asked_of) or 1)
        asked = [[given.prompt_ids for given, *_ in decisions] for decisions in played]
        return EpochHands(
            payoffs_bb=payoffs_bb,
            aivat_bb=None if credited.scores is None else scores_bb,
            returns=returns @ [spec.weight for spec in self.rewards],
            returns_by_name=dict(
                zip([spec.name for spec in self.rewards], map(float, returns.mean(axis=0)), strict=True)
            ),
            deals=deals,
            decisions=int(decisions.sum()),
            legal=int(legal.sum()),
            cut_off=int(cut_off.sum()) if self._poker.thinking else None,
            seconds=seconds,
            prompt_tokens_saved=_saved(
                sum(
                    len(prompt) for prompts in asked for prompt in (prompts if self._poker.thinking else set(prompts))
                ),
                sum(len(prompt) for prompts in asked for prompt in prompts),
            ),
            trained=math.floor(decisions.sum() * share + 1e-6),
            rows=len(trained),
            tokens_saved=_saved(
                sum(map(len, {row.prompt_ids for row in trained})) + sum(len(row.completion_ids) for row in trained),
                sum(row.tokens * row.texts for row in trained),
            ),
        )


class Drawn:
    """What a model that thinks says in an epoch's hands, sampled by the trainer, and how probable that was."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self._logps: dict[tuple[Ids, Ids], tuple[float | None, ...] | None] = {}

    def hero(self, model: Any, tokenizer: Any, poker: PokerConfig) -> ThinkingPlayer:
        """The model as a player."""
        return ThinkingPlayer(model, tokenizer, poker, advise=advice_for(poker), generate=self._generate)

    def told(self, decisions: Sequence[DecisionRows]) -> list[DecisionRows]:
        """The decisions, with the log-probabilities that their tokens were drawn with."""
        return [
            [replace(row, logps=self._logps[row.prompt_ids, row.completion_ids]) for row in rows] for rows in decisions
        ]

    def _generate(self, prompts: Sequence[Ids], seeds: Sequence[int]) -> list[Ids]:
        sampled = self._trainer.sampled(prompts, seeds)
        self._logps |= {(tuple(prompt), own.ids): own.logps for prompt, own in zip(prompts, sampled, strict=True)}
        return [own.ids for own in sampled]


def trl_reward_functions(config: ExploitConfig) -> list[Callable[..., list[float]]]:
    """One thin TRL reward function per reward function: it reads its credit out of the row.

    Credit is linear in the rewards, so `reward_weights` keep their meaning. It is centred, so the means that TRL logs
    per function are 0; an epoch's returns are among `Rollout.metrics`.
    """
    return [_credit_reader(index, spec.name) for index, spec in enumerate(config.reward_specs())]


def _credit_reader(index: int, name: str) -> Callable[..., list[float]]:
    def reader(credit: list[tuple[float, ...]], **_: Any) -> list[float]:
        return [row[index] for row in credit]

    reader.__name__ = name
    return reader


def _saved(forwarded: int, tokens: float) -> float:
    """The share of tokens that was saved when so many were forwarded."""
    return 1 - forwarded / max(1, tokens)
