import keras
import numpy as np
import pytest

from keras_sknet.training.log import Log


def train(folder):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.ones((8, 2)), np.ones((8, 1))
    model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[Log(folder)], validation_data=(x, y))


def test_it_writes_what_keras_own_does(tmp_path):
    train(tmp_path / "log")
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == ["train", "validation"]
    assert all(any(path.iterdir()) for path in (tmp_path / "log").iterdir())


def test_what_cannot_be_written_is_an_error_of_the_system(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match=rf"^Cannot write '{tmp_path}/file/log' \(\S+ is not a directory\)$"):
        train(tmp_path / "file" / "log")
    assert (tmp_path / "file").read_text() == "mine"
