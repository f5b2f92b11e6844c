"""Publishing: what is pushed and what the card says of it, with the real client against a Hub on loopback."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fake_hub import TOKEN
from huggingface_hub import ModelCard, constants
from huggingface_hub.errors import HTTPError

from poker_env.errors import UserError
from poker_env.hand import read_hands
from poker_env.players.hub import trained_folder
from recipes.evaluate import main as evaluate
from recipes.options.config import parse_config
from recipes.publishing.model_card import card_text
from recipes.publishing.repository import collect
from recipes.push import Destination, main
from recipes.runs.record import command_line
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
        "run.json",
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
            str(tmp_path := tmp_path / "card"),
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


@pytest.mark.slow
def test_the_player_of_the_repository_answers_as_the_adapter_does(
    recipe, pushing, fake_hub, finished_run, tiny_model_dir, tmp_path
):
    fake_hub.repos[BASE] = {path.name: path.read_bytes() for path in tiny_model_dir.iterdir()}
    fake_hub.commits[BASE] = ["the base model"]
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


def broken_connection(*_, **__):
    raise HTTPError("the server hung up")


@pytest.fixture
def loading(fake_hub, monkeypatch, tmp_path):
    """Files are fetched from the fake Hub, into a cache of this test's."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", fake_hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    )


def test_a_repository_s_files_are_fetched_once_and_all_or_not_at_all(pushing, fake_hub, loading, monkeypatch):
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
    with monkeypatch.context() as patch, pytest.raises(UserError, match=r"can't get .* the server hung up"):
        patch.setattr("poker_env.players.hub.snapshot_download", broken_connection)
        trained_folder("tester/half")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert trained_folder("tester/kuhn") == folder


@pytest.mark.slow
def test_training_with_push_to_hub_publishes_the_final_adapter(recipe, fake_hub, tiny_model_dir, tmp_path):
    fake_hub.repos[BASE] = {path.name: path.read_bytes() for path in tiny_model_dir.iterdir()}
    fake_hub.repos[BASE]["README.md"] = b"---\nlicense: apache-2.0\n---\n"
    fake_hub.commits[BASE] = ["the base model"]
    options = [*training(BASE), "--output_dir", tmp_path / "kuhn", "--push_to_hub", "--hub_private_repo", "true"]
    options += ["--hub_model_id", "tester/trained", "--hub_token", TOKEN]
    done = recipe("train", *options, HF_TOKEN="hf_another")
    assert done.returncode == 0, done.stderr
    assert "pushed: " in done.stdout
    assert len(fake_hub.commits["tester/trained"]) == 1 and fake_hub.private["tester/trained"]
    files = fake_hub.repos["tester/trained"]
    everywhere = [*files.values(), *(path.read_bytes() for path in (tmp_path / "kuhn").rglob("*") if path.is_file())]
    assert not any(TOKEN.encode() in data for data in everywhere)
    assert b"--hub_token TOKEN" in files["README.md"]
    assert (
        files["adapter_model.safetensors"] == (tmp_path / "kuhn" / "final" / "adapter_model.safetensors").read_bytes()
    )
    data = ModelCard(files["README.md"].decode()).data
    assert (data.library_name, data.base_model, data.license) == ("peft", BASE, "apache-2.0")
    assert data.eval_results[0].metric_type == "mbb_per_hand"
    del fake_hub.repos["tester/trained"], fake_hub.commits["tester/trained"]  # as if the push had failed
    again = recipe("train", *options, "--resume")
    assert again.returncode == 0 and "is finished" in again.stdout and "pushed: " in again.stdout
    assert fake_hub.repos["tester/trained"]["README.md"] == files["README.md"]


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


