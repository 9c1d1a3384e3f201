import os
import sys

import pytest

from keras_sknet.files import appearing_whole, filled_whole, write_errors


@pytest.mark.parametrize("as_string", [True, False])
def test_a_file_appears_when_it_is_complete(tmp_path, as_string):
    path = tmp_path / "file"
    with appearing_whole(str(path) if as_string else path) as unfinished:
        unfinished.write_text("half")
        assert not path.exists()
        unfinished.write_text("whole")
    assert path.read_text() == "whole"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_appears_with_the_usual_permissions(tmp_path):
    usual = tmp_path / "usual"
    usual.mkdir()
    with appearing_whole(tmp_path / "folder") as unfinished:
        unfinished.mkdir()
        (unfinished / "part").touch()
    assert os.listdir(tmp_path / "folder") == ["part"]
    assert (tmp_path / "folder").stat().st_mode == usual.stat().st_mode


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(tmp_path, error):
    with pytest.raises(error), appearing_whole(tmp_path / "folder") as unfinished:
        unfinished.mkdir()
        (unfinished / "part").touch()
        raise error
    assert os.listdir(tmp_path) == []


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "folder", "link"):
        with pytest.raises(ValueError, match=f"`path` must be new: nothing is overwritten.*path='.*{name}'"):
            with appearing_whole(tmp_path / name):
                pytest.fail("entered")
    assert (tmp_path / "file").read_text() == "old"


def test_what_appears_meanwhile_is_not_overwritten(tmp_path):
    with (
        pytest.raises(ValueError, match="`path` must be new"),
        appearing_whole(tmp_path / "file") as unfinished,
    ):
        unfinished.write_text("ours")
        (tmp_path / "file").write_text("theirs")
    assert (tmp_path / "file").read_text() == "theirs"
    assert os.listdir(tmp_path) == ["file"]


def test_the_folder_must_exist_and_take_files(tmp_path):
    with pytest.raises(
        ValueError, match="`path` must be in a folder that exists. Received: path='.*missing/x'"
    ):
        with appearing_whole(tmp_path / "missing" / "x"):
            pytest.fail("entered")
    with pytest.raises(ValueError, match="`path` must be a string or a path object. Received: path=3"):
        with appearing_whole(3):
            pytest.fail("entered")
    if sys.platform == "linux":
        with pytest.raises(OSError, match="Cannot write here .*: '/proc/x'"), appearing_whole("/proc/x"):
            pytest.fail("entered")


def test_a_file_is_replaced_when_it_is_complete(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), appearing_whole(path, replace=True) as unfinished:
        unfinished.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    with appearing_whole(path, replace=True) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["file"]


def test_a_folder_is_filled_when_its_contents_are_complete(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty", target_is_directory=True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for number, name in enumerate(("new", "link", "../here", ".")):
        path = tmp_path / "here" / name if name == "." else tmp_path / name.removeprefix("../")
        folder = name if name == "." else path
        if name == ".":
            (tmp_path / "here" / "part").unlink()
        with filled_whole(folder) as unfinished:
            (unfinished / "part").write_text(str(number))
            assert not (path / "part").exists()
        assert os.listdir(path) == ["part"] and (path / "part").read_text() == str(number)
    assert (tmp_path / "link").is_symlink() and os.listdir(".") == ["part"]


def test_a_failure_leaves_the_folder_as_it_was(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, error in (("empty", RuntimeError), ("new", KeyboardInterrupt)):
        with pytest.raises(error), filled_whole(tmp_path / name) as unfinished:
            (unfinished / "part").touch()
            raise error
    assert os.listdir(tmp_path) == ["empty"] and os.listdir(tmp_path / "empty") == []
    with pytest.raises(ValueError, match="`path` must be empty until the end.*found=.'theirs'"):
        with filled_whole(tmp_path / "empty") as unfinished:
            (unfinished / "part").touch()
            (tmp_path / "empty" / "theirs").touch()
    assert os.listdir(tmp_path / "empty") == ["theirs"]


def full_device():
    with open("/dev/full", "w") as file:
        file.write("x")
        file.flush()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told_of_the_path_that_the_user_knows(tmp_path):
    with pytest.raises(OSError) as told, appearing_whole(tmp_path / "file") as unfinished:
        unfinished.write_text("half")
        full_device()
    assert str(told.value) == f"[Errno 28] Cannot write here (No space left on device): '{tmp_path}/file'"
    assert os.listdir(tmp_path) == []
    # What is none of the disk's is let through as it is.
    with pytest.raises(FileNotFoundError, match="mine"), appearing_whole(tmp_path / "file"):
        open(tmp_path / "mine")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_errors_of_tensorflow_become_the_systems():
    import tensorflow as tf

    with (
        pytest.raises(OSError, match=r"^Cannot write 'run' \(No space left on device\)$"),
        write_errors("run"),
    ):
        tf.io.write_file("/dev/full", "x" * 10_000_000)
    with (
        pytest.raises(OSError, match=r"^Cannot write 'run' \(No space left on device\)$"),
        write_errors("run"),
    ):
        full_device()
    with pytest.raises(OSError, match=r"^Cannot write 'run' \(told\)$"), write_errors("run"):
        raise OSError("told")
