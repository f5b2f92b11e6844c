"""Deep CFR with external sampling: walks, memories, and networks that learn from them.

Brown, Lerer, Gross & Sandholm 2019, "Deep Counterfactual Regret Minimization", algorithms 1 and 2.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from poker_env.cfr.checkpoint import Checkpoint, Provenance, load_run
from poker_env.cfr.deep.game import DeepGame
from poker_env.cfr.deep.memory import Lesson, Memory, draw
from poker_env.cfr.deep.network import NetworkStrategy, PokerNetwork, apart, as_one, new_network
from poker_env.cfr.deep.traverse import Samples, Strategy, draw_coins, uniform, walk
from poker_env.cfr.mccfr import Identity
from poker_env.errors import UserError

PRIOR = 10
"""Samples that a node's pot counts as, in the scale of its advantages."""
RESUME_KIND = "deep_cfr in progress"


@dataclass(frozen=True)
class Plan:
    """How much of what."""

    walks: int
    """For each seat in each iteration."""
    steps: int
    """Of gradient descent, for each advantage network in each iteration."""
    final_steps: int
    """For the strategy network, at the end."""
    batch: int
    """Samples in a step."""
    width: int
    """Of the networks' layers."""
    capacity: int
    """Samples of each seat's advantages, and of what was played."""
    warm: bool = False
    """Whether an advantage network goes on from the last iteration's weights; else it starts anew, as in the paper."""
    learning_rate: float = 1e-3
    threshold: float = 0.0
    """Of what is played at the end, see `NetworkStrategy`."""


PLANS = {
    "kuhn": Plan(walks=300, steps=150, final_steps=2_000, batch=256, width=32, capacity=200_000),
    "leduc": Plan(walks=1_000, steps=300, final_steps=5_000, batch=512, width=64, capacity=1_000_000),
    "holdem": Plan(
        walks=6_000,
        steps=300,
        final_steps=40_000,
        batch=512,
        width=64,
        capacity=16_000_000,
        warm=True,
        threshold=0.2,
    ),
}


