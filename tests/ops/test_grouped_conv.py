import itertools
from importlib import import_module

import numpy as np
import pytest
import tensorflow as tf

from convolutions import (
    CHANNELS,
    FILTERS,
    TOLERANCE,
    assert_close,
    case,
    forward_and_gradients,
    has_native_gradient,
    tensors,
)
from keras_sknet.ops import convolution_path, grouped_conv
from oracles import block_diagonal, groups_of, numpy_conv2d, numpy_conv2d_gradients, numpy_pad

GROUPS = (1, 4, CHANNELS)
DILATIONS = STRIDES = (1, 2, 3, (1, 2))
# Every height and width, odd or even, reaches past the largest kernel, 5 with dilation 3, without padding.
SIZES = ((15, 14), (14, 17), (17, 15), (16, 18))
KERNELS = (
    ((1, 1), "symmetric"),
    ((3, 3), "symmetric"),
    ((5, 5), "symmetric"),
    ((7, 7), "symmetric"),
    ((3, 5), "symmetric"),
    ((3, 3), "same"),
    ((2, 4), "same"),
    ((5, 2), "same"),
    ((3, 3), "valid"),
    ((4, 2), "valid"),
    ((5, 3), "valid"),
)


def in_mode(mode, function, kernel_shape, dtype="float32"):
    if mode == "eager":
        return function
    if mode == "unknown":
        images = (None, None, None)
        shapes = ((*images, CHANNELS), kernel_shape, (*images, kernel_shape[3]))
        return tf.function(function, input_signature=[tf.TensorSpec(shape, dtype) for shape in shapes])
    return tf.function(function, jit_compile=mode == "xla")


def assert_equals_oracle(path, *shapes, mode="eager", dtype="float32", **more):
    inputs, arguments, expected = case(*shapes, **more)
    function = in_mode(mode, forward_and_gradients(path, arguments), inputs[1].shape, dtype)
    for got, want in zip(function(*tensors(inputs, dtype)), expected, strict=True):
        assert got.dtype == dtype
        assert_close(got, want, TOLERANCE[dtype])


@pytest.fixture(params=["native", "native without AVX-512", "custom"])
def path(request, require, monkeypatch):
    """What runs with oneDNN, on either kind of processor, and without."""
    if request.param != "custom":
        require(has_native_gradient("float32"), "a TensorFlow with oneDNN")
    lacks = request.param == "native without AVX-512"
    monkeypatch.setattr(import_module("keras_sknet.ops.grouped_conv"), "lacks_avx512", lambda: lacks)
    return "auto" if lacks else request.param


@pytest.mark.parametrize("padding", ["symmetric", "same", "valid"])
@pytest.mark.parametrize("groups", GROUPS)
def test_the_oracle_equals_a_dense_convolution(groups, padding):
    # Dense, with zeros between the taps: neither groups nor dilation are left to TensorFlow.
    for strides, dilation in itertools.product([(1, 1), (2, 3)], [(1, 1), (2, 3)]):
        (x, kernel, dy), _, expected = case((3, 5), (15, 14), groups, strides, padding, dilation)
        dense = block_diagonal(kernel, CHANNELS)
        spread = np.zeros((2 * dilation[0] + 1, 4 * dilation[1] + 1, *dense.shape[2:]))
        spread[:: dilation[0], :: dilation[1]] = dense
        if padding == "same":
            padded, (top, left) = x, (0, 0)
        else:
            padded, (top, left) = numpy_pad(x, (3, 5), strides, padding, dilation)
        padded, spread = tf.constant(padded), tf.constant(spread)
        with tf.GradientTape() as tape:
            tape.watch([padded, spread])
            y = tf.nn.conv2d(padded, spread, strides, "SAME" if padding == "same" else "VALID")
            loss = tf.reduce_sum(y * dy)
        dx, dspread = tape.gradient(loss, [padded, spread])
        ddense = dspread[:: dilation[0], :: dilation[1]]
        dkernel = tf.concat([ddense[:, :, c, f] for c, f in groups_of(CHANNELS, kernel)], axis=-1)
        dx = dx[:, top : top + 15, left : left + 14]
        for got, want in zip((y, dx, dkernel), expected, strict=True):
            assert_close(got, want, 1e-12)


@pytest.mark.parametrize("strides", STRIDES, ids=lambda v: f"strides={v}")
@pytest.mark.parametrize("dilation_rate", DILATIONS, ids=lambda v: f"dilation={v}")
@pytest.mark.parametrize("groups", GROUPS, ids=lambda v: f"groups={v}")
def test_every_combination_equals_the_oracle(path, groups, dilation_rate, strides):
    turn = GROUPS.index(groups) + DILATIONS.index(dilation_rate) + STRIDES.index(strides)
    for i, (kernel_size, padding) in enumerate(KERNELS):
        size = SIZES[(i + turn) % len(SIZES)]
        assert_equals_oracle(path, kernel_size, size, groups, strides, padding, dilation_rate)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 2), (5, 4)])
