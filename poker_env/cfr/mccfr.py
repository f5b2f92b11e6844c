"""Monte Carlo CFR on all cores: external sampling, linear weights, the same result for the same seed and cores."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numba import njit

from poker_env.cfr.checkpoint import Checkpoint, Provenance, load_run
from poker_env.cfr.traverse import compile_tree, traverse
from poker_env.cfr.tree import BettingTree
from poker_env.errors import UserError
from poker_env.games import Game

Dealer = Callable[[int, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(how many deals, the generator's state) -> buckets (deals, 2, streets), winners (deals,): see `traverse`."""

Identity = Mapping[str, str | int | float]
"""What sets a run apart from others, by the name users know it by: JSON values."""

FIRST_ROUND = 8_192
DEALS_PER_CALL = 16_384
RESUME_KIND = "mccfr in progress"


class Solver:
    """Regrets and average strategy of one game, and the rounds that improve them.

    In a round each worker walks its share of the deals on its own copy of the regrets; at its end the changes are
    averaged in a fixed order, so threads never race (added up instead, hot nodes overshoot). Rounds grow with the
    iterations done. Between rounds everything is discounted such that iteration t weighs t, in the regrets and in the
    average strategy (linear CFR: Brown & Sandholm 2019, "Solving Imperfect-Information Games via Discounted Regret
    Minimization", section 3).
    """

    def __init__(
        self,
        tree: BettingTree,
        buckets: tuple[int, ...],
        deal: Dealer,
        unit: float,
        seed: int,
        tremble: float = 0.0,
        workers: int = 1,
    ) -> None:
        """`buckets` counts them by street; `unit` is the number of chips that regrets are measured in.

        Raises `UserError` when that needs more memory than there is.
        """
        self.tree, self.buckets = tree, buckets
        self.offsets, self.n_entries = tree.offsets(buckets)
        require_memory(self.n_entries, workers)
        self._deal, self._tremble = deal, tremble
        self._nodes, stakes = compile_tree(tree, self.offsets)
        self._stakes = (stakes / unit).astype(np.float32)
        self.regrets = np.zeros(self.n_entries, np.float32)
        self.sums = np.zeros(self.n_entries, np.float32)
        self._worker_regrets = np.zeros((workers, self.n_entries), np.float32)
        self._worker_sums = np.zeros((workers, self.n_entries), np.float32)
        self._random = np.random.SeedSequence(seed).generate_state(workers, np.uint64).reshape(workers, 1) | np.uint64(
            1
        )
        self.iterations = 0
        self.nodes_visited = 0

    @property
    def workers(self) -> int:
        """Threads."""
        return len(self._random)

    def run(self, keep_going: Callable[[int], bool], limit: int | None = None) -> None:
        """Solve while `keep_going(iterations done)`, which is asked after every round, up to `limit` in all.

        An iteration is one walk of the tree for one seat; every deal makes two, so `limit` is rounded up to be even.
        """
        with ThreadPoolExecutor(self.workers) as pool:
            while (limit is None or self.iterations < limit) and keep_going(self.iterations):
                self._round(pool, limit)

    def _round(self, pool: ThreadPoolExecutor, limit: int | None) -> None:
        largest = max(65_536 * self.workers, self.n_entries // 32)  # merging costs time in proportion to the entries
        deals = min(max(FIRST_ROUND, self.iterations // 8), largest)
        if limit is not None:
            deals = min(deals, (limit - self.iterations + 1) // 2)
        # Weighting the past down by T / (T + this round's iterations) is weighting this round up by the reverse.
        kept = self.iterations / (self.iterations + 2 * deals)
        shares = np.diff(np.linspace(0, deals, self.workers + 1).astype(int)).tolist()
        edges = np.linspace(0, self.n_entries, self.workers + 1).astype(int).tolist()
        slices = list(itertools.pairwise(edges))
        list(pool.map(lambda part: _begin_round(self.regrets, self.sums, self._worker_regrets, kept, *part), slices))
        self.nodes_visited += sum(pool.map(self._work, range(self.workers), shares))
        list(
            pool.map(
                lambda part: _end_round(self.regrets, self.sums, self._worker_regrets, self._worker_sums, *part),
                slices,
            )
        )
        self.iterations += 2 * deals

    def _work(self, worker: int, deals: int) -> int:
        visited, random_state = 0, self._random[worker]
        regrets, sums = self._worker_regrets[worker], self._worker_sums[worker]
        while deals > 0:
            buckets, winners = self._deal(min(deals, DEALS_PER_CALL), random_state)
            visited += traverse(
                self._nodes, self._stakes, buckets, winners, regrets, sums, self._tremble, random_state
            )
            deals -= len(winners)
        return visited

    def average_strategy(self) -> np.ndarray:
        """The average strategy, (n_entries,) float32: where it has never been, the current one by regret matching."""
        return _average(self.tree.n_actions, self.offsets, self._buckets_by_node(), self.sums, self.regrets)

    def _buckets_by_node(self) -> np.ndarray:
        return np.array(self.buckets, np.int64)[self.tree.street]

    def save(
        self,
        path: Path,
        game: Game,
        provenance: Provenance,
        identity: Identity,
        others: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Save the run so that `resume` goes on as if it had never stopped.

        `identity` is what a resumed run must have in common with it; `others` are arrays that go into the same file.
        """
        arrays = {"regrets": self.regrets, "sums": self.sums, "random": self._random, **(others or {})}
        Checkpoint(RESUME_KIND, game, provenance, dict(identity), arrays).save(path, compress=False)

    def resume(self, path: Path, identity: Identity) -> Provenance:
        """Take up a saved run; raises `UserError` when its identity is another."""
        saved = load_run(path, RESUME_KIND, identity)
        self.regrets[:], self.sums[:] = saved.arrays["regrets"], saved.arrays["sums"]
        self._random[:] = saved.arrays["random"]
        self.iterations = saved.provenance.iterations
        return saved.provenance


def require_memory(n_entries: int, workers: int) -> None:
    """Raise `UserError` when solving needs more memory than the machine has free."""
    needed = 8 * n_entries * (1 + workers)
    free = _free_memory()
    if needed > free or n_entries >= 2**31:
        raise UserError(
            f"{n_entries:,} entries on {workers} cores need {needed / 2**30:.1f} GiB of memory and "
            f"{free / 2**30:.1f} GiB are free: take fewer buckets, sizes or cores"
        )


def _free_memory() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@njit(cache=True, nogil=True)
def _begin_round(
    regrets: np.ndarray, sums: np.ndarray, worker_regrets: np.ndarray, kept: float, start: int, stop: int
) -> None:
    """Discount the past, and hand every worker a copy of the regrets."""
    for entry in range(start, stop):
        regrets[entry] *= kept
        sums[entry] *= kept
        for worker in range(len(worker_regrets)):
            worker_regrets[worker, entry] = regrets[entry]


@njit(cache=True, nogil=True)
def _end_round(
    regrets: np.ndarray,
    sums: np.ndarray,
    worker_regrets: np.ndarray,
    worker_sums: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Average what the workers changed in the regrets, add up what they played."""
    for entry in range(start, stop):
        before = regrets[entry]
        regret, added = before, np.float32(0)
        for worker in range(len(worker_regrets)):
            regret += (worker_regrets[worker, entry] - before) / len(worker_regrets)
            added += worker_sums[worker, entry]
            worker_sums[worker, entry] = 0
        regrets[entry] = regret
        sums[entry] += added


@njit(cache=True)
def _average(
    n_actions: np.ndarray, offsets: np.ndarray, buckets: np.ndarray, sums: np.ndarray, regrets: np.ndarray
) -> np.ndarray:
    strategy = np.empty(len(sums), np.float32)
    for node in range(len(n_actions)):
        count = n_actions[node]
        for bucket in range(buckets[node] if count else 0):
            entry = offsets[node] + bucket * count
            total, positive = 0.0, 0.0
            for action in range(count):
                total += sums[entry + action]
                positive += max(regrets[entry + action], np.float32(0))
            for action in range(count):
                if total > 0:
                    strategy[entry + action] = sums[entry + action] / total
                elif positive > 0:
                    strategy[entry + action] = max(regrets[entry + action], np.float32(0)) / positive
                else:
                    strategy[entry + action] = 1.0 / count
    return strategy
