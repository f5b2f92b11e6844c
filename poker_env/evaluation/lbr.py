"""Local best response: how much a simple, greedy player wins who knows its opponent's strategy.

Lisý & Bowling 2017, "Equilibrium Approximation Quality of Current No-Limit Poker Bots" (arXiv 1612.07547). It keeps
the exact range of villain's holdings, and takes the action that would be best if the hand were checked and called
down after it. Its winnings are a lower bound on villain's exploitability.

The luck is integrated out wherever that is exact: villain's hand always (it stays a range), every action of villain's
that ends the hand (weighted by its probability), and run-outs once somebody is all-in. Sampled are hero's cards, the
board, and villain's actions that go on.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numba import njit

from poker_env.cards.equity import equities_against
from poker_env.cards.holdings import HOLDINGS, N_CARDS, N_HOLDINGS
from poker_env.errors import UserError
from poker_env.evaluation.estimates import Estimate, estimate
from poker_env.games import DEFAULTS, Deal, Game, make_deals
from poker_env.knowledge.public_tree import PublicState, PublicTree
from poker_env.knowledge.ranges import RangePolicy
from poker_env.state import CALL, FOLD, Observation


@dataclass(frozen=True)
class Options:
    """What the best response may do on a street; checking and calling always."""

    fold: bool = True
    sizes: tuple[float, ...] = ()
    """Bets and raises, as fractions of the pot (after calling)."""
    all_in: bool = False

    def bets(self, observation: Observation) -> list[int]:
        """Bets in a situation, rising, by OpenSpiel's id: chips put in over the whole hand. At least the smallest
        legal one."""
        if observation.min_raise_to is None:
            return []
        stack, highest = observation.game.stack, max(observation.contributions)
        totals = {max(observation.min_raise_to, highest + round(size * 2 * highest)) for size in self.sizes}
        return sorted({total for total in totals if total < stack} | ({stack} if self.all_in else set()))


_FC, _CALL = Options(), Options(fold=False)
_FCPA = Options(sizes=(1.0,), all_in=True)
_EIGHT = Options(sizes=(0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0), all_in=True)
SETTINGS = {
    "fc": (_FC, _FC, _FC, _FC),
    "late": (_CALL, _CALL, _FCPA, _FCPA),
    "fcpa": (_FCPA, _FCPA, _FCPA, _FCPA),
    "eight": (_EIGHT, _EIGHT, _EIGHT, _EIGHT),
}
"""Options by street, by the setting's name: fold/call; call before the turn, then also bet the pot and all-in; that on
every street; eight sizes on every street."""
DEFAULT_SETTING = "fcpa"


@dataclass(frozen=True)
class LocalBestResponse:
    """What a local best response wins, over decks that are each played in both seats."""

    setting: str
    estimate: Estimate
    """mbb/hand; the deck is the sample."""
    by_seat: tuple[Estimate, Estimate]
    seconds: float


def local_best_response(
    game: Game,
    villain: RangePolicy,
    setting: str = DEFAULT_SETTING,
    hands: int = 20_000,
    seed: int = 0,
    watch: Callable[[range], Iterable[int]] = iter,
) -> LocalBestResponse:
    """Play `hands` hands (one more when odd) on the decks of `make_deals`; `watch` may show how it goes, deck by deck.

    The same seed deals the same cards and tosses the same coins whoever plays, so strategies can be compared in pairs.
    Raises `UserError` for nothing to play, and as `LocalBestResponder.of` does.
    """
    player = LocalBestResponder.of(game, villain, setting)
    if hands < 1 or seed < 0:
        raise UserError(f"can't play {hands} hands of seed {seed}: play at least 1, of a seed of 0 or above")
    started = time.monotonic()
    deals = (hands + 1) // 2
    won = np.empty((deals, 2))
    for index in watch(range(deals)):
        deal = make_deals(game, 1, seed, start=index)[0]
        for played in (deal, deal.swapped()):
            won[index, played.hero_seat] = 1000 * player.play(played) / game.big_blind
    by_seat = estimate(won[:, 0], deals), estimate(won[:, 1], deals)
    overall = estimate(won.mean(axis=1), 2 * deals)
    return LocalBestResponse(setting, overall, by_seat, time.monotonic() - started)


_Policy = tuple[tuple[int, ...], np.ndarray]


class LocalBestResponder:
    """Plays hands against a villain whose policy is known for every holding."""

    def __init__(self, game: Game, villain: RangePolicy, options: tuple[Options, Options, Options, Options]) -> None:
        self._options = options
        self._tree = PublicTree(game, villain)

    @staticmethod
    def of(game: Game, villain: RangePolicy, setting: str) -> LocalBestResponder:
        """By the setting's name; raises `UserError` for an unknown one, or a game other than hold'em."""
        if setting not in SETTINGS:
            raise UserError(f"unknown LBR setting {setting!r}: choose among {', '.join(SETTINGS)}")
        if game.name != "holdem":
            raise UserError(f"local best response plays holdem, not {game.name}: there a best response is worked out")
        return LocalBestResponder(game, villain, SETTINGS[setting])

    def play(self, deal: Deal) -> float:
        """Chips hero can expect to win, given its cards, the board, and the coins of the deal."""
        hand = _Hand(deal)
        state, weights, known = self._tree.root, hand.start, 0
        coins = random.Random(deal.seed)
        value, share = 0.0, 1.0  # chips won on branches that ended; the probability of the one still played
        reply: _Policy | None = None
        while not state.done:
            if state.n_board != known:
                weights, known = weights * hand.unblocked(state.n_board), state.n_board
            if state.seat == deal.hero_seat:
                before = state
                state, reply = self._choose(state, hand, weights)
                if state.done:
                    value += share * hand.payoff(state, weights, before.n_board)
                continue
            actions, policy = reply or state.reply(hand.board(state.n_board))
            # With all the board known, holdings that it will block are impossible: what hero doesn't know, luck does.
            chances = _chances(weights, hand.possible, policy)
            going_on = []
            for column, (action, chance) in enumerate(zip(actions, chances.tolist(), strict=True)):
                child = self._tree.child(state, action)
                if chance > 0 and child.done:
                    value += share * chance * hand.payoff(child, weights, state.n_board, policy, column)
                elif chance > 0:
                    going_on.append((chance, column, child))
            if not going_on:
                break
            share *= sum(chance for chance, _, _ in going_on)
            chosen = 0 if len(going_on) == 1 else coins.choices(range(len(going_on)), [c for c, _, _ in going_on])[0]
            _, column, state = going_on[chosen]
            weights, reply = weights * policy[:, column], None
        return value

    def _choose(self, state: PublicState, hand: _Hand, weights: np.ndarray) -> tuple[PublicState, _Policy | None]:
        """The best action's state, and what villain will do there if that is already known.

        An action is worth what it wins on top of folding now: a call or check `wp * pot - (1 - wp) * to_call`, a bet
        `f * pot + (1 - f) * (wp' * (pot + bet) - (1 - wp') * (to_call + bet))`, where f is villain's probability of
        folding, and wp and wp' hero's equity against its range and against the part that doesn't fold. Of equals the
        first counts: fold, call, then bets by size.
        """
        observation, called = state.observation, self._tree.child(state, CALL)
        pot, to_call = observation.pot, observation.to_call
        options = self._options[observation.street]
        may_fold, bets = options.fold and to_call > 0, options.bets(observation)
        if not bets and not may_fold:
            return called, None
        equities = hand.equities(state.n_board)
        mass, wins = _against(weights, equities)
        best: tuple[PublicState, _Policy | None] = called, None
        best_value = (wins * pot - (mass - wins) * to_call) / mass
        if may_fold and best_value <= 0:
            best, best_value = (self._tree.child(state, FOLD), None), 0.0
        for total in bets:
            bet = total - max(observation.contributions)
            child = self._tree.child(state, total)
            actions, policy = reply = child.reply(hand.board(state.n_board))
            stay_mass, stay_wins = mass, wins
            if FOLD in actions:
                fold_mass, fold_wins = _against(weights, equities, policy, actions.index(FOLD))
                stay_mass, stay_wins = mass - fold_mass, wins - fold_wins
            value = (mass - stay_mass) * pot + stay_wins * (pot + bet) - (stay_mass - stay_wins) * (to_call + bet)
            if value / mass > best_value + 1e-9 * pot:
                best, best_value = (child, reply), value / mass
        return best


_ANYTHING = np.ones((N_HOLDINGS, 1))  # a policy with one action


class _Hand:
    """The cards of a deal as hero sees them, street by street."""

    def __init__(self, deal: Deal) -> None:
        self._hero = deal.hero_seat
        self._hole, board = np.array(deal.deck[2 * deal.hero_seat :][:2]), np.array(deal.deck[4:])
        self._boards = {n_board: board[:n_board] for n_board in DEFAULTS["holdem"].board_cards}
        self.start = _without(self._hole)
        self.possible = _without(board)
        self._equities: dict[int, np.ndarray] = {}

    def board(self, n_board: int) -> np.ndarray:
        """The first cards of the board."""
        return self._boards[n_board]

    def unblocked(self, n_board: int) -> np.ndarray:
        """1 for the holdings (1326,) that the first cards of the board leave possible, else 0."""
        return _without(self._boards[n_board])

    def equities(self, n_board: int) -> np.ndarray:
        """Hero's equity against each holding (1326,) when so much of the board is known."""
        if n_board not in self._equities:
            self._equities[n_board] = equities_against(self._hole, self._boards[n_board])
        return self._equities[n_board]

    def payoff(
        self, state: PublicState, weights: np.ndarray, n_board: int, policy: np.ndarray = _ANYTHING, column: int = 0
    ) -> float:
        """Chips hero wins at the end of a hand, by the cards known when the betting ended.

        At a showdown it meets the range (1326,), or its part that takes an action (a column of the policy).
        """
        stake = min(state.contributions)
        if state.folded_seat is not None:
            return -stake if state.folded_seat == self._hero else stake
        mass, wins = _against(weights, self.equities(n_board), policy, column)
        return stake * (2 * wins / mass - 1)


