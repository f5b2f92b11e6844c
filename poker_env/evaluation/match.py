"""A match: two players over many decks, each deck played in both seats, and what that says about hero."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np

from poker_env.errors import UserError
from poker_env.evaluation.aivat import AIVAT, ValueFunction
from poker_env.evaluation.capture import Capture, Reference, TreeWatcher, exact_capture, local_capture
from poker_env.evaluation.chance import without_chance
from poker_env.evaluation.estimates import Estimate, by_deck, deck_estimate, estimate
from poker_env.evaluation.progress_bar import watched
from poker_env.games import Deal, Game, make_deals
from poker_env.hand import Decision, Hand
from poker_env.histories.steps import all_in
from poker_env.knowledge.exact_value import SMALL_GAMES, ExactReport, exact_report, known_policy
from poker_env.knowledge.ranges import LONG_RUN
from poker_env.players.base import Player
from poker_env.players.cfr import CFRPlayer
from poker_env.state import position
from poker_env.table import play

ACTIONS = ("fold", "check", "call", "bet", "raise", "all-in", "illegal")

DECKS_AT_ONCE = 64


@dataclass(frozen=True)
class Evaluation:
    """The hands of a match and what they say about hero."""

    game: Game
    hero: Player
    villain: Player
    seed: int
    hands: tuple[Hand, ...]
    """Two per deck: hero in the deal's seat, then in the other one."""
    seconds: float
    values: Mapping[str, np.ndarray]
    """mbb of each hand (hands,): what hero won as `payoff`, and with luck taken out as `all_in` (hold'em),
    `chance_corrected` (hold'em, Leduc) and `aivat` (where a player's policy is known)."""
    value_function: ValueFunction | None
    """AIVAT's."""
    exact: ExactReport | None
    """Of Kuhn and Leduc."""
    references: Mapping[str, np.ndarray]
    """By LBR setting, what a local best response wins in hero's place: mbb of each hand (hands,)."""
    off_tree: np.ndarray | None
    """(hands,) bool: whether hero made a bet that villain's blueprint doesn't know; None for another villain."""

    @property
    def deals(self) -> int:
        """How many decks were played."""
        return len(self.hands) // 2

    @property
    def win_rate(self) -> float:
        """Share of hands in which hero won chips."""
        return sum(hand.payoff > 0 for hand in self.hands) / len(self.hands)

    @property
    def legal_rate(self) -> float:
        """Share of hero's decisions that named a legal action."""
        decisions = self._decisions
        return sum(decision.legal for decision in decisions) / max(1, len(decisions))

    @property
    def cut_off_rate(self) -> float | None:
        """Share of hero's decisions at which its thought had no end; None of a player that doesn't think first."""
        thought = [decision.answer for decision in self._decisions if decision.answer.thought is not None]
        return sum(answer.cut_off for answer in thought) / len(thought) if thought else None

    @property
    def action_mix(self) -> dict[str, float]:
        """Share of hero's decisions by `ACTIONS`; a bet or raise of the whole stack counts as all-in alone."""
        return action_shares([action_of(self.game, decision) for decision in self._decisions])

    @property
    def estimates(self) -> dict[str, Estimate]:
        """Hero's win rate by name of the estimator.

        `raw` takes one hand of each deck, as if no deck had ever been played twice; the others take all hands.
        `duplicate` is the payoffs, the others are as in `values`; `exact` takes no hands at all.
        """
        found = {
            name: estimate(values, self.deals if name == "raw" else len(self.hands))
            for name, values in self._deck_values.items()
        }
        if self.exact and self.exact.value:
            value = self._mbb(self.exact.value.value)
            found["exact"] = Estimate(value, 0.0, (value, value), hands=0, units=0)
        return found

    @property
    def differences(self) -> dict[str, Estimate]:
        """For each two of the estimators that take hands, the first less the second on the same decks.

        Their means are 0, as all estimate the same number: many standard errors from it, something is biased.
        """
        return {
            f"{first} - {second}": estimate(ones - others, len(self.hands))
            for (first, ones), (second, others) in itertools.combinations(self._deck_values.items(), 2)
        }

    @property
    def headline(self) -> str:
        """Name of the estimate to quote: `aivat` where there is one, else `duplicate`."""
        return "aivat" if "aivat" in self.values else "duplicate"

    @property
    def by_seat(self) -> dict[str, Estimate]:
        """Hero's win rate in each seat, by the seat's name and the headline's estimator."""
        seats = np.array([hand.hero_seat for hand in self.hands])
        return {
            position(self.game, seat): estimate(self.headline_values[seats == seat], self.deals) for seat in (0, 1)
        }

    @property
    def captures(self) -> dict[str, Capture]:
        """Hero's share of what best responses win from villain, by their names: `exact`, `lbr:SETTING`."""
        found = {
            f"lbr:{setting}": local_capture(self.headline_values, reference, self.off_tree)
            for setting, reference in self.references.items()
        }
        if self.exact and self.exact.best_response is not None:
            estimates = self.estimates
            won = estimates.get("exact", estimates[self.headline])
            capture = exact_capture(won, self._mbb(self.exact.best_response))
            found |= {"exact": capture} if capture else {}
        return found

    @property
    def gains(self) -> dict[str, Estimate]:
        """The headline's win rate in two parts that sum to it, where villain plays a blueprint.

        `off_tree`: won in hands where hero made a bet that the blueprint doesn't know; `on_tree`: in all other hands.
        """
        if self.off_tree is None:
            return {}
        masks = {"on_tree": ~self.off_tree, "off_tree": self.off_tree}
        return {name: deck_estimate(self.headline_values * mask) for name, mask in masks.items()}

    @property
    def headline_values(self) -> np.ndarray:
        """mbb of each hand (hands,) by the headline's estimator."""
        return self.values.get("aivat", self.values["payoff"])

    @property
    def _deck_values(self) -> dict[str, np.ndarray]:
        """mbb of each deck (decks,) by the name of the estimator."""
        found = {"raw": self.values["payoff"][::2], "duplicate": by_deck(self.values["payoff"])}
        return found | {name: by_deck(values) for name, values in self.values.items() if name != "payoff"}

    @property
    def _decisions(self) -> list[Decision]:
        return [decision for hand in self.hands for decision in hand.hero_decisions]

    def _mbb(self, chips: float) -> float:
        return 1000 * chips / self.game.big_blind


