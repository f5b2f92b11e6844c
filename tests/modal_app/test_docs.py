"""Every `modal run` command in the docs is one that the real command line parses."""

import inspect
import re
import shlex

import click
import pytest
from fake_modal.containers import PROJECT
from modal.cli.entry_point import entrypoint_cli

from modal_app import evaluate, play, solve, train

PAGES = [
    PROJECT / "README.md",
    *sorted((PROJECT / "docs").glob("*.md")),
    *sorted((PROJECT / "modal_app").glob("*.py")),
]


def commands():
    found = [match for page in PAGES for match in re.findall(r"modal run [^`'\"\n]+?(?=[`'\"\n])", page.read_text())]
    return sorted({command.strip() for command in found if ".py" in command and "{" not in command})


def parse(line):
    """Parse a command line to its end without running it."""
    words = shlex.split(line)[1:]
    context = entrypoint_cli.make_context("modal", words)
    group = entrypoint_cli.get_command(context, "run")
    run = group.make_context("run", words[1:], parent=context)
    name, command, rest = group.resolve_command(run, [*run._protected_args, *run.args])
    return command.make_context(name, rest, parent=run).params


def test_there_are_such_commands():
    assert len(commands()) >= 6


@pytest.mark.parametrize("line", commands())
def test_it_is_parsed(line, monkeypatch):
    monkeypatch.chdir(PROJECT)
    assert isinstance(parse(line), dict)


def test_a_wrong_one_is_not(monkeypatch):
    monkeypatch.chdir(PROJECT)
    with pytest.raises(click.NoSuchOption):
        parse("modal run modal_app/train.py --no-such-option 1")
    with pytest.raises(click.BadParameter):
        parse("modal run modal_app/train.py --num-epochs many")


@pytest.mark.parametrize("app", [train, evaluate, solve, play])
def test_the_page_lists_every_option_and_no_other(app):
    page = (PROJECT / "docs" / "modal.md").read_text()
    options = {f"--{name.replace('_', '-')}" for name in inspect.signature(app.main.info.raw_f).parameters}
    assert options <= set(re.findall(r"--[a-z][a-z-]+", page))


def test_the_table_of_options_is_that_of_training():
    table = (PROJECT / "docs" / "modal.md").read_text().partition("## Options")[2].partition("##")[0]
    options = {f"--{name.replace('_', '-')}" for name in inspect.signature(train.main.info.raw_f).parameters}
    assert set(re.findall(r"^\| `(--[a-z-]+)", table, re.MULTILINE)) | {"--no"} >= options
