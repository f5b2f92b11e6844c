"""Every command in the documents is parsed, and run in a short setting, or it says here why not."""

import argparse
import functools
import importlib
import io
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from blank_pictures import undrawn_charts
from earlier_bot import checkpoint

from poker_env.cfr.checkpoint import load_checkpoint
from poker_env.errors import UserError
from poker_env.players.cfr import OPPONENTS
from poker_env.pokerbot.opponent_file import convert_opponent
from recipes import bench
from recipes.options import config

ROOT = Path(__file__).parents[1]

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "poker_env/opponents/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
    *sorted((ROOT / "recipes" / "configs").glob("*.yaml")),
]

PROGRAMS = "make|python|vf-eval|accelerate|modal|pip|hf|mkdir|source|tensorboard|trackio|pre-commit|jupyter|git|cd"

STAND_INS = {
    "BOT": "tag",
    "SETTING": "fcpa",
    "NAME.yaml": "balanced.yaml",
    "FILE": "mine.npz",
    "SEED": "1",
    "llm:ADAPTER": "llm:runs/mine/final",
    "HERO": "tag",
    "VILLAIN": "tag",
}
"""What the documents leave to the reader, where it has to be one of a few."""


@dataclass(frozen=True)
class Run:
    """Options that make a command short, after its own. Of a rule's commands only the first one isn't slow."""

    options: str = ""
    slow: bool = False
    """Whether that one is, too."""


@dataclass(frozen=True)
class Not:
    """Why a command is only parsed."""

    reason: str


SHORT = (
    "--model_name_or_path {model} --dtype float32 --num_epochs 1 --episodes_per_epoch 8 --rows_per_epoch 16 "
    "--per_device_train_batch_size 16 --updates_per_epoch 1 --warm_start_hands 12 --warm_start_steps 2 "
    "--warm_start_batch_size 4 --eval_hands 4 --show_hands 0 --output_dir {out}"
)
TABLES = Not("makes tables of card buckets first: minutes, 406 MB")

