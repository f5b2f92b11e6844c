"""Kuhn and Leduc, solved by OpenSpiel's own full-width CFR."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyspiel

from poker_env.cfr.checkpoint import Checkpoint, Provenance
from poker_env.errors import UserError
from poker_env.games import Game
from poker_env.state import Observation

SOLVERS = {"cfr": pyspiel.CFRSolver, "cfr+": pyspiel.CFRPlusSolver}
KIND = "tabular"


@dataclass(frozen=True)
class TabularStrategy:
    """A behaviour strategy: for each of OpenSpiel's information-state strings, a probability for each legal action."""

    table: Mapping[str, Mapping[int, float]]

    def policies(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        """For each observation, the probability of each legal action."""
        return [dict(self.table[observation.infoset]) for observation in observations]

    def exploitability(self, game: Game) -> float:
        """NashConv / 2, in chips per hand, by OpenSpiel's exact best response."""
        return pyspiel.exploitability(game.spiel, {state: list(row.items()) for state, row in self.table.items()})

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Information states, sorted, and a row of float32 probabilities by action id for each."""
        states = sorted(self.table)
        probabilities = np.full((len(states), 1 + max(max(row) for row in self.table.values())), -1, np.float32)
        for index, state in enumerate(states):
            for action, probability in self.table[state].items():
                probabilities[index, action] = probability
        return {"states": np.array(states), "probabilities": probabilities}

    @staticmethod
    def from_checkpoint(checkpoint: Checkpoint) -> TabularStrategy:
        """The strategy of a Kuhn or Leduc checkpoint; raises `UserError` when it isn't one of the whole game."""
        try:
            states, probabilities = checkpoint.arrays["states"], checkpoint.arrays["probabilities"].astype(np.float64)
            table = {
                str(state): {action: float(row[action]) for action in np.flatnonzero(row >= 0).tolist()}
                for state, row in zip(states, probabilities, strict=True)
            }
            for state, actions in information_states(checkpoint.game):
                if sorted(table[state]) != actions or abs(sum(table[state].values()) - 1) > 1e-3:
                    raise ValueError(state)
        except (KeyError, ValueError) as error:
            raise UserError(f"the checkpoint holds no strategy for all of {checkpoint.game}: {error}") from error
        return TabularStrategy({state: _normalised(row) for state, row in table.items()})


def _normalised(row: Mapping[int, float]) -> dict[int, float]:
    total = sum(row.values())
    return {action: probability / total for action, probability in row.items()}


def information_states(game: Game) -> Iterator[tuple[str, list[int]]]:
    """Every information state of a small game with its legal actions, each once."""
    seen: set[str] = set()
    for state in _decision_states(game.spiel.new_initial_state()):
        name = state.information_state_string()
        if name not in seen:
            seen.add(name)
            yield name, state.legal_actions()


def _decision_states(state: pyspiel.State) -> Iterator[pyspiel.State]:
    if state.is_terminal():
        return
    if not state.is_chance_node():
        yield state
    for action in state.legal_actions():
        yield from _decision_states(state.child(action))


def solve_exactly(game: Game, algorithm: str, keep_going: Callable[[int], bool]) -> tuple[TabularStrategy, int]:
    """Run `cfr` or `cfr+` while `keep_going(iterations done)`; the average strategy and the iterations it took."""
    solver = SOLVERS[algorithm](game.spiel)
    iterations = 0
    while iterations == 0 or keep_going(iterations):
        solver.evaluate_and_update_policy()
        iterations += 1
    average = solver.average_policy()
    table = {name: average.get_state_policy(name) for name, _ in information_states(game)}
    return TabularStrategy({name: _normalised(dict(row)) for name, row in table.items()}), iterations


def exact_checkpoint(game: Game, strategy: TabularStrategy, provenance: Provenance) -> Checkpoint:
    """What to save of a solved small game."""
    settings = {"exploitability": strategy.exploitability(game), "infosets": len(strategy.table)}
    return Checkpoint(KIND, game, provenance, settings, strategy.to_arrays())
