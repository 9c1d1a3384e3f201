import importlib
from types import SimpleNamespace

import pytest

from keras_sknet.training.state import checkpoint_folder, load_state, save_state


@pytest.mark.slow
def test_a_killed_training_ends_equal(run_faults):
    code, printed = run_faults(
        "kills.py", "--kills", 0, "--checkpoint-kills", 1, "--epochs", 1, "--seconds", 0
    )
    assert code == 0, printed
    assert "ok  kill 1, before the first checkpoint: still at step 0" in printed
    assert "of a checkpoint (half)" in printed
    assert "equal to the run without a fault: yes" in printed
    assert "kills: 2 tried, 2 as promised, 0 not" in printed


def test_the_folder_of_checkpoints_goes_if_none_is_written(tmp_path):
    folder = tmp_path / "checkpoints"
    with pytest.raises(RuntimeError), checkpoint_folder(folder):
        assert folder.is_dir() and load_state(folder) == (None, [])
        raise RuntimeError
    assert not folder.exists()


def test_the_folder_of_checkpoints_stays_with_one(tmp_path):
    folder = tmp_path / "checkpoints"
    for step in (1, 2):  # it may be there already
        with checkpoint_folder(folder):
            save_state(folder, step, [], {"step": step})
    assert load_state(folder)[0][1]["step"] == 2


def test_kills_are_of_all_kinds_and_the_same_each_time(faults):
    plan = importlib.import_module("kills").plan
    options = SimpleNamespace(kills=10, checkpoint_kills=3, seed=0)
    names, again = ([name for name, _ in plan(options, 10, 60)] for _ in range(2))
    assert names == again and len(names) == 14
    assert sum("of a checkpoint (" in name for name in names) == 3
    assert all(any(f"({place})" in name for name in names) for place in ("half", "whole", "unnamed"))
    assert sum("after it trains" in name for name in names) == 6
    assert sum("after the start" in name for name in names) == 4
