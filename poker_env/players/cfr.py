"""Players that play a solved strategy from a checkpoint, at its game's tables or, by translation, near them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from poker_env.cfr import blueprint as blueprints
from poker_env.cfr import full_width
from poker_env.cfr.abstraction.bucket_tables import BucketTables
from poker_env.cfr.blueprint import Blueprint
from poker_env.cfr.checkpoint import file_sha256, load_checkpoint
from poker_env.cfr.playing.blueprint_strategy import BlueprintStrategy
from poker_env.cfr.playing.river_strategy import RiverStrategy
from poker_env.errors import UserError
from poker_env.games import Game
from poker_env.hand import Answer
from poker_env.players.base import Player, draw
from poker_env.state import Observation

OPPONENTS = Path(str(files("poker_env") / "opponents"))
"""Checkpoints shipped with the package: `GAME.npz`, the default `cfr`, and `GAME-NAME.npz`, `cfr:NAME`, or a network's
`GAME-NAME.pt`."""

NETWORK_SUFFIX = ".pt"


class Strategy(Protocol):
    """What a checkpoint gives: probabilities for decisions."""

    def policies(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        """For each observation, the probability of each action that has any, by OpenSpiel's id."""
        ...


@runtime_checkable
class RangeStrategy(Strategy, Protocol):
    """One that also answers for every holding at once."""

    def range_policy(self, observation: Observation) -> tuple[tuple[int, ...], np.ndarray]:
        """Actions, and their probabilities (1326, actions), see `BlueprintStrategy`."""
        ...


