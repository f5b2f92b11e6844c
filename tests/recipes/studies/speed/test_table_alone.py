"""The table is timed on hands that are new to it, then again."""

import json

import pytest

from poker_env.errors import UserError
from recipes import bench


def test_hands_are_timed(tmp_path, capsys):
    bench.main(["table", "--hands", "30", "--json", str(tmp_path / "x.json")])
    record = json.loads((tmp_path / "x.json").read_text())
    assert record["bench"] == "table"
    assert record["figures"]["table"]["sides"].keys() == {"new hands", "seen before"}
    assert record["figures"]["table"]["ratio"] > 0
    assert record["figures"]["decisions"]["sides"]["both players'"] > 2
    assert "hands/s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "complaint"),
    [(["--hands", "0"], "--hands 0: play at least one"), (["--checkpoint", "x"], "unknown options --checkpoint x")],
)
def test_mistakes_are_one_line(options, complaint):
    with pytest.raises(UserError, match=complaint):
        bench.main(["table", *options])