@dataclass(frozen=True)
class PlayedDeck:
    """A deck's two hands and what they are worth, in chips: hero in the deal's seat, then in the other one."""

    hands: tuple[Hand, Hand]
    won: Mapping[str, tuple[float, float]]
    """By estimator, see `Evaluation.values`."""
    references: Mapping[str, tuple[float, float]]
    """By LBR setting, see `Evaluation.references`."""


class Match:
    """Hero and villain at the table: decks are played in any shares, and judged together.

    The same seed deals the same decks, whoever plays, and a deck's hands don't depend on those played beside it.
    """

    def __init__(
        self,
        game: Game,
        hero: Player,
        villain: Player,
        hands: int,
        seed: int = 0,
        lbr: Sequence[str] = (),
        tables: bool | None = None,
    ) -> None:
        """On the decks that `seed` names local best responses of the settings `lbr` play villain, too.

        `tables` of a blueprint's buckets are used, and made where there are none, from `LONG_RUN` hands on unless said
        otherwise; with them hold'em's hands are valued better (see `ValueFunction`).

        Raises `UserError` for fewer than one hand, a negative seed, or an LBR that can't be had.
        """
        if hands < 1:
            raise UserError(f"can't evaluate on {hands} hands: play at least 1")
        if seed < 0:
            raise UserError(f"seed {seed} must be 0 or above")
        self.decks = (hands + 1) // 2
        """How many there are to play."""
        self._game, self._seed = game, seed
        self._started = time.monotonic()
        tables = hands >= LONG_RUN if tables is None else tables
        self._reference = Reference(game, villain, lbr, tables=tables) if lbr else None
        self._lbr = tuple(lbr)
        self._hero_table = known_policy(game, hero)
        self._aivat = AIVAT.between(game, hero, villain, tables, self._hero_table)
        self._watcher = TreeWatcher.of(game, villain)
        if self._aivat and self._aivat.value_function.kind == "blueprint":  # whose tables there are now
            known = self._aivat.value_function.known_player
            hero, villain = (
                player.with_tables() if isinstance(player, CFRPlayer) and player.name == known else player
                for player in (hero, villain)
            )
        self._hero, self._villain = hero, villain

    def play(self, decks: range, progress: bool = True) -> list[PlayedDeck]:
        """Play some of the decks, neighbours, each in both seats."""
        deals = make_deals(self._game, len(decks), self._seed, start=decks.start)
        chunks = [_both_seats(deals[start : start + DECKS_AT_ONCE]) for start in range(0, len(deals), DECKS_AT_ONCE)]
        played: list[PlayedDeck] = []
        for chunk in watched(chunks, f"{self._hero.name} against {self._villain.name}", len, progress):
            hands = play(self._game, chunk, self._hero, self._villain)
            won = _pairs(_scores(self._game, hands, self._aivat))
            references = _pairs(self._reference.scores(chunk)) if self._reference else repeat({})
            played += map(PlayedDeck, zip(hands[::2], hands[1::2], strict=True), won, references)
        return played

    def judged(self, played: Sequence[PlayedDeck]) -> Evaluation:
        """What all decks together, in their order, say about hero."""
        hands = tuple(hand for deck in played for hand in deck.hands)

        def values(chips: Iterable[tuple[float, float]]) -> np.ndarray:
            return 1000 / self._game.big_blind * np.array(list(chain.from_iterable(chips)))

        return Evaluation(
            game=self._game,
            hero=self._hero,
            villain=self._villain,
            seed=self._seed,
            hands=hands,
            seconds=time.monotonic() - self._started,
            values={name: values(deck.won[name] for deck in played) for name in played[0].won},
            value_function=self._aivat.value_function if self._aivat else None,
            exact=(
                exact_report(self._game, self._hero_table, self._villain) if self._game.name in SMALL_GAMES else None
            ),
            references={setting: values(deck.references[setting] for deck in played) for setting in self._lbr},
            off_tree=np.array([self._watcher.leaves(hand) for hand in hands]) if self._watcher else None,
        )


