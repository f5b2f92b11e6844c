"""Epochs are watched without a part counted twice, sides take turns, and what can't be compared is one line."""

import argparse
import json
from pathlib import Path

import pytest

from poker_env.errors import UserError
from recipes import bench, cli
from recipes.options.config import option_types
from recipes.options.values import parse_yaml
from recipes.studies.speed import against, epoch, memory, probe
from recipes.studies.speed.against import Epochs
from recipes.studies.speed.epoch import Bare, PlainEpoch

KNOWN = frozenset(option_types())

CLONE = pytest.mark.skipif(not (against.HERE / ".git").exists(), reason="no clone")


def versus_head(**options):
    """What `--against HEAD` and the rest come to."""
    return argparse.Namespace(**{"against": "HEAD", "epochs": 1, "repeats": 1, "ours": [], "theirs": [], **options})


@pytest.fixture
def runs(monkeypatch):
    """What is to be run, as (here or there, options), and isn't; `known` are the commit's options.

    `read` is the last config.
    """

    class Runs(list):
        known, read = KNOWN, None

    found = Runs()

    def measure(options, folder, checkout=against.HERE):
        if options[:1] == ["--config"]:
            found.read = parse_yaml(Path(options[1]).read_text(), options[1])
        found.append(("here" if checkout == against.HERE else "there", list(options)))
        return epochs(10.0 / len(found))

    monkeypatch.setattr(against, "measure", measure)
    monkeypatch.setattr(against, "options_known", lambda checkout, folder: found.known)
    return found


@pytest.fixture
def ticking(monkeypatch):
    """A clock that is a second later at each look."""
    time = iter(range(1_000))
    monkeypatch.setattr(probe, "clock", lambda: next(time))


def test_a_part_is_timed_once_from_the_first_epoch_on(ticking):
    watch = probe.Probe()
    told = []
    inner = watch.timed("inner", lambda: 5)
    again = watch.timed("outer", inner)
    outer = watch.timed("outer", again, told.append)
    assert outer() == 5
    assert watch.epochs == [] and told == []
    watch.epochs.append({})
    assert outer() == 5
    assert watch.epochs == [{"inner": 1, "outer": 3}]  # `again` is a part of itself
    outer()
    assert watch.epochs == [{"inner": 2, "outer": 6}]
    assert told == [5, 5]


def test_what_fails_is_over(ticking):
    def fail():
        raise ValueError

    watch = probe.Probe()
    watch.epochs.append({})
    failing = watch.timed("part", fail)
    for _ in range(2):
        with pytest.raises(ValueError):
            failing()
    assert watch.timed("part", lambda: 1)() == 1
    assert watch.epochs == [{"part": 1}]


def epochs(scale=1.0):
    first = {"hands": 4.0, "generation": 5.0, "steps": 6.0, "backward": 3.0, "optimizer": 1.0, "decisions": 40.0}
    second = {name: 2 * value for name, value in first.items()}
    return Epochs(
        [{name: scale * value for name, value in own.items()} for own in (first, second)],
        {"model loaded": 500.0, "after the hands": 700.0},
        100.0 * scale,
    )


def test_an_epoch_is_its_parts():
    run = epochs()
    assert (run.mean("hands"), run.credit, run.update, run.whole) == (6.0, 1.5, 10.5, 18.0)
    assert run.mean("hands") + run.credit + run.update == run.whole
    assert run.mean("no such part") == 0


def test_figures_of_an_epoch():
    found = epoch.figures(epochs(), PlainEpoch(10, 20.0, 5.0, 900.0), Bare(3.0, 6.0))
    assert found["decisions, hands to update"].sides == pytest.approx({"ours": 60 / 18, "plain loop": 10 / 25})
    assert found["decisions, update"].ratio == pytest.approx(60 / 10.5 / 2)
    assert found["time of an epoch"].sides == {"ours": 18.0, "bare passes": 9.0}
    assert found["time of an epoch"].ratio == 2
    assert found["memory"].sides["after the hands"] == 700
    assert sum(found["epoch"].sides[part] for part in ("hands", "credit", "update")) == 18


