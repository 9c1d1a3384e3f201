import keras
import numpy as np
import pytest

import keras_sknet
from checks import images, randomize, relative_difference
from keras_sknet import GroupedConv2D
from keras_sknet.export import export_tflite, tflite
from keras_sknet.export.wide_groups import with_wide_groups
from keras_sknet.ops._private import flatten_layers

tf = pytest.importorskip("tensorflow")

# Groups of 4, 8, 16 and 32 channels, as in SKNet-50.
OPTIONS = {"depths": (1, 1, 1, 1), "filters": (32,) * 4, "stem_filters": 8, "input_shape": (32, 32, 3)}
UNCHANGED, FLOATS, INTEGERS = (4, 8, 16, 32), (16, 8, 16, 32), (16, 16, 16, 32)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    model = keras_sknet.SKNet50(classes=5, classifier_activation=None, **OPTIONS)
    randomize(model)
    return model


def depths(model):
    """Channels a group of the grouped convolutions, of the two branches of each unit."""
    layers = [layer for layer in flatten_layers(model) if type(layer) is GroupedConv2D and layer.groups > 1]
    return tuple(layer.kernel.shape[2] for layer in layers)


def doubled(depths):
    return tuple(depth for depth in depths for _ in range(2))


@pytest.mark.parametrize(
    "quantize, wide", [(None, FLOATS), ("float16", FLOATS), ("dynamic", INTEGERS), ("int8", INTEGERS)]
)
def test_narrow_groups_are_put_together_and_outputs_stay(network, quantize, wide):
    before = network.get_weights()
    copy = with_wide_groups(network, quantize)
    assert depths(network) == doubled(UNCHANGED) and depths(copy) == doubled(wide)
    x = images(2, (32, 32, 3), seed=1)
    assert relative_difference(copy(x, training=False), network(x, training=False)) < 1e-5
    assert [layer.name for layer in copy.layers] == [layer.name for layer in network.layers]
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("quantize, wide", [(None, FLOATS), ("dynamic", INTEGERS), ("int8", INTEGERS)])
def test_a_file_has_them_and_gives_the_same_numbers(network, quantize, wide, litert, tmp_path, monkeypatch):
    data = {"representative_dataset": images(16, (32, 32, 3), seed=2)} if quantize == "int8" else {}
    export_tflite(network, tmp_path / "wide.tflite", quantize, **data)
    monkeypatch.setattr(tflite, "with_wide_groups", lambda model, quantize: model)
    export_tflite(network, tmp_path / "narrow.tflite", quantize, **data)
    results = {}
    for name, expected in (("wide", wide), ("narrow", UNCHANGED)):
        interpreter, delegation = litert(tmp_path / f"{name}.tflite")
        assert delegation.whole
        shapes = [tuple(tensor["shape"]) for tensor in interpreter.get_tensor_details()]
        kernels = [shape for shape in shapes if len(shape) == 4 and shape[1:3] == (3, 3)]
        assert sorted(shape[3] for shape in kernels) == sorted(doubled(expected))
        results[name] = interpreter.get_signature_runner()(images=images(1, (32, 32, 3), seed=3))["output_0"]
    if quantize:
        np.testing.assert_array_equal(results["wide"], results["narrow"])
    else:
        assert relative_difference(results["wide"], results["narrow"]) < 1e-5


def one_layer(channels, **options):
    inputs = keras.Input((8, 8, channels))
    model = keras.Model(inputs, GroupedConv2D(channels, 3, name="conv", **options)(inputs))
    randomize(model)
    return model


@pytest.mark.parametrize(
    "channels, groups, depth",
    [(12, 6, 12), (24, 6, 24), (30, 5, 30), (148, 37, 4), (8, 8, 1), (4, 1, 4), (64, 8, 8)],
)
def test_how_many_groups_there_are_then(channels, groups, depth):
    model = one_layer(channels, groups=groups, strides=2, dilation_rate=2, activation="relu")
    copy = with_wide_groups(model)
    assert copy.get_layer("conv").kernel.shape[2] == depth
    x = keras.random.normal((2, 8, 8, channels), seed=0)
    assert relative_difference(copy(x), model(x)) < 1e-6


def test_what_has_no_narrow_groups_is_not_copied(network):
    wide = with_wide_groups(network, "int8")
    assert with_wide_groups(wide, "int8") is wide


def test_what_cannot_be_rebuilt_is_exported_as_it_is(tmp_path):
    class Twice(keras.layers.Layer):
        def __init__(self, factor):
            super().__init__()

        def call(self, inputs):
            return 2 * inputs

    inputs = keras.Input((8, 8, 8))
    model = keras.Model(inputs, Twice(2)(GroupedConv2D(8, 3, groups=4)(inputs)))
    assert with_wide_groups(model) is model
    assert export_tflite(model, tmp_path / "x.tflite").difference < 1e-5


def test_a_kernel_of_low_rank_stays():
    model = one_layer(8, groups=1)
    model.get_layer("conv").enable_lora(2)
    assert with_wide_groups(model) is model


def test_a_layer_called_twice_and_models_inside():
    inner = one_layer(8, groups=4)
    inputs = keras.Input((8, 8, 8))
    model = keras.Model(inputs, inner(inner(inputs)))
    copy = with_wide_groups(model)
    x = keras.random.normal((2, 8, 8, 8), seed=0)
    assert relative_difference(copy(x), model(x)) < 1e-6
    assert depths(copy) == () and depths(model) == (2,)
