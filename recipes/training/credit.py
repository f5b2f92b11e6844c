"""What hero's decisions are credited with: returns, without the luck that `variance_reduction` names."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from poker_env.errors import UserError
from poker_env.hand import Answer, Hand
from poker_env.knowledge.control_variates import Choice, CreditAssigner, HandCredit, Switches, assigner_against
from poker_env.knowledge.exact_value import SMALL_GAMES, exact_policy
from poker_env.knowledge.ranges import range_policy_of
from poker_env.players.base import Player
from poker_env.players.llm import LLMPlayer, ModelPlayer
from poker_env.players.poker_config import Answers
from recipes.options.config import ExploitConfig
from recipes.training.returns import (
    FloatArray,
    discounted_returns,
    leave_one_out_baseline,
    lifted,
    returns_from_start,
    soft_step,
)
from recipes.training.rows import DecisionRows, Row
from reward_fns.builtin import ILLEGAL_PENALTY, chips, illegal

LEAST_DECISIONS = 1e-3
"""What an answer's row stands for at least where its credit doesn't fade with its probability."""


@dataclass(frozen=True)
class Credited:
    """What hands came to."""

    decisions: list[DecisionRows]
    """Hero's, hand by hand."""
    starts: FloatArray
    """(hands, reward functions): unweighted return from each hand's start."""
    scores: list[float] | None
    """Chips hero won in each hand, with the luck taken out; None where it isn't."""


class Crediting:
    """Credits hero's decisions: with returns by reward function, less a baseline, or less luck."""

    def __init__(self, config: ExploitConfig, villain: Player) -> None:
        """Raises `UserError` when there is luck to take out of chips, and they aren't rewarded."""
        self._config, self._rewards = config, config.reward_specs()
        self._luck = LuckRemover(config, villain) if config.variance_reduction else None

    @property
    def answers(self) -> Answers:
        """How hero has to answer."""
        return "free" if self._luck is None else self._luck.answers

    def credited(self, hands: Sequence[Hand], hero: ModelPlayer, epoch: int) -> Credited:
        """An epoch's hands, of a hero that gives `answers`; epochs are counted from 0."""
        returns = [discounted_returns(self._rewards_of(hand), self._config.gamma) for hand in hands]
        starts = returns_from_start(returns).reshape(-1, len(self._rewards))
        baselines = self._baselines(starts)
        if self._luck is None:
            rows = decision_rows(hands, returns, baselines)
            return Credited([[row] for row in rows], starts, None)
        temperature = self._config.entropy_coef_at(epoch) if self._config.soft_at(epoch) else None
        power = self._config.probability_power_at(epoch)
        decisions: list[DecisionRows] = []
        credits = self._luck.credits(hands, hero)
        for hand, credit, own, baseline in zip(hands, credits, returns, baselines, strict=True):
            given = decision_rows([hand], [self._luck.returns(own, hand, credit)], baseline[None])
            decisions += self._luck.decisions(hand, credit, given, hero, temperature, power)
        return Credited(decisions, starts, self._luck.scores(hands, credits))

    def _rewards_of(self, hand: Hand) -> FloatArray:
        """(reward functions, hero's decisions): unweighted rewards."""
        return np.array([spec(hand) for spec in self._rewards]).reshape(len(self._rewards), len(hand.hero_decisions))

    def _baselines(self, starts: FloatArray) -> FloatArray:
        """(hands, reward functions): what each hand's returns are measured against."""
        if self._config.baseline == "batch_mean":  # it comes with the advantages, over the decisions trained on
            return np.zeros_like(starts)
        by_deal = starts.T.reshape(len(self._rewards), -1, self._config.replicas)
        return leave_one_out_baseline(by_deal).reshape(len(self._rewards), -1).T


def decision_rows(hands: Sequence[Hand], returns: Sequence[FloatArray], baselines: FloatArray) -> list[Row]:
    """One row per hero decision, hand by hand: its return-to-go minus its hand's baseline, per reward function.

    `returns` has one array (reward functions, hero's decisions) per hand, `baselines` is (hands, reward functions).
    """
    return [
        Row(decision.answer.prompt_ids, decision.answer.completion_ids, tuple(map(float, own)))
        for hand, of_hand, baseline in zip(hands, returns, baselines, strict=True)
        for decision, own in zip(hand.hero_decisions, of_hand.T - baseline, strict=True)
    ]


