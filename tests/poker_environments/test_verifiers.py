"""verifiers plays our hands through its own loader, agents and `vf-eval`, against a model server on loopback."""

import asyncio
import json
import sys

import pytest
from fake_chat_model import chat_model
from scripted_answers import ScriptedHero, scripted_answer

from poker_env.games import make_deals
from poker_env.table import play
from poker_environments.episode import make_table

vf = pytest.importorskip("verifiers.v1", reason="the package verifiers isn't installed: pip install -e '.[verifiers]'")


@pytest.fixture(autouse=True)
def nothing_is_told_to_anybody(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))


def episodes(url, count, **taskset):
    """Played as a trainer would: the environment is found by the distribution's name, each task becomes an episode."""
    env = vf.load_environment(vf.resolve_env_config({"taskset": {"id": "exploitative-poker", **taskset}}))
    context = vf.ModelContext(
        client=vf.EvalClientConfig(base_url=url, api_key_var="NO_KEY"), model="scripted", sampling=vf.SamplingConfig()
    )

    async def all_of_them():
        limit = asyncio.Semaphore(8)
        async with env.serving():
            slots = [slot for task in env.taskset.take(count) for slot in env.slots(task)]
            return await asyncio.gather(*(env.run_slot(slot, context, limit) for slot in slots))

    return asyncio.run(all_of_them())


@pytest.mark.parametrize(
    ("game", "villain", "style", "count"),
    [
        ("kuhn", "cfr:weak", "compact", 20),
        ("holdem", "random", "classic", 10),
        pytest.param("kuhn", "cfr:weak", "compact", 1000, marks=pytest.mark.slow),
        pytest.param("leduc", "cfr", "brief", 1000, marks=pytest.mark.slow),
        pytest.param("holdem", "random", "compact", 100, marks=pytest.mark.slow),
    ],
)
def test_payoffs_are_those_of_the_table(game, villain, style, count):
    with chat_model(scripted_answer) as (url, _):
        found = episodes(url, count, game=game, villain=villain, prompt_style=style, seed=4)
    table = make_table(game, villain, style, seed=4)
    deals = [make_deals(table.game, 1, 4, start=episode.traces[0].task.data.deal)[0] for episode in found]
    expected = play(table.game, deals, ScriptedHero(style), table.villain)
    assert [episode.ok for episode in found] == [True] * count
    traces = [episode.traces[0] for episode in found]
    assert [trace.metrics["payoff_bb"] for trace in traces] == [hand.payoff_bb for hand in expected]
    assert [trace.reward for trace in traces] == pytest.approx([hand.payoff_bb for hand in expected])
    assert [trace.num_turns for trace in traces] == [len(hand.hero_decisions) for hand in expected]
    assert [trace.metrics["illegal"] for trace in traces] == [
        float(any(not decision.legal for decision in hand.hero_decisions)) for hand in expected
    ]


def test_a_hand_is_one_conversation():
    with chat_model(lambda told: "A0") as (url, requests):
        (episode,) = episodes(url, 1, game="leduc", villain="call")  # both check twice
    first, last = requests
    roles = [message["role"] for message in last["messages"]]
    assert roles[:2] == ["system", "user"] and roles[2:] == ["assistant", "user"]
    assert last["messages"][: len(first["messages"])] == first["messages"]
    assert len(episode.traces[0].branches) == 1 and episode.traces[0].num_turns == 2


def test_a_limit_of_turns_gives_the_hand_up():
    with chat_model(lambda told: "A0") as (url, _):
        env = vf.load_environment(
            vf.resolve_env_config(
                {"taskset": {"id": "exploitative-poker", "villain": "lag"}, "player": {"max_turns": 1}}
            )
        )
        assert env.config.player.max_turns == 1
        table = env.taskset.table
        deal = next(index for index in table.asked() if two_decisions(table, index))
        context = vf.ModelContext(
            client=vf.EvalClientConfig(base_url=url, api_key_var="NO_KEY"), model="m", sampling=vf.SamplingConfig()
        )

        async def one():
            async with env.serving():
                (task,) = env.taskset.skip(deal).take(1)
                return await env.run_slot(env.slots(task)[0], context)

        trace = asyncio.run(one()).traces[0]
    assert trace.metrics == {"payoff_bb": -1.0, "illegal": 1.0, "decisions": 2.0}


def two_decisions(table, index):
    episode = table.episode(index)
    episode.answer("A0")
    return not episode.done


@pytest.mark.parametrize(
    "rewards", ["chips=2", ["chips=2"], {"chips": 2}, [{"name": "chips", "weight": 2}], [{"chips": 2}]], ids=str
)
def test_rewards_are_written_as_in_a_config(rewards):
    with chat_model(lambda told: "<think>A0 loses.</think>A1") as (url, _):
        (episode,) = episodes(url, 1, villain="call", rewards=rewards)
    (trace,) = episode.traces
    assert trace.metrics["illegal"] == 0 and abs(trace.reward) == 4


def test_a_hand_whose_model_cannot_be_asked_has_no_result():
    (episode,) = episodes("http://127.0.0.1:9/v1", 1, villain="call")
    (trace,) = episode.traces
    assert not trace.ok and trace.metrics == {} and trace.reward == 0


def test_vf_eval(monkeypatch, tmp_path):
    from verifiers.v1.cli.eval.main import main

    monkeypatch.chdir(tmp_path)
    with chat_model(scripted_answer) as (url, requests):
        options = "-n 6 --env.taskset.villain call --env.taskset.seed 2 --env.taskset.rewards chips illegal=0.5"
        options += f" --client.base-url {url} --model scripted"
        argv = f"exploitative-poker {options} --no-rich --no-push --output-dir {tmp_path} --run.name mine".split()
        monkeypatch.setattr(sys, "argv", ["vf-eval", *argv])
        main(argv)
    lines = [json.loads(line) for line in next(tmp_path.rglob("traces.jsonl")).read_text().splitlines()]
    assert len(lines) == 6 and len(requests) >= 6


def test_a_setting_that_there_is_not_is_told():
    with pytest.raises(Exception, match="unknown player 'nobody'"):
        vf.load_environment(vf.resolve_env_config({"taskset": {"id": "exploitative-poker", "villain": "nobody"}}))
