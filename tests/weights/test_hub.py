import re

import numpy as np
import pytest
from huggingface_hub import constants

from hub_folder import COMMIT, CONFIG, add_repository
from keras_sknet.weights import cache, hub

REPOSITORY = "timm/skresnext50_32x4d.ra_in1k"
TENSORS = {"fc.bias": np.arange(5, dtype="float32")}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The hub's cache, empty, and a machine without network."""
    # The client reads its environment when it is imported.
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def test_finds_both_files_of_one_commit_and_the_checksum(folder):
    path = add_repository(folder, REPOSITORY, TENSORS)
    other = add_repository(
        folder, REPOSITORY, {"fc.bias": np.zeros(9, "float32")}, {**CONFIG, "num_classes": 9}, "b" * 40, "old"
    )
    for revision in (None, "main", COMMIT):
        found = hub.fetch(REPOSITORY, revision)
        assert (found.weights, found.config) == (path, path.with_name("config.json"))
        assert found.sha256 == path.resolve().name == hub.file_checksum(path)
        hub.check(found)
    assert hub.fetch(REPOSITORY, "old").weights == other


def test_what_is_not_there_is_named_with_the_way_to_get_it(folder):
    with pytest.raises(FileNotFoundError) as caught:
        hub.fetch(REPOSITORY)
    text = str(caught.value)
    assert text.startswith(
        f"Cannot get model.safetensors of '{REPOSITORY}', revision 'main', from the Hugging"
    )
    assert f"`hf download {REPOSITORY} model.safetensors config.json`" in text and len(text) < 900
    path = add_repository(folder, REPOSITORY, TENSORS)
    with pytest.raises(FileNotFoundError, match="revision 'v2'.*config.json --revision v2`"):
        hub.fetch(REPOSITORY, "v2")
    path.with_name("config.json").unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(f"Cannot get config.json of '{REPOSITORY}'")):
        hub.fetch(REPOSITORY)


def test_a_damaged_file_is_found_by_its_checksum(folder):
    path = add_repository(folder, REPOSITORY, TENSORS)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.resolve().write_bytes(content)
    with pytest.raises(ValueError, match=f"`weights` must be the file that the hub has.*{path.resolve()}"):
        hub.check(hub.fetch(REPOSITORY))


def test_a_name_that_is_no_checksum_is_refused(folder):
    path = add_repository(folder, REPOSITORY, TENSORS)
    blob = path.resolve()
    blob.rename(blob.with_name("f" * 40))
    path.unlink()
    path.symlink_to(f"../../blobs/{'f' * 40}")
    with pytest.raises(FileNotFoundError, match="The hub reports no sha256 for model.safetensors"):
        hub.fetch(REPOSITORY)


def test_without_links_the_hub_must_be_asked(folder):
    path = add_repository(folder, REPOSITORY, TENSORS)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(FileNotFoundError, match="Cannot check .*: its checksum must be asked from the hub"):
        hub.fetch(REPOSITORY)


def test_kept_weights_are_found_until_they_are_damaged(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert cache.find("net") is None
    path = cache.keep("net", lambda path: path.write_bytes(b"one"))
    assert path == tmp_path / "keras_sknet" / "net" / "model.weights.h5" == cache.find("net")
    assert cache.keep("net", lambda path: path.write_bytes(b"two")).read_bytes() == b"two"
    assert capsys.readouterr().out == ""
    path.write_bytes(b"too")
    assert cache.find("net") is None and not path.parent.exists()
    assert (
        capsys.readouterr().out
        == f"{str(path)!r} is damaged: it does not match its checksum. It is made anew.\n"
    )


def test_nothing_is_kept_of_what_fails_and_what_was_there_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = cache.keep("net", lambda path: path.write_bytes(b"one"))

    def write(path):
        path.write_bytes(b"half")
        raise ValueError("no more")

    for name in ("net", "other"):
        with pytest.raises(ValueError, match="no more"):
            cache.keep(name, write)
    assert cache.find("net") == path and path.read_bytes() == b"one"
    assert [entry.name for entry in path.parent.parent.iterdir()] == ["net"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.raises(OSError, match="set KERAS_HOME to another folder.*keras_sknet"):
        cache.keep("net", lambda path: path.write_bytes(b"one"))
