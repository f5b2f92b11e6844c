"""For OpenEnv: a server of hands, and its client.

    python -m poker_environments.openenv --game kuhn --villain cfr:weak --port 8000

A session is one client's; `reset(index=12)` deals it number 12 of the sequence that the seed names, `reset()` the one
after its last. `reset(seed=7)` goes to another sequence. A hand in which villain folds first is over at once.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Sequence
from typing import Any

import uvicorn
from openenv.core.client_types import StepResult
from openenv.core.env_client import EnvClient
from openenv.core.env_server import Action, Environment, Observation, State, create_app
from pydantic import Field

from poker_env.errors import UserError
from poker_env.player_specs import PLAYER_SPECS
from poker_env.prompts import STYLES
from poker_environments.episode import CHIPS, Episode, Table, make_table
from recipes.cli import Parser, listen, run


class PokerAction(Action):
    """A decision of hero's."""

    answer: str = Field(description="the model's words; the first action token on the menu counts, as A1")


class PokerObservation(Observation):
    """What hero is asked, or what the hand came to; its `reward` comes when it is `done`."""

    messages: list[dict[str, str]] = Field(description="chat messages to answer; none when the hand is over")
    tokens: list[str] = Field(description="the action tokens on the menu")
    payoff: float | None = Field(default=None, description="chips won in a hand that is over")
    illegal: bool = Field(default=False, description="whether it ended with an answer that named no legal action")


class PokerState(State):
    """Where a session is."""

    seed: int = 0
    index: int | None = None
    """The number of the deal that it plays or played last."""


class PokerEnvironment(Environment[PokerAction, PokerObservation, PokerState]):
    """A session's hands at a table that all sessions share; the lock is for villain, who answers one at a time."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, table: Table, lock: threading.Lock) -> None:
        super().__init__()
        self._table, self._lock = table, lock
        self._episode: Episode | None = None
        self._state = PokerState(seed=table.seed)

    def reset(
        self, seed: int | None = None, episode_id: str | None = None, index: int | None = None, **unknown: Any
    ) -> PokerObservation:
        """Deal a hand. Raises `UserError` for an index or a seed below 0, and for what else is asked for."""
        if unknown:
            raise UserError(f"reset takes seed, index and episode_id, not {', '.join(unknown)}: all play at one table")
        last = self._state
        seed = last.seed if seed is None else seed
        if index is None:
            index = 0 if seed != last.seed or last.index is None else last.index + 1
        with self._lock:
            self._episode = self._table.episode(index, seed)
        self._state = PokerState(episode_id=episode_id, seed=seed, index=index)
        return self._observation(self._episode)

    def step(self, action: PokerAction, timeout_s: float | None = None, **_: Any) -> PokerObservation:
        """Answer. Raises `ValueError` where there is nothing to answer."""
        if self._episode is None:
            raise ValueError("no hand was dealt: reset first")
        with self._lock:
            self._episode.answer(action.answer)
        self._state.step_count += 1
        return self._observation(self._episode)

    @property
    def state(self) -> PokerState:
        """Which hand it is, and how many answers there were."""
        return self._state

    @staticmethod
    def _observation(episode: Episode) -> PokerObservation:
        tokens = [item.token for item in episode.menu]
        seen = PokerObservation(messages=episode.messages, tokens=tokens, done=episode.done)
        if episode.done:
            seen.reward, seen.payoff, seen.illegal = episode.reward, episode.hand.payoff, episode.illegal
        return seen


class PokerClient(EnvClient[PokerAction, PokerObservation, PokerState]):
    """`with PokerClient("http://127.0.0.1:8000").sync() as table: table.reset(index=0)`."""

    def _step_payload(self, action: PokerAction) -> dict[str, Any]:
        return {"answer": action.answer}

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[PokerObservation]:
        told = {key: payload[key] for key in ("done", "reward") if key in payload}
        seen = PokerObservation(**{**payload["observation"], **told})
        return StepResult(seen, reward=seen.reward, done=seen.done)

    def _parse_state(self, payload: dict[str, Any]) -> PokerState:
        return PokerState(**payload)


def make_app(table: Table, sessions: int = 64) -> Any:
    """The server's FastAPI application, for at most so many sessions at a time."""
    lock = threading.Lock()
    return create_app(
        lambda: PokerEnvironment(table, lock),
        PokerAction,
        PokerObservation,
        env_name="exploitative-poker",
        max_concurrent_envs=sessions,
        state_cls=PokerState,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until interrupted. Raises `UserError` for arguments that make no sense, and a port that can't be had."""
    parser = Parser("Serve hands of poker by OpenEnv's protocol.")
    parser.add_argument("--game", default="kuhn", help="kuhn, leduc or holdem[:stack=…,small_blind=…,big_blind=…]")
    parser.add_argument("--villain", default="cfr", help=f"who plays against the client: {', '.join(PLAYER_SPECS)}")
    parser.add_argument("--prompt_style", default="compact", help=", ".join(STYLES))
    parser.add_argument("--rewards", nargs="+", default=list(CHIPS), help="reward functions: NAME or NAME=WEIGHT")
    parser.add_argument("--seed", type=int, default=0, help="names the sequence of deals")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at")
    parser.add_argument("--port", type=int, default=8000, help="its port")
    given = parser.parse_args(sys.argv[1:] if argv is None else argv)
    table = make_table(given.game, given.villain, given.prompt_style, given.rewards, given.seed)
    listening, url = listen(given.host, given.port)
    print(f"Hands of {table.game} against {table.villain.name} at {url} (Ctrl-C stops)", flush=True)
    config = uvicorn.Config(make_app(table), log_level="warning", timeout_graceful_shutdown=1)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    run(main)
