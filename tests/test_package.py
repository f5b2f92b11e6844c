"""The wheel is whole, and works away from the repository; `poker_env` comes without a training stack."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

BEYOND = {"torch", "transformers", "trl", "peft", "accelerate", "datasets", "gguf", "matplotlib"}
"""What playing needs none of."""


def done(command, **options):
    found = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert found.returncode == 0, found.stdout + found.stderr
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(folder with sdist and wheel, what building said, its source: the files that git knows or would)."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    listed = done(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }  # warns of it
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(output), str(source)]
    said = done(build, env=environment)
    return output, said.stdout + said.stderr, source


@pytest.fixture(scope="module")
def elsewhere(built, tmp_path_factory):
    """The Python of an environment with the wheel in it, and of this one everything but the project."""
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    done([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    done([*pip, "--target", str(site), *map(str, built[0].glob("*.whl"))])
    (site / "shared.pth").write_text(
        sysconfig.get_path("purelib") + "\n"
    )  # a line is a folder; its own .pth don't count
    return folder / "bin" / "python"


def test_building_says_nothing_against_it(built):
    assert sorted(path.suffix for path in built[0].iterdir()) == [".gz", ".whl"]
    said = [line for line in built[1].splitlines() if "warning" in line.lower() or "deprecat" in line.lower()]
    assert said == []


def test_pypi_would_take_it(built):
    done([sys.executable, "-m", "twine", "check", "--strict", *map(str, built[0].iterdir())])


def test_the_wheel_has_the_code_its_data_and_nothing_else(built):
    (wheel,) = built[0].glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    packages = ("poker_env", "reward_fns", "poker_environments", "exploitative_poker", "recipes", "modal_app")
    expected = {
        path.relative_to(built[2]).as_posix()
        for package in packages
        for path in (built[2] / package).rglob("*")
        if path.is_file()
    }
    assert names == expected


def test_the_installed_package_plays_and_reports_from_anywhere(elsewhere, tmp_path):
    evaluate = [
        "-m",
        "recipes.evaluate",
        "--game",
        "kuhn",
        "--hero",
        "cfr:weak",
        "--hands",
        "20",
        "--output",
        "judged",
    ]
    done([elsewhere, *evaluate], cwd=tmp_path)
    assert json.loads((tmp_path / "judged" / "results.json").read_text())["villain"] == "cfr"
    assert "<html" in (tmp_path / "judged" / "report.html").read_text()


def test_its_files_are_found_from_anywhere(elsewhere, tmp_path):
    program = """
import poker_env, recipes.solve
from pathlib import Path
from poker_env.games import make_game
from poker_env.player_specs import make_player
print(poker_env.__file__)
print(make_player("cfr", make_game("holdem")).name, *sorted(
    path.stem for path in Path(recipes.solve.__file__).with_name("configs").iterdir()))
"""
    where, found = done([elsewhere, "-c", program], cwd=tmp_path).stdout.splitlines()
    assert Path(where).is_relative_to(elsewhere.parents[1]) and not Path(where).is_relative_to(ROOT)
    assert found.split()[0] == "cfr" and {"quickstart", "kuhn", "holdem_gpu"} <= set(found.split())


@pytest.mark.slow
def test_the_installed_package_trains_from_anywhere(elsewhere, tiny_model_dir, tmp_path):
    options = ["--model_name_or_path", str(tiny_model_dir), "--num_epochs", "1", "--episodes_per_epoch", "8"]
    options += ["--warm_start_hands", "20", "--warm_start_steps", "2", "--eval_hands", "4", "--output_dir", "run"]
    done([elsewhere, "-m", "recipes.train", "--config", "kuhn", *options], cwd=tmp_path)
    done(
        [elsewhere, "-m", "recipes.evaluate", "--game", "kuhn", "--hero", "llm:run/final", "--hands", "4"],
        cwd=tmp_path,
    )


def test_poker_env_comes_without_a_training_stack():
    program = """
import sys
import poker_env
print(*{name.partition(".")[0] for name in sys.modules})
import poker_env.cfr.playing.blueprint_strategy, poker_env.hand, poker_env.players, poker_env.prompts, poker_env.table
print(*{name.partition(".")[0] for name in sys.modules})
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    package, playing = done([sys.executable, "-c", program], env=environment).stdout.splitlines()
    assert not (BEYOND | {"numpy", "pyspiel", "numba"}) & set(package.split())
    assert not BEYOND & set(playing.split())
