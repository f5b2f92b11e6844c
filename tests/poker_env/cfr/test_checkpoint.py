"""Checkpoint files: whole, verified, and never code."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from poker_env.cfr.checkpoint import Checkpoint, Provenance, file_sha256, load_checkpoint
from poker_env.errors import UserError
from poker_env.games import make_game

CHECKPOINT = Checkpoint(
    "test",
    make_game("leduc"),
    Provenance("cfr", 7, 1.5, 3, "python recipes/solve.py", "abc"),
    {"a": [1, 2], "b": None},
    {"x": np.arange(12, dtype=np.float32).reshape(3, 4), "y": np.array(["one", "two"]), "empty": np.zeros(0, np.int8)},
)


@pytest.mark.parametrize("compress", [True, False])
def test_what_is_saved_is_loaded(tmp_path, compress):
    CHECKPOINT.save(tmp_path / "c.npz", compress)
    loaded = load_checkpoint(tmp_path / "c.npz")
    assert (loaded.kind, loaded.game, loaded.provenance) == ("test", CHECKPOINT.game, CHECKPOINT.provenance)
    assert loaded.settings == CHECKPOINT.settings
    assert loaded.digest == CHECKPOINT.digest
    for name, array in CHECKPOINT.arrays.items():
        assert loaded.arrays[name].dtype == array.dtype
        assert np.array_equal(loaded.arrays[name], array)


def test_the_same_content_makes_the_same_file(tmp_path):
    CHECKPOINT.save(tmp_path / "a.npz")
    CHECKPOINT.save(tmp_path / "b.npz")
    assert file_sha256(tmp_path / "a.npz") == file_sha256(tmp_path / "b.npz")


def test_numpy_alone_can_read_it(tmp_path):
    CHECKPOINT.save(tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz", allow_pickle=False) as archive:
        assert np.array_equal(archive["x"], CHECKPOINT.arrays["x"])


def test_no_truncation_is_ever_taken_for_the_whole(tmp_path):
    CHECKPOINT.save(tmp_path / "c.npz")
    data = (tmp_path / "c.npz").read_bytes()
    for length in range(0, len(data) - 1, 37):
        (tmp_path / "part.npz").write_bytes(data[:length])
        with pytest.raises(UserError, match=r"part\.npz is damaged"):
            load_checkpoint(tmp_path / "part.npz")


def test_changed_content_doesnt_match_its_hash(tmp_path):
    CHECKPOINT.save(tmp_path / "c.npz", compress=False)
    with np.load(tmp_path / "c.npz") as archive:
        arrays = dict(archive)
    arrays["x"][1, 1] += 1
    np.savez(tmp_path / "changed.npz", **arrays)
    with pytest.raises(UserError, match="hash doesn't match"):
        load_checkpoint(tmp_path / "changed.npz")


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def test_pickles_are_refused_unopened(tmp_path):
    bare = tmp_path / "bare.npz"
    bare.write_bytes(pickle.dumps(Bomb()))
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    inside, torch_file = tmp_path / "inside.npz", tmp_path / "model.pt"
    with zipfile.ZipFile(inside, "w") as archive:
        archive.writestr("header.npy", buffer.getvalue())
    with zipfile.ZipFile(torch_file, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps(Bomb()))
    for path in (bare, inside, torch_file):
        with pytest.raises(UserError) as caught:
            load_checkpoint(path)
        assert str(caught.value) == f"{path} is refused: it is a pickle, which can run code when opened"


def test_other_files_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text("hello")
    for name in ("other.npz", "array.npy", "text.npz"):
        with pytest.raises(UserError, match="damaged or no strategy checkpoint"):
            load_checkpoint(tmp_path / name)
    with pytest.raises(UserError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "missing.npz")
    with pytest.raises(UserError, match="no checkpoint at"):
        load_checkpoint(tmp_path)
