"""Credit for hero's decisions: returns with the luck taken out, and the gradient of all actions instead of one.

The policy gradient of a hand is a sum over hero's decisions t of grad log pi(a_t) G_t, G_t being what hero won.
Whatever has expectation 0 given the past may be taken off G_t: that is a control variate, and leaves the gradient's
mean as it was. Here it is, for every event k after t (an action of either player, cards dealt), how a critic's value
of the hand changed with what happened there, less the expectation of that change:

    G_t = won - sum over k > t of (u_k - E[u_k | before k])

That is AIVAT (Burch, Schmid, Moravcik, Morrill & Bowling 2018, "AIVAT: A New Variance Reduction Technique for Agent
Evaluation in Imperfect Information Games") with villain known for all its holdings, as a return instead of a score.
The decision's own term is the baseline V_t = E[u_t]. The all-action gradient goes one step further ("expected policy
gradients", Ciosek & Whiteson 2018; with the correction of what the critic gets wrong, as in Q-Prop, Gu et al. 2017):

    sum over actions a of grad pi(a) (Q(a) - F)  +  grad log pi(a_t) (G_t - Q(a_t)),  Q(a) being the critic's value

F is what an answer that names no action is worth: its chance counts as the rest of all actions', never as sampled.

What is known to the estimator is a choice too. As it stands that is everything: villain's cards and the board to come.
Averaging over villain's range (exact, by Bayes' rule) or over the board to come leaves less to luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from poker_env.cfr.abstraction.bucket_tables import BucketTables
from poker_env.games import Deal, Game
from poker_env.hand import Answer, Hand
from poker_env.knowledge.beliefs import DealtCards, Knowledge
from poker_env.knowledge.critic import SAMPLES, BlueprintCritic, CheckDownCritic, Critic, Worlds
from poker_env.knowledge.exact_value import SMALL_GAMES, exact_policy
from poker_env.knowledge.public_tree import PublicState, PublicTree
from poker_env.knowledge.ranges import RangePolicy, range_policy_of
from poker_env.knowledge.small_games import ExactCritic, Table, tabular_ranges
from poker_env.players.base import Player
from poker_env.players.cfr import valuing_blueprint


@dataclass(frozen=True)
class Switches:
    """What to do about luck. None of them moves the mean of the gradient."""

    chance: bool = False
    """Average over cards to come, and take off what each deal changed."""
    range: bool = False
    """Average over villain's exact range: at a showdown, and wherever the critic is asked."""
    villain: bool = False
    """Take off what villain's actions changed."""
    hero: bool = False
    """Take off what hero's later actions changed."""
    baseline: bool = False
    """Take off the value before the decision."""
    all_action: bool = False
    """Credit every action on the menu, and the one played with what the critic missed."""

    @property
    def values_decisions(self) -> bool:
        """Whether hero's decisions are valued by the critic."""
        return self.hero or self.baseline or self.all_action


@dataclass(frozen=True)
class Choice:
    """What hero sampled a decision from."""

    actions: tuple[int, ...]
    """The menu, by OpenSpiel's ids."""
    probabilities: tuple[float, ...]
    """Of exactly what a training row of each action would hold. They sum to 1, or less where other answers exist.

    Empty, as are the actions, where nobody knows them: then there is no `Switches.hero` and no `Switches.all_action`.
    """
    played: int | None
    """Place in the menu of what was sampled; None for another answer, whatever it was taken for."""

    @staticmethod
    def of(answer: Answer) -> Choice:
        """A model's, as far as it says what it sampled from."""
        return Choice(answer.menu, answer.probabilities, answer.place)


@dataclass(frozen=True)
class Credit:
    """What a decision is credited with, chips: the weights of gradients of log-probabilities."""

    played: float
    """Of what was played."""
    actions: tuple[float, ...]
    """Of each action on the menu, beside that; all 0 unless `Switches.all_action`."""


@dataclass(frozen=True)
class HandCredit:
    """A hand's credit."""

    value: float
    """What hero won, chips, less all the luck that the switches take off: has the same mean."""
    decisions: tuple[Credit, ...]
    """Of hero's decisions, in order."""


