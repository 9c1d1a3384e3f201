import pytest

from fit_runs import train
from keras_sknet.data import digits


@pytest.fixture(scope="module")
def few_digits():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(digits.SPLITS, "train", (0, 16))
        patch.setitem(digits.SPLITS, "validation", (1300, 1310))
        yield


@pytest.fixture(scope="module")
def finished(few_digits, tmp_path_factory):
    """The folder of a training, its model, history and best epoch."""
    folder = tmp_path_factory.mktemp("fit") / "run"
    return folder, *train(folder)