def test_maps_smaller_than_the_kernel(path, size):
    for kernel_size, padding, strides, dilation_rate in itertools.product(
        [(3, 3), (7, 5)], ["symmetric", "same"], [1, 2], [1, 3]
    ):
        assert_equals_oracle(path, kernel_size, size, 4, strides, padding, dilation_rate)


COMPILED = (
    ((3, 3), (14, 15), 4, 1, "symmetric", 1),
    ((3, 3), (14, 15), 4, 2, "symmetric", 2),
    ((5, 3), (15, 14), 4, 3, "symmetric", (1, 2)),
    ((1, 1), (15, 14), 4, 2, "symmetric", 1),
    ((7, 7), (14, 14), 4, 1, "symmetric", 3),
    ((3, 3), (14, 15), 4, 2, "same", 2),
    ((4, 2), (15, 14), 4, (2, 1), "same", (1, 3)),
    ((1, 1), (15, 14), 4, 3, "same", 1),
    ((3, 3), (15, 15), 4, 2, "valid", 3),
)


@pytest.mark.parametrize(
    "mode, shapes",
    [
        *((mode, shapes) for mode in ("graph", "unknown") for shapes in COMPILED),
        # XLA needs seconds for each.
        *(("xla", shapes) for shapes in COMPILED[2::3]),
    ],
    ids=str,
)
def test_traced_and_compiled_equal_the_oracle(path, mode, shapes):
    assert_equals_oracle(path, *shapes, mode=mode)


@pytest.mark.parametrize("mode", ["graph", "unknown", "xla"])
def test_1x1_convolutions_of_all_channels(path, mode):
    for strides, padding in [(1, "symmetric"), ((2, 1), "same"), (3, "valid")]:
        assert_equals_oracle(path, (1, 1), (15, 14), 1, strides, padding, 1, mode=mode)


@pytest.mark.parametrize("groups", [1, CHANNELS])
def test_dense_and_depthwise_compile(path, groups):
    assert_equals_oracle(path, (3, 3), (9, 10), groups, 2, "symmetric", 2, mode="xla")


@pytest.mark.parametrize("shapes", COMPILED, ids=str)
def test_the_plain_definition_equals_the_oracle(shapes):
    (x, kernel, _), arguments, (y, _, _) = case(*shapes)
    with convolution_path("keras"):
        assert_close(grouped_conv(*tensors((x, kernel)), **arguments), y)


@pytest.mark.parametrize("shapes", COMPILED[:2], ids=str)
@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_the_plain_definition_has_the_oracles_gradients(mode, shapes):
    assert_equals_oracle("keras", *shapes, mode=mode)


@pytest.mark.parametrize(
    "channels, groups, filters", [(96, 12, 96), (72, 6, 36), (64, 2, 32), (37, 37, 74), (64, 64, 64)]
)
def test_the_filter_gradient_in_runs_of_channels(channels, groups, filters):
    for dilation_rate in (1, 2):
        shapes = ((3, 3), (9, 10), groups, 2, "symmetric", dilation_rate)
        assert_equals_oracle("custom", *shapes, channels=channels, filters=filters)


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_every_data_type_trains(dtype, groups):
    for strides, dilation_rate in itertools.product([1, 2], [1, 2]):
        assert_equals_oracle(
            "auto", (3, 3), (9, 10), groups, strides, "symmetric", dilation_rate, dtype=dtype
        )


