import pytest

from keras_sknet.data import digits
from train_runs import FEW


@pytest.fixture
def few_digits(monkeypatch):
    for split, block in FEW.items():
        monkeypatch.setitem(digits.SPLITS, split, block)
