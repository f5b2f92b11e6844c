"""A match: two players over many decks, each deck played in both seats, and what that says about hero."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from poker_env.cfr.play import BlueprintStrategy
from poker_env.cfr.tables import BucketTables
from poker_env.errors import UserError
from poker_env.evaluation.aivat import AIVAT, ValueFunction
from poker_env.evaluation.bars import watched
from poker_env.evaluation.capture import Capture, Reference, TreeWatcher, exact_capture, local_capture
from poker_env.evaluation.chance import without_chance
from poker_env.evaluation.estimates import Estimate, by_deck, deck_estimate, estimate
from poker_env.evaluation.exact_value import SMALL_GAMES, ExactReport, exact_report, known_policy
from poker_env.evaluation.ranges import LONG_RUN
from poker_env.games import Deal, Game, make_deals
from poker_env.hand import Decision, Hand
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
    def action_mix(self) -> dict[str, float]:
        """Share of hero's decisions by `ACTIONS`; a bet or raise of the whole stack counts as all-in alone."""
        decisions = self._decisions
        counts = Counter(_action(self.game, decision) for decision in decisions)
        return {action: counts[action] / max(1, len(decisions)) for action in ACTIONS}

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


def evaluate(
    game: Game,
    hero: Player,
    villain: Player,
    hands: int,
    seed: int = 0,
    progress: bool = True,
    lbr: Sequence[str] = (),
) -> Evaluation:
    """Play `hands` hands (one more when odd) on the decks that `seed` names, each deck in both seats.

    The same seed deals the same decks, whoever plays. On them local best responses of the settings `lbr` play villain,
    too. Raises `UserError` for fewer than one hand, a negative seed, or an LBR that can't be had.
    """
    if hands < 1:
        raise UserError(f"can't evaluate on {hands} hands: play at least 1")
    if seed < 0:
        raise UserError(f"seed {seed} must be 0 or above")
    deals = make_deals(game, (hands + 1) // 2, seed)
    started = time.monotonic()
    reference = Reference(game, villain, lbr, tables=hands >= LONG_RUN) if lbr else None
    hero_table = known_policy(game, hero)
    aivat = AIVAT.between(game, hero, villain, hands, hero_table)
    watcher = TreeWatcher.of(game, villain)
    if aivat and aivat.value_function.kind == "blueprint":  # whose tables there are now
        known = aivat.value_function.known_player
        hero, villain = (_from_tables(player) if player.name == known else player for player in (hero, villain))
    played: list[Hand] = []
    won: dict[str, list[float]] = {}
    references: dict[str, list[float]] = {setting: [] for setting in lbr}
    chunks = [_both_seats(deals[start : start + DECKS_AT_ONCE]) for start in range(0, len(deals), DECKS_AT_ONCE)]
    for chunk in watched(chunks, f"{hero.name} against {villain.name}", len, progress):
        results = play(game, chunk, hero, villain)
        played += results
        for name, chips in _scores(game, results, aivat).items():
            won.setdefault(name, []).extend(chips)
        for setting, chips in reference.scores(chunk).items() if reference else ():
            references[setting] += chips
    return Evaluation(
        game=game,
        hero=hero,
        villain=villain,
        seed=seed,
        hands=tuple(played),
        seconds=time.monotonic() - started,
        values={name: _mbb(game, chips) for name, chips in won.items()},
        value_function=aivat.value_function if aivat else None,
        exact=exact_report(game, hero_table, villain) if game.name in SMALL_GAMES else None,
        references={setting: _mbb(game, chips) for setting, chips in references.items()},
        off_tree=np.array([watcher.leaves(hand) for hand in played]) if watcher else None,
    )


def _from_tables(player: Player) -> Player:
    """The same player, which finds its buckets in tables."""
    if not isinstance(player, CFRPlayer) or not isinstance(player.strategy, BlueprintStrategy):
        return player
    blueprint = player.strategy.blueprint
    tables = BucketTables.build(blueprint.abstraction)
    faster = BlueprintStrategy(blueprint, tables.lookup_range, tables.lookup)
    return CFRPlayer(player.name, faster, player.sha256)


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


def _mbb(game: Game, chips: Sequence[float]) -> np.ndarray:
    return 1000 / game.big_blind * np.array(chips)


def _both_seats(deals: list[Deal]) -> list[Deal]:
    return [seated for deal in deals for seated in (deal, deal.swapped())]


def _action(game: Game, decision: Decision) -> str:
    if decision.move is None:
        return "illegal"
    all_in = game.name == "holdem" and decision.aggressive and decision.move.to >= game.stack
    return "all-in" if all_in else decision.move.kind
