"""What an evaluation is saved as: read back it is what it was, and no file is ever half of one."""

import csv
import errno
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from poker_env.errors import UserError
from poker_env.evaluation.compare import StoredEvaluation
from poker_env.evaluation.estimates import Estimate
from poker_env.evaluation.match import evaluate
from poker_env.evaluation.results import (
    checkpoints,
    comparison_table,
    judged_sha256,
    prompts,
    results,
    summary_lines,
    values_csv,
    write_results,
)
from poker_env.games import make_game
from poker_env.hand import Answer, read_hands
from poker_env.knowledge.exact_value import ExactReport, ExactValue
from poker_env.player_specs import make_player
from poker_env.players.cfr import OPPONENTS
from poker_env.state import CALL

KUHN, LEDUC, HOLDEM = make_game("kuhn"), make_game("leduc"), make_game("holdem")
FILES = {"results.json", "values.csv", "hands.jsonl"}


def match(game, hero, villain, hands, seed=0, **options):
    return evaluate(game, make_player(hero, game), make_player(villain, game), hands, seed, progress=False, **options)


def as_estimate(record):
    return Estimate(**record | {"ci95": record["ci95"] and tuple(record["ci95"])})


def test_what_is_written_is_what_is_read_back(tmp_path):
    evaluation = match(LEDUC, "cfr:weak", "cfr", 60, seed=4)
    bound = {"some lbr": evaluation.estimates["duplicate"]}
    written = write_results(tmp_path / "new" / "folder", evaluation, "the command", exploitability=bound)
    folder = tmp_path / "new" / "folder"
    assert {path.name for path in folder.iterdir()} == FILES
    record = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert record == json.loads(json.dumps(written, allow_nan=False))
    for field in ("estimates", "by_seat"):
        assert {name: as_estimate(one) for name, one in record[field].items()} == getattr(evaluation, field)
    assert as_estimate(record["exploitability"]["some lbr"]) == bound["some lbr"]
    exact = record["exact"]
    value = ExactValue(**exact["value"] | {"by_seat": tuple(exact["value"]["by_seat"])})
    assert ExactReport(**exact | {"value": value}) == evaluation.exact
    assert tuple(read_hands(folder / "hands.jsonl")) == evaluation.hands
    stored = StoredEvaluation.load(folder)
    assert (stored.game, stored.hero, stored.villain, stored.seed) == ("leduc", "cfr:weak", "cfr", 4)
    assert set(stored.values) == {"payoff", "chance_corrected", "aivat"}
    for name, values in stored.values.items():
        assert values == pytest.approx(evaluation.values[name], abs=5.01e-4)