def test_figures_of_two_commits():
    found = epoch.comparison({"ours": epochs(), "abc": epochs(3.0)})
    assert found["epoch"].ratio == pytest.approx(1 / 3)
    assert found["update"].sides == {"ours": 10.5, "abc": 31.5}
    assert found["whole run"].sides == {"ours": 100.0, "abc": 300.0}
    assert found["memory, model loaded"].ratio == 1


@CLONE
@pytest.mark.parametrize("command", ["epoch", "rollout"])
def test_a_commit_that_is_none_ends_in_one_line(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.run(lambda: bench.main([command, "--against", "no-such-commit"]))
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: --against 'no-such-commit' is no commit") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--plain-hands", "1"], "--plain-hands 1: a baseline needs at least two"),
        (["--repeats", "0"], "--repeats 0: give at least 1"),
        (["--num_epochs", "3"], "--num_epochs is no option of a benchmark"),
        (["--output-dir=x"], "--output_dir is no option"),
        (["--episodes_per_hour", "3"], "unknown options --episodes_per_hour"),
        (["--config", "nothing.yaml"], "nothing.yaml"),
        (["--ours", "trained_share", "0.3"], "--ours trained_share 0.3 needs --against COMMIT"),
        (["--against", "HEAD", "--ours", "traned_share=0.3"], r"no option traned_share \(did you mean trained_share"),
        (["--against", "HEAD", "--ours", "trained_share", "3"], "trained_share 3.0"),
        (["--against", "HEAD", "--traned_share", "0.3"], "unknown options --traned_share 0.3"),
        (["--against", "HEAD", "--theirs", "resume"], "--resume is no option of a benchmark"),
    ],
)
def test_mistakes_are_one_line(options, complaint):
    with pytest.raises(UserError, match=complaint) as error:
        bench.main(["epoch", *options])
    assert len(str(error.value).splitlines()) == 1


@CLONE
def test_a_commit_is_checked_out_for_a_while():
    commit = against.commit_of("HEAD")
    with against.checked_out(commit) as folder:
        assert (folder / "recipes" / "train.py").is_file()
    assert not folder.exists()
    assert str(folder) not in against._git("worktree", "list").stdout


@CLONE
def test_sides_take_turns_and_the_fastest_run_counts(runs):
    found = against.compare(versus_head(epochs=2, repeats=3), ["--seed", "1"])
    assert [side for side, _ in runs] == ["there", *3 * ["here", "there"]]  # the first one compiles
    assert runs[0][1][-8:-4] == ["--num_epochs", "1", "--episodes_per_epoch", "16"]
    assert all(given == ["--seed", "1", "--num_epochs", "2"] for _, given in runs[1:])
    assert found["ours"].processor_seconds == pytest.approx(1_000 / 6)
    assert found[against.commit_of("HEAD")].processor_seconds == pytest.approx(1_000 / 7)


@CLONE
def test_what_a_commit_does_not_know_is_left_out_for_it(runs, tmp_path, capsys):
    config = tmp_path / "new.yaml"
    kept = {"env": {"X": 1}, "game": "kuhn", "learning_rate": 1e-4, "villain": {"cfr": 0.5, "tag": 0.5}}
    config.write_text(json.dumps({**kept, "trained_share": 0.3}))
    runs.known = KNOWN - {"trained_share", "prompt_style", "bf16"}
    given = ["--prompt-style=brief", "--no_bf16", "--rewards", "chips", "illegal", "--trained", "0.2", "--seed", "3"]
    own = {"ours": [["menu_fractions", "0.5", "1"]], "theirs": [["per_device_train_batch_size=8"]]}
    against.compare(versus_head(**own), ["--config", str(config), *given])
    here = next(given for side, given in runs if side == "here")
    assert here == ["--config", str(config), *given, "--menu_fractions", "0.5", "1", "--num_epochs", "1"]
    assert runs.read == kept
    own_last = ["--per_device_train_batch_size=8", "--num_epochs", "1"]
    assert runs[-1][1][2:] == ["--rewards", "chips", "illegal", "--seed", "3", *own_last]
    said = capsys.readouterr().err
    assert "doesn't know prompt_style, bf16, trained_share: left out for it" in said and said.count("\n") == 1


@CLONE
def test_a_config_that_a_commit_knows_is_its_own(runs, tmp_path, capsys):
    config = tmp_path / "old.yaml"
    config.write_text("game: kuhn\n")
    against.compare(versus_head(), ["--config", str(config)])
    assert all(given[:2] == ["--config", str(config)] for _, given in runs) and not capsys.readouterr().err