class CFRPlayer:
    """Samples its answers from a solved strategy, with each observation's coin."""

    draws_from_policy: Literal[True] = True

    def __init__(self, name: str, strategy: Strategy, sha256: str) -> None:
        self.name = name
        self.strategy = strategy
        self.sha256 = sha256
        """Of the checkpoint file."""

    def act(self, observations: Sequence[Observation]) -> list[Answer]:
        """One answer per observation."""
        policies = self.strategy.policies(observations)
        return [
            Answer(draw(policy, observation.coin)) for policy, observation in zip(policies, observations, strict=True)
        ]

    def policy(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        """For each observation, the probability of each action, by OpenSpiel's id."""
        return self.strategy.policies(observations)

    @property
    def blueprint(self) -> Blueprint | None:
        """The blueprint behind it, whether or not it solves the river again; None of a table or a network."""
        if isinstance(self.strategy, RiverStrategy):
            return self.strategy.blueprint.blueprint
        return self.strategy.blueprint if isinstance(self.strategy, BlueprintStrategy) else None

    @property
    def resolves_river(self) -> bool:
        """Whether it solves the river again at the table."""
        return isinstance(self.strategy, RiverStrategy)

    def with_tables(self) -> CFRPlayer:
        """The same player, which finds its blueprint's buckets in `BucketTables`."""
        if self.blueprint is None:
            return self
        tables = BucketTables.build(self.blueprint.abstraction)
        faster = BlueprintStrategy(self.blueprint, tables.lookup_range, tables.lookup)
        return CFRPlayer(self.name, RiverStrategy(faster) if self.resolves_river else faster, self.sha256)

    def range_policy(self, observation: Observation) -> tuple[tuple[int, ...], np.ndarray]:
        """Hold'em: actions, and their probabilities (1326, actions) for every holding, see `BlueprintStrategy`."""
        if not isinstance(self.strategy, RangeStrategy):
            raise TypeError(f"{self.name} plays {observation.game}: only hold'em has ranges")
        return self.strategy.range_policy(observation)


def load_cfr_player(game: Game, spec_argument: str | None, resolve_river: bool = False) -> CFRPlayer:
    """The player of the spec `cfr` (None: the opponent shipped for the game), `cfr:NAME` (shipped) or `cfr:PATH`.

    A path that ends in `.pt` is a network's. With `resolve_river` the river is solved again at the table. Raises
    `UserError` when there is no such checkpoint, it is damaged, or solved for another game or other stakes, or there
    is no blueprint to re-solve the river of.
    """
    path = _find(game, spec_argument)
    solved, strategy = _load_network(path) if path.suffix == NETWORK_SUFFIX else _load_solution(path)
    if solved != game:
        stakes = f"use --game {solved}, or " if solved.name == game.name else ""
        raise UserError(f"{path} is a strategy for {solved}, not for {game}: {stakes}solve one with recipes/solve.py")
    name = f"cfr:{spec_argument}" if spec_argument else "cfr"
    if resolve_river:
        if not isinstance(strategy, BlueprintStrategy):
            lacking = f"{name} is a network" if game.name == "holdem" else f"{game} has none"
            raise UserError(f"{name}+river re-solves the river, but {lacking}: take {name}")
        name, strategy = f"{name}+river", RiverStrategy(strategy)
    return CFRPlayer(name, strategy, file_sha256(path))


def shipped_names(game: Game) -> list[str]:
    """The names that `cfr:NAME` knows for a game."""
    return sorted(_shipped(game))


def _shipped(game: Game) -> dict[str, Path]:
    files = (path for path in OPPONENTS.glob(f"{game.name}-*") if path.suffix in (".npz", NETWORK_SUFFIX))
    return {path.stem.removeprefix(f"{game.name}-"): path for path in files}


def valuing_blueprint(game: Game, player: Player) -> tuple[str, Blueprint] | None:
    """The blueprint that is to value hands of a player whose policy is known, with its player's name.

    A CFR player's own, or for a network the one shipped for the same stakes; None where there is none. Values may come
    from anybody, they only cost variance: see `poker_env.knowledge.critic`.
    """
    if game.name != "holdem" or not isinstance(player, CFRPlayer):
        return None
    return (player.name, player.blueprint) if player.blueprint is not None else _shipped_blueprint(game)


@cache
def _shipped_blueprint(game: Game) -> tuple[str, Blueprint] | None:
    """The first that ships for a game's stakes, with its player's name: read once, however many ask."""
    for name in (None, *shipped_names(game)):
        try:
            shipped = load_cfr_player(game, name)
        except UserError:  # for other stakes
            continue
        if shipped.blueprint is not None:
            return shipped.name, shipped.blueprint
    return None


def _find(game: Game, argument: str | None) -> Path:
    if argument is None:
        return OPPONENTS / f"{game.name}.npz"
    path = _shipped(game).get(argument) or Path(argument)
    if not path.is_file():
        names = ", ".join(f"cfr:{name}" for name in shipped_names(game))
        raise UserError(f"no checkpoint at {path}; shipped for {game.name}: cfr{', ' if names else ''}{names}")
    return path


def _load_solution(path: Path) -> tuple[Game, Strategy]:
    """What recipes/solve.py wrote: the game, and how it is played."""
    checkpoint = load_checkpoint(path)
    if checkpoint.kind == full_width.KIND:
        return checkpoint.game, full_width.TabularStrategy.from_checkpoint(checkpoint)
    if checkpoint.kind == blueprints.KIND:
        return checkpoint.game, BlueprintStrategy(Blueprint.from_checkpoint(checkpoint))
    raise UserError(f"{path} holds a {checkpoint.kind!r}, no strategy to play: give recipes/solve.py's --output")


def _load_network(path: Path) -> tuple[Game, Strategy]:
    """What is kept in PyTorch's format: the game, and how it is played."""
    try:  # torch: for those who open such a file
        from poker_env.cfr.deep import checkpoint as networks
        from poker_env.cfr.playing.network_strategy import strategy_of
        from poker_env.pokerbot import opponent_file as pokerbot
    except ImportError as error:
        raise UserError(f"{path} is a network, which takes torch: pip install 'exploitative-poker[train]'") from error
    try:
        record = networks.read_record(path)
    except UserError as error:
        if pokerbot.is_original(path):
            raise UserError(
                f"{path} is no player: python recipes/convert.py opponent {path} NEW.pt makes one of an earlier bot's"
            ) from error
        raise
    if record["kind"] == pokerbot.KIND:
        return pokerbot.load_opponent(path, record)
    if record["kind"] != networks.KIND:
        raise UserError(f"{path} holds a {record['kind']!r}, no strategy to play: give recipes/solve.py's --output")
    checkpoint = networks.NetworkCheckpoint.from_record(record, path)
    return checkpoint.game, strategy_of(checkpoint)
