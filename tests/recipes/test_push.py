"""Publishing: what is pushed and what the card says of it, with the real client against a Hub on loopback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_hub import TOKEN
from huggingface_hub import ModelCard, constants

from poker_env.errors import UserError
from poker_env.hand import read_hands
from poker_env.players.hub import trained_folder
from recipes.config import parse_config
from recipes.evaluate import main as evaluate
from recipes.push import Destination, collect, main
from recipes.train import main as train

ROOT = Path(__file__).parents[2]
BASE = "somebody/tiny"
CHARTS = {"winnings.png", "pot_sizes.png", "action_mix.png"}


def training(base_model):
    return [
        *("--game", "kuhn", "--villain", "cfr:weak", "--model_name_or_path", base_model, "--dtype", "float32"),
        *("--num_epochs", "1", "--episodes_per_epoch", "16", "--per_device_train_batch_size", "16"),
        *("--learning_rate", "1e-2", "--eval_hands", "20", "--show_hands", "0"),
    ]


@pytest.fixture(scope="module")
def finished_run(tiny_model_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "kuhn"
    train([*training(str(tiny_model_dir)), "--output_dir", str(folder)])
    for name in CHARTS:  # as evaluate.py leaves them; drawing takes a while
        (folder / "evaluation" / name).write_bytes(b"a picture")
    return folder


@pytest.fixture
def recipe(fake_hub, tmp_path):
    """Runs a recipe in a process that knows no Hub but the fake one."""

    def start(script, *argv, **environment):
        known = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        known |= fake_hub.environment(tmp_path / "home") | {"COLUMNS": "200"} | environment
        command = [sys.executable, f"recipes/{script}.py", *map(str, argv)]
        return subprocess.run(command, cwd=ROOT, env=known, capture_output=True, text=True, check=False)

    return start


@pytest.fixture
def pushing(fake_hub, finished_run, monkeypatch, capsys):
    """Pushes the run's final adapter from this process, and returns what is printed."""
    monkeypatch.setattr(constants, "ENDPOINT", fake_hub.url)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)

    def push(repo="tester/kuhn", *options):
        main([str(finished_run / "final"), repo, "--base_model", BASE, *options])
        return capsys.readouterr().out

    return push


def results(folder):
    return json.loads((folder / "results.json").read_text())


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_commit_has_all_that_others_need(recipe, fake_hub, finished_run):
    done = recipe("push", finished_run / "final", "tester/kuhn", "--base_model", BASE)
    assert done.returncode == 0, done.stderr
    assert f"{fake_hub.url}/tester/kuhn" in done.stdout and "llm:tester/kuhn" in done.stdout
    assert len(fake_hub.commits["tester/kuhn"]) == 1
    files = fake_hub.repos["tester/kuhn"]
    expected = {"adapter_model.safetensors", "adapter_config.json", "poker_config.json", "README.md", "tokenizer.json"}
    expected |= {
        "tokenizer_config.json",
        "chat_template.jinja",
        "learning_curve.png",
        "evaluation_before/results.json",
    }
    expected |= {f"evaluation/{name}" for name in ("results.json", *CHARTS)}
    assert set(files) == expected
    for name in ("adapter_model.safetensors", "tokenizer.json"):
        assert files[name] == (finished_run / "final" / name).read_bytes()
    assert files["evaluation/results.json"] == (finished_run / "evaluation" / "results.json").read_bytes()
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == BASE
    assert json.loads(files["poker_config.json"])["base_model"] == BASE


def test_the_card_says_what_results_json_says(finished_run, tmp_path, capsys):
    main(
        [
            str(finished_run / "final"),
            "tester/kuhn",
            "--base_model",
            BASE,
            "--license",
            "mit",
            "--output",
            str(tmp_path),
        ]
    )
    assert "README.md" in capsys.readouterr().out
    card, record = ModelCard.load(tmp_path / "README.md"), results(finished_run / "evaluation")
    data = card.data
    assert (data.library_name, data.base_model, data.base_model_relation) == ("peft", BASE, "adapter")
    assert (data.license, data.pipeline_tag, data.model_name) == ("mit", "text-generation", "kuhn")
    assert {"poker", "kuhn", "lora", "trl", "grpo"} <= set(data.tags)
    of = {(result.metric_type, result.metric_args.get("estimator")): result for result in data.eval_results}
    for estimator in (record["headline"], "exact"):
        estimate, shown = record["estimates"][estimator], of["mbb_per_hand", estimator]
        assert shown.metric_value == pytest.approx(estimate["mbb_per_hand"], abs=1e-4)
        assert (shown.metric_args["ci95"], shown.metric_args["hands"]) == (estimate["ci95"], estimate["hands"])
        assert shown.dataset_args["villain_sha256"] == record["checkpoints"]["cfr:weak"]
    assert of["capture", None].metric_value == pytest.approx(record["capture"]["exact"]["value"], abs=1e-4)
    assert of["legal_rate", None].metric_value == pytest.approx(record["legal_rate"], abs=1e-4)
    text = card.text
    low, high = record["estimates"]["aivat"]["ci95"]
    mean = record["estimates"]["aivat"]["mbb_per_hand"]
    assert f"| `cfr:weak` | {mean:+,.0f} [{low:+,.0f}, {high:+,.0f}] | AIVAT | 20 |" in text
    for needed in (record["checkpoints"]["cfr:weak"], record["command"], "before training", "llm:tester/kuhn", "MIT"):
        assert needed.lower() in text.lower()
    pictures = {line.rpartition("(")[2].rstrip(")") for line in text.splitlines() if line.startswith("![")}
    assert pictures == {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}


