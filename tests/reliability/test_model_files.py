import importlib
import json
import zipfile

import h5py
import numpy as np
import pytest

from keras_sknet.models.keras_file import check_keras_file, load_keras_file
from keras_sknet.weights import cache
from nets import small, tiny


@pytest.fixture
def archive(tmp_path):
    """What a `.keras` file is to the archive's format, in few bytes."""
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as file:
        for name in ("metadata.json", "config.json"):
            with file.open(name, "w") as member:
                member.write(b"{}")
        file.writestr("model.weights.h5", b"numbers")
        with file.open("assets/words.txt", "w", force_zip64=True) as member:
            member.write(b"words")
    return tmp_path / "x.keras"


def found(path):
    try:
        check_keras_file(path)
    except ValueError as error:
        assert "the archive is damaged" in str(error)
        return True
    return False


def test_every_bit_of_an_archive_counts(archive):
    whole = archive.read_bytes()
    assert not found(archive)
    missed = []
    for bit in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        archive.write_bytes(changed)
        missed += [] if found(archive) else [bit]
    # One attribute a member, which says that it is a file.
    assert len(missed) == 4
    for bit in missed:
        start = whole.rindex(b"PK\x01\x02", 0, bit // 8)
        assert bit == 8 * (start + 41) + 7


def test_every_cut_and_what_is_added_counts(archive):
    whole = archive.read_bytes()
    for end in range(len(whole)):
        archive.write_bytes(whole[:end])
        assert found(archive), end
    for contents in (whole + b"\0", b"\0" + whole, whole + whole, whole[:40] + b"x" + whole[40:]):
        archive.write_bytes(contents)
        assert found(archive)


def test_models_as_keras_saves_them_pass(tmp_path, monkeypatch):
    model = small()
    model.save(tmp_path / "x.keras")
    check_keras_file(tmp_path / "x.keras")
    # As on a machine with little memory, where Keras packs a file.
    import keras.src.saving.saving_lib as saving_lib

    monkeypatch.setattr(saving_lib, "is_memory_sufficient", lambda model: False)
    model.save(tmp_path / "y.keras")
    for name in "xy":
        arrays = load_keras_file(tmp_path / f"{name}.keras").get_weights()
        assert all((a == b).all() for a, b in zip(arrays, model.get_weights(), strict=True))


def test_numbers_that_are_not_finite_are_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "net.weights.h5"
    model = tiny()
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        file["layers/classifier/vars/1"][2] = np.nan
    with pytest.raises(ValueError, match="`weights` must be a file of finite numbers") as caught:
        tiny(weights=path)
    assert f"weights={path!r}, array='predictions/bias'" in str(caught.value)


@pytest.mark.parametrize("contents", [b"", b"\xff\xfe", b"0" * 64 + b"\n"], ids=["empty", "no text", "other"])
def test_a_damaged_checksum_in_the_cache_is_named(contents, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = cache.keep("x", lambda path: path.write_bytes(b"numbers"))
    assert cache.find("x") == path
    path.with_name(path.name + ".sha256").write_bytes(contents)
    assert cache.find("x") is None
    assert capsys.readouterr().out.startswith(f"{str(path)!r} is damaged: it does not match its checksum.")


def test_the_watch_over_loads_sees_what_a_file_does(faults, tmp_path):
    loads = importlib.import_module("loads").Loads()
    loads._evil = lambda path: (tmp_path / "x").symlink_to(path)
    assert loads.load("evil", "y")["forbidden"] == ["os.symlink"]
    tiny().save(tmp_path / "net.keras")
    assert json.loads(json.dumps(loads.load("keras", tmp_path / "net.keras")))["changed"] == 0


@pytest.mark.slow
def test_damaged_files_are_found_and_never_crash(run_faults):
    code, printed = run_faults("files.py", "--flips", 20, "--cuts", 5)
    assert code == 0, printed[-3000:]
    for kind in ("keras", "keras_weights", "cache", "h5", "safetensors"):
        assert f"{kind}: 25 tried, 25 as promised, 0 not" in printed
    for kind in ("keras", "keras_weights", "cache"):
        assert f"{kind}, flips" in printed and "20 found" in printed
