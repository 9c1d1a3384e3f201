"""Weights that come with the package."""

import re
import shutil

import keras
import numpy as np
import pytest

import keras_sknet
from keras_sknet.weights import shipped

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture(scope="module")
def trained():
    return keras_sknet.SKNetThin(weights="cifar10")


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")


def logits(model, images):
    return np.log(model.predict(images, verbose=0))


def test_it_is_a_trained_classifier_of_ten_classes(trained, images):
    assert trained.get_layer("predictions").class_names == CLASSES
    assert trained.get_layer("normalization").crop_fraction == 1.0
    spread = logits(trained, images).std(axis=-1)
    assert (spread > 3 * logits(keras_sknet.SKNetThin(), images).std(axis=-1)).all()


def test_it_is_small_enough_to_come_along(trained):
    (file,) = shipped.FOLDER.glob("*.keras")
    assert file.stat().st_size <= 5_000_000
    assert keras_sknet.complexity(trained).multiply_adds <= 10_000_000
    (*names,) = ((network, name) for network, names in shipped.SHIPPED.items() for name in names)
    assert [f"{network}-{name}.keras" for network, name in names] == [file.name]


def test_other_classes_keep_all_but_the_classifier(trained, images, capsys):
    other = keras_sknet.SKNetThin(weights="cifar10", classes=3, class_names=("a", "b", "c"))
    assert "classifier of model 'sknetthin' is new" in capsys.readouterr().out
    headless = keras_sknet.SKNetThin(
        weights="cifar10", include_top=False, pooling="avg", input_shape=(32, 32, 3)
    )
    features = [
        keras.Model(model.input, model.get_layer("avg_pool").output).predict(images, verbose=0)
        for model in (trained, other, headless)
    ]
    np.testing.assert_array_equal(features[0], features[1])
    np.testing.assert_array_equal(features[0], features[2])


def test_a_damaged_or_missing_file_is_one_error(tmp_path, monkeypatch):
    (file,) = shipped.FOLDER.glob("*.keras")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    message = "`weights` must be the file 'SKNetThin-cifar10.keras' of this package, which is damaged"
    with pytest.raises(ValueError, match=f"{re.escape(message)}.*sha256=None"):
        keras_sknet.SKNetThin(weights="cifar10")
    copy = tmp_path / file.name
    shutil.copy(file, copy)
    keras_sknet.SKNetThin(weights="cifar10")
    contents = bytearray(copy.read_bytes())
    contents[len(contents) // 2] ^= 1  # a value: Keras alone would load it
    copy.write_bytes(contents)
    with pytest.raises(ValueError, match=re.escape(message)):
        keras_sknet.SKNetThin(weights="cifar10")


def test_networks_without_such_weights_say_which_have_them():
    with pytest.raises(ValueError, match=r"`weights` must be None, .*'cifar10' \(SKNetThin\)"):
        keras_sknet.SKNet50(weights="cifar10")
