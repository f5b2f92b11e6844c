"""Players of other people's: each answer is checked, and whoever gave a wrong one is named.

Such a player is made by a class or function of the game. It has one of these methods, each of which says more than the
one before; observations are `poker_env.state.Observation`, actions are OpenSpiel's ids:

    act(observations) -> list[Answer]                          what it does
    policy(observations) -> list[{action: probability}]        what it draws that from
    range_policy(observation) -> actions, (1326, actions)      hold'em: the same for every holding, whatever `hole` is

Who has no `act` draws from its `policy`, who has no `policy` looks up its holding's row of its `range_policy`. Where
there are several they must say the same: estimators go by what a player knows of itself.
"""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from poker_env.cards.holdings import HOLDINGS, N_HOLDINGS, holding_index
from poker_env.cfr.checkpoint import file_sha256
from poker_env.errors import UserError
from poker_env.games import HOLDEM_CARDS, Game
from poker_env.hand import Answer
from poker_env.players.base import Player, draw
from poker_env.plugins import failure, line_of
from poker_env.state import Observation

METHODS = ("act", "policy", "range_policy")


def checked(name: str, player: Any, game: Game) -> Player:
    """A player of somebody else's, under the `name` by which it was asked for.

    Raises `UserError` when it has none of the three methods, or knows ranges of a game that has none.
    """
    has = [method for method in METHODS if callable(getattr(player, method, None))]
    if not has:
        raise UserError(f"player {name!r} is a {type(player).__name__} without act, policy or range_policy: add one")
    if has == ["range_policy"] and game.name != "holdem":
        raise UserError(f"player {name!r} has range_policy alone, and {game} has no ranges: add policy to it")
    if "range_policy" in has and game.name == "holdem":
        return CheckedRangePlayer(name, player)
    return CheckedPlayer(name, player) if has == ["act"] else CheckedPolicyPlayer(name, player)


class CheckedPlayer:
    """Knows what it does. Every method raises `UserError` for what it says wrongly, and when it fails."""

    def __init__(self, name: str, player: Any) -> None:
        self.name = name
        self.sha256 = _sha256_of(player)
        """Of the file that its class is in; None where there is none."""
        self._player = player

    def act(self, observations: Sequence[Observation]) -> list[Answer]:
        """One answer per observation."""
        answers: list[Answer] = self._ask("act", "a list of Answers", observations)
        for answer, observation in zip(answers, observations, strict=True):
            if not isinstance(answer, Answer):
                raise self._wrong("act", answer, "a list of poker_env.hand.Answer")
            if answer.action is not None:
                self._require_legal("act", answer.action, observation)
        return answers

    def _ask(self, method: str, form: str, observations: Sequence[Observation]) -> list[Any]:
        """What the method says of observations, as many as they are."""
        said = self._call(method, observations)
        if isinstance(said, str | bytes | Mapping) or not isinstance(said, Sequence) or len(said) != len(observations):
            raise self._wrong(method, said, f"{form}, one for each of {len(observations)} observations")
        return list(said)

    def _call(self, method: str, argument: Any) -> Any:
        try:
            return getattr(self._player, method)(argument)
        except (Exception, SystemExit) as error:
            raise UserError(f"player {self.name!r} failed in {method} {line_of(error)}: {failure(error)}") from error

    def _require_legal(self, method: str, action: Any, observation: Observation) -> None:
        if isinstance(action, int | np.integer) and observation.is_legal(int(action)):
            return
        raises = f", or a raise to {observation.min_raise_to} to {observation.game.stack} chips"
        legal = f"{', '.join(map(str, observation.legal))}{raises if observation.min_raise_to is not None else ''}"
        cards = " ".join((*observation.hole, *observation.board))
        raise self._wrong(method, action, f"with {cards} after {len(observation.moves)} moves one of {legal}")

    def _wrong(self, method: str, said: Any, right: str) -> UserError:
        return UserError(f"player {self.name!r} returned {reprlib.repr(said)} from {method}: return {right}")


