import keras
import numpy as np
import pytest

import keras_sknet
from checks import randomize
from keras_sknet.layers import ConvNormAct
from nets import tiny

X = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_there_and_back(policy):
    model = tiny(classifier_activation=None)
    randomize(model)
    expected = model.predict(X, verbose=0)
    mixed = keras_sknet.in_precision(model, policy)
    assert {layer.compute_dtype for layer in mixed.layers[3:-2]} == {policy.removeprefix("mixed_")}
    assert mixed.layers[-1].compute_dtype == "float32" == mixed.layers[-1].variable_dtype
    built = keras.tree.map_structure(lambda weight: str(weight.dtype), mixed.weights)
    assert set(built) == {"float32"}
    difference = np.abs(mixed.predict(X, verbose=0) - expected).max() / np.abs(expected).max()
    assert 1e-5 < difference < 0.3
    again = keras_sknet.in_precision(mixed, "float32")
    np.testing.assert_array_equal(again.predict(X, verbose=0), expected)


def test_nothing_to_change_is_the_model_itself():
    model = tiny()
    assert keras_sknet.in_precision(model, "float32") is model
    with pytest.raises(ValueError, match="`model` must be a functional keras.Model"):
        keras_sknet.in_precision(None, "float32")


def test_policies_of_layers_inside_layers_change():
    inputs = keras.Input((3, 8, 8, 4))
    outputs = keras.layers.TimeDistributed(ConvNormAct(4, 3, dtype="mixed_bfloat16"))(inputs)
    model = keras_sknet.in_precision(keras.Model(inputs, outputs), "float32")
    assert model.layers[-1].layer.compute_dtype == "float32"


def test_what_is_float32_on_purpose_stays_so():
    network = tiny(include_top=False, pooling="avg")
    inputs = keras.Input((32, 32, 3))
    head = keras.layers.Dense(3, "softmax", dtype="float32")
    model = keras.Model(inputs, head(keras_sknet.in_precision(network, "mixed_bfloat16")(inputs)))
    other = keras_sknet.in_precision(model, "mixed_float16")
    assert other.layers[-1].compute_dtype == "float32"
    assert other.layers[-2].layers[-2].compute_dtype == "float16"
    assert keras_sknet.in_precision(other, "float32").layers[-2].layers[-2].compute_dtype == "float32"