@dataclass(frozen=True)
class _Event:
    surprise: float
    """How the critic's value changed, less what was to be expected; 0 where that isn't taken off."""
    decision: Credit | None = None
    """Hero's: the credit if the hand were worth nothing from here on."""


class CreditAssigner:
    """Works out the credit of played hands, against a villain whose policy is known for every holding."""

    def __init__(self, game: Game, villain: RangePolicy, critic: Critic | None, switches: Switches) -> None:
        """Raises `ValueError` when the switches need a critic and there is none."""
        if critic is None and replace(switches, range=False) != Switches():
            raise ValueError(f"{switches} needs a critic")
        self._game, self._critic, self._switches = game, critic, switches
        self._tree = PublicTree(game, villain)

    def assign(
        self, deal: Deal, actions: Sequence[int], payoff: float, choices: Sequence[Choice], gamma: float = 1.0
    ) -> HandCredit:
        """The credit of a hand from its deal, both players' actions by OpenSpiel's ids and the chips hero won.

        `choices` are hero's decisions, in order; an illegal answer ends the hand, and `actions` before it. What the
        hand pays is credited to a decision discounted by `gamma` for every later decision of hero's.
        """
        events, known = [], self._start(deal)
        luck = _Luck(self._critic, deal)
        state, left = self._tree.root, iter(choices)
        for action in actions:
            child = self._tree.child(state, action)
            if state.seat == deal.hero_seat:
                events.append(self._decision(state, next(left), known, luck))
            else:
                event, known = self._reply(state, action, known, luck)
                events.append(event)
            if child.n_board > state.n_board and known.n_board < child.n_board:
                later = known.dealt(child.n_board)
                if self._switches.chance:
                    events.append(_Event(luck.value(child, later) - luck.value(child, known)))
                known = later
            state = child
        events += [self._decision(state, choice, known, luck) for choice in left]  # an illegal answer
        if self._switches.range and state.done and state.folded_seat is None:
            payoff = known.payoff(state)
        return HandCredit(payoff - sum(event.surprise for event in events), _credits(events, payoff, gamma))

    def assign_hand(self, hand: Hand, choices: Sequence[Choice], gamma: float = 1.0) -> HandCredit:
        """The credit of a hand that was played at the table, see `assign`."""
        actions = [decision.move.action for decision in hand.decisions if decision.move is not None]
        return self.assign(hand.deal, actions, hand.payoff, choices, gamma)

    def luck_of_the_deal(self, deal: Deal) -> float:
        """Chips hero should win before the first action, by the critic and what is known then.

        Its mean over all deals, both seats alike, is 0 if the critic has both players play the same: then it may be
        taken off `HandCredit.value`.
        """
        return _Luck(self._critic, deal).value(self._tree.root, self._start(deal))

    def _start(self, deal: Deal) -> Knowledge:
        cards = DealtCards(self._game, deal)
        return Knowledge.at_start(cards, whole_board=not self._switches.chance, villain=not self._switches.range)

    def _decision(self, state: PublicState, choice: Choice, known: Knowledge, luck: _Luck) -> _Event:
        nothing = (0.0,) * len(choice.actions)
        if not self._switches.values_decisions:
            return _Event(0.0, Credit(0.0, nothing))
        if not choice.actions:  # the value of the state, whoever is to act there, is a baseline, too
            if self._switches.hero or self._switches.all_action:
                raise ValueError(f"{self._switches} needs the probabilities of hero's actions")
            return _Event(0.0, Credit(-luck.value(state, known), nothing))
        children = [self._tree.child(state, action) for action in choice.actions]
        probabilities = np.array(choice.probabilities) / sum(choice.probabilities)
        values = np.array([luck.value(child, known) for child in children])
        before = float(probabilities @ values)
        after = before if choice.played is None else float(values[choice.played])
        surprise = 0.0
        if self._switches.hero:
            # By the same worlds as the value of `state`, which earlier events refer to: their noise cancels.
            expected = float(probabilities @ [luck.sampled_value(child, known) for child in children])
            surprise = (expected if choice.played is None else after) - expected
        if self._switches.all_action:
            # Any baseline does. By this one the answers that name no action weigh nothing, sampled or not.
            forfeited = -float(state.contributions[state.seat])
            shares = np.array(choice.probabilities) * (values - forfeited)
            return _Event(surprise, Credit(-forfeited if choice.played is None else -after, tuple(shares.tolist())))
        return _Event(surprise, Credit(-before if self._switches.baseline else 0.0, nothing))

    def _reply(self, state: PublicState, action: int, known: Knowledge, luck: _Luck) -> tuple[_Event, Knowledge]:
        n_board = state.n_board
        actions, policy = state.reply(known.cards.board_of(n_board))
        later = known.after(policy[:, actions.index(action)])
        if not self._switches.villain:
            return _Event(0.0), later
        worlds = luck.worlds(known)
        values = np.stack([luck.values(self._tree.child(state, other), worlds) for other in actions], axis=1)
        before = float(worlds.weights @ (policy[worlds.holdings] * values).sum(axis=1))
        return _Event(luck.value(self._tree.child(state, action), later) - before), later


