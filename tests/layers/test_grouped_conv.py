import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_sknet
from checks import check_layer
from keras_sknet import GroupedConv2D
from keras_sknet.ops import convolution_path
from oracles import numpy_conv2d

COMBINATIONS = [
    {"groups": 4},
    {"groups": 8, "strides": 2},
    {"groups": 4, "strides": 2, "dilation_rate": 2},
    {"groups": 1, "dilation_rate": (1, 2), "strides": (2, 1), "use_bias": False},
    {"groups": 4, "padding": "same", "kernel_size": (2, 4), "strides": 2},
    {"groups": 2, "padding": "valid", "kernel_size": 4, "activation": "tanh"},
]


def made(arguments):
    return GroupedConv2D(**{"filters": 16, "kernel_size": 3, "bias_initializer": "ones", **arguments})


def images(height=9, width=10, batch=2):
    return np.random.default_rng(0).normal(size=(batch, height, width, 8)).astype("float32")


def geometry(layer):
    return {"strides": layer.strides, "padding": layer.padding, "dilation_rate": layer.dilation_rate}


def expected(layer, x):
    """The oracle's output for a layer without activation."""
    return numpy_conv2d(x, layer.kernel, **geometry(layer)) + (
        np.asarray(layer.bias) if layer.use_bias else 0
    )


@pytest.mark.parametrize("arguments", COMBINATIONS, ids=str)
def test_round_trips_trains_and_runs_in_mixed_precision(arguments):
    layer, x = made(arguments), images()
    layer.build(x.shape)
    want = expected(layer, x)
    if layer.activation is keras.activations.tanh:
        want = np.tanh(want)
    np.testing.assert_allclose(check_layer(layer, x, want.shape), want, atol=1e-5)


def test_the_first_arguments_stand_in_keras_order():
    ours = GroupedConv2D(16, (3, 5), (2, 1), "same", "channels_last", 1, 4, "relu", False)
    theirs = keras.layers.Conv2D(16, (3, 5), (2, 1), "same", "channels_last", 1, 4, "relu", False)
    assert ours.get_config() == {**theirs.get_config(), "name": ours.name}


def test_padding_is_symmetric_by_default():
    assert GroupedConv2D(8, 3).padding == "symmetric"


def test_every_config_entry_survives():
    layer = GroupedConv2D(
        16,
        (3, 5),
        strides=(2, 1),
        dilation_rate=(2, 3),
        groups=4,
        activation="relu",
        use_bias=True,
        kernel_initializer=keras.initializers.HeNormal(seed=1),
        kernel_regularizer=keras.regularizers.L2(0.5),
        bias_regularizer="l1",
        activity_regularizer="l2",
        kernel_constraint="max_norm",
        bias_constraint="non_neg",
        trainable=False,
        name="branch",
        dtype="mixed_bfloat16",
    )
    config = layer.get_config()
    assert GroupedConv2D.from_config(config).get_config() == config
    assert (
        config["padding"] == "symmetric" and config["strides"] == (2, 1) and config["dilation_rate"] == (2, 3)
    )
    assert keras.saving.get_registered_name(GroupedConv2D) == "keras_sknet>GroupedConv2D"


def test_regularizers_count_in_the_loss():
    layer = made({"groups": 4, "kernel_regularizer": keras.regularizers.L2(0.5), "bias_regularizer": "l1"})
    layer(images())
    squares = 0.5 * np.square(layer.kernel).sum()
    np.testing.assert_allclose(sum(layer.losses), squares + 0.01 * 16, rtol=1e-5)


def test_a_file_holds_no_trace_of_the_path(tmp_path):
    inputs = keras.Input((9, 10, 8))
    with convolution_path("custom"):
        model = keras.Model(inputs, made({"groups": 4, "strides": 2})(inputs))
    model.save(tmp_path / "model.keras")
    assert "custom" not in model.to_json()
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images()), expected(model.layers[-1], images()), atol=1e-5)