@pytest.mark.parametrize("failing", sorted(FILES))
def test_a_full_disk_leaves_each_file_whole_or_absent(tmp_path, monkeypatch, failing):
    """As it was before, where there was one: the write of one of the files stops half-way."""
    old, new = match(KUHN, "call", "random", 6), match(KUHN, "random", "call", 20, seed=1)
    write_results(tmp_path / "old", old, "")
    before = {name: (tmp_path / "old" / name).read_bytes() for name in FILES}
    replace = Path.replace

    def full(self, target):
        if target.name == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    for folder in ("old", "empty"):
        with pytest.raises(UserError, match=f"can't write .*{failing}: No space left"):
            write_results(tmp_path / folder, new, "")
    monkeypatch.undo()
    write_results(tmp_path / "whole", new, "")
    for folder in ("old", "empty"):
        found = {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        assert found.get(failing) == (before[failing] if folder == "old" else None)
        assert set(found) <= FILES  # nothing half written beside them
        for name in {"values.csv", "hands.jsonl"} & set(found) - {failing}:
            assert found[name] in (before[name], (tmp_path / "whole" / name).read_bytes())
        assert found.get("results.json") == (before["results.json"] if folder == "old" else None)  # it comes last


def test_the_comparison_says_chips_intervals_gains_legal_answers_and_hands():
    """Not how many hands were won: who folds less wins more of them, and loses more chips."""
    sampled = results(match(HOLDEM, "call", "random", 2_000), "")
    one_deck = results(match(KUHN, "random", "call", 2), "")
    gained = Estimate(-1_234.4, 30.0, (-11_000.0, -1_024.8), 2_000, 1_000)
    gains = {"after training": gained, "in all": gained}
    records = json.loads(json.dumps({"after imitation": sampled, "after training": one_deck}))
    table = comparison_table(records, gains)
    columns = {str(column.header): list(column.cells) for column in table.columns}
    assert list(columns) == ["", "mbb/hand [95 %]", "gain [95 %]", "legal"]
    assert columns[""] == ["after imitation", "after training", "in all"]
    quoted = [as_estimate(record["estimates"][record["headline"]]) for record in (sampled, one_deck)]
    low, high = quoted[0].ci95
    assert columns["mbb/hand [95 %]"] == [
        f"{quoted[0].mbb_per_hand:+,.0f} [{low:+,.0f}, {high:+,.0f}]",
        f"{quoted[1].mbb_per_hand:+,.0f}",  # one deck: no interval
        "",
    ]
    assert columns["gain [95 %]"] == ["", *["-1,234 [-11,000, -1,025]"] * 2]
    assert columns["legal"] == ["100.0%", "100.0%", ""] and "2,000 hands" in table.caption
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table)
    assert "-1,234 [-11,000, -1,025]" in console.export_text()  # it fits a terminal


class OddRaises:
    """Calls, and now and then raises by a sum that no blueprint's tree has."""

    name = "odd raises"

    def act(self, observations):
        raises = [seen.min_raise_to is not None and seen.coin < 0.1 for seen in observations]
        return [
            Answer(min(seen.min_raise_to + 37, HOLDEM.stack) if odd else CALL)
            for seen, odd in zip(observations, raises, strict=True)
        ]


def test_values_have_a_column_for_everything_that_was_counted():
    evaluation = evaluate(HOLDEM, OddRaises(), make_player("cfr:small", HOLDEM), 10, progress=False, lbr=["fc"])
    rows = list(csv.reader(values_csv(evaluation).splitlines()))
    assert rows[0] == ["deck", "seat", *evaluation.values, "lbr:fc", "off_tree"] and len(rows) == 11
    columns = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))
    assert columns["deck"] == tuple("0011223344")
    assert columns["seat"] == tuple(str(hand.hero_seat) for hand in evaluation.hands)
    assert np.array(columns["lbr:fc"], float) == pytest.approx(evaluation.references["fc"], abs=5.01e-4)
    assert [value == "1" for value in columns["off_tree"]] == evaluation.off_tree.tolist()
    assert 0 < evaluation.off_tree.sum() < 10
    share = results(evaluation, "")["off_tree_hands"]
    assert share == evaluation.off_tree.mean()
    assert any(f"(off-tree) in {share:.1%} of hands" in line for line in summary_lines(evaluation))


def test_players_are_named_by_the_files_they_came_from():
    shipped, weak = (make_player(spec, KUHN) for spec in ("cfr", "cfr:weak"))
    mixed = make_player("mix:cfr=0.5,cfr:weak=0.3,call=0.2", KUHN)
    assert checkpoints(mixed, make_player("call", KUHN)) == {"cfr": shipped.sha256, "cfr:weak": weak.sha256}
    record = results(match(KUHN, "cfr:weak", "tag", 2), "")
    assert judged_sha256(record) == weak.sha256 != shipped.sha256
    assert judged_sha256(results(match(KUHN, "tag", "cfr", 2), "")) is None
    copied = make_player(f"cfr:{OPPONENTS / 'kuhn-weak.npz'}", KUHN)
    assert list(checkpoints(copied).values()) == [weak.sha256]
    assert prompts(shipped, mixed) == {}