@CLONE
def test_options_of_the_commit_alone_must_be_ones_that_it_has(runs):
    runs.known = frozenset({"per_device_train_batch_size", "of_old"})
    with pytest.raises(
        UserError, match=r"^--theirs of_odl: commit \w+ has no option of_odl \(did you mean of_old\?\)$"
    ):
        against.compare(versus_head(theirs=[["of_odl", "1"]]), [])
    assert not runs
    against.compare(versus_head(theirs=[["of_old", "1"]]), [])  # which this checkout has no more
    assert runs[-1][1][:2] == ["--of_old", "1"]


@CLONE
def test_an_older_commit_gets_an_adapter_that_it_can_read(runs, monkeypatch, tmp_path, capsys):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "poker_config.json").write_text(json.dumps({"style": "compact", "date": "x", "base_sha256": None}))

    def measure(options, folder, checkout=against.HERE):
        read = json.loads((Path(options[options.index("--adapter") + 1]) / "poker_config.json").read_text())
        if checkout != against.HERE:
            if len(read) > 1:
                raise UserError("f has unknown keys ['base_sha256', 'date']: was it written by a newer version?")
            assert read == {"style": "compact"}
        return epochs()

    monkeypatch.setattr(against, "measure", measure)
    against.compare(versus_head(), ["--adapter", str(adapter)])
    assert "doesn't know 'base_sha256', 'date' of the adapter's" in capsys.readouterr().err
    assert len(json.loads((adapter / "poker_config.json").read_text())) == 3


@CLONE
def test_what_an_older_commit_cannot_do_is_one_line(runs, monkeypatch):
    def measure(options, folder, checkout=against.HERE):
        raise UserError("unknown style 'brief'")

    monkeypatch.setattr(against, "measure", measure)
    with pytest.raises(UserError, match=r"^commit \w+: unknown style 'brief'$"):
        against.compare(versus_head(), ["--prompt_style", "brief"])


def tiny(folder):
    sizes = "--episodes_per_epoch 6 --rows_per_epoch 16 --per_device_train_batch_size 16 --dtype float32"
    return ["--model_name_or_path", str(folder), *sizes.split()]


@pytest.mark.slow
def test_a_checkout_tells_its_options(tmp_path):
    assert against.options_known(against.HERE, tmp_path) == KNOWN


@pytest.mark.slow
def test_a_run_is_watched_from_the_outside(tiny_model_dir, tmp_path):
    options = ["--game", "kuhn", "--villain", "cfr:weak", *tiny(tiny_model_dir), "--num_epochs", "2"]
    run = against.measure(options, tmp_path)
    assert [own["hands played"] for own in run.epochs] == [6]  # the second one
    for own in run.epochs:
        assert 0 < own["hands"] < own["generation"]
        assert 0 < own["backward"] < own["steps"]
        assert own["tokens needed by hands"] <= own["tokens sampled with"]
        assert 0 < own["tokens needed by updates"] <= own["tokens trained on"]
        assert 0 < own["rows"] <= own["decisions"]
    assert run.whole < run.processor_seconds
    assert run.peaks["model loaded"] <= run.peaks["after the updates"] <= run.peaks["whole run"]
    assert list(tmp_path.iterdir()) == [tmp_path / "log.txt"]
    with pytest.raises(UserError, match=r"^unknown option.*--nothing"):
        against.measure([*options, "--nothing", "1"], tmp_path)


@pytest.mark.slow
def test_an_epoch_and_its_memory_are_measured(tiny_model_dir, tmp_path, capsys):
    small = tiny(tiny_model_dir)
    bench.main(["epoch", *small, "--plain-hands", "2", "--json", str(tmp_path / "x.json")])
    figures = json.loads((tmp_path / "x.json").read_text())["figures"]
    assert figures["counted"]["sides"]["hands played"] == 6
    assert figures["decisions, update"]["ratio"] > 0
    assert "bare passes" in capsys.readouterr().out
    found = memory.measure(argparse.Namespace(config=None, adapter=None, rest=small))
    assert found["quickstart, 64 hands"].sides["model loaded"] > 0
