"""For verifiers, and so for prime-rl: `vf-eval exploitative-poker`. A hand is a conversation, a decision a turn.

Deals on which villain folds before hero is asked are no tasks. The trace's reward is the hand's, recorded when it is
over. Its metrics are `payoff_bb` (big blinds won), `illegal` (1 where an answer named no legal action), `decisions`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aiohttp
import verifiers.v1 as vf
from pydantic import Field, field_validator
from verifiers.v1.dialects.chat import message_to_wire

from poker_environments.episode import CHIPS, Table, listed, make_table

PATIENT = aiohttp.ClientTimeout(total=None)
"""A model may think for as long as verifiers' own limits let it."""


class PokerConfig(vf.TasksetConfig):
    """What `make_table` takes, as `--env.taskset.game kuhn --env.taskset.villain cfr:weak`."""

    game: str = "kuhn"
    """kuhn, leduc or holdem[:stack=…,small_blind=…,big_blind=…]."""
    villain: str = "cfr"
    """Any player."""
    prompt_style: str = "compact"
    """compact, brief or classic."""
    rewards: list[str | dict[str, Any]] = Field(default_factory=lambda: list(CHIPS))
    """As in a training config; `--env.taskset.rewards chips illegal=0.5`."""
    seed: int = 0
    """Names the sequence of deals."""

    _listed = field_validator("rewards", mode="before")(listed)

    def table(self) -> Table:
        """The table it tells of; raises `UserError` where there can be none."""
        return make_table(self.game, self.villain, self.prompt_style, self.rewards, self.seed)


class PokerData(vf.TaskData):
    """A deal, and what hero is asked first."""

    deal: int
    """Its number in the seed's sequence."""


class PokerTask(vf.Task[PokerData]):
    """A hand to play; the environment scores it."""


class PokerTaskset(vf.Taskset[PokerTask, PokerConfig]):
    """The deals of a seed, without end."""

    INFINITE = True

    def __init__(self, config: PokerConfig) -> None:
        super().__init__(config)
        self.table = config.table()

    def load(self) -> Iterator[PokerTask]:
        """A task for each deal in which hero is asked."""
        for deal in self.table.asked():
            *rules, told = self.table.episode(deal).messages
            data = PokerData(
                name=f"{self.config.game}#{deal}",
                deal=deal,
                system_prompt=rules[0]["content"] if rules else None,
                prompt=told["content"],
            )
            yield PokerTask(data, self.config.task)


class PokerEnvConfig(vf.EnvConfig):
    """Hero is `player`: `--env.player.max-turns 8`."""

    player: vf.AgentConfig = vf.AgentConfig(runtime=vf.SubprocessConfig())


class PokerEnv(vf.Env[PokerEnvConfig]):
    """Plays a deal between the model and villain."""

    async def run(self, task: PokerTask, agents: vf.Agents) -> None:
        """One hand. Where the model gives no answer, say at a limit of turns, the hand ends as a fold.

        Where it can't be asked the hand has no result: verifiers keeps the error.
        """
        episode = self.taskset.table.episode(task.data.deal)
        async with agents.player.interaction(task) as talk:
            segment = await talk.turn()
            while not episode.done:
                if talk.trace.errors:
                    return
                episode.answer("" if segment.terminated else segment.last_reply)
                if not episode.done:
                    segment = await talk.turn(episode.messages[-1]["content"])
        hand = episode.hand
        talk.trace.record_reward("poker", episode.reward)
        talk.trace.record_metrics(
            {
                "payoff_bb": hand.payoff_bb,
                "illegal": float(episode.illegal),
                "decisions": float(len(hand.hero_decisions)),
            }
        )


class PokerHarness(vf.Harness[vf.HarnessConfig]):
    """Asks the model from this process, one call a decision.

    The chat program that comes with verifiers, which may be named instead (`--env.player.harness.id null`), starts a
    process for each, and hands have many decisions and no tools.
    """

    APPENDS_SYSTEM_PROMPT = True
    SUPPORTS_RESUME = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(
        self,
        ctx: vf.ModelContext,
        trace: vf.Trace,
        runtime: vf.Runtime,
        endpoint: str,
        secret: str,
        mcp_urls: dict[str, str],
        data: vf.TaskData,
    ) -> vf.ProgramResult:
        """The conversation's next answer, by way of verifiers' own endpoint, which records it."""
        system, prompt = self.resolve_prompt(data)
        messages = [{"role": "system", "content": system}] if system else []
        if isinstance(prompt, str):
            messages.append({"role": "user", "content": prompt})
        else:
            messages += [message_to_wire(message) for message in prompt]
        body = {"model": ctx.model, "messages": messages}
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {secret}"}, timeout=PATIENT) as session,
            session.post(f"{endpoint}/chat/completions", json=body) as response,
        ):
            return vf.ProgramResult(0 if response.ok else 1, "", await response.text())