@pytest.mark.parametrize("groups", [1, 4])
def test_weights_are_those_of_keras_conv2d(groups):
    arguments = {"padding": "same", "groups": groups, "dilation_rate": 2, "name": "conv"}
    ours, theirs, x = GroupedConv2D(16, 3, **arguments), keras.layers.Conv2D(16, 3, **arguments), images()
    for layer in (ours, theirs):
        layer.build(x.shape)
    assert [(w.path, w.shape) for w in ours.weights] == [(w.path, w.shape) for w in theirs.weights]
    theirs.bias.assign(np.arange(16))
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)
    ours.kernel.assign(np.random.default_rng(1).normal(size=ours.kernel.shape))
    stored = {}
    ours.save_own_variables(stored)
    theirs.load_own_variables(stored)
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-4)


@pytest.mark.parametrize("strides", [1, 2, 3, (1, 2)], ids=lambda v: f"strides={v}")
@pytest.mark.parametrize("padding", ["symmetric", "same", "valid"])
def test_compute_output_shape_is_the_real_one(padding, strides):
    for kernel_size, dilation_rate, size in itertools.product(
        [1, 3, (5, 3)] if padding == "symmetric" else [1, 2, (5, 4)], [1, 2, (1, 3)], [(9, 12), (12, 11)]
    ):
        layer = GroupedConv2D(8, kernel_size, strides, padding, dilation_rate=dilation_rate, groups=4)
        real = layer(images(*size)).shape
        assert layer.compute_output_shape((2, *size, 8)) == real
        assert layer.compute_output_shape((None, *size, 8)) == (None, *real[1:])
        assert layer(keras.Input((*size, 8))).shape == (None, *real[1:])
        assert layer.compute_output_shape((None, None, size[1], 8)) == (None, None, real[2], 8)


@pytest.mark.parametrize("batch_size, height, width", [(None, 9, None), (None, None, None), (3, None, 10)])
def test_unknown_shapes(batch_size, height, width):
    inputs = keras.Input((height, width, 8), batch_size=batch_size)
    layer = made({"groups": 4, "strides": 2, "dilation_rate": 2})
    model = keras.Model(inputs, layer(inputs))
    x = images(batch=3)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected(layer, x), atol=1e-5)


@pytest.mark.parametrize("training", [None, True])
@pytest.mark.parametrize("path", ["auto", "custom"])
def test_an_empty_batch_trains(path, training):
    first, last = made({"groups": 4, "strides": 2}), GroupedConv2D(4, 1, 2, groups=4)
    for layer, shape in ((first, (None, 9, 10, 8)), (last, (None, 5, 5, 16))):
        layer.build(shape)
    weights = [weight.value for layer in (first, last) for weight in layer.weights]

    @tf.function(input_signature=[tf.TensorSpec((None, 9, 10, 8))])
    def step(x):
        with convolution_path(path), tf.GradientTape() as tape:
            y = last(first(x, training=training), training=training)
            loss = tf.reduce_sum(y)
        return y, tape.gradient(loss, weights)

    y, gradients = step(images(batch=0))
    assert y.shape == (0, 3, 3, 4)
    for gradient, weight in zip(gradients, weights, strict=True):
        np.testing.assert_array_equal(gradient, np.zeros(weight.shape))
    y, gradients = step(images())
    assert y.shape == (2, 3, 3, 4) and all(np.any(gradient) for gradient in gradients)
    assert first(images(batch=0), training=False).shape == (0, 5, 5, 16)


@pytest.mark.parametrize(
    "policy, compute, variable, tolerance",
    [
        ("mixed_float16", "float16", "float32", 0.01),
        ("mixed_bfloat16", "bfloat16", "float32", 0.03),
        ("float16", "float16", "float16", 0.01),
        ("float64", "float64", "float64", 1e-12),
    ],
)
def test_dtype_policies(policy, compute, variable, tolerance):
    layer, x = made({"groups": 4, "strides": 2, "dilation_rate": 2, "dtype": policy}), images()
    with tf.GradientTape() as tape:
        y = layer(tf.constant(x, compute))
        loss = tf.reduce_sum(tf.cast(y, "float64"))
    assert y.dtype == compute and layer.kernel.dtype == variable
    want = expected(layer, x)
    assert np.abs(np.asarray(tf.cast(y, "float64")) - want).max() <= tolerance * np.abs(want).max()
    for weight, gradient in zip(
        layer.weights, tape.gradient(loss, [w.value for w in layer.weights]), strict=True
    ):
        assert gradient.dtype == weight.dtype and np.isfinite(gradient).all() and np.any(gradient)


