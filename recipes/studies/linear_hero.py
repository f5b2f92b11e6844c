"""A learner small enough to measure gradients with: a linear softmax over the menu, on features of villain's range.

It knows what advisor prompts tell a language model: its equity against villain's exact range, how often villain folds
to each size, and its equity when villain doesn't. It plays on public states, a thousand hands a second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize  # type: ignore[import-untyped]

from poker_env.games import BUTTON_SEAT, Deal, Game
from poker_env.knowledge.beliefs import DealtCards, Knowledge
from poker_env.knowledge.control_variates import Choice, Credit, HandCredit
from poker_env.knowledge.public_tree import PublicState, PublicTree
from poker_env.knowledge.ranges import RangePolicy
from poker_env.menu import POT_FRACTIONS, make_menu
from poker_env.state import CALL, FOLD

SLOTS = 3 + len(POT_FRACTIONS)
"""Kinds of action that have parameters of their own: fold, check or call, each size, all-in."""
FEATURES = 14
SHAPE = (SLOTS, FEATURES)
"""Of the hero's parameters."""
DECAY = 1e-4  # of the parameters, in imitation
RIDGE = 0.01  # of the mean eigenvalue of the Fisher information


@dataclass(frozen=True)
class View:
    """What the hero sees at a decision."""

    actions: tuple[int, ...]
    """The menu, by OpenSpiel's ids."""
    slots: np.ndarray
    """(actions,): the kind of each."""
    features: np.ndarray
    """(actions, FEATURES)."""

    def softmax(self, parameters: np.ndarray) -> np.ndarray:
        """Probability (actions,) of each action."""
        logits = (parameters[self.slots] * self.features).sum(axis=1)
        exponentials = np.exp(logits - logits.max())
        return exponentials / exponentials.sum()


@dataclass(frozen=True)
class Sampled:
    """What the hero saw and did."""

    view: View
    softmax: np.ndarray
    """(actions,): probabilities before the floor."""
    choice: Choice

    def gradient(self, credit: Credit, floor: float) -> np.ndarray:
        """SHAPE: of the credited log-probabilities, by the parameters."""
        assert self.choice.played is not None, "the hero answers from the menu"
        weights = np.array(credit.actions)
        weights[self.choice.played] += credit.played
        by_softmax = weights * (1 - floor) * self.softmax / np.array(self.choice.probabilities)
        by_logit = by_softmax - self.softmax * by_softmax.sum()
        gradient = np.zeros(SHAPE)
        np.add.at(gradient, self.view.slots, by_logit[:, None] * self.view.features)
        return gradient


@dataclass(frozen=True)
class Played:
    """A hand."""

    deal: Deal
    actions: tuple[int, ...]
    """Both players', by OpenSpiel's ids."""
    payoff: float
    """Chips the hero won."""
    decisions: tuple[Sampled, ...]

    @property
    def choices(self) -> list[Choice]:
        """What the hero's decisions were sampled from."""
        return [decision.choice for decision in self.decisions]

    def gradient(self, credit: HandCredit, floor: float) -> np.ndarray:
        """SHAPE: of all its credited log-probabilities, by the parameters."""
        gradient = np.zeros(SHAPE)
        for decision, own in zip(self.decisions, credit.decisions, strict=True):
            gradient += decision.gradient(own, floor)
        return gradient


class RangeTable:
    """Plays the hero's hands against a villain."""

    def __init__(self, game: Game, villain: RangePolicy) -> None:
        self._game, self._tree = game, PublicTree(game, villain)

    def play(self, parameters: np.ndarray, floor: float, deal: Deal) -> Played:
        """A hand of the hero with `parameters` (SHAPE); the deal's seed decides both players' coins.

        The hero takes any of n actions with probability `floor` / n at least.
        """
        decisions: list[Sampled] = []

        def decide(state: PublicState, known: Knowledge, coin: float) -> int:
            view = self.look(state, known)
            softmax = view.softmax(parameters)
            probabilities = (1 - floor) * softmax + floor / len(softmax)
            played = _draw(probabilities, coin)
            decisions.append(Sampled(view, softmax, Choice(view.actions, tuple(probabilities.tolist()), played)))
            return view.actions[played]

        actions, payoff = self._play(deal, decide)
        return Played(deal, actions, payoff, tuple(decisions))

    def lesson(self, deal: Deal) -> list[tuple[View, np.ndarray]]:
        """A hand of villain against itself: what hero saw, and villain's policy (actions,) in its place.

        Each of its bets stands for the nearest one on the menu.
        """
        seen = []

        def decide(state: PublicState, known: Knowledge, coin: float) -> int:
            view = self.look(state, known)
            cards = known.cards
            actions, policy = state.reply(cards.board_of(state.n_board))
            targets = np.zeros(len(view.actions))
            for action, share in zip(actions, policy[cards.holdings.index(cards.hole)], strict=True):
                targets[_nearest(action, view.actions)] += share
            seen.append((view, targets))
            return view.actions[_draw(targets, coin)]

        self._play(deal, decide)
        return seen

    def look(self, state: PublicState, known: Knowledge) -> View:
        """What the hero sees where it acts: of the cards its own and the board's, and villain's range by Bayes."""
        observation = state.observation
        to_call, highest = observation.to_call, max(observation.contributions)
        pot = observation.pot + to_call
        won = known.weights * known.cards.equities(known.n_board)
        equity = float(won.sum())
        odds, depth = to_call / pot, np.log1p(observation.stack / pot) / 3
        streets = [float(observation.street == street) for street in (1, 2, 3)]
        button, after_flop = float(observation.seat == BUTTON_SEAT), float(observation.street > 0)
        shared = [1.0, equity, equity**2, odds, odds * equity, depth, button, *streets, after_flop * equity]
        slots, rows = [], []
        menu = make_menu(observation)
        for item in menu:
            folds, called = 0.0, equity  # villain's share that folds, hero's wins against the rest
            if item.action in (FOLD, CALL):
                slots.append(item.action)
            else:
                size = (item.to - highest) / pot
                slots.append(SLOTS - 1 if item.all_in else 2 + _nearest_fraction(size))
                actions, policy = self._tree.child(state, item.action).reply(known.cards.board_of(state.n_board))
                if FOLD in actions:
                    folding = policy[:, actions.index(FOLD)]
                    folds, called = float(known.weights @ folding), equity - float(won @ folding)
            rows.append([*shared, folds, called, folds * equity])
        return View(tuple(item.action for item in menu), np.array(slots), np.array(rows))

    def _play(
        self, deal: Deal, decide: Callable[[PublicState, Knowledge, float], int]
    ) -> tuple[tuple[int, ...], float]:
        """Play a deal, the hero deciding at a state by what it knows and a coin: all actions, and what hero won."""
        cards = DealtCards(self._game, deal)
        known = Knowledge.at_start(cards, whole_board=False, villain=False)
        coins = np.random.default_rng(deal.seed)
        state = self._tree.root
        while not state.done:
            if state.n_board != known.n_board:
                known = known.dealt(state.n_board)
            if state.seat == deal.hero_seat:
                action = decide(state, known, coins.random())
            else:
                actions, policy = state.reply(cards.board_of(state.n_board))
                place = _draw(policy[cards.villain], coins.random())
                action, known = actions[place], known.after(policy[:, place])
            state = self._tree.child(state, action)
        return state.actions, Knowledge.at_start(cards, whole_board=True, villain=True).payoff(state)