RULES = {
    # The first that fits at a command's beginning counts; placeholders are those of `world`.
    r"make (train|test|test-slow|setup|lint|format)\b": Not("installs, then minutes; `make -n` has to know it"),
    r"make PYTHON=": Not("installs, then minutes; `make -n` has to know it"),
    r"pip check": Not("says nothing of ours"),
    r"pip install": Not("from a registry; the example package and the wheel are installed by tests of their own"),
    r"(source|mkdir|cd|git) ": Not("says nothing of ours"),
    r"pre-commit install": Not("changes the clone"),
    r"python -m build": Not("tests/test_package.py builds"),
    r"python -m modal_app\.cost": Not("tests/modal_app/test_cost.py"),
    r"python -m modal_app\.estimate": Run(),
    r"modal ": Not("needs a Modal account; tests/modal_app/test_docs.py parses it, its fake of Modal runs the apps"),
    r"hf auth login": Not("needs an account"),
    r"(tensorboard|trackio) ": Not("a server that others wrote"),
    r"accelerate launch --multi_gpu": Not("needs GPUs; tests/recipes/training/test_processes.py trains in two"),
    r"accelerate launch -m recipes\.train": Not("in an environment without the clone; tests/test_package.py (slow)"),
    r"python -m recipes\.evaluate": Not("in an environment without the clone; tests/test_package.py"),
    r"python (-m )?recipes[./]NAME": Not("stands for any of them"),
    r".*recipes/(train|warm_start)\.py --config \S+holdem_(advised|gpu).yaml": TABLES,
    r".*recipes/train\.py --config \S+small_model.yaml": Not("needs what the study makes"),
    r"accelerate launch recipes/train\.py --config recipes/configs/quickstart\.yaml$": Not("`world` begins with it"),
    r".*recipes/train\.py .*--rewards .*my_rewards": Run(SHORT),
    r".* recipes/\w+\.py .*cfr:\w+\.pt": Not("needs a network; tests/poker_env/players/test_network_player.py"),
    r".*recipes/train\.py .*--adapter \S*(WARM_START|warm_start)": Not(
        "goes on from what another run made; tests/recipes/test_train.py"
    ),
    r"python recipes/evaluate\.py .*--advice WHAT": Not(
        "needs an adapter that is told something; tests/recipes/training/test_advised.py"
    ),
    r".*recipes/train\.py .*--push_to_hub": Not("needs a Hub token; tests/recipes/test_push.py, on a fake of the Hub"),
    r".*recipes/train\.py --config": Run(SHORT, slow=True),
    r"accelerate launch recipes/train\.py$": Not("means the one with --config beside it"),
    r"python recipes/evaluate\.py .*llm:ORG/NAME": Not("from the Hub; tests/recipes/test_push.py, on a fake of it"),
    r"python recipes/evaluate\.py players": Run(),
    r"python recipes/evaluate\.py gains": Not("needs evaluations of several runs; tests/recipes/test_evaluate.py"),
    r"python recipes/evaluate\.py .*--villain (slumbot|gtowizard)": Not(
        "over the network; tests/recipes/test_evaluate_service.py, on fakes of the services"
    ),
    r"python recipes/evaluate\.py .*llm:shipped/kuhn": Run("--hands 4 --capture none", slow=True),
    r"python recipes/evaluate\.py tournament": Run("--hands 4 --output {out}"),
    r"python recipes/evaluate\.py .*--compare": Run("--hands 4 --capture none --charts played"),
    r"python recipes/evaluate\.py .*(lbr:|\+river)": Run("--hands 4", slow=True),
    r"python recipes/evaluate\.py .*--capture": Run("--hands 4"),
    r"python recipes/evaluate\.py .*runs/judged": Run("--hands 4 --seed 1 --capture none --charts played"),
    r"python recipes/evaluate\.py": Run("--hands 4 --capture none --exploitability 0"),
    r"python recipes/solve\.py --game (kuhn|leduc) --algorithm deep_cfr": Run(
        "--iterations 1 --output {out}.pt", slow=True
    ),
    r"python recipes/solve\.py .*\w\.pt": Not("minutes of hold'em, or what they make; tests/recipes/test_solve.py"),
    r"python recipes/studies/deep_against_openspiel\.py": Not("takes dm-tree; it has a test of its own"),
    r"python recipes/studies/small_model\.py": Not("learns for a quarter of an hour; it has a test of its own"),
    r"python recipes/studies/ladder\.py": Not("trains for half an hour; it has a test of its own"),
    r"python recipes/solve\.py --game (kuhn|leduc)": Run("--iterations 3 --output {out}.npz"),
    r"python recipes/solve\.py info": Run(),
    r"python recipes/solve\.py --game holdem": TABLES,
    r"python recipes/studies/solving_curve\.py": TABLES,
    r"python recipes/rewards\.py try$": Not("means those with names beside it"),
    r"python recipes/rewards\.py try --config": Run("--hands 20"),
    r"python recipes/rewards\.py try": Run("--hands 20"),
    r"python recipes/rewards\.py (list|bends)": Run(),
    r"python recipes/bench\.py": Not(
        "measures for minutes; tests/recipes/test_bench.py and studies/ run what it does"
    ),
    r"python recipes/push\.py .*--judge_on_hub": Not(
        "from the Hub; tests/recipes/test_push_bundled.py, on a fake of it"
    ),
    r"python recipes/push\.py": Run("--base_model some/model --license apache-2.0 --output {out}"),
    r"python recipes/convert\.py merge runs/quickstart/final": Run(),
    r"python recipes/convert\.py dataset runs/judged": Run(),
    r"python recipes/convert\.py dataset runs/hands": Run(),
    r"python recipes/convert\.py hands": Run("--output {out}"),
    r"python recipes/warm_start\.py .*hands:": Run(SHORT, slow=True),
    r"python recipes/convert\.py opponent": Not("`world` has what it makes; tests/poker_env/pokerbot"),
    r"python recipes/serve\.py": Not("serves until it is stopped; tests/recipes/test_serve.py"),
    r"python recipes/play\.py .*--web": Not("serves until it is stopped; tests/recipes/frontends/test_web.py"),
    r"python recipes/play\.py .*--hero": Run("--output {out}"),
    r"python recipes/play\.py": Run("--output {out}"),
    r"python examples/environments/": Not("tests/examples/test_environments.py"),
    r"python -m poker_environments\.openenv": Not(
        "serves until it is stopped; tests/poker_environments/test_openenv.py"
    ),
    r"vf-eval ": Not("needs a model's server; tests/poker_environments/test_verifiers.py, on a fake of one"),
    r"python examples/kuhn_in_one_file\.py": Not("tests/examples/test_kuhn_in_one_file.py"),
    r"python docs/configuration\.py": Not("test_the_configuration_page_is_what_the_dataclasses_say"),
    r"python docs/\w+\.py": Not("pictures, in a browser"),
}