class DeepCFR:
    """An advantage network for each seat, and what the average strategy's network will learn from.

    In an iteration each seat in turn walks the tree, and learns its advantages from all its memory, sample of
    iteration t weighing t (linear CFR).
    """

    def __init__(self, game: DeepGame, plan: Plan, seed: int, device: torch.device) -> None:
        self.game, self.plan, self._device = game, plan, device
        self._rng = np.random.default_rng(seed)
        self.advantages = (self._new_memories(), self._new_memories())
        self.played = self._new_memories()
        self._met, self._squares = np.zeros((2, 2, len(game.stakes)))  # of hold'em, see `units`; by seat
        self._networks: list[PokerNetwork | None] = [None, None]
        self._strategies: list[Strategy] = [uniform(game), uniform(game)]
        self.iterations = 0
        self.decisions = 0
        """Visited on all walks."""

    def run(self, keep_going: Callable[[int], bool], limit: int | None = None) -> None:
        """Iterate while `keep_going(iterations done)`, which is asked before each, up to `limit` in all."""
        while (limit is None or self.iterations < limit) and keep_going(self.iterations):
            self._iterate()

    def _iterate(self) -> None:
        iteration = self.iterations + 1
        for seat in range(2):
            deals = self.game.deal(self.plan.walks, self._rng)
            coins = draw_coins(self.game, self.plan.walks, self._rng)
            found = walk(self.game, deals, coins, seat, (self._strategies[0], self._strategies[1]))
            self.decisions += found.decisions
            self._remember(self.advantages[seat], found.regrets, iteration)
            self._remember(self.played, found.played, iteration)
            lesson = self._lesson(self.advantages[seat], self.plan.steps)
            network = self._new_network(self._networks[seat] if self.plan.warm else None)
            self._learn(network, lesson, self.plan.steps, self._units(seat, found.regrets, lesson))
            self._networks[seat] = network
            self._strategies[seat] = NetworkStrategy(self.game, network, average=False)
        self.iterations = iteration

    def average_network(self, report: Callable[[float], None] = lambda share: None) -> PokerNetwork:
        """The average strategy's network, as logits of probabilities; `report` hears the share that is done.

        Raises `ValueError` before the first iteration.
        """
        if not self.iterations:
            raise ValueError("no iteration has been made")
        network = self._new_network()
        steps = self.plan.final_steps
        self._learn(network, self._lesson(self.played, steps), steps, None, report)
        return network

    def _new_network(self, like: PokerNetwork | None = None) -> PokerNetwork:
        network = new_network(self.game, self.plan.width, int(self._rng.integers(2**62)))
        if like is not None:
            network.load_state_dict(like.state_dict())
        return network.to(self._device)

    def _new_memories(self) -> list[Memory]:
        """One for each street, of equal size: most decisions are rivers', and before the flop each counts for many."""
        streets = self.game.n_streets
        shape = (self.plan.capacity // streets, self.game.deck.length, self.game.n_actions)
        return [Memory(*shape) for _ in range(streets)]

    def _remember(self, memories: Sequence[Memory], samples: Samples, iteration: int) -> None:
        streets = self.game.tree.street[samples.nodes]
        for street, memory in enumerate(memories):
            memory.add(samples.where(streets == street), iteration, self._rng)

    def _lesson(self, memories: Sequence[Memory], steps: int) -> Lesson:
        """What to look at in so many steps: samples at random, a batch for each.

        Small games' information states are few: one row for each, and each step looks at all of them if it can.
        """
        if self.game.config is not None:
            return draw(memories, steps * self.plan.batch, self._rng)
        lesson = Lesson.join([memory.lesson() for memory in memories if len(memory)]).merged()
        count = len(lesson.nodes)
        if count <= self.plan.batch:
            return lesson
        return lesson.take(self._rng.integers(count, size=steps * self.plan.batch))

    def _units(self, seat: int, samples: Samples, lesson: Lesson) -> np.ndarray:
        """The nodes' `units`: of all that was ever sampled, lately `samples`; in small games of the means to learn."""
        if self.game.config is None:
            met, squares = sizes(lesson.nodes, lesson.targets, len(self.game.stakes))
        else:
            lately = sizes(samples.nodes, samples.targets, len(self.game.stakes))
            self._met[seat] += lately[0]
            self._squares[seat] += lately[1]
            met, squares = self._met[seat], self._squares[seat]
        return units(met, squares, self.game.tree.contributions.sum(axis=1))

    def _learn(
        self,
        network: PokerNetwork,
        lesson: Lesson,
        steps: int,
        units: np.ndarray | None,
        report: Callable[[float], None] = lambda share: None,
    ) -> None:
        """Fit a network to a lesson: to advantages by squares, in the nodes' `units`; to probabilities, which have
        none, by cross-entropy."""
        weights_of_all = as_one(network)
        optimizer = torch.optim.Adam([weights_of_all], lr=self.plan.learning_rate, fused=True)
        scales = None if units is None else torch.from_numpy(units).to(self._device)
        batches = self._batches(lesson, steps)
        for step, (betting, cards, legal, targets, weights, nodes) in enumerate(batches):
            found = network(cards, betting)
            if scales is None:
                likely = functional.log_softmax(found.masked_fill(~legal, -torch.inf), dim=1)
                errors = -(targets * likely.masked_fill(~legal, 0)).sum(dim=1)
            else:
                errors = ((found - targets / scales[nodes, None]).masked_fill(~legal, 0) ** 2).sum(dim=1)
            optimizer.zero_grad(set_to_none=False)
            (weights * errors).mean().backward()
            torch.nn.utils.clip_grad_norm_([weights_of_all], 1.0)
            for group in optimizer.param_groups:  # down to nothing, so that the last batches don't shake it
                group["lr"] = self.plan.learning_rate * (1 - step / steps)
            optimizer.step()
            report((step + 1) / steps)
        apart(network)

    def _batches(self, lesson: Lesson, steps: int) -> Iterator[tuple[torch.Tensor, ...]]:
        """For each step betting, cards, legal actions, targets, weights and nodes: the next rows, or all there are."""

        def tensors(rows: slice) -> tuple[torch.Tensor, ...]:
            nodes = lesson.nodes[rows]
            parts = (
                self.game.betting[nodes],
                lesson.cards[rows].astype(np.int64),
                self.game.children[nodes] >= 0,
                lesson.targets[rows],
                lesson.weights[rows],
                nodes.astype(np.int64),
            )
            return tuple(torch.from_numpy(part).to(self._device) for part in parts)

        count, batch = len(lesson.nodes), self.plan.batch
        if count <= batch:
            yield from itertools.repeat(tensors(slice(None)), steps)
            return
        for start in range(0, count, batch):
            yield tensors(slice(start, start + batch))

    def save(self, path: Path, provenance: Provenance, identity: Identity) -> None:
        """Save the run so that `resume` goes on as if it had never stopped.

        `identity` is what a resumed run must have in common with it.
        """
        arrays = {"met": self._met, "squares": self._squares}
        for name, memory in self._memories().items():
            arrays |= {f"{name}/{column}": array for column, array in memory.to_arrays().items()}
        for seat, network in enumerate(self._networks):
            if network is not None:
                state = network.state_dict().items()
                arrays |= {f"network {seat}/{name}": tensor.cpu().numpy() for name, tensor in state}
        settings = {**identity, "random": self._rng.bit_generator.state, "decisions": self.decisions}
        Checkpoint(RESUME_KIND, self.game.game, provenance, settings, arrays).save(path, compress=False)

    def resume(self, path: Path, identity: Identity) -> Provenance:
        """Take up a saved run; raises `UserError` when its identity is another, or it isn't whole."""
        saved = load_run(path, RESUME_KIND, identity)
        try:
            for name, memory in self._memories().items():
                memory.restore(_part(saved.arrays, name))
            self._met[:], self._squares[:] = saved.arrays["met"], saved.arrays["squares"]
            for seat in range(2):
                self._restore_network(seat, _part(saved.arrays, f"network {seat}"))
            self._rng.bit_generator.state = saved.settings["random"]
        except (KeyError, ValueError, RuntimeError) as error:
            raise UserError(f"{path} holds no whole run: leave --resume out to start anew") from error
        self.iterations, self.decisions = saved.provenance.iterations, saved.settings["decisions"]
        return saved.provenance

    def _memories(self) -> dict[str, Memory]:
        kinds = {"advantages 0": self.advantages[0], "advantages 1": self.advantages[1], "played": self.played}
        return {
            f"{kind}, street {street}": memory for kind, each in kinds.items() for street, memory in enumerate(each)
        }

    def _restore_network(self, seat: int, arrays: Mapping[str, np.ndarray]) -> None:
        if not arrays:
            return
        network = new_network(self.game, self.plan.width, 0)
        network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
        network = network.to(self._device).requires_grad_(False)
        self._networks[seat], self._strategies[seat] = network, NetworkStrategy(self.game, network, average=False)


def sizes(nodes: np.ndarray, targets: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of so many nodes how often each is in `nodes` (n,), and the sum of its `targets` (n, actions) squared."""
    squares = np.einsum("ij,ij->i", targets, targets, dtype=np.float64)
    return np.bincount(nodes, minlength=count), np.bincount(nodes, squares, count)


def units(met: np.ndarray, squares: np.ndarray, pots: np.ndarray) -> np.ndarray:
    """(nodes,) float32, in chips: how large advantages are at each node, met so often, whose squares sum to `squares`.
    Where few were met, that is as large as its pot has them at most nodes.

    Networks learn advantages in this unit: matching regrets, nothing but their ratio at a node counts, and in chips
    the few nodes with large pots would be all that squared errors see.
    """
    often = met >= min(PRIOR, met.max())
    in_pots = np.median(squares[often] / met[often] / pots[often].astype(np.float64) ** 2)
    found = np.sqrt((squares + PRIOR * in_pots * pots.astype(np.float64) ** 2) / (met + PRIOR))
    return np.where(found > 0, found, 1).astype(np.float32)


def _part(arrays: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}
