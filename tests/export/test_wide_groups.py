import keras
import numpy as np
import pytest

import keras_sknet
from checks import images, randomize, relative_difference
from keras_sknet import GroupedConv2D
from keras_sknet.export import export_tflite, tflite, wide_groups
from keras_sknet.export.wide_groups import with_wide_groups
from keras_sknet.ops._private import flatten_layers

tf = pytest.importorskip("tensorflow")

# Groups of 4, 8, 16 and 32 channels, as in SKNet-50.
OPTIONS = {"depths": (1, 1, 1, 1), "filters": (32,) * 4, "stem_filters": 8, "input_shape": (32, 32, 3)}
UNCHANGED, FLOATS, INTEGERS = (4, 8, 16, 32), (16, 8, 16, 32), (16, 16, 16, 32)


@pytest.fixture(scope="module")
def network():
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


def one_layer(channels, filters=None, **options):
    """A model of one convolution, all of whose weights are random."""
    inputs = keras.Input((8, 8, channels))
    model = keras.Model(inputs, GroupedConv2D(filters or channels, 3, name="conv", **options)(inputs))
    for weight in model.weights:
        weight.assign(keras.random.normal(weight.shape, seed=1))
    return model


def assert_same_outputs(copy, model):
    x = keras.random.normal((2, *model.input_shape[1:]), seed=0)
    assert relative_difference(copy(x), model(x)) < 1e-6


@pytest.mark.parametrize(
    "channels, filters, groups, depth",
    [(12, 12, 6, 12), (24, 24, 6, 24), (30, 30, 5, 30), (148, 148, 37, 4), (8, 8, 8, 1), (8, 16, 8, 1)]
    # It is the filters of a group that are computed at once.
    + [(64, 64, 8, 8), (32, 128, 8, 4), (64, 32, 8, 32)],
)
def test_how_many_groups_there_are_then(channels, filters, groups, depth):
    model = one_layer(channels, filters, groups=groups, strides=2, dilation_rate=2, activation="relu")
    copy = with_wide_groups(model)
    assert copy.get_layer("conv").kernel.shape[2] == depth
    assert_same_outputs(copy, model)


@pytest.mark.parametrize(
    "options",
    [
        {"use_bias": False},
        # Of the shape that the kernel no longer has.
        {"kernel_initializer": keras.initializers.Constant(np.ones((3, 3, 2, 8)))},
        {"kernel_constraint": "max_norm", "kernel_regularizer": "l2", "bias_initializer": "ones"},
        {"trainable": False, "padding": "valid"},
    ],
)
def test_what_a_convolution_is_made_with(options):
    model = one_layer(8, groups=4, **options)
    copy = with_wide_groups(model)
    assert depths(model) == (2,) and depths(copy) == ()  # a single group
    assert_same_outputs(copy, model)


def operations(inputs):
    x = GroupedConv2D(8, 3, groups=4)(inputs)
    return keras.ops.relu(x + inputs) * 2


def called_twice_and_nested(inputs):
    inner = one_layer(8, groups=4)
    return inner(inner(inputs))


def several_outputs(inputs):
    return {"a": GroupedConv2D(8, 3, groups=4, name="a")(inputs), "b": inputs}


@pytest.mark.parametrize("build", [operations, called_twice_and_nested, several_outputs])
def test_models_of_many_kinds(build):
    inputs = keras.Input((8, 8, 8), name="pixels")
    model = keras.Model(inputs, build(inputs))
    copy = with_wide_groups(model)
    assert len(depths(model)) == 1 and depths(copy) == ()
    x = keras.random.normal((2, 8, 8, 8), seed=0)
    for got, expected in zip(*map(keras.tree.flatten, (copy(x), model(x))), strict=True):
        assert relative_difference(got, expected) < 1e-6
    assert [x.name for x in copy.inputs] == ["pixels"]


def test_a_sequential_model():
    model = keras.Sequential([keras.Input((8, 8, 8)), GroupedConv2D(8, 3, groups=4)])
    copy = with_wide_groups(model)
    assert depths(copy) == ()
    assert_same_outputs(copy, model)


def test_what_has_no_narrow_groups_is_not_copied(network):
    wide = with_wide_groups(network, "int8")
    assert with_wide_groups(wide, "int8") is wide


def test_small_kernels_stay_in_float_with_dynamic():
    model = one_layer(16, groups=4)  # 3 * 3 * 4 * 16 numbers
    assert with_wide_groups(model, "dynamic") is model
    assert depths(with_wide_groups(model, "int8")) == ()
    assert depths(with_wide_groups(one_layer(32, groups=8), "dynamic")) == (16,)


def test_a_kernel_of_low_rank_stays(monkeypatch):
    model = one_layer(8, groups=4)
    model.get_layer("conv").enable_lora(2)
    calls = []
    monkeypatch.setattr(wide_groups, "rebuild_model", lambda *args, **kwargs: calls.append(args))
    assert with_wide_groups(model) is model and not calls


class Spare(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.spare = GroupedConv2D(8, 3, groups=4)

    def build(self, input_shape):
        pass

    def call(self, inputs):
        return inputs


def test_a_convolution_that_nothing_calls():
    inputs = keras.Input((8, 8, 8))
    model = keras.Model(inputs, Spare()(inputs))
    assert with_wide_groups(model) is model
