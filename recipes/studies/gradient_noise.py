"""How many hands a policy gradient needs: its noise and what is learned, with luck taken out in one way or another.

`python recipes/bench.py variance` and `… learning`. The learner is the linear hero of `range_hero.py`, who starts as
an imitation of villain and keeps a floor under its probabilities. The figure that counts is the gradient noise scale
tr(Sigma)/|G|^2 (McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", section 2.2): the number of
hands at which a gradient's noise is as large as the gradient. Gradients are taken in the coordinates of
`range_hero.whitening`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console

from poker_env.cfr.abstraction.bucket_tables import BucketTables
from poker_env.cfr.blueprint import Blueprint
from poker_env.evaluation.estimates import Estimate, estimate
from poker_env.games import Game, make_deals
from poker_env.knowledge.control_variates import CreditAssigner, Switches
from poker_env.knowledge.critic import BlueprintCritic, CheckDownCritic, Critic, Lookup
from poker_env.knowledge.ranges import BlueprintRanges, Buckets
from poker_env.parallel import available_cores
from recipes.studies.linear_hero import FEATURES, SHAPE, SLOTS, RangeTable, imitate, whitening

RAW, VARIATES, EVERYTHING = "raw", "control variates", "all-action"
SETTINGS: dict[str, Switches] = {
    RAW: Switches(),
    "chance": Switches(chance=True),
    "range": Switches(range=True),
    "chance, range": Switches(chance=True, range=True),
    "critic": Switches(baseline=True),
    "critic, villain": Switches(baseline=True, villain=True),
    "critic, villain, hero": Switches(baseline=True, villain=True, hero=True),
    "critic, villain, hero, all-action": Switches(baseline=True, villain=True, hero=True, all_action=True),
    VARIATES: Switches(True, True, True, True, True, all_action=False),
    EVERYTHING: Switches(True, True, True, True, True, all_action=True),
}
"""What the noise is measured for; the last two have all switches on, but for all-action in the first of them."""
LEARNING_RATES = {EVERYTHING: 0.02, VARIATES: 0.006, RAW: 0.001}
"""Of the settings whose learning is shown: the best found for 20,000 hands, with another seed."""

FLOOR = 0.05
BATCH = 250
LESSONS, LEARNING, JUDGING = 0, 1, 1000  # seeds of deals; a learner's own number is added
BLOCK = 100  # hands of a sum whose sign the test of agreement flips


@dataclass(frozen=True)
class Plan:
    """How much to play."""

    lessons: int = 3_000
    """Hands of villain's self-play to imitate."""
    noise_hands: int = 20_000
    """Hands to measure the gradient's noise on; a multiple of 100."""
    milestones: tuple[int, ...] = (1_000, 3_000, 10_000, 30_000, 100_000)
    """Hands after which learners are judged; multiples of 250."""
    learners: int = 3
    """Seeds."""
    decks: int = 2_000
    """To judge a learner on, in both seats."""
    samples: int = 4
    """Of the critic, see `BlueprintCritic`."""
    jobs: int = 0
    """Processes; 0: one per core."""


@dataclass(frozen=True)
class Lab:
    """A villain and what there is to know of it."""

    game: Game
    table: RangeTable
    villain: BlueprintRanges
    lookup: Lookup
    samples: int

    @staticmethod
    def of(blueprint: Blueprint, lookup: Lookup, range_lookup: Buckets, samples: int) -> Lab:
        """The lab of a blueprint, with its buckets from the cards or from tables."""
        villain = BlueprintRanges(blueprint, range_lookup)
        return Lab(blueprint.game, RangeTable(blueprint.game, villain), villain, lookup, samples)

    def assigner(self, switches: Switches) -> CreditAssigner:
        """Credit with these switches: by the critic wherever it is asked about decisions, else by checking down."""
        critic: Critic = CheckDownCritic()
        if switches.villain or switches.values_decisions:
            critic = BlueprintCritic(self.villain.blueprint, self.lookup, self.samples)
        return CreditAssigner(self.game, self.villain, critic, switches)


@dataclass(frozen=True)
class Start:
    """The hero that gradients are measured at and learning starts from."""

    parameters: np.ndarray
    """SHAPE."""
    whitening: np.ndarray
    """See `range_hero.whitening`."""

    @staticmethod
    def imitating(lab: Lab, hands: int) -> Start:
        """After watching villain play against itself."""
        lessons = [lesson for deal in make_deals(lab.game, hands, LESSONS) for lesson in lab.table.lesson(deal)]
        parameters = imitate(lessons)
        return Start(parameters, whitening(parameters, [view for view, _ in lessons]))