@pytest.mark.parametrize("path", ["auto", "custom"])
def test_fits_in_a_model(path):
    inputs = keras.Input((9, 10, 8))
    x = made({"groups": 4, "activation": "relu"})(inputs)
    x = made({"groups": 16, "strides": 2, "dilation_rate": 2})(x)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    model.compile("sgd", "mse")
    with convolution_path(path):
        history = model.fit(images(batch=8), np.ones((8, 16)), batch_size=4, epochs=5, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


def test_lora():
    layer, x = made({"groups": 4, "strides": 2}), images()
    before = layer(x)
    layer.enable_lora(2)
    np.testing.assert_allclose(layer(x), before, atol=1e-6)
    assert [weight.name for weight in layer.trainable_weights] == ["bias", "lora_kernel_a", "lora_kernel_b"]
    layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    assert all(np.any(g) for g in tape.gradient(loss, [w.value for w in layer.trainable_weights]))
    twin = GroupedConv2D.from_config(layer.get_config())
    twin.build(x.shape)
    assert twin.lora_enabled and twin.lora_rank == 2


# ---- on TensorFlow


def functions_compiled_by_xla(function):
    graph = function.get_concrete_function(images(), images()[:, :5, :5]).graph.as_graph_def()
    return [f.signature.name for f in graph.library.function if f.attr["_XlaMustCompile"].b]


def test_no_function_of_a_training_step_is_compiled_by_xla():
    layers = [made({"groups": 4, "padding": "valid"}), made({"groups": 8, "dilation_rate": 2, "filters": 8})]
    model = keras.Sequential(
        [keras.Input((9, 10, 8)), *layers, made({"strides": 2, "groups": 2, "filters": 8})]
    )
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(x, training=True)[:, :3, :3] - y[:, :3, :3])
        weights = [weight.value for weight in model.trainable_variables]
        optimizer.apply(tape.gradient(loss, weights), model.trainable_variables)

    assert functions_compiled_by_xla(tf.function(step)) == []
    with convolution_path("custom"):
        assert functions_compiled_by_xla(tf.function(step)) == []
    with convolution_path("keras"):
        assert functions_compiled_by_xla(tf.function(step)) != []


def test_convolution_batch_norm_and_relu_run_in_an_optimized_saved_graph(tmp_path):
    inputs = keras.Input((9, 10, 8))
    x = inputs
    for arguments in ({"groups": 4}, {"groups": 16, "dilation_rate": 2, "strides": 2}):
        x = made({**arguments, "use_bias": False})(x)
        x = keras.layers.ReLU()(keras_sknet.BatchNormalization(epsilon=1e-5)(x))
    model = keras.Model(inputs, keras.layers.ReLU()(made({"groups": 4})(x)))
    for weight in model.weights:
        weight.assign(np.random.default_rng(1).uniform(0.1, 1, weight.shape))
    serve = tf.function(
        lambda x: model(x, training=False), input_signature=[tf.TensorSpec((None, 9, 10, 8), name="x")]
    )
    module = tf.Module()
    module.weights, module.serve = [weight.value for weight in model.weights], serve
    tf.saved_model.save(module, str(tmp_path), signatures=serve)
    x = images(batch=4)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        # A session is what runs the graph optimizer that fuses convolutions with what follows.
        signature = tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path)).signature_def[
            "serving_default"
        ]
        (source,), (output,) = signature.inputs.values(), signature.outputs.values()
        y = session.run(output.name, {source.name: x})
    want = model(x, training=False)
    np.testing.assert_allclose(y, want, atol=1e-5 * np.abs(want).max())
    assert np.any(y)
