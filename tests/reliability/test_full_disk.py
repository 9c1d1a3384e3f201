import importlib

import pytest

from keras_sknet.training import keep_model
from nets import tiny


@pytest.fixture
def full_disk(faults):
    return importlib.import_module("full_disk")


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_what_was_there(run_faults, require):
    code, printed = run_faults("full_disk.py", "--only", "evaluate", "--shares", 0, 0.5, "--epochs", 1)
    require("it mounts a small file system" not in printed, "the right to mount a file system")
    assert code == 0, printed
    assert "ok  evaluate, room for 50%: keras-sknet: error: " in printed
    assert "full disks: 3 tried, 3 as promised, 0 not" in printed


LINE = "keras-sknet: error: [Errno 28] Cannot write 'x' (No space left on device)\n"


@pytest.mark.parametrize(
    "code, line, after, complaint",
    [
        (2, LINE, {"mine": "1"}, None),
        (0, LINE, {"mine": "1"}, "exit code 0"),
        (2, f"Traceback\n{LINE}", {"mine": "1"}, "not one clear line"),
        (2, "keras-sknet: error: Oh no\n", {"mine": "1"}, "not one clear line"),
        (2, LINE, {"mine": "2"}, "changed: ['mine']"),
        (2, LINE, {}, "changed: ['mine']"),
        (2, LINE, {"mine": "1", ".x.abc": "folder"}, "left behind: ['.x.abc']"),
    ],
)
def test_what_is_not_as_promised_is_told(full_disk, capsys, code, line, after, complaint):
    tally = full_disk.Tally("full disks")
    full_disk.judge(tally, "export", {"code": code, "stderr": line}, {"mine": "1"}, after)
    assert tally.bad == ([] if complaint is None else ["export"])
    printed = capsys.readouterr().out
    assert printed.startswith("ok " if complaint is None else "BAD")
    assert complaint is None or printed.endswith(f"<-- {complaint}\n")


def test_an_empty_tally_is_no_success(full_disk):
    assert full_disk.Tally("full disks").end() == 1


def test_a_best_model_that_cannot_be_written_is_named(tmp_path):
    said = rf"Cannot write the best model \(No such file or directory\): '{tmp_path}/gone/model.keras'$"
    with pytest.raises(OSError, match=said):
        keep_model(tiny(), tmp_path / "gone" / "model.keras")