def commands_of(page):
    """The commands in a page: in blocks, in code spans, in a config's header. Those with … are none."""
    text = page.read_text()
    if page.suffix == ".yaml":
        lines = re.findall(rf"^# ((?:{PROGRAMS}) .*)$", text, re.MULTILINE)
    else:
        lines = re.findall(rf"^ {{4,}}((?:{PROGRAMS}) .*)$", text, re.MULTILINE)
        for block in re.findall(r"^ *```(?:bash|console|sh)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
            lines += [line.strip().removeprefix("$ ") for line in block.splitlines() if line.strip()]
        outside = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
        lines += [" ".join(span.split()) for span in re.findall(rf"`((?:{PROGRAMS})\s[^`]+)`", outside)]
    parts = [part.strip() for line in lines for part in without_comment(line).split(" && ")]
    return [part for part in parts if "…" not in part and "=" not in part.partition(" ")[0]]


def without_comment(line):
    return re.sub(r"\s+#.*$", "", line)


COMMANDS = list(dict.fromkeys(command for page in PAGES for command in commands_of(page)))


def rule_of(command):
    return next((rule for pattern, rule in RULES.items() if re.match(pattern, command)), None)


def script_of(command):
    """(module, arguments) of a command of this repository's, its stand-ins put in; None for others'."""
    words = shlex.split(command)
    if words[:2] == ["accelerate", "launch"]:
        words = ["python", *words[2:]]
    if words[0] != "python":
        return None
    if words[1] == "-m":
        module, arguments = words[2], words[3:]
    else:
        module, arguments = words[1].removesuffix(".py").replace("/", "."), words[2:]
    if module.partition(".")[0] not in ("recipes", "modal_app") or "NAME" in module:
        return None
    return module, [re.sub("|".join(map(re.escape, STAND_INS)), lambda m: STAND_INS[m[0]], word) for word in arguments]


OURS = [command for command in COMMANDS if script_of(command)]
RUN = {command: rule for command in OURS if isinstance(rule := rule_of(command), Run)}


def is_slow(command):
    return RUN[command].slow or next(each for each in RUN if RUN[each] is RUN[command]) != command


def blocks_of(page, language):
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in blocks]


PYTHON = [
    pytest.param(block, id=f"{page.name}:{number}")
    for page in PAGES
    for number, block in enumerate(blocks_of(page, "python"))
    if not any(name in block for name in ("my_rewards.py", "my_bots.py", "# examples/"))
]


PLUGINS = {"poker_rewards_example": "poker_reward_fns", "poker_players_example": "poker_players"}
"""Modules of the example packages, and the groups of their entry points."""


