"""Merged weights answer as the adapter does, decisions come back as a dataset, and nothing is left half written."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from datasets import load_dataset
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from poker_env.errors import UserError
from poker_env.games import make_deals, make_game
from poker_env.hand import read_hands
from poker_env.language_model.loading import load_model, load_tokenizer
from poker_env.player_specs import make_player
from poker_env.players.llm import LLMPlayer, PokerLLMAgent
from poker_env.players.poker_config import PokerConfig
from poker_env.table import play
from recipes.convert import main
from recipes.evaluate import main as evaluate
from recipes.publishing.decisions import export_decisions
from recipes.publishing.merge import _require_mergeable, _some_decisions, merge
from recipes.train import main as train

KUHN = make_game("kuhn")


@pytest.fixture(scope="module")
def adapter(tiny_model_dir, tmp_path_factory):
    """One that has learned something: untrained ones add nothing."""
    folder = tmp_path_factory.mktemp("runs") / "kuhn"
    options = [
        "--game",
        "kuhn",
        "--villain",
        "cfr:weak",
        "--model_name_or_path",
        str(tiny_model_dir),
        "--dtype",
        "float32",
    ]
    options += ["--num_epochs", "2", "--episodes_per_epoch", "16", "--per_device_train_batch_size", "16"]
    train([*options, "--learning_rate", "3e-2", "--eval_hands", "0", "--show_hands", "0", "--output_dir", str(folder)])
    return folder / "final"


@pytest.fixture(scope="module")
def merged(adapter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("merged") / "whole"
    return folder, merge(str(adapter), folder, "float32")


def exact_player(path, base):
    """In float32, whatever the hardware prefers."""
    model = load_model(str(base), torch.float32)
    if (path / "adapter_config.json").exists():
        model = PeftModel.from_pretrained(model, str(path)).eval()
    return LLMPlayer(model, load_tokenizer(str(base)), PokerConfig(game=KUHN, base_model=str(base)))


def answers(player):
    hands = play(KUHN, make_deals(KUHN, 40, seed=1), player, make_player("cfr:weak", KUHN))
    return [(decision.answer.action, decision.answer.completion) for hand in hands for decision in hand.decisions]


def test_the_merged_model_answers_as_the_adapter_does(adapter, merged, tiny_model_dir):
    folder, moved = merged
    assert moved < 0.02  # as players they may be loaded in bfloat16
    whole, adapted = exact_player(folder, folder), exact_player(adapter, tiny_model_dir)
    assert answers(whole) == answers(adapted) != answers(exact_player(tiny_model_dir, tiny_model_dir))
    asked = _some_decisions(KUHN)
    for row, expected in zip(whole.policy(asked), adapted.policy(asked), strict=True):
        assert row == pytest.approx(expected, abs=1e-5)


def test_the_merged_model_is_a_player_that_is_asked_as_the_adapter_was(adapter, merged):
    players = [make_player(f"llm:{path}", KUHN) for path in (merged[0], adapter)]
    assert players[0].config == players[1].config
    agent = PokerLLMAgent.load(str(merged[0]))
    assert agent.get_action_token("Hand K\n- A0: Check (no chips added).\n- A1: Bet 1.", seed=1) in ("A0", "A1")


def test_the_merged_model_loads_with_transformers_alone(merged, tiny_model_dir):
    folder, _ = merged
    assert not {"adapter_config.json", "adapter_model.safetensors"} & {path.name for path in folder.iterdir()}
    model, base = (AutoModelForCausalLM.from_pretrained(str(path)) for path in (folder, tiny_model_dir))
    assert model.dtype == torch.float32
    assert {name for name, _ in model.named_parameters()} == {name for name, _ in base.named_parameters()}
    assert AutoTokenizer.from_pretrained(str(folder)).chat_template is not None


def test_weights_are_rounded_to_what_is_asked_for(adapter, tmp_path, capsys):
    main(["merge", str(adapter), str(tmp_path / "small"), "--dtype", "bfloat16"])
    assert f"player llm:{tmp_path / 'small'}" in capsys.readouterr().out
    assert json.loads((tmp_path / "small" / "config.json").read_text())["dtype"] == "bfloat16"


def test_a_shrunken_adapter_is_half_as_large_and_plays_alike(adapter, tmp_path, capsys):
    small = tmp_path / "small"
    main(["shrink", str(adapter), str(small)])
    assert re.search(rf"player llm:{small}\. Probabilities moved by 0?\.?\S+ at most", capsys.readouterr().out)
    assert {path.name for path in small.iterdir()} == {
        "adapter_model.safetensors", "adapter_config.json", "poker_config.json"
    }  # fmt: skip
    whole, rounded = (load_file(folder / "adapter_model.safetensors") for folder in (adapter, small))
    assert whole.keys() == rounded.keys() and all(own.dtype == torch.bfloat16 for own in rounded.values())
    assert sum(own.nbytes for own in rounded.values()) * 2 == sum(own.nbytes for own in whole.values())
    asked = _some_decisions(KUHN)
    own, other = (make_player(f"llm:{folder}", KUHN).policy(asked) for folder in (adapter, small))
    for row, expected in zip(own, other, strict=True):
        assert row == pytest.approx(expected, abs=0.02)
    with pytest.raises(UserError, match="small"):
        main(["shrink", str(adapter), str(small)])
    with pytest.raises(UserError, match="not a usable poker config"):
        main(["shrink", str(tmp_path), str(tmp_path / "other")])


@pytest.fixture
def altered(adapter, tmp_path):
    """A copy of the adapter whose config says something else."""

    def alter(**config):
        folder = shutil.copytree(adapter, tmp_path / "altered")
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
        return folder

    return alter


def test_what_cannot_be_merged_is_refused_in_one_line(altered, tmp_path):
    with pytest.raises(UserError, match="of type PROMPT_TUNING: only LoRA") as error:
        merge(str(altered(peft_type="PROMPT_TUNING")), tmp_path / "out")
    assert "\n" not in str(error.value) and [path.name for path in tmp_path.iterdir()] == ["altered"]


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ({"quantization_config": {}}, "on quantized weights"),
        ({"tie_word_embeddings": True}, "is on lm_head, whose weights"),
    ],
)
def test_a_base_model_that_cannot_hold_the_sum_is_refused(base, message):
    config = type("Config", (), base)
    with pytest.raises(UserError, match=message):
        _require_mergeable("mine", {"peft_type": "LORA", "target_modules": ["lm_head", "q_proj"]}, config)


def test_a_damaged_adapter_and_wrong_folders_are_refused(adapter, merged, tiny_model_dir, tmp_path):
    damaged = shutil.copytree(adapter, tmp_path / "damaged")
    (damaged / "adapter_model.safetensors").write_bytes(b"not weights")
    pickled = shutil.copytree(adapter, tmp_path / "pickled")
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    strange = shutil.copytree(adapter, tmp_path / "strange")
    (strange / "adapter_config.json").write_text("[")
    for source, target, message in (
        (damaged, tmp_path / "out", "can't be loaded"),
        (pickled, tmp_path / "out", "it has no adapter_model.safetensors"),
        (strange, tmp_path / "out", "is no adapter's config"),
        (tiny_model_dir, tmp_path / "out", "is no adapter"),
        (adapter, merged[0], "exists already"),
    ):
        with pytest.raises(UserError, match=message):
            merge(str(source), target)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def evaluation(adapter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    evaluate(
        [
            "--game",
            "kuhn",
            "--hero",
            f"llm:{adapter}",
            "--villain",
            "cfr:weak",
            "--hands",
            "20",
            "--output",
            str(folder),
        ]
    )
    return folder


def test_decisions_come_back_as_a_dataset(evaluation, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    main(["dataset", str(evaluation), str(tmp_path / "decisions")])
    assert "load_dataset" in capsys.readouterr().out
    rows = list(load_dataset(str(tmp_path / "decisions"), split="train"))
    hands = list(read_hands(evaluation / "hands.jsonl"))
    expected = [(number, decision) for number, hand in enumerate(hands) for decision in hand.hero_decisions]
    assert len(rows) == len(expected) > 20
    for row, (number, decision) in zip(rows, expected, strict=True):
        assert (row["hand"], row["deck"]) == (number, number // 2)
        assert (row["prompt"], row["completion"]) == (decision.answer.prompt, decision.answer.completion)
        assert row["action"] == (decision.move.kind if decision.move else "illegal")
        assert row["payoff_mbb"] == 1000 * hands[number].payoff
        assert row["hole"] == list(hands[number].hole[hands[number].hero_seat])
    assert abs(sum(row["aivat_mbb"] for row in rows if row["last"])) > 0
    assert "Hero never saw" in (tmp_path / "decisions" / "README.md").read_text()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError, OSError("disk full")])
def test_an_interrupted_conversion_leaves_nothing(adapter, evaluation, tmp_path, monkeypatch, stop):
    def interrupt(*_, **__):
        raise stop

    monkeypatch.setattr("recipes.publishing.merge._some_decisions", interrupt)  # the weights are written by then
    monkeypatch.setattr("recipes.publishing.decisions._dataset_card", interrupt)
    expected = UserError if isinstance(stop, OSError) else stop
    with pytest.raises(expected):
        merge(str(adapter), tmp_path / "whole")
    with pytest.raises(expected):
        export_decisions(evaluation, tmp_path / "decisions")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("values.csv", lambda text: text.replace(".", "x"), "could not convert string to float"),
        ("values.csv", lambda text: text.rsplit("\n", 2)[0] + "\n", "values.csv has 19 hands, hands.jsonl 20"),
        ("results.json", lambda text: "{", "is not what evaluate.py writes"),
        ("results.json", lambda text: "{}", "is not what evaluate.py writes: 'hero'"),
    ],
)
def test_a_damaged_evaluation_is_told_in_one_line(name, change, message, evaluation, tmp_path):
    damaged = shutil.copytree(evaluation, tmp_path / "damaged")
    (damaged / name).write_text(change((damaged / name).read_text()))
    with pytest.raises(UserError, match=message) as error:
        export_decisions(damaged, tmp_path / "decisions")
    assert "\n" not in str(error.value) and not (tmp_path / "decisions").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["split"], "invalid choice: 'split'"),
        (["merge", "/no/such/adapter", "out"], "is no adapter"),
        (["dataset", "/no/such/folder", "out"], "can't read hands"),
        (["dataset", "/no/such/folder", "/"], "exists already"),
    ],
)
def test_mistakes_end_in_one_line(argv, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        main(argv)
    assert "\n" not in str(error.value) and list(Path().iterdir()) == []