def evaluate(
    game: Game,
    hero: Player,
    villain: Player,
    hands: int,
    seed: int = 0,
    progress: bool = True,
    lbr: Sequence[str] = (),
) -> Evaluation:
    """Play `hands` hands (one more when odd) on the decks that `seed` names, each deck in both seats; see `Match`."""
    match = Match(game, hero, villain, hands, seed, lbr)
    return match.judged(match.play(range(match.decks), progress))


def _scores(game: Game, hands: Sequence[Hand], aivat: AIVAT | None) -> dict[str, list[float]]:
    """Chips of each hand by name of the estimator, see `Evaluation.values`."""
    scores = {"payoff": [hand.payoff for hand in hands]}
    if game.name != "kuhn":
        all_in, corrected = zip(*map(without_chance, hands), strict=True)
        scores |= {"all_in": list(all_in)} if game.name == "holdem" else {}
        scores["chance_corrected"] = list(corrected)
    if aivat:
        scores["aivat"] = aivat.scores(hands)
    return scores


def _pairs(chips: Mapping[str, Sequence[float]]) -> list[dict[str, tuple[float, float]]]:
    """Of (hands,) by name, those of each deck."""
    pairs = [zip(values[::2], values[1::2], strict=True) for values in chips.values()]
    return [dict(zip(chips, deck, strict=True)) for deck in zip(*pairs, strict=True)]


def _both_seats(deals: list[Deal]) -> list[Deal]:
    return [seated for deal in deals for seated in (deal, deal.swapped())]


def action_of(game: Game, decision: Decision) -> str:
    """Which of `ACTIONS` a decision was."""
    if decision.move is None:
        return "illegal"
    return "all-in" if decision.aggressive and all_in(game, decision) else decision.move.kind


def action_shares(actions: Sequence[str]) -> dict[str, float]:
    """The share of each of `ACTIONS`."""
    counts = Counter(actions)
    return {action: counts[action] / max(1, len(actions)) for action in ACTIONS}