@dataclass(frozen=True)
class Gradients:
    """Policy gradients of one setting, bb."""

    blocks: np.ndarray
    """(blocks, parameters): sums over `BLOCK` hands."""
    squares: float
    """Sum over hands of the squared norm."""
    credits: np.ndarray
    """(decisions,): what the action played was credited with."""

    @property
    def hands(self) -> int:
        """How many."""
        return BLOCK * len(self.blocks)

    @property
    def trace(self) -> float:
        """tr(Sigma) of a hand's gradient."""
        mean = self.blocks.sum(axis=0) / self.hands
        return (self.squares / self.hands - float(mean @ mean)) * self.hands / (self.hands - 1)

    @property
    def squared_mean(self) -> float:
        """|G|^2 of the mean gradient, without bias: may come out below 0 when there is too much noise."""
        mean = self.blocks.sum(axis=0) / self.hands
        return float(mean @ mean) - self.trace / self.hands


def measure(lab: Lab, start: Start, seed: int, first: int, hands: int) -> dict[str, Gradients]:
    """Gradients by setting, on deals `first` to `first + hands - 1` of a seed."""
    assigners = {name: lab.assigner(switches) for name, switches in SETTINGS.items()}
    blocks = {name: np.zeros((hands // BLOCK, SLOTS * FEATURES)) for name in SETTINGS}
    squares = dict.fromkeys(SETTINGS, 0.0)
    credits: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for index in range(hands):
        deal = make_deals(lab.game, 1, seed, start=first + index)[0]
        played = lab.table.play(start.parameters, FLOOR, deal)
        for name, assigner in assigners.items():
            credit = assigner.assign(played.deal, played.actions, played.payoff, played.choices)
            credits[name] += [decision.played / lab.game.big_blind for decision in credit.decisions]
            gradient = start.whitening @ played.gradient(credit, FLOOR).reshape(-1) / lab.game.big_blind
            blocks[name][index // BLOCK] += gradient
            squares[name] += float((gradient**2).sum())
    return {name: Gradients(blocks[name], squares[name], np.array(credits[name])) for name in SETTINGS}


def joined(parts: Iterable[Mapping[str, Gradients]]) -> dict[str, Gradients]:
    """The gradients of several runs of hands as one."""
    runs = list(parts)
    return {
        name: Gradients(
            np.concatenate([run[name].blocks for run in runs]),
            sum(run[name].squares for run in runs),
            np.concatenate([run[name].credits for run in runs]),
        )
        for name in runs[0]
    }


def disagreement(own: Gradients, raw: Gradients, flips: int = 2_000) -> float:
    """The p-value of a mean gradient's distance from raw's, were their expectations the same.

    It is the share of `flips` random choices of sign for each block's difference whose sum is as long.
    """
    differences = own.blocks - raw.blocks
    length = float((differences.sum(axis=0) ** 2).sum())
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (flips, len(differences)))
    flipped = ((signs @ differences) ** 2).sum(axis=1)
    return float(np.mean(flipped >= length * (1 - 1e-9)))


def excess(own: Gradients, raw: Gradients, best: Gradients) -> tuple[float, float]:
    """How much longer a mean gradient is than raw's along the gradient, in lengths of it, and the 95 % half-width.

    `best` says where the gradient points. Each half of the hands is projected on the mean of the other half, or else
    its own noise would count as length.
    """
    directions = np.empty_like(best.blocks)
    directions[0::2], directions[1::2] = best.blocks[1::2].sum(axis=0), best.blocks[0::2].sum(axis=0)
    length = float((directions * best.blocks).sum())
    longer = (directions * (own.blocks - raw.blocks)).sum(axis=1) / length
    return float(longer.sum()), 1.96 * float(longer.std()) * len(longer) ** 0.5


def learn(lab: Lab, setting: str, start: Start, seed: int, plan: Plan) -> list[np.ndarray]:
    """Plain stochastic gradient ascent: the parameters at each milestone."""
    assigner, parameters = lab.assigner(SETTINGS[setting]), start.parameters
    steps = LEARNING_RATES[setting] / BATCH * start.whitening @ start.whitening
    found = []
    for batch in range(plan.milestones[-1] // BATCH):
        gradient = np.zeros(SHAPE)
        for deal in make_deals(lab.game, BATCH, LEARNING + seed, start=batch * BATCH):
            played = lab.table.play(parameters, FLOOR, deal)
            credit = assigner.assign(deal, played.actions, played.payoff, played.choices)
            gradient += played.gradient(credit, FLOOR) / lab.game.big_blind
        parameters = parameters + (steps @ gradient.reshape(-1)).reshape(SHAPE)
        if (batch + 1) * BATCH in plan.milestones:
            found.append(parameters)
    return found


def judge(lab: Lab, parameters: np.ndarray, seed: int, decks: int) -> np.ndarray:
    """(decks,): mbb/hand the hero wins without its floor, each deck in both seats, with the luck taken out."""
    assigner = lab.assigner(SETTINGS[VARIATES])
    won = np.zeros(decks)
    for index, deal in enumerate(make_deals(lab.game, decks, JUDGING + seed)):
        for seated in (deal, deal.swapped()):
            played = lab.table.play(parameters, 0.0, seated)
            credit = assigner.assign(seated, played.actions, played.payoff, played.choices)
            won[index] += 1000 / lab.game.big_blind * (credit.value - assigner.luck_of_the_deal(seated)) / 2
    return won


@dataclass(frozen=True)
class Curves:
    """What was learned."""

    start: Estimate
    """The hero that learning starts from, mbb/hand without its floor."""
    by_setting: dict[str, list[tuple[int, list[float], Estimate]]]
    """For each milestone: hands, each learner's mbb/hand, and all learners' mean with its interval over decks."""


def gradients(blueprint: Blueprint, plan: Plan) -> dict[str, Gradients]:
    """Gradients of an imitation of villain with each of `SETTINGS`, on the same hands, in several processes."""
    with _processes(blueprint, plan) as pool:
        start = pool.submit(_imitate).result()
        chunks = range(0, plan.noise_hands, 20 * BLOCK)
        return joined(part.result() for part in [pool.submit(_measure, start, first) for first in chunks])


def learning_curves(blueprint: Blueprint, plan: Plan) -> Curves:
    """What learners who start as that imitation win after so many hands, in several processes."""
    console, seeds = Console(stderr=True, soft_wrap=True), range(plan.learners)
    with _processes(blueprint, plan) as pool:
        start = pool.submit(_imitate).result()
        untrained = [pool.submit(_judge, start.parameters, seed) for seed in seeds]
        learned = {name: [pool.submit(_learn_and_judge, name, start, s) for s in seeds] for name in LEARNING_RATES}
        judged_start = _pooled([future.result() for future in untrained])[1]
        curves = {}
        for name, futures in learned.items():
            by_milestone = zip(*(future.result() for future in futures), strict=True)
            curves[name] = [
                (hands, *_pooled(judged)) for hands, judged in zip(plan.milestones, by_milestone, strict=True)
            ]
            told = ", ".join(f"{found.mbb_per_hand:+.0f} by {hands:,}" for hands, _, found in curves[name])
            console.print(f"{name}: from {judged_start.mbb_per_hand:+.0f} to {told} hands")
    return Curves(judged_start, curves)


def _processes(blueprint: Blueprint, plan: Plan) -> ProcessPoolExecutor:
    BucketTables.build(blueprint.abstraction, progress=True)  # once, before the processes need them
    return ProcessPoolExecutor(plan.jobs or available_cores(), initializer=_open, initargs=(blueprint, plan))


_lab: Lab
_plan: Plan


def _open(blueprint: Blueprint, plan: Plan) -> None:
    global _lab, _plan
    tables = BucketTables.build(blueprint.abstraction)
    _lab, _plan = Lab.of(blueprint, tables.lookup, tables.lookup_range, plan.samples), plan


def _imitate() -> Start:
    return Start.imitating(_lab, _plan.lessons)


def _measure(start: Start, first: int) -> dict[str, Gradients]:
    return measure(_lab, start, LESSONS, _plan.lessons + first, min(20 * BLOCK, _plan.noise_hands - first))


def _judge(parameters: np.ndarray, seed: int) -> np.ndarray:
    return judge(_lab, parameters, seed, _plan.decks)


def _learn_and_judge(setting: str, start: Start, seed: int) -> list[np.ndarray]:
    return [_judge(found, seed) for found in learn(_lab, setting, start, seed, _plan)]


def _pooled(judged: Sequence[np.ndarray]) -> tuple[list[float], Estimate]:
    """Each learner's mean and all learners' estimate: they are judged on decks of their own."""
    decks = np.concatenate(judged)
    return [float(won.mean()) for won in judged], estimate(decks.tolist(), 2 * len(decks))


def plot(curves: Curves, path: Path) -> None:
    """Learning curves, each setting's learners and their mean."""
    figure, axes = plt.subplots(figsize=(7, 4.5))
    for name, curve in curves.by_setting.items():
        hands = [milestone for milestone, _, _ in curve]
        means = [found.mbb_per_hand for _, _, found in curve]
        errors = [found.half_width or 0.0 for _, _, found in curve]
        line = axes.errorbar(hands, means, errors, marker="o", capsize=3, label=name)[0]
        for learner in range(len(curve[0][1])):
            axes.plot(hands, [won[learner] for _, won, _ in curve], color=line.get_color(), linewidth=0.6, alpha=0.6)
    axes.axhline(curves.start.mbb_per_hand, color="grey", linestyle=":", label="start: imitation of villain")
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set(xscale="log", xlabel="hands played", ylabel="mbb/hand (95 % intervals over decks)")
    axes.legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