def test_a_branch_and_the_token_s_own_namespace(pushing, fake_hub, loading):
    pushing("mine", "--private", "--revision", "kuhn-only")
    assert fake_hub.private["tester/mine"] and fake_hub.repos["tester/mine"] == {}
    card = fake_hub.repos["tester/mine@kuhn-only"]["README.md"].decode()
    assert "--against llm:tester/mine@kuhn-only" in card and 'revision="kuhn-only"' in card
    assert not (trained_folder("tester/mine") / "poker_config.json").exists()
    assert (trained_folder("tester/mine@kuhn-only") / "adapter_model.safetensors").exists()
    assert trained_folder("tester/mine@nowhere") == Path("tester/mine@nowhere")


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
    assert unjudged.evaluations == [] and unjudged.before is None and unjudged.villain == "cfr:weak"
    assert unjudged.epochs is None
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
    with pytest.raises(UserError, match=message):
        Destination.of(parse_config([*training(BASE), "--output_dir", str(tmp_path), "--push_to_hub", *options]))


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
        (["{run}/final", "tester/kuhn", "--base_model", BASE, "--evaluation", "{run}/nowhere"], "holds no evaluation"),
        (
            ["{run}/final", "tester/kuhn", "--base_model", BASE, "--evaluation", "{run}/evaluation_before"],
            "didn't judge",
        ),
        (["{run}/final", "tester/kuhn", "--base_model", "not a name"], "'not a name' is no name on the Hub"),
        (["{run}/final", "tester/kuhn", "--base_model", BASE, "--output", "{run}/final"], "exists already"),
    ],
)
def test_mistakes_end_in_one_line(argv, message, finished_run, fake_hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", fake_hub.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    before = snapshot(finished_run)
    with pytest.raises(UserError, match=message) as error:
        main([part.format(run=finished_run) for part in argv])
    assert "\n" not in str(error.value)
    assert fake_hub.repos == {} and snapshot(finished_run) == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("final/adapter_model.safetensors", "garbage", "is damaged"),
        ("final/adapter_config.json", "{", "doesn't name a base model"),
        ("final/poker_config.json", "[" * 100_000, "not a usable poker config"),
        ("evaluation/results.json", "{}", "it lacks checkpoints, command, estimates, game, hands, headline"),
        ("evaluation/results.json", "[", "not what evaluate.py writes"),
        ("run.json", "{}", "run.json is not what training writes: it lacks"),
        ("run.json", '{"commands": 1, "config": 1, "villain": 1, "checkpoints": 1, "versions": 1}', "are damaged"),
    ],
)
def test_damaged_files_are_named_in_one_line_and_leave_nothing(name, content, message, finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    (run / name).write_text(content)
    with pytest.raises(UserError, match=message) as error:
        main([f"{run}/final", "tester/kuhn", "--base_model", BASE, "--output", str(tmp_path / "card")])
    assert "\n" not in str(error.value) and [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_token_in_a_file_is_not_pushed(pushing, fake_hub, finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    record = results(run / "evaluation")
    record["command"] += f" --hub_token {TOKEN}"
    (run / "evaluation" / "results.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="holds the token for the Hub"):
        main([f"{run}/final", "tester/kuhn", "--base_model", BASE])
    assert fake_hub.repos == {}


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["--hub_token", "hf_x", "--seed", "1"], "--hub_token TOKEN --seed 1"),
        (["--hub_token=hf_x"], "--hub_token=TOKEN"),
        (["--hub_tok", "hf_x", "--config", "a b"], "--hub_tok TOKEN --config 'a b'"),
        (["--hub_model_id", "me/it"], "--hub_model_id me/it"),
    ],
)
def test_the_token_is_not_in_the_command_that_is_kept(argv, shown):
    assert command_line(argv) == f"accelerate launch recipes/train.py {shown}"


def test_pushing_again_leaves_no_evaluation_of_another_adapter(pushing, fake_hub, changed_best):
    pushing()
    fake_hub.repos["tester/kuhn"]["notes.md"] = b"somebody's own"
    main([str(changed_best), "tester/kuhn", "--base_model", BASE])
    files = fake_hub.repos["tester/kuhn"]
    assert not any(name.startswith("evaluation") for name in files) and "notes.md" in files
    assert "Not evaluated yet." in files["README.md"].decode()


def test_the_card_tells_evaluations_apart_by_how_the_adapter_was_asked(finished_run, tmp_path):
    match = ["--game", "kuhn", "--hero", f"llm:{finished_run / 'final'}", "--villain", "cfr:weak", "--seed", "3"]
    for name, options in (("as_it_is", []), ("cold", ["--temperature", "0.5", "--answers", "menu"])):
        evaluate([*match, "--hands", "10", *options, "--output", str(tmp_path / name)])
    judged = ["--evaluation", str(tmp_path / "as_it_is"), str(tmp_path / "cold")]
    main([f"{finished_run}/final", "tester/kuhn", "--base_model", BASE, *judged, "--output", str(tmp_path / "card")])
    card = ModelCard.load(tmp_path / "card" / "README.md")
    assert (
        "| `cfr:weak` |" in card.text and "| `cfr:weak`, temperature 0.5, answers from the menu alone |" in card.text
    )
    assert len({result.dataset_config for result in card.data.eval_results}) == 2
    asked = {(result.dataset_args["temperature"], result.dataset_args["answers"]) for result in card.data.eval_results}
    assert asked == {(1.0, "free"), (0.5, "menu")}


def test_the_card_tells_what_was_done_to_an_adapter(finished_run):
    folder = finished_run / "card_of_this_test"
    folder.mkdir()
    published = collect(folder, finished_run / "final", "tester/kuhn", None, BASE)
    shutil.rmtree(folder)
    assert published.epochs == 1 and published.run is not None
    imitated = {**published.run["config"], "warm_start_player": "villain", "warm_start_steps": 40}
    text = card_text(replace(published, run={**published.run, "config": imitated}))
    assert "It first imitated `cfr:weak`, in 40 steps" in text and "learning: 1 epochs of 16 hands" in text
    unplayed = card_text(replace(published, run={**published.run, "config": imitated}, epochs=0))
    assert "It never learned from play." in unplayed and "GRPO" not in unplayed
    assert "the command was not kept" in card_text(replace(published, run=None))
    exact = results(finished_run / "evaluation")
    exact["estimates"] |= {"exact": {"mbb_per_hand": -948.0, "ci95": [-948.0, -948.0], "hands": 0}}
    exact["estimates"][exact["headline"]] |= {"ci95": [-1132.0, 17.0]}
    assert "It loses to `cfr:weak`." in card_text(replace(published, evaluations=[exact]))


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("Apache 2.0", "did you mean apache-2.0"),
        ("Apache-2.0", "did you mean apache-2.0"),
        ("apache_2.0", "did you mean apache-2.0"),
        ("Apache License 2.0", "did you mean apache-2.0"),
        ("MIT", "did you mean mit"),
        ("MIT License", "did you mean mit"),
        ("apache", "did you mean apache-2.0"),
        ("Llama 3.1", "did you mean llama3.1"),
        ("GPLv3", "did you mean"),
        ("", "give one such as"),
        ("my own terms", "give one such as"),
    ],
)
def test_a_licence_is_one_that_the_hub_knows(given, hint, tmp_path):
    with pytest.raises(UserError, match=rf"--license {re.escape(repr(given))} is no identifier.*{hint}") as caught:
        main([str(tmp_path), "org/name", "--license", given, "--output", str(tmp_path / "card")])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "card").exists()
