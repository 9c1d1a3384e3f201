import os

import keras
import numpy as np
import pytest

import keras_sknet
from checks import images, randomize, relative_difference
from keras_sknet import Branch
from keras_sknet.export import export_tflite
from nets import BRANCHES, tiny

tf = pytest.importorskip("tensorflow")

LOGITS = {"classifier_activation": None}
THREE = (*BRANCHES, Branch(5, 1, 4))
# What no delegate takes, or what makes memory move.
UNWANTED = {
    "TRANSPOSE",
    "SPACE_TO_BATCH_ND",
    "BATCH_TO_SPACE_ND",
    "STRIDED_SLICE",
    "READ_VARIABLE",
    "VAR_HANDLE",
}
NETS = {
    # network, multiplications: one of the normalization of images, one a gate and branch but the first of two
    "sk": (lambda: tiny("SKNet50", **LOGITS), 1 + 4),
    "three branches": (lambda: tiny("SKNet50", branches=THREE, **LOGITS), 1 + 3 * 4),
    "one branch": (lambda: tiny("SKNet50", branches=THREE[1:2], **LOGITS), 1),
    "plain sum": (lambda: tiny("SKNet50", branches=THREE, use_attention=False, **LOGITS), 1),
    "cifar": (lambda: tiny("SKNet50", stem="cifar", include_preprocessing=False, **LOGITS), 4),
    "odd size": (lambda: tiny("SKNet50", input_shape=(33, 47, 3), stem_padding="torch"), 1 + 4),
    "resnext": (lambda: tiny("ResNeXt50", **LOGITS), 1),
    "se": (lambda: tiny("SENet50", include_top=False, pooling="avg"), 1 + 4),
}
QUICK = ("sk", "three branches", "odd size", "se")


def count(model, kind):
    layers = keras_sknet.ops._private.flatten_layers(model)
    return sum(isinstance(layer, kind) for layer in layers)


def run(interpreter, x):
    outputs = interpreter.get_signature_runner()(images=x)
    return outputs["output_0"]


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NETS])
def test_a_network_equals_keras_in_one_partition(name, litert, tmp_path):
    make, multiplications = NETS[name]
    model = make()
    randomize(model)
    export_tflite(model, tmp_path / "x.tflite", batch_size=2)
    interpreter, delegation = litert(tmp_path / "x.tflite")
    x = images(2, model.input_shape[1:], seed=1)
    assert relative_difference(run(interpreter, x), model(x, training=False)) < 1e-5
    assert delegation.whole and delegation.partitions == 1
    operators = delegation.operators
    assert not UNWANTED & set(operators)
    # Batch normalization has become part of what stands before it.
    assert operators["MUL"] == multiplications
    assert operators["CONV_2D"] == count(model, keras.layers.Conv2D)
    assert operators["FULLY_CONNECTED"] == count(model, keras.layers.Dense)
    assert os.listdir(tmp_path) == ["x.tflite"]


@pytest.mark.slow
def test_sknet50_at_full_size(litert, tmp_path):
    model = keras_sknet.SKNet50(classifier_activation=None)
    randomize(model)
    export_tflite(model, tmp_path / "x.tflite")
    interpreter, delegation = litert(tmp_path / "x.tflite")
    x = images(1, (224, 224, 3), seed=1)
    assert relative_difference(run(interpreter, x), model(x, training=False)) < 1e-5
    assert delegation.whole
    units = 16
    assert delegation.operators == {
        "CONV_2D": 1 + 4 * units + 4,
        "PAD": 1 + 2 * 3,
        "MAX_POOL_2D": 1,
        "MEAN": 2 * units + 1,
        "FULLY_CONNECTED": 2 * units + 1,
        "SPLIT": units,
        "LOGISTIC": units,
        "SUB": 2 * units,
        "MUL": 1 + units,
        "ADD": 1 + 3 * units,
    }


def test_the_check_of_partitions_bites(litert, tmp_path):
    def model(*between):
        first, last = keras.layers.Conv2D(2, 3), keras.layers.Conv2D(2, 3)
        return keras.Sequential([keras.Input((8, 8, 2)), first, *between, last])

    export_tflite(model(keras.layers.ReLU()), tmp_path / "whole")
    assert litert(tmp_path / "whole")[1] == ({"CONV_2D": 2}, 1, True)
    running_sum = keras.layers.Lambda(lambda x: tf.cumsum(x, axis=1))
    export_tflite(model(running_sum), tmp_path / "broken")
    assert litert(tmp_path / "broken")[1] == ({"CONV_2D": 2, "CUMSUM": 1}, 2, False)
    export_tflite(keras.Sequential([model(), running_sum]), tmp_path / "behind")
    assert litert(tmp_path / "behind")[1] == ({"CONV_2D": 2, "CUMSUM": 1}, 1, False)


def test_the_batch_size(litert, tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    export_tflite(model, tmp_path / "one")
    export_tflite(model, tmp_path / "four", batch_size=4)
    fixed = keras.Sequential([keras.Input(batch_shape=(3, 2)), keras.layers.Dense(1)])
    export_tflite(fixed, tmp_path / "fixed")
    for name, batch in ("one", 1), ("four", 4), ("fixed", 3):
        (details,) = litert(tmp_path / name)[0].get_input_details()
        assert details["shape"][0] == batch and details["shape_signature"][0] == batch
        assert details["dtype"] == np.float32
    with pytest.raises(
        ValueError, match="`batch_size` must be a positive integer. Received: batch_size=None"
    ):
        export_tflite(model, tmp_path / "x", batch_size=None)


def test_several_inputs_and_outputs_keep_their_names(litert, tmp_path):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    export_tflite(keras.Model({"a": a, "b": b}, {"plus": a + b, "minus": a - b}), tmp_path / "x")
    ones = np.ones((1, 4), "float32")
    outputs = litert(tmp_path / "x")[0].get_signature_runner()(a=3 * ones, b=ones)
    np.testing.assert_array_equal(outputs["plus"], 4 * ones)
    np.testing.assert_array_equal(outputs["minus"], 2 * ones)


@pytest.mark.parametrize("shape", [(None, 32, 3), (32, None, 3)])
def test_unknown_sizes_are_refused(shape, tmp_path):
    with pytest.raises(
        ValueError, match=r"`model` must be of known height and width.*input_shape=\(None, .*None"
    ):
        export_tflite(tiny(input_shape=shape), tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_only_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    with pytest.raises(ValueError, match=r"`model` must be one that computes in float32.*=\['float16'\]"):
        export_tflite(tiny(depths=(1, 1, 1)), tmp_path / "x")
    # The policy of the model around its layers says nothing.
    x = keras.Input((4,))
    export_tflite(keras.Model(x, keras.layers.Dense(1, dtype="float32")(x)), tmp_path / "x")
