"""Takes the luck out of what an epoch's decisions are credited with, as `variance_reduction` says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poker_env.errors import UserError
from poker_env.evaluation.credit import Choice, CreditAssigner, HandCredit, Switches, assigner_against
from poker_env.evaluation.exact_value import SMALL_GAMES, exact_policy
from poker_env.hand import Decision, Hand
from poker_env.players import Player
from poker_env.players.llm import LLMPlayer
from recipes.config import ExploitConfig
from recipes.returns import FloatArray
from recipes.rows import Row
from reward_fns.builtin import chips

Ids = tuple[int, ...]


class LuckRemover:
    """Replaces the returns of the reward function `chips` with ones of the same mean, see `evaluation.credit`.

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
        self._n_rewards = len(config.rewards)
        self._assigner: CreditAssigner | None = None
        if not self._scales:
            raise UserError("variance_reduction takes luck out of chips, which are not rewarded: add the reward chips")

    def credits(self, hands: Sequence[Hand], hero: LLMPlayer) -> list[HandCredit]:
        """The hands' credit in chips. Of a hero that `scores_menu`, where decisions are valued."""
        assigner = self._assigner_for(hero)
        answers: dict[int, Ids] = {}  # by place on the menu

        def choice(decision: Decision) -> Choice:
            answer = decision.answer
            for place in range(len(answer.menu)):
                answers.setdefault(place, hero.answer_ids(f"A{place}"))
            played = next((p for p in range(len(answer.menu)) if answers[p] == answer.completion_ids), None)
            return Choice(answer.menu, answer.probabilities, played)

        return [assigner.assign_hand(hand, list(map(choice, hand.hero_decisions)), self._gamma) for hand in hands]

    def returns(self, returns: FloatArray, credit: HandCredit) -> FloatArray:
        """A hand's returns (reward functions, hero's decisions) with the luck taken out of those of `chips`."""
        replaced = returns.copy()
        for index, scale in self._scales.items():
            replaced[index] = [decision.played / scale for decision in credit.decisions]
        return replaced

    def decisions(self, hand: Hand, credit: HandCredit, given: Sequence[Row], hero: LLMPlayer) -> list[list[Row]]:
        """Each decision's rows, with the all-action gradient: the one `given`, then those of the menu's answers."""
        if not self.switches.all_action:
            return [[row] for row in given]
        found = []
        for decision, own, row in zip(hand.hero_decisions, credit.decisions, given, strict=True):
            answer, menu = decision.answer, []
            for place, (probability, chips_of) in enumerate(zip(answer.probabilities, own.actions, strict=True)):
                if probability > 0:
                    shares = np.zeros(self._n_rewards)
                    for index, scale in self._scales.items():
                        shares[index] = chips_of / scale
                    ids = hero.answer_ids(f"A{place}")
                    menu.append(Row(row.prompt_ids, ids, tuple(shares.tolist()), decisions=probability))
            on_menu = any(row.completion_ids == other.completion_ids for other in menu)
            found.append([Row(row.prompt_ids, row.completion_ids, row.credit, decisions=0 if on_menu else 1), *menu])
        return found

    def _assigner_for(self, hero: LLMPlayer) -> CreditAssigner:
        """Exact in small games, for hero's policy as it is now; else the same for good."""
        if self._game.name in SMALL_GAMES:
            return assigner_against(self._game, self._villain, self.switches, exact_policy(self._game, hero))
        if self._assigner is None:
            self._assigner = assigner_against(self._game, self._villain, self.switches)
        return self._assigner