def imitate(lessons: Sequence[tuple[View, np.ndarray]]) -> np.ndarray:
    """The parameters (SHAPE) that make a teacher's actions likeliest, with a little weight decay."""
    slots, features, targets = _padded(lessons)
    offered = slots >= 0
    kinds = np.eye(SLOTS)[slots] * offered[:, :, None]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        logits = np.einsum("nas,sf,naf->na", kinds, flat.reshape(SHAPE), features, optimize=True)
        logits = np.where(offered, logits, -np.inf)
        log_sums = np.logaddexp.reduce(logits, axis=1, keepdims=True)
        log_probabilities = np.where(offered, logits - log_sums, 0.0)
        errors = np.where(offered, np.exp(log_probabilities) - targets, 0.0)
        gradient = np.einsum("na,nas,naf->sf", errors, kinds, features, optimize=True).reshape(-1)
        cross_entropy = -float((targets * log_probabilities).sum())
        return cross_entropy / len(slots) + DECAY / 2 * float(flat @ flat), gradient / len(slots) + DECAY * flat

    found = minimize(loss, np.zeros(SLOTS * FEATURES), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return found.x.reshape(SHAPE)


def whitening(parameters: np.ndarray, views: Sequence[View]) -> np.ndarray:
    """(n, n), n parameters: the inverse root of the policy's mean Fisher information, a little of its trace added.

    Times a gradient it gives the gradient in coordinates in which every direction changes the policy alike: ascent
    there is the natural policy gradient (Kakade 2001), its metric being that of the start.
    """
    size = SLOTS * FEATURES
    fisher = np.zeros((size, size))
    for view in views:
        softmax = view.softmax(parameters)
        rows = np.zeros((len(softmax), *SHAPE))
        rows[np.arange(len(softmax)), view.slots] = view.features
        centred = rows.reshape(-1, size) - softmax @ rows.reshape(-1, size)
        fisher += centred.T @ (softmax[:, None] * centred) / len(views)
    values, vectors = np.linalg.eigh(fisher + RIDGE * np.trace(fisher) / size * np.eye(size))
    return vectors / np.sqrt(values) @ vectors.T


def _padded(lessons: Sequence[tuple[View, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slots (n, SLOTS), -1 beyond the menu, features (n, SLOTS, FEATURES) and targets (n, SLOTS)."""
    slots = np.full((len(lessons), SLOTS), -1)
    features, targets = np.zeros((len(lessons), SLOTS, FEATURES)), np.zeros((len(lessons), SLOTS))
    for row, (view, target) in enumerate(lessons):
        slots[row, : len(target)], features[row, : len(target)] = view.slots, view.features
        targets[row, : len(target)] = target
    return slots, features, targets


def _nearest_fraction(size: float) -> int:
    return min(range(len(POT_FRACTIONS)), key=lambda place: abs(POT_FRACTIONS[place] - size))


def _nearest(action: int, menu: tuple[int, ...]) -> int:
    """Place in the menu of an action: the same fold or call, the nearest raise by the ratio of totals."""
    if action in (FOLD, CALL):
        return menu.index(action)
    raises = [place for place, offer in enumerate(menu) if offer not in (FOLD, CALL)]
    return min(raises, key=lambda place: abs(np.log(menu[place] / action)))


def _draw(probabilities: np.ndarray, coin: float) -> int:
    return min(int(np.searchsorted(np.cumsum(probabilities), coin, side="right")), len(probabilities) - 1)