@pytest.fixture(scope="module")
def world(tiny_model_dir, tmp_path_factory):
    """A folder in which the documents' commands work: a clone's files, what they make on the way, `my_rewards.py`."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("recipes", "examples", "docs", "poker_env", "modal_app", "Makefile", "constraints.txt"):
        (folder / name).symlink_to(ROOT / name)
    for module in ("my_rewards", "my_bots"):
        blocks = [block for page in PAGES for block in blocks_of(page, "python") if f"{module}.py" in block]
        (folder / f"{module}.py").write_text("\n\n".join(dict.fromkeys(blocks)))
    for module, group in PLUGINS.items():  # as if pip had installed them
        (folder / f"{module}.py").symlink_to(next((ROOT / "examples").glob(f"*/{module}.py")))
        project = tomllib.loads((folder / f"{module}.py").resolve().with_name("pyproject.toml").read_text())["project"]
        installed = folder / f"{module}-0.1.0.dist-info"
        installed.mkdir()
        (installed / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: 0.1.0\n")
        lines = [f"{name} = {path}" for name, path in project["entry-points"][group].items()]
        (installed / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
    for name in ("my_blueprint.npz", "mine.npz"):
        shutil.copy(OPPONENTS / "holdem-small.npz", folder / name)
    torch.save(checkpoint("addbbb4"), folder / "checkpoint_1000.pt")
    convert_opponent(folder / "checkpoint_1000.pt", folder / "mine.pt")
    shutil.copy(ROOT / "tests" / "poker_env" / "histories" / "texts" / "cash.txt", folder / "history.txt")
    with undrawn_charts(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        patch.setattr("poker_env.players.cfr.load_checkpoint", functools.cache(load_checkpoint))  # a second each time
        for name, stakes in (("quickstart", ""), ("mine", "--game holdem --villain cfr ")):
            no_tables = "--variance_reduction none --probability_power 1"
            options = f"{stakes}{SHORT.format(model=tiny_model_dir, out=f'runs/{name}')} {no_tables}"
            command = f"--config recipes/configs/quickstart.yaml {options}"
            importlib.import_module("recipes.train").main(command.split())
        (folder / "runs" / "other").symlink_to("mine")
        for name, villain, judged in (("quickstart", "cfr:weak", "judged"), ("mine", "cfr", "mine_judged")):
            players = f"--hero llm:runs/{name}/final --villain {villain} --output runs/{judged}"
            command = f"{players} --hands 4 --seed 1 --capture none --charts played"
            importlib.import_module("recipes.evaluate").main(command.split())
        importlib.import_module("recipes.convert").main(["hands", "history.txt", "--output", "runs/hands"])
        yield folder
    for module in ("my_rewards", "my_bots", *PLUGINS):
        sys.modules.pop(module, None)


def test_every_command_is_run_or_says_why_not():
    assert len(OURS) > 40 and len(RUN) > 25  # the patterns find them at all
    assert [command for command in COMMANDS if rule_of(command) is None] == []


def test_no_rule_is_left_over():
    used = {
        next(pattern for pattern in RULES if re.match(pattern, command)) for command in COMMANDS if rule_of(command)
    }
    assert sorted(set(RULES) - used) == []


class Parsed(Exception):
    """The options were read to their end."""


def parse(command, monkeypatch):
    """Read a command's options as its script does, and stop there. Raises `UserError` for a wrong one."""
    parse_args = argparse.ArgumentParser.parse_args

    def read(parser, *given):
        parse_args(parser, *given)
        raise Parsed

    module, arguments = script_of(command)
    if module in ("recipes.train", "recipes.warm_start"):
        config.parse_config(["--output_dir", "unused", *arguments])
        return
    if module == "recipes.bench":
        bench.parse(arguments)
        return
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", read)
    script = importlib.import_module(module)
    with pytest.raises(Parsed):
        script.main(arguments)


@pytest.mark.parametrize("command", OURS)
def test_its_options_exist(command, world, monkeypatch):
    parse(command, monkeypatch)


@pytest.mark.parametrize("script", sorted({script_of(command)[0] for command in OURS if "recipes/" in command}))
def test_one_that_does_not_exist_is_told(script, world, monkeypatch):
    first = next(command for command in OURS if script_of(command)[0] == script)
    with pytest.raises(UserError, match="no_such_option"):
        parse(f"{first} --no_such_option 1", monkeypatch)


@pytest.mark.parametrize(
    "command", [pytest.param(each, marks=[pytest.mark.slow] * is_slow(each), id=each) for each in RUN]
)
def test_it_works(command, world, tiny_model_dir, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("q\n"))  # whom a command asks leaves
    module, arguments = script_of(command)
    options = RUN[command].options.format(model=tiny_model_dir, out=tmp_path / "out")
    importlib.import_module(module).main([*arguments, *options.split()])
    written = tmp_path / "out"
    if "--output_dir" in options:
        assert (written / "final").is_dir() or (written / "warm_start").is_dir()
    elif "{out}" in RUN[command].options and "lbr:" not in command:
        assert list(tmp_path.glob("out*"))
    else:
        assert capsys.readouterr().out


@pytest.mark.parametrize("block", PYTHON)
def test_python_works(block, world, tmp_path):
    if "decisions" in block:
        importlib.import_module("recipes.convert").main(["dataset", "runs/judged", str(tmp_path / "decisions")])
        block = block.replace('"decisions"', repr(str(tmp_path / "decisions")))
    (tmp_path / "block.py").write_text(block)
    runpy.run_path(str(tmp_path / "block.py"))


@pytest.mark.parametrize(
    "target", sorted({m[1] for c in COMMANDS if (m := re.match(r"make (?:\S+=\S+ )?([\w-]+)$", c))})
)
def test_make_knows_it(target):
    subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_the_configuration_page_is_what_the_dataclasses_say():
    page = runpy.run_path(str(ROOT / "docs" / "configuration.py"))["page"]()
    assert (ROOT / "docs" / "configuration.md").read_text() == page, "run python docs/configuration.py"


@pytest.mark.parametrize("page", [page for page in PAGES if page.suffix == ".md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor and found.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, target
