"""Grouped convolutions with what they should give, for the tests of the operation."""

import functools

import numpy as np
import tensorflow as tf

from keras_sknet.ops import convolution_path, grouped_conv
from oracles import numpy_conv2d, numpy_conv2d_gradients

CHANNELS, FILTERS = 8, 16
TOLERANCE = {"float32": 1e-5, "bfloat16": 0.02, "float16": 0.01, "float64": 1e-12}


@functools.cache
def case(kernel_size, size, groups, strides, padding, dilation_rate, channels=CHANNELS, filters=FILTERS):
    """An input, a kernel and a gradient from above; what the oracle makes of them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *size, channels))
    kernel = rng.normal(size=(*kernel_size, channels // groups, filters))
    arguments = {"strides": strides, "padding": padding, "dilation_rate": dilation_rate}
    y = numpy_conv2d(x, kernel, **arguments)
    dy = rng.normal(size=y.shape)
    return (x, kernel, dy), arguments, (y, *numpy_conv2d_gradients(x, kernel, dy, **arguments))


def forward_and_gradients(path, arguments):
    """The function (x, kernel, dy) -> (y, dx, dkernel) on a path."""

    def run(x, kernel, dy):
        with convolution_path(path), tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = grouped_conv(x, kernel, **arguments)
            loss = tf.reduce_sum(y * dy)
        return y, *tape.gradient(loss, [x, kernel])

    return run


def tensors(values, dtype="float32"):
    return [tf.constant(value, dtype) for value in values]


def assert_close(got, want, tolerance=1e-5):
    got = np.asarray(tf.cast(got, "float64"))
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= tolerance * np.abs(want).max()


def has_native_gradient(dtype):
    x, kernel = tf.ones((1, 5, 5, 4), dtype), tf.ones((3, 3, 2, 4), dtype)
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        y = tf.nn.conv2d(x, kernel, 1, "SAME", dilations=2)
    try:
        tape.gradient(y, [x, kernel])
    except tf.errors.InvalidArgumentError:
        return False
    return True