class LuckRemover:
    """Replaces returns of the reward functions `chips` and `illegal` with ones that give the same mean gradient.

    How, `poker_env.knowledge.control_variates` says.

    It sees all cards, and the policy never does: what it finds out only weighs the answers' gradients.
    """

    def __init__(self, config: ExploitConfig, villain: Player) -> None:
        """Raises `UserError` when chips are not rewarded, or villain's policy isn't known."""
        self.switches = Switches(**dict.fromkeys(config.variance_reduction, True))
        self._game, self._villain, self._gamma = config.make_game(), villain, config.gamma
        specs = config.reward_specs()
        self._scales = {
            index: float(spec.args.get("payoff_scale") or self._game.big_blind)
            for index, spec in enumerate(specs)
            if spec.function is chips
        }
        """Chips that a reward function counts as 1, by its place."""
        self._penalties = {
            index: float(spec.args.get("penalty", ILLEGAL_PENALTY))
            for index, spec in enumerate(specs)
            if spec.function is illegal
        }
        """What a reward function gives an answer that names no legal action, by its place."""
        self._n_rewards = len(specs)
        self._rewarded = sum(specs[index].weight / scale for index, scale in self._scales.items())
        """What a chip is worth."""
        self._thinking = config.thinking
        self._assigner: CreditAssigner | None = None
        if not self._scales:
            raise UserError("variance_reduction takes luck out of chips, which are not rewarded: add the reward chips")
        if self._game.name in SMALL_GAMES:  # complains now, not after the first hands
            exact_policy(self._game, villain)
        else:
            range_policy_of(villain)

    @property
    def answers(self) -> Answers:
        """How hero has to answer.

        With the all-action gradient by the menu alone, which leaves nothing to sample: an odd answer that is still
        read as a token would be a row of its own, rare and heavy, and the entropy bonus would breed them. A model that
        thinks first doesn't know the menu's probabilities.
        """
        if self._thinking:
            return "free"
        return "menu" if self.switches.all_action else "scored"

    def credits(self, hands: Sequence[Hand], hero: ModelPlayer) -> list[HandCredit]:
        """The hands' credit in chips, of a hero that gives `answers`."""
        assigner = self._assigner_for(hero)
        return [
            assigner.assign_hand(hand, [Choice.of(decision.answer) for decision in hand.hero_decisions], self._gamma)
            for hand in hands
        ]

    def scores(self, hands: Sequence[Hand], credits: Sequence[HandCredit]) -> list[float]:
        """Chips hero won in each hand, with the luck taken out, see `poker_env.evaluation.aivat`.

        In hold'em that of the deal as well, whose mean is 0 over both seats. In small games there are exact values.
        """
        if self._game.name in SMALL_GAMES:
            return [credit.value for credit in credits]
        assert self._assigner is not None  # the one that gave the credits
        lucks = [self._assigner.luck_of_the_deal(hand.deal) for hand in hands]
        return [credit.value - luck for credit, luck in zip(credits, lucks, strict=True)]

    def returns(self, returns: FloatArray, hand: Hand, credit: HandCredit) -> FloatArray:
        """A hand's returns (reward functions, hero's decisions) with the luck taken out of those of `chips`.

        With the all-action gradient `illegal` is measured against an illegal answer, which then weighs nothing; what
        an answer of the menu does better is credited to the menu's rows.
        """
        replaced = returns.copy()
        for index, scale in self._scales.items():
            replaced[index] = [decision.played / scale for decision in credit.decisions]
        if self.switches.all_action:
            for index, penalty in self._penalties.items():
                for place, decision in enumerate(hand.hero_decisions):
                    if decision.answer.place is None:
                        replaced[index, place] -= penalty
        return replaced

    def decisions(
        self,
        hand: Hand,
        credit: HandCredit,
        given: Sequence[Row],
        hero: ModelPlayer,
        temperature: float | None = None,
        power: float = 1.0,
    ) -> list[list[Row]]:
        """Each decision's rows, with the all-action gradient: the one `given`, then those of the menu's answers.

        With a `temperature`, in rewards, these take a `soft_step`; with a `power` below 1 they are `lifted`.
        """
        if not self.switches.all_action:
            return [[row] for row in given]
        assert isinstance(hero, LLMPlayer)  # see `check_thinking`
        return [
            [
                replace(row, decisions=0, texts=0),
                *self._menu(decision.answer, own.actions, row, hero, temperature, power),
            ]
            for decision, own, row in zip(hand.hero_decisions, credit.decisions, given, strict=True)
        ]

    def _menu(
        self,
        answer: Answer,
        chips: Sequence[float],
        given: Row,
        hero: LLMPlayer,
        temperature: float | None,
        power: float,
    ) -> Iterator[Row]:
        """A decision's rows of the menu's answers, in all spellings; `chips` is each action's share of the credit.

        An answer that isn't spelled out has no row: what rewards other than these gave it counts against the menu's,
        whose probability is all the rest.
        """
        if temperature is not None:
            chips = soft_step(answer.probabilities, chips, temperature / self._rewarded)
        elif power < 1:
            chips = lifted(answer.probabilities, chips, power)
        illegal = np.zeros(self._n_rewards)
        if not answer.completion_ids:
            illegal = np.array(given.credit) / max(1 - sum(answer.probabilities), sys.float_info.epsilon)
        for spelled, probability, share in zip(
            hero.answers_to(answer.prompt_ids), answer.probabilities, chips, strict=True
        ):
            credit = -illegal * probability
            for index, scale in self._scales.items():
                credit[index] += share / scale
            for index, penalty in self._penalties.items():
                credit[index] -= penalty * probability
            for each in spelled:
                own = each.probability
                if own > 0:
                    share_of_credit, logps = (credit * own / probability).tolist(), map(math.log, each.chances)
                    stands_for = own if temperature is None and power == 1 else max(own, LEAST_DECISIONS)
                    yield Row(given.prompt_ids, each.ids, tuple(share_of_credit), stands_for, logps=tuple(logps))

    def _assigner_for(self, hero: ModelPlayer) -> CreditAssigner:
        """Exact in small games, for hero's policy as it is now where that is known; else the same for good."""
        if self._game.name in SMALL_GAMES and isinstance(hero, LLMPlayer):
            return assigner_against(self._game, self._villain, self.switches, exact_policy(self._game, hero))
        if self._assigner is None:
            self._assigner = assigner_against(self._game, self._villain, self.switches)
        return self._assigner