def test_the_run_folder_has_no_card_that_says_nothing(finished_run):
    assert not (finished_run / "README.md").exists() and not (finished_run / "final" / "README.md").exists()


def test_charts_are_drawn_where_there_are_none(finished_run, tmp_path):
    run, folder = shutil.copytree(finished_run, tmp_path / "run"), tmp_path / "published"
    for name in CHARTS:
        (run / "evaluation" / name).unlink()
    folder.mkdir()
    collect(folder, run / "final", "tester/kuhn", None, BASE)
    assert all((folder / "evaluation" / name).read_bytes().startswith(b"\x89PNG") for name in CHARTS)


def test_the_player_of_the_repository_answers_as_the_adapter_does(
    recipe, pushing, fake_hub, finished_run, tiny_model_dir, tmp_path
):
    fake_hub.repos[BASE] = {path.name: path.read_bytes() for path in tiny_model_dir.iterdir()}
    fake_hub.commits[BASE], fake_hub.branches[BASE] = ["the base model"], {"main"}
    pushing()
    options = ["--game", "kuhn", "--villain", "call", "--hands", "30", "--seed", "3"]
    done = recipe("evaluate", *options, "--hero", "llm:tester/kuhn", "--output", tmp_path / "hub")
    assert done.returncode == 0, done.stderr
    evaluate([*options, "--hero", f"llm:{finished_run / 'final'}", "--output", str(tmp_path / "local")])
    from_hub, local = (list(read_hands(tmp_path / name / "hands.jsonl")) for name in ("hub", "local"))
    assert from_hub == local
    assert set(results(tmp_path / "hub")["checkpoints"].values()) == set(
        results(tmp_path / "local")["checkpoints"].values()
    )


def test_a_repository_s_files_are_fetched_once_and_all_or_not_at_all(pushing, fake_hub, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", fake_hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    pushing()
    fake_hub.repos["somebody/base"], fake_hub.commits["somebody/base"] = {"config.json": b"{}"}, ["a model"]
    folder = trained_folder("tester/kuhn")
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"adapter_model.safetensors", "adapter_config.json", "poker_config.json"} <= files
    assert not any(name.startswith("evaluation") for name in files)
    for other in ("somebody/base", "somebody/nobody", "tiny", "/no/such/folder"):
        assert trained_folder(other) == Path(other)
    fake_hub.repos["tester/half"] = {"poker_config.json": b"{}", "adapter_model.safetensors": b"lost"}
    fake_hub.commits["tester/half"] = ["half"]
    fake_hub.fails_at = "/resolve/" + fake_hub.oid("tester/half") + "/adapter"
    with pytest.raises(UserError, match="can't get tester/half from the Hub"):
        trained_folder("tester/half")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert trained_folder("tester/kuhn") == folder


def test_training_with_push_to_hub_publishes_the_final_adapter(recipe, fake_hub, tiny_model_dir, tmp_path):
    fake_hub.repos[BASE] = {path.name: path.read_bytes() for path in tiny_model_dir.iterdir()}
    fake_hub.repos[BASE]["README.md"] = b"---\nlicense: apache-2.0\n---\n"
    fake_hub.commits[BASE], fake_hub.branches[BASE] = ["the base model"], {"main"}
    options = [*training(BASE), "--output_dir", tmp_path / "kuhn", "--push_to_hub", "--hub_private_repo", "true"]
    done = recipe("train", *options, "--hub_model_id", "tester/trained")
    assert done.returncode == 0, done.stderr
    assert "pushed: " in done.stdout
    assert len(fake_hub.commits["tester/trained"]) == 1 and fake_hub.private["tester/trained"]
    files = fake_hub.repos["tester/trained"]
    assert (
        files["adapter_model.safetensors"] == (tmp_path / "kuhn" / "final" / "adapter_model.safetensors").read_bytes()
    )
    data = ModelCard(files["README.md"].decode()).data
    assert (data.library_name, data.base_model, data.license) == ("peft", BASE, "apache-2.0")
    assert data.eval_results[0].metric_type == "mbb_per_hand"


