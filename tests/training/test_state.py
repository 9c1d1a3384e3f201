import json
import os

import numpy as np
import pytest

from keras_sknet.training.state import load_state, save_state

ARRAYS = [np.arange(6, dtype="float32").reshape(2, 3), np.array(7, "int64"), np.zeros((0, 2), "uint32")]


def written(folder, *steps):
    for step in steps:
        save_state(folder, step, [*ARRAYS, np.array(step)], {"step": step, "best_loss": float("inf")})
    return sorted(path.name for path in folder.iterdir())


def test_gives_back_what_it_was_given(tmp_path):
    assert load_state(tmp_path / "none") == (None, [])
    assert written(tmp_path / "checkpoints", 3) == ["step-0000000003.state"]
    (arrays, document), complaints = load_state(tmp_path / "checkpoints")
    assert document == {"step": 3, "best_loss": float("inf")} and complaints == []
    for array, expected in zip(arrays, [*ARRAYS, np.array(3)], strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)


def test_keeps_the_last_two(tmp_path):
    assert written(tmp_path, 1, 2, 10, 11) == ["step-0000000010.state", "step-0000000011.state"]
    # What a killed process left behind is written over.
    (tmp_path / ".unfinished.state").write_bytes(b"half")
    assert written(tmp_path, 12) == ["step-0000000011.state", "step-0000000012.state"]


def test_a_checkpoint_is_kept_though_later_ones_are_damaged(tmp_path):
    written(tmp_path, 20, 30)
    for path in tmp_path.iterdir():
        path.write_bytes(b"damaged")
    assert written(tmp_path, 5) == ["step-0000000005.state"]
    assert written(tmp_path, 6, 7) == ["step-0000000006.state", "step-0000000007.state"]
    (tmp_path / "step-0000000007.state").write_bytes(b"damaged")
    assert load_state(tmp_path)[0][1]["step"] == 6
    # It is written again, when the training is there again.
    assert written(tmp_path, 7) == ["step-0000000006.state", "step-0000000007.state"]


def test_every_flipped_bit_and_every_cut_is_found(tmp_path):
    written(tmp_path, 1, 2)
    path = tmp_path / "step-0000000002.state"
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for offset in (*range(120), *random.integers(0, len(whole), 200)):
        flipped = bytearray(whole)
        flipped[offset] ^= 1 << random.integers(8)
        for damaged in (bytes(flipped), whole[:offset]):
            path.write_bytes(damaged)
            (_, document), (complaint,) = load_state(tmp_path)
            assert document["step"] == 1
            assert complaint.startswith(f"{path} is damaged (it")
    path.write_bytes(whole)
    assert load_state(tmp_path)[0][1]["step"] == 2


def test_nothing_whole_is_no_checkpoint(tmp_path):
    written(tmp_path, 1, 2)
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    found, complaints = load_state(tmp_path)
    assert found is None and len(complaints) == 2


def test_pickled_objects_are_not_read(tmp_path):
    save_state(tmp_path, 1, [np.array([{"a": 1}], dtype=object)], {})
    found, (complaint,) = load_state(tmp_path)
    assert found is None and "allow_pickle=False" in complaint


@pytest.mark.parametrize("what", ["mkdir", "full"])
def test_what_cannot_be_written_is_one_error_and_leaves_the_last(tmp_path, what, monkeypatch):
    folder = tmp_path / "checkpoints"
    if what == "mkdir":
        folder.write_text("a file")
    else:
        written(folder, 1)
        monkeypatch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="Cannot write a checkpoint .*step-0000000002.state"):
        save_state(folder, 2, ARRAYS, {})
    if what == "full":
        assert json.dumps([path.name for path in folder.iterdir()]) == '["step-0000000001.state"]'
        assert load_state(folder)[0][1]["step"] == 1
