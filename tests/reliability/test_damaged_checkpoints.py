import importlib
import random
from types import SimpleNamespace

import numpy as np
import pytest

from keras_sknet.training.state import save_state

COUNTS = SimpleNamespace(flips=20, cuts=20)


@pytest.fixture
def checkpoints(faults):
    return importlib.import_module("checkpoints")


@pytest.fixture
def folder(tmp_path):
    for step in (3, 5):
        save_state(tmp_path, step, [np.arange(1000, dtype="float32")], {"step": step})
    return tmp_path


def test_every_damage_is_counted_as_found(checkpoints, folder, capsys):
    tally = checkpoints.Tally("damaged checkpoints")
    checkpoints.every_one(tally, folder, COUNTS, random.Random(0))
    assert tally.end() == 0
    printed = capsys.readouterr().out
    assert "flips: 20 of 20 found" in printed and "cuts: 20 of 20 found" in printed
    assert printed.endswith("damaged checkpoints: 41 tried, 41 as promised, 0 not\n")


def test_damage_that_is_not_found_is_counted_too(checkpoints, folder, monkeypatch, capsys):
    monkeypatch.setattr(checkpoints, "flipped", lambda contents, draw: (7, contents))
    tally = checkpoints.Tally("damaged checkpoints")
    checkpoints.every_one(tally, folder, COUNTS, random.Random(0))
    assert tally.end() == 1
    assert "flips: 0 of 20 found" in capsys.readouterr().out
    assert tally.bad == ["flip at byte 7"] * 20