def test_without_a_token_nothing_is_pushed_and_the_command_to_do_so_is_printed(
    pushing, fake_hub, finished_run, monkeypatch
):
    before = snapshot(finished_run)
    monkeypatch.setattr("recipes.push.get_token", lambda: None)
    with pytest.raises(UserError, match=r"no token for the Hub: run 'hf auth login'") as error:
        pushing()
    command = f"python recipes/push.py {finished_run / 'final'} tester/kuhn --base_model {BASE}"
    assert str(error.value).endswith(command) and "\n" not in str(error.value)
    assert fake_hub.requests == [] and snapshot(finished_run) == before


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("ENDPOINT", "http://127.0.0.1:9", "http://127.0.0.1:9 can't be reached"),
        ("HF_HUB_OFFLINE", True, "HF_HUB_OFFLINE is set"),
        ("HF_TOKEN", "hf_read_only", "doesn't take the token"),
    ],
)
def test_when_the_hub_cannot_be_had_nothing_is_lost(
    pushing, fake_hub, finished_run, monkeypatch, setting, value, message
):
    before = snapshot(finished_run)
    if setting == "HF_TOKEN":
        monkeypatch.setenv(setting, value)
    else:
        monkeypatch.setattr(constants, setting, value)
    with pytest.raises(UserError, match=f"{message}.*nothing is lost.*to try again: python") as error:
        pushing()
    assert "\n" not in str(error.value)
    assert fake_hub.repos == {} and snapshot(finished_run) == before


@pytest.mark.parametrize("where", ["/api/validate-yaml", "/lfs/", "/commit/"])
def test_a_push_cut_short_leaves_nothing_half_there_and_can_be_repeated(pushing, fake_hub, where):
    fake_hub.fails_at = where
    with pytest.raises(UserError, match="out of order"):
        pushing()
    assert fake_hub.repos["tester/kuhn"] == {}
    fake_hub.fails_at = None
    assert "pushed: " in pushing() and "README.md" in fake_hub.repos["tester/kuhn"]


def test_a_branch_and_the_token_s_own_namespace(pushing, fake_hub):
    pushing("mine", "--private", "--revision", "kuhn-only")
    assert fake_hub.private["tester/mine"] and "kuhn-only" in fake_hub.branches["tester/mine"]
    assert b"llm:tester/mine" in fake_hub.repos["tester/mine"]["README.md"]


@pytest.fixture
def changed_best(finished_run, tmp_path):
    """The run with a `best` that is not `final`."""
    best = shutil.copytree(finished_run, tmp_path / "run") / "best"
    weights = bytearray((best / "adapter_model.safetensors").read_bytes())
    weights[-1] ^= 1
    (best / "adapter_model.safetensors").write_bytes(bytes(weights))
    return best


def test_an_evaluation_of_another_adapter_is_refused(finished_run, changed_best, tmp_path):
    with pytest.raises(UserError, match=r"didn't judge adapter .*recipes/evaluate\.py"):
        collect(tmp_path, changed_best, "tester/kuhn", [finished_run / "evaluation"], BASE)


def test_the_best_adapter_is_not_given_the_final_one_s_numbers(changed_best, tmp_path):
    folders = [tmp_path / name for name in ("first", "judged", "second")]
    for folder in folders:
        folder.mkdir()
    first, judged, second = folders
    unjudged = collect(first, changed_best, "tester/kuhn", None, BASE)
    assert unjudged.evaluations == [] and unjudged.before is None and unjudged.training is not None
    evaluate(["--game", "kuhn", "--hero", f"llm:{changed_best}", "--hands", "4", "--output", str(judged)])
    published = collect(second, changed_best, "tester/kuhn", [judged], BASE)
    assert [record["hands"] for record in published.evaluations] == [4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hub_model_id", "a/b/c"], "no name of a repository"),
        (["--hub_strategy", "checkpoint"], "only the final adapter is pushed"),
    ],
)
def test_what_would_fail_in_the_end_fails_before_training(options, message, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_any")
    config = parse_config([*training(BASE), "--output_dir", str(tmp_path), "--push_to_hub", *options])
    with pytest.raises(UserError, match=message):
        Destination.of(config)


def test_training_without_a_token_or_on_a_folder_is_refused_before_it_starts(tiny_model_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("recipes.push.get_token", lambda: None)
    for base, message in ((BASE, "no token for the Hub"), (str(tiny_model_dir), "is a folder, which nobody else has")):
        with pytest.raises(UserError, match=message):
            train([*training(base), "--output_dir", str(tmp_path / "run"), "--push_to_hub"])
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["{run}", "tester/kuhn"], "is no adapter"),
        (["{run}/final", "tester/kuhn"], r"was trained on the folder .* --base_model ORG/NAME"),
        (["{run}/final", "not a name", "--base_model", BASE], "is no name of a repository"),
        (["{run}/final", "tester/kuhn", "--base_model", BASE, "--evaluation", "{run}/nowhere"], "didn't judge"),
    ],
)
def test_mistakes_end_in_one_line(argv, message, finished_run):
    with pytest.raises(UserError, match=message) as error:
        main([part.format(run=finished_run) for part in argv])
    assert "\n" not in str(error.value)
