"""Others' hands as a folder of ours, as a data set, and as what a warm start imitates."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

from poker_env.errors import UserError
from poker_env.games import Game, make_deals, make_game
from poker_env.hand import read_hands, write_hands
from poker_env.menu import POT_FRACTIONS, make_menu
from poker_env.player_specs import make_player
from poker_env.players.llm import load_llm_player
from poker_env.table import play
from recipes.convert import main
from recipes.training.imitation import hands_played, imitable
from recipes.warm_start import main as warm_start

TEXTS = Path(__file__).parents[1] / "poker_env" / "histories" / "texts"


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "mine"
    main(["hands", str(TEXTS / "cash.txt"), str(TEXTS / "spanish.txt"), "--output", str(folder)])
    return folder


def test_what_is_written(converted):
    record = json.loads((converted / "results.json").read_text())
    assert (record["hero"], record["villain"], record["hands"]) == ("Ann", "El: Niño 7", 5)
    assert record["estimates"]["raw"]["mbb_per_hand"] == pytest.approx(1000 * (120 + 1_108 + 5 + 0 + 84) / 10 / 5)
    assert record["rake"] == {"raked_hands": 3, "mbb_per_hand": 2_400}
    assert record["hud"]["hero"]["all"]["vpip"]["count"] == 3
    assert record["game"] == "holdem, blinds of 5/10, 99.5 to 111 big blinds deep"
    assert len(list(read_hands(converted / "hands.jsonl"))) == 5
    assert len((converted / "left_out.jsonl").read_text().splitlines()) == 4
    assert {path.name for path in converted.glob("*.png")} == {
        *("winnings.png", "pot_sizes.png", "action_mix.png", "preflop_open.png", "preflop_facing_raise.png")
    }


def test_the_page_hides_what_was_never_shown(converted):
    page = (converted / "report.html").read_text(encoding="utf-8")
    hands = json.loads(page.partition('id="hands">')[2].partition("</script>")[0])
    assert [hand["hole"][1] for hand in hands] == [
        ["Ks", "Jh"], ["Ac", "Kc"], ["??", "??"], ["4h", "4d"], ["??", "??"]
    ]  # fmt: skip
    assert "seed" not in page.partition("<h2>Result")[0].lower()


def test_what_is_said(tmp_path, capsys):
    main(["hands", str(TEXTS / "cash.txt"), str(TEXTS / "spanish.txt"), "--output", str(tmp_path / "mine")])
    said = capsys.readouterr().out
    assert "5 hands of Ann against El: Niño 7, 14 decisions" in said
    assert "3 pots were raked, by 2,400 mbb/hand in all" in said
    assert "never shown in 2 hands" in said
    assert "left out: 1 (other than two players): " in said and "hand #2400000006" in said
    assert "broken: " in said and "a PokerStars text that isn't in English" in said


def test_the_decisions_are_a_data_set(converted, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    main(["dataset", str(converted), str(tmp_path / "decisions")])
    rows = list(load_dataset(str(tmp_path / "decisions"), split="train"))
    assert [row["hand"] for row in rows] == [row["deck"] for row in rows] and {row["hand"] for row in rows} == {
        0,
        1,
        3,
        4,
    }
    assert rows[-1]["villain_hole"] == ["??", "??"] and rows[-1]["hole"] == ["Tc", "9c"]
    assert rows[0]["payoff_mbb"] == 12_000 and rows[0]["action"] == "raise"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.txt", "--output", "new"], "no.txt: can't be read"),
        (["spanish.txt", "--output", "new"], "isn't in English"),
        (["cash.txt", "--output", "new", "--hero", "Eve"], "--hero 'Eve' is in none of these hands"),
        (["cash.txt", "--output", "."], "exists already"),
        (["cash.txt"], "--output"),
    ],
)
def test_mistakes_end_in_one_line(arguments, message, monkeypatch, tmp_path):
    for path in TEXTS.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        main(["hands", *arguments])
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists()


# Imitate me


def test_a_demonstration_is_what_hero_saw_and_did(converted):
    hands = list(read_hands(converted / "hands.jsonl"))
    found = imitable(hands, POT_FRACTIONS, floor=0.0)
    decisions = [(hand, decision) for hand in hands for decision in hand.hero_decisions]
    assert len(found.decisions) == len(decisions) == 14 and found.illegal == 0
    moved = 0
    for (observation, probabilities), (hand, decision) in zip(found.decisions, decisions, strict=True):
        assert (observation.game, observation.hole) == (hand.game, hand.hole[hand.hero_seat])
        assert (observation.pot, observation.to_call) == (decision.pot, decision.to_call)
        item = make_menu(observation)[int(np.argmax(probabilities))]
        assert probabilities.max() == 1 and item.kind == decision.move.kind
        raises = [offer.to for offer in make_menu(observation) if offer.kind in ("bet", "raise")]
        if decision.aggressive:
            assert abs(item.to - decision.move.to) == min(abs(to - decision.move.to) for to in raises)
            moved += item.to != decision.move.to
    assert found.moved == moved > 0


def test_what_named_no_action_is_no_demonstration():
    game = make_game("kuhn")
    hands = play(game, make_deals(game, 10, 0), make_player("random", game), make_player("random", game))
    mute = [replace(hand, decisions=tuple(replace(item, move=None) for item in hand.decisions[:1])) for hand in hands]
    found = imitable(mute, POT_FRACTIONS, floor=0.1)
    assert found.decisions == [] and found.illegal == sum(hand.hero_seat == 0 for hand in hands) > 0


def test_hands_are_looked_for_in_a_folder_or_a_file(converted, tmp_path):
    holdem, kuhn = make_game("holdem"), make_game("kuhn")
    assert hands_played(converted, holdem) == hands_played(converted / "hands.jsonl", holdem)
    (tmp_path / "none.jsonl").write_text("")
    for path, game, message in (
        (tmp_path / "none.jsonl", holdem, "has no hands to imitate"),
        (TEXTS / "cash.txt", holdem, r"python recipes/convert.py hands \S+cash.txt --output NEW"),
        (converted, kuhn, "has hands of holdem, and the run's game is kuhn"),
        (tmp_path / "no.jsonl", holdem, "can't read hands"),
    ):
        with pytest.raises(UserError, match=message):
            hands_played(path, game)


def arguments(model_dir, output_dir, *more):
    return [
        *("--game", "holdem", "--villain", "tag", "--model_name_or_path", str(model_dir), "--dtype", "float32"),
        *("--warm_start_steps", "3", "--output_dir", str(output_dir), *more),
    ]


def test_a_warm_start_on_hands(converted, tiny_model_dir, tmp_path, capsys):
    options = ("--warm_start_player", f"hands:{converted}", "--warm_start_hands", "4")
    warm_start(arguments(tiny_model_dir, tmp_path, *options))
    said = " ".join(capsys.readouterr().out.split())
    assert "10 decisions at" in said and "hero in 4 of the 5 hands" in said and "became the nearest" in said
    assert load_llm_player(str(tmp_path / "warm_start"), make_game("holdem")).config.game == make_game("holdem")


def test_advice_is_for_the_runs_game_alone(converted, tiny_model_dir, tmp_path):
    """A villain that always calls is known in any game."""
    options = ("--warm_start_player", f"hands:{converted}", "--villain", "call", "--advisor", "true")
    with pytest.raises(UserError, match="has no hands of holdem:small_blind=50,big_blind=100,stack=20000"):
        warm_start(arguments(tiny_model_dir, tmp_path, *options))


def test_hands_of_ours_can_be_imitated_with_advice(tiny_model_dir, tmp_path, capsys):
    game = Game("holdem", 50, 100, 400)
    hands = play(game, make_deals(game, 6, 0), make_player("tag", game), make_player("call", game))
    write_hands(tmp_path / "hands.jsonl", [*hands, replace(hands[0], game=make_game("holdem"))])
    options = ("--warm_start_player", f"hands:{tmp_path / 'hands.jsonl'}", "--villain", "call", "--advisor", "true")
    warm_start(arguments(tiny_model_dir, tmp_path / "out", *options, "--game", str(game)))
    assert "1 hands of other stakes" in " ".join(capsys.readouterr().out.split())
