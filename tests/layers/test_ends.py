"""The layers at the two ends of a network: preprocessing and classifier."""

import keras
import numpy as np
import pytest

from checks import check_layer
from keras_sknet import Classifier, ImageNormalization


def test_normalization_equals_its_formula_for_integers_and_floats():
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype("uint8")
    layer = ImageNormalization()
    expected = (images / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(layer(images), expected, atol=1e-5)
    np.testing.assert_allclose(layer(images.astype("float32")), expected, atol=1e-5)


def test_normalization_keeps_what_evaluation_needs():
    layer = ImageNormalization((0.5,), (0.25,), crop_fraction=0.95, interpolation="bilinear")
    check_layer(layer, np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 1)), (2, 4, 4, 1))
    copy = ImageNormalization.from_config(layer.get_config())
    assert (copy.mean, copy.std, copy.crop_fraction, copy.interpolation) == (
        (0.5,),
        (0.25,),
        0.95,
        "bilinear",
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("functional", [False, True])
def test_normalization_in_half_precision_rounds_once(dtype, functional):
    # Of pixels between two integers, as resized images have them.
    x = np.random.default_rng(0).uniform(0, 255, (1, 16, 16, 3)).astype("float32")
    layer = ImageNormalization(dtype=f"mixed_{dtype}")
    model = layer
    if functional:
        inputs = keras.Input(x.shape[1:])
        model = keras.Model(inputs, layer(inputs))
    y = model(x)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    want = keras.ops.cast(ImageNormalization()(x), dtype)
    np.testing.assert_array_equal(keras.ops.cast(y, "float32"), keras.ops.cast(want, "float32"))


@pytest.mark.parametrize(
    "policy, expected",
    [
        ("mixed_float16", "float32"),
        ("mixed_bfloat16", "float32"),
        ("float64", "float64"),
        ("float32", "float32"),
    ],
)
def test_classifier_computes_in_the_variable_dtype(policy, expected):
    keras.config.set_dtype_policy(policy)
    for layer in (Classifier(3, "softmax"), Classifier(3, "softmax", dtype=policy)):
        y = layer(keras.ops.ones((2, 4), keras.config.dtype_policy().compute_dtype))
        assert keras.backend.standardize_dtype(y.dtype) == expected
        assert layer.kernel.dtype == expected


def test_classifier_remembers_its_classes(tmp_path):
    inputs = keras.Input((8,))
    model = keras.Model(inputs, Classifier(2, "softmax", class_names=["cat", "dog"])(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].class_names == ("cat", "dog")
    x = np.random.default_rng(0).normal(size=(4, 8))
    np.testing.assert_array_equal(loaded(x), model(x))
