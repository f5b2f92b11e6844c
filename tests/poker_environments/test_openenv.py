"""OpenEnv's own client plays our hands on its own server, over a websocket on loopback."""

import threading
import time

import pytest
from scripted_answers import ScriptedHero, scripted_answer

from poker_env.errors import UserError
from poker_env.games import make_deals
from poker_env.table import play
from poker_environments.episode import make_table

pytest.importorskip("openenv.core.env_server", reason="OpenEnv isn't installed: pip install -e '.[openenv]'")

import uvicorn
from openenv.core import GenericEnvClient

from poker_environments import openenv as ours
from recipes.cli import listen


@pytest.fixture
def serve():
    """Serves tables; returns each one's URL."""
    servers = []

    def start(**options):
        server = uvicorn.Server(uvicorn.Config(ours.make_app(make_table(**options)), port=0, log_level="warning"))
        threading.Thread(target=server.run, daemon=True).start()
        servers.append(server)
        while not server.started:
            time.sleep(0.02)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield start
    for server in servers:
        server.should_exit = True


@pytest.mark.parametrize(
    ("game", "villain", "style", "count"),
    [
        ("kuhn", "cfr:weak", "compact", 1000),
        ("leduc", "cfr", "brief", 1000),
        ("holdem", "random", "classic", 100),
    ],
)
def test_payoffs_are_those_of_the_table(serve, game, villain, style, count):
    url = serve(game=game, villain=villain, prompt_style=style, seed=4)
    found = []
    with ours.PokerClient(url).sync() as client:
        for index in range(count):
            result = client.reset(index=index)
            while not result.done:
                assert result.reward is None and result.observation.tokens
                told = result.observation.messages[-1]["content"]
                result = client.step(ours.PokerAction(answer=scripted_answer(told)))
            found.append(result)
        state = client.state()
    table = make_table(game, villain, style, seed=4)
    expected = play(table.game, make_deals(table.game, count, seed=4), ScriptedHero(style), table.villain)
    assert [result.observation.payoff for result in found] == [hand.payoff for hand in expected]
    assert [result.observation.illegal for result in found] == [
        any(not decision.legal for decision in hand.hero_decisions) for hand in expected
    ]
    assert [result.reward for result in found] == pytest.approx(
        [hand.payoff_bb if hand.hero_decisions else 0.0 for hand in expected]
    )
    assert (state.seed, state.index, state.step_count) == (4, count - 1, len(expected[-1].hero_decisions))


def test_sessions_are_apart_and_others_clients_play(serve):
    url = serve(villain="call", seed=1)
    with GenericEnvClient(base_url=url).sync() as first, GenericEnvClient(base_url=url).sync() as second:
        told = [client.reset().observation["messages"] for client in (first, second)]
        assert told[0] == told[1]
        assert first.step({"answer": "A1"}).done and not second.step({"answer": "A0"}).observation["illegal"]
        assert first.reset().observation["messages"] != told[0]  # the next deal
        assert first.reset(seed=1, index=0).observation["messages"] == told[0]


def test_what_makes_no_sense_is_told(serve):
    with ours.PokerClient(serve()).sync() as client:
        with pytest.raises(RuntimeError, match="reset first"):
            client.step(ours.PokerAction(answer="A0"))
        with pytest.raises(RuntimeError, match="deal -1"):
            client.reset(index=-1)
        with pytest.raises(RuntimeError, match="deal '3'"):
            client.reset(index="3")
        with pytest.raises(RuntimeError, match="not villain"):
            client.reset(villain="cfr")
        assert client.state().index is None


def test_the_command_tells_what_there_is_not():
    with pytest.raises(UserError, match="unknown player 'nobody'"):
        ours.main(["--villain", "nobody"])
    with listen("127.0.0.1", 0)[0] as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} .*another --port"):
            ours.main(["--villain", "call", "--port", str(port)])