class CheckedPolicyPlayer(CheckedPlayer):
    """Knows what it draws its actions from, too."""

    draws_from_policy: Literal[True] = True

    def act(self, observations: Sequence[Observation]) -> list[Answer]:
        """One answer per observation, drawn from its policy where it doesn't say itself."""
        if hasattr(self._player, "act"):
            return super().act(observations)
        policies = zip(self.policy(observations), observations, strict=True)
        return [Answer(draw(policy, observation.coin)) for policy, observation in policies]

    def policy(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        """For each observation, the probability of each action that has any, by OpenSpiel's id."""
        said = self._ask("policy", "a list of dicts, action: probability", observations)
        return [self._checked(policy, seen) for policy, seen in zip(said, observations, strict=True)]

    def _checked(self, policy: Any, observation: Observation) -> dict[int, float]:
        if not isinstance(policy, Mapping) or not all(map(_is_probability, policy.values())):
            raise self._wrong("policy", policy, "dicts of actions and their probabilities, 0 to 1")
        if abs(sum(policy.values()) - 1) > 1e-6:
            raise self._wrong("policy", policy, f"probabilities that sum to 1, not to {sum(policy.values()):.6g}")
        for action in policy:
            self._require_legal("policy", action, observation)
        return {int(action): float(probability) for action, probability in policy.items()}


class CheckedRangePlayer(CheckedPolicyPlayer):
    """Knows what it would do with every holding."""

    def policy(self, observations: Sequence[Observation]) -> list[dict[int, float]]:
        """For each observation, the probability of each action that has any, by OpenSpiel's id."""
        if hasattr(self._player, "policy"):
            return super().policy(observations)
        policies = []
        for observation in observations:
            actions, probabilities = self.range_policy(observation)
            low, high = sorted(HOLDEM_CARDS.index(card) for card in observation.hole)
            policies.append(dict(zip(actions, probabilities[holding_index(low, high)].tolist(), strict=True)))
        return policies

    def range_policy(self, observation: Observation) -> tuple[tuple[int, ...], np.ndarray]:
        """Actions, and their probabilities (1326, actions) for every holding; those on the board mean nothing."""
        said = self._call("range_policy", observation)
        form = f"actions and an array ({N_HOLDINGS}, actions) of their probabilities"
        try:
            actions, probabilities = said
            actions, probabilities = tuple(actions), np.asarray(probabilities, np.float64)
        except (TypeError, ValueError) as error:
            raise self._wrong("range_policy", said, form) from error
        if probabilities.shape != (N_HOLDINGS, len(actions)):
            raise self._wrong("range_policy", said, f"{form}, not {probabilities.shape} for {len(actions)} actions")
        for action in actions:
            self._require_legal("range_policy", action, observation)
        board = [HOLDEM_CARDS.index(card) for card in observation.board]
        live = probabilities[~np.isin(HOLDINGS, board).any(axis=1)]
        if not (np.isfinite(live).all() and (live >= 0).all() and (abs(live.sum(axis=1) - 1) < 1e-6).all()):
            raise self._wrong("range_policy", said, f"{form}, 0 to 1, that sum to 1 for each holding")
        return tuple(map(int, actions)), probabilities


def make_checked(name: str, maker: Callable[..., Any], game: Game, *argument: str) -> Player:
    """The player that somebody else's class or function makes of the game and, if there is any, an argument.

    Raises `UserError` when that fails, or what it makes is no player, see `checked`.
    """
    try:
        made = maker(game, *argument)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"player {name!r} can't be made {line_of(error)}: {failure(error)}") from error
    return checked(name, made, game)


def _is_probability(number: Any) -> bool:
    return isinstance(number, int | float | np.integer | np.floating) and bool(-1e-9 <= number <= 1 + 1e-6)


def _sha256_of(player: Any) -> str | None:
    try:
        return file_sha256(Path(inspect.getfile(type(player))))
    except (TypeError, OSError):
        return None