@pytest.mark.parametrize("mode", ["graph", "xla"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_every_data_type_compiles(dtype, mode):
    assert_equals_oracle("auto", (3, 3), (9, 10), 4, 2, "symmetric", 2, mode=mode, dtype=dtype)


@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("dilation_rate", [1, 2, (1, 2)])
@pytest.mark.parametrize("kernel_size, groups", [((3, 3), 1), ((3, 3), 4), ((1, 1), 1)])
def test_second_order_gradients(path, kernel_size, groups, dilation_rate, strides):
    # sum(conv(x, k) dy) is linear in each of the three, so each second derivative is an oracle's first one.
    (x, kernel, dy), arguments, _ = case(kernel_size, (9, 10), groups, strides, "symmetric", dilation_rate)
    rng = np.random.default_rng(1)
    u, v = rng.normal(size=x.shape), rng.normal(size=kernel.shape)
    first = forward_and_gradients(path, arguments)
    inputs = tensors((x, kernel, dy))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        _, dx, dkernel = first(*inputs)
        product = tf.reduce_sum(dx * u.astype("float32")) + tf.reduce_sum(dkernel * v.astype("float32"))
    expected = (
        numpy_conv2d_gradients(x, v, dy, **arguments)[0],
        numpy_conv2d_gradients(u, kernel, dy, **arguments)[1],
        numpy_conv2d(u, kernel, **arguments) + numpy_conv2d(x, v, **arguments),
    )
    for got, want in zip(tape.gradient(product, inputs), expected, strict=True):
        assert_close(got, want)


@pytest.mark.parametrize("batch", ["eager", "static", "unknown batch", "unknown shape"])
def test_an_empty_batch(path, batch):
    for padding, strides, dilation_rate, size, depth in [
        ("symmetric", 1, 1, 3, 2),
        ("symmetric", 2, 2, 3, 2),
        ("symmetric", 2, 1, 1, 2),
        ("symmetric", 2, 1, 1, CHANNELS),
        ("same", 3, 2, 4, 2),
        ("valid", 1, 2, 3, 2),
        ("valid", (1, 2), 1, 5, 2),
    ]:
        arguments = {"strides": strides, "padding": padding, "dilation_rate": dilation_rate}
        kernel = np.ones((size, size, depth, FILTERS))
        y = numpy_conv2d(np.zeros((1, 13, 12, CHANNELS)), kernel, **arguments)
        inputs = tensors((np.zeros((0, 13, 12, CHANNELS)), kernel, y[:0]))
        function = forward_and_gradients(path, arguments)
        if batch == "unknown shape":
            function = in_mode("unknown", function, kernel.shape)
        elif batch == "unknown batch":
            shapes = (None, 13, 12, CHANNELS), kernel.shape, (None, *y.shape[1:])
            function = tf.function(function, input_signature=[tf.TensorSpec(shape) for shape in shapes])
        elif batch == "static":
            function = tf.function(function)
        got, dx, dkernel = function(*inputs)
        assert got.shape == (0, *y.shape[1:])
        assert dx.shape == inputs[0].shape
        np.testing.assert_array_equal(dkernel, np.zeros(kernel.shape))


def test_an_unknown_batch_leaves_the_static_shape_known(path):
    @tf.function(input_signature=[tf.TensorSpec((None, 13, 12, CHANNELS)), tf.TensorSpec((3, 3, 2, FILTERS))])
    def run(x, kernel):
        with convolution_path(path):
            y = grouped_conv(x, kernel, strides=2)
        assert y.shape.as_list() == [None, 7, 6, FILTERS]
        return y

    assert run(tf.ones((2, 13, 12, CHANNELS)), tf.ones((3, 3, 2, FILTERS))).shape == (2, 7, 6, FILTERS)


@pytest.mark.parametrize("path", ["native", "custom", "keras"])
@pytest.mark.parametrize("size", [(12, 12), (13, 12), (13, 13)])
def test_stride_2_with_dilation_2_is_a_plain_convolution_of_every_other_pixel(path, size):
    (x, kernel, _), _, _ = case((3, 3), size, 4, 2, "symmetric", 2)
    x, kernel = tensors((x, kernel))
    with convolution_path(path):
        got = grouped_conv(x, kernel, strides=2, dilation_rate=2)
        assert_close(got, grouped_conv(x[:, ::2, ::2], kernel).numpy())


@pytest.mark.parametrize(
    "x_shape, kernel_shape, arguments, message",
    [
        ((1, 8, 8), (3, 3, 2, 8), {}, "`x` must be images"),
        ((1, 8, 8, 8), (3, 2, 8), {}, "`x` must be images"),
        (
            (1, 8, 8, 6),
            (3, 3, 4, 8),
            {},
            r"`kernel` must be .*input_shape=\(1, 8, 8, 6\), kernel_shape=\(3, 3, 4, 8\)",
        ),
        ((1, 8, 8, 2), (3, 3, 4, 8), {}, "`kernel` must be"),
        ((1, 8, 8, 8), (3, 3, 2, 6), {}, "`kernel` must be .*filters divisible by groups"),
        (
            (1, 8, 8, 8),
            (2, 3, 2, 8),
            {},
            r"`kernel_size` must be odd for padding='symmetric'. Received: kernel_size=",
        ),
        (
            (1, 8, 8, 8),
            (3, 3, 2, 8),
            {"padding": "full"},
            "`padding` must be one of .*Received: padding='full'",
        ),
        ((1, 8, 8, 8), (3, 3, 2, 8), {"strides": 0}, "`strides` must be a positive integer or a pair"),
        (
            (1, 8, 8, 8),
            (3, 3, 2, 8),
            {"dilation_rate": (1, -1)},
            "`dilation_rate` must be a positive integer",
        ),
        (
            (1, 6, 4, 8),
            (3, 3, 2, 8),
            {"padding": "valid", "dilation_rate": 2},
            "`inputs` must be at least as large",
        ),
    ],
)
def test_what_cannot_work_is_refused(x_shape, kernel_shape, arguments, message):
    with pytest.raises(ValueError, match=message):
        grouped_conv(tf.ones(x_shape), tf.ones(kernel_shape), **arguments)