def _credits(events: Sequence[_Event], payoff: float, gamma: float) -> tuple[Credit, ...]:
    """Of hero's decisions, with what the hand paid after each."""
    credits: list[Credit] = []
    to_come = payoff
    for event in reversed(events):
        if event.decision is None:
            to_come -= event.surprise
        else:
            credits.append(replace(event.decision, played=event.decision.played + to_come))
            to_come = gamma * (to_come - event.surprise)
    return tuple(reversed(credits))


def assigner_against(
    game: Game,
    villain: Player,
    switches: Switches,
    hero: Table | None = None,
    tables: bool = True,
    samples: int = SAMPLES,
) -> CreditAssigner:
    """The assigner for a villain, with the best critic there is for it.

    Kuhn and Leduc: exact, for the policy `hero`, by default villain's own. Hold'em: for a CFR player a blueprint
    (`valuing_blueprint`; `samples` as in `BlueprintCritic`), whose buckets come from tables (two minutes and 406 MB
    of disk to make once); else, or without `tables`, checking down.
    Raises `UserError` when villain's policy isn't known for every holding.
    """
    if game.name in SMALL_GAMES:
        table = exact_policy(game, villain)
        critic: Critic = ExactCritic(game, hero or table, table)
        return CreditAssigner(game, tabular_ranges(game, table), critic, switches)
    ranges = range_policy_of(villain, long_run=tables)
    critic = CheckDownCritic()
    if tables and (found := valuing_blueprint(game, villain)):
        _, blueprint = found
        critic = BlueprintCritic(blueprint, BucketTables.build(blueprint.abstraction, progress=True).lookup, samples)
    return CreditAssigner(game, ranges, critic, switches)


class _Luck:
    """A critic's mean values over what may be, each set of worlds drawn once."""

    def __init__(self, critic: Critic | None, deal: Deal) -> None:
        self._critic = critic
        self._random_state = np.array([deal.seed * 2 + 1], np.uint64)
        self._worlds: dict[Knowledge, Worlds] = {}
        self._means: dict[tuple[Knowledge, PublicState], float] = {}

    def worlds(self, known: Knowledge) -> Worlds:
        assert self._critic is not None
        if known not in self._worlds:
            self._worlds[known] = self._critic.worlds(known, self._random_state)
        return self._worlds[known]

    def values(self, state: PublicState, worlds: Worlds) -> np.ndarray:
        assert self._critic is not None
        return self._critic.values(state, worlds)

    def sampled_value(self, state: PublicState, known: Knowledge) -> float:
        if (known, state) not in self._means:
            worlds = self.worlds(known)
            self._means[known, state] = float(worlds.weights @ self.values(state, worlds))
        return self._means[known, state]

    def value(self, state: PublicState, known: Knowledge) -> float:
        """Exact where the hand is over."""
        return known.payoff(state) if state.done else self.sampled_value(state, known)