@njit(cache=True)
def _against(
    weights: np.ndarray, equities: np.ndarray, policy: np.ndarray = _ANYTHING, column: int = 0
) -> tuple[float, float]:
    """The weight of a range, or of its part that takes an action (a column of the policy), and what hero wins."""
    mass, wins = 0.0, 0.0
    for holding in range(N_HOLDINGS):
        weight = weights[holding] * policy[holding, column]
        mass += weight
        wins += weight * equities[holding]
    return mass, wins


@njit(cache=True)
def _chances(weights: np.ndarray, possible: np.ndarray, policy: np.ndarray) -> np.ndarray:
    """Probability (n,) of each of n actions (columns of the policy), of the part of a range that is possible."""
    chances = np.zeros(policy.shape[1])
    for holding in range(N_HOLDINGS):
        weight = weights[holding] * possible[holding]
        if weight > 0.0:
            for column in range(policy.shape[1]):
                chances[column] += weight * policy[holding, column]
    return chances / chances.sum()


@njit(cache=True)
def _without(cards: np.ndarray) -> np.ndarray:
    """1 for the holdings (1326,) that hold none of the cards, else 0."""
    dead = np.zeros(N_CARDS, np.bool_)
    for card in cards:
        dead[card] = True
    free = np.empty(N_HOLDINGS, np.float64)
    for holding in range(N_HOLDINGS):
        free[holding] = 0.0 if dead[HOLDINGS[holding, 0]] or dead[HOLDINGS[holding, 1]] else 1.0
    return free
