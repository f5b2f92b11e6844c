"""Takes the luck out of what an epoch's decisions are credited with, as `variance_reduction` says."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from poker_env.errors import UserError
from poker_env.hand import Answer, Hand
from poker_env.knowledge.control_variates import Choice, CreditAssigner, HandCredit, Switches, assigner_against
from poker_env.knowledge.exact_value import SMALL_GAMES, exact_policy
from poker_env.players.base import Player
from poker_env.players.llm import LLMPlayer
from poker_env.players.poker_config import Answers
from recipes.options.config import ExploitConfig
from recipes.training.returns import FloatArray
from recipes.training.rows import Row
from reward_fns.builtin import ILLEGAL_PENALTY, chips, illegal


class LuckRemover:
    """Replaces returns of the reward functions `chips` and `illegal` with ones that give the same mean gradient.

    How, `evaluation.credit` says.

    It sees all cards, and the policy never does: what it finds out only weighs the answers' gradients.
    """

    def __init__(self, config: ExploitConfig, villain: Player) -> None:
        """Raises `UserError` when chips are not rewarded, or answers are cut short of their end."""
        self.switches = Switches(**dict.fromkeys(config.variance_reduction, True))
        self._game, self._villain, self._gamma = config.make_game(), villain, config.gamma
        self._scales = {
            index: float(spec.args.get("payoff_scale") or self._game.big_blind)
            for index, spec in enumerate(config.reward_specs())
            if spec.function is chips
        }
        """Chips that a reward function counts as 1, by its place."""
        self._penalties = {
            index: float(spec.args.get("penalty", ILLEGAL_PENALTY))
            for index, spec in enumerate(config.reward_specs())
            if spec.function is illegal
        }
        """What a reward function gives an answer that names no legal action, by its place."""
        self._n_rewards = len(config.rewards)
        self._assigner: CreditAssigner | None = None
        if not self._scales:
            raise UserError("variance_reduction takes luck out of chips, which are not rewarded: add the reward chips")

    @property
    def answers(self) -> Answers:
        """How hero has to answer.

        With the all-action gradient by the menu alone, which leaves nothing to sample: an odd answer that is still
        read as a token would be a row of its own, rare and heavy, and the entropy bonus would breed them.
        """
        return "menu" if self.switches.all_action else "scored"

    def credits(self, hands: Sequence[Hand], hero: LLMPlayer) -> list[HandCredit]:
        """The hands' credit in chips, of a hero that gives `answers`."""
        assigner = self._assigner_for(hero)
        return [
            assigner.assign_hand(hand, [Choice.of(decision.answer) for decision in hand.hero_decisions], self._gamma)
            for hand in hands
        ]

    def scores(self, hands: Sequence[Hand], credits: Sequence[HandCredit]) -> list[float]:
        """Chips hero won in each hand, with the luck taken out, see `evaluation.aivat`.

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

    def decisions(self, hand: Hand, credit: HandCredit, given: Sequence[Row], hero: LLMPlayer) -> list[list[Row]]:
        """Each decision's rows, with the all-action gradient: the one `given`, then those of the menu's answers."""
        if not self.switches.all_action:
            return [[row] for row in given]
        return [
            [replace(row, decisions=0), *self._menu(decision.answer, own.actions, row, hero)]
            for decision, own, row in zip(hand.hero_decisions, credit.decisions, given, strict=True)
        ]

    def _menu(self, answer: Answer, chips: Sequence[float], given: Row, hero: LLMPlayer) -> Iterator[Row]:
        """A decision's rows of the menu's answers, in all spellings; `chips` is each action's share of the credit.

        An answer that isn't spelled out has no row: what rewards other than these gave it counts against the menu's,
        whose probability is all the rest.
        """
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
            for ids, own in spelled:
                if own > 0:
                    share_of_credit = tuple((credit * own / probability).tolist())
                    yield Row(given.prompt_ids, ids, share_of_credit, decisions=own, logp=math.log(own))

    def _assigner_for(self, hero: LLMPlayer) -> CreditAssigner:
        """Exact in small games, for hero's policy as it is now; else the same for good."""
        if self._game.name in SMALL_GAMES:
            return assigner_against(self._game, self._villain, self.switches, exact_policy(self._game, hero))
        if self._assigner is None:
            self._assigner = assigner_against(self._game, self._villain, self.switches)
        return self._assigner
