"""Gradients of grouped convolution for TensorFlow kernels that have none. Only TensorFlow imports this.

Everything here is built from operations that every CPU build can run in every dtype: the grouped
convolution *forward*, and the *dense*, undilated filter gradient; that of groups where oneDNN has it.
"""

import tensorflow as tf

from keras_sknet.ops.grouped_conv import conv2d, lasting_reshape
from keras_sknet.ops.paths import without_onednn
from keras_sknet.ops.wide_kernel import narrow, run_count

# Channels of one dense filter gradient: few enough to waste little, enough to fill a matrix product.
RUN_CHANNELS = 32


def differentiable_conv(x, kernel, strides, padding, dilation_rate, assume_nonempty=False):
    """`tf.nn.conv2d`, differentiable to any order.

    `padding` is `"valid"`, or `"same"` for odd kernels and strides of 1.
    """

    @tf.custom_gradient
    def conv(x, kernel):
        y = conv2d(x, kernel, strides, padding, dilation_rate, assume_nonempty)
        # Keeps what follows from being fused into Eigen's convolution, which then refuses groups.
        y = tf.ensure_shape(y, y.shape)

        def gradient(dy):
            if x.shape[0] is None:
                # Fused with the gradient of a bias, oneDNN's kernel fails on an empty batch.
                dy = lasting_reshape(dy, *tf.unstack(tf.shape(dy)[:3]))
            return (
                _input_gradient(dy, x, kernel, strides, padding, dilation_rate),
                _kernel_gradient(dy, x, kernel, strides, padding, dilation_rate),
            )

        return y, gradient

    # A custom gradient refuses to meet a variable itself.
    return conv(tf.convert_to_tensor(x), tf.convert_to_tensor(kernel))


def _input_gradient(dy, x, kernel, strides, padding, dilation_rate):
    """A forward convolution of dy: kernel turned round in space, transposed within each group."""
    kernel_height, kernel_width, group_inputs, filters = kernel.shape
    groups = x.shape[-1] // group_inputs
    if max(kernel_height, kernel_width) > 1:
        kernel = kernel[::-1, ::-1]
    kernel = tf.reshape(kernel, [kernel_height, kernel_width, group_inputs, groups, -1])
    kernel = tf.transpose(kernel, [0, 1, 4, 3, 2])
    kernel = tf.reshape(kernel, [kernel_height, kernel_width, filters // groups, x.shape[-1]])
    if padding == "same":
        return differentiable_conv(dy, kernel, (1, 1), padding, dilation_rate)
    dy = _insert_zeros(dy, strides)
    paddings = [(0, 0)]
    for axis, size in ((1, kernel_height), (2, kernel_width)):
        reach = dilation_rate[axis - 1] * (size - 1)
        # Rows at the end of x that no stride reaches get a zero gradient.
        paddings.append((reach, tf.shape(x)[axis] - tf.shape(dy)[axis]))
    return differentiable_conv(tf.pad(dy, [*paddings, (0, 0)]), kernel, (1, 1), padding, dilation_rate)


def _kernel_gradient(dy, x, kernel, strides, padding, dilation_rate):
    """The filter gradient without dilation; dense for runs of channels where there is none for groups."""
    kernel_height, kernel_width, group_inputs, filters = kernel.shape
    groups = x.shape[-1] // group_inputs
    x, dy, strides, padding = _undilated(x, dy, kernel.shape[:2], strides, padding, dilation_rate)
    if x.dtype == tf.float32 and not without_onednn(x.dtype):
        return _filter_gradient(x, kernel.shape, dy, strides, padding)
    runs = run_count(x.shape[-1], groups, RUN_CHANNELS)
    shape = [kernel_height, kernel_width, x.shape[-1] // runs, filters // runs]
    dense = [
        _filter_gradient(x_run, shape, dy_run, strides, padding)
        for x_run, dy_run in zip(tf.split(x, runs, -1), tf.split(dy, runs, -1), strict=True)
    ]
    return narrow(tf.concat(dense, 3), groups, runs)


def _filter_gradient(x, shape, dy, strides, padding):
    return tf.compat.v1.nn.conv2d_backprop_filter(x, shape, dy, [1, *strides, 1], padding.upper())


def _undilated(x, dy, kernel_size, strides, padding, dilation_rate):
    """The same sum of products without dilation: the phases of both images become a larger batch."""
    if max(kernel_size) == 1 < max(strides):
        return x[:, :: strides[0], :: strides[1]], dy, (1, 1), padding
    if max(dilation_rate) == 1 or max(kernel_size) == 1:
        return x, dy, strides, padding
    dy = _insert_zeros(dy, strides)
    x_paddings, dy_paddings = [], []
    for axis in (1, 2):
        dilation = dilation_rate[axis - 1]
        length = tf.shape(dy)[axis]
        rest = -length % dilation
        reach = dilation * (kernel_size[axis - 1] - 1)
        if padding == "same":
            x_paddings.append((reach // 2, reach // 2 + rest))
        else:
            x = x[:, : length + reach] if axis == 1 else x[:, :, : length + reach]
            x_paddings.append((0, rest))
        dy_paddings.append((0, rest))
    return (
        tf.space_to_batch(x, dilation_rate, x_paddings),
        tf.space_to_batch(dy, dilation_rate, dy_paddings),
        (1, 1),
        "valid",
    )


def _insert_zeros(dy, strides):
    """Spreads dy out to the stride-1 positions it was sampled at."""
    if tuple(strides) == (1, 1):
        return dy
    batch, height, width = tf.unstack(tf.shape(dy)[:3])
    size = [batch, (height - 1) * strides[0] + 1, (width - 1) * strides[1] + 1, dy.shape[-1]]
    # As the gradient of taking these positions alone.
    window = {"ksize": [1, 1, 1, 1], "strides": [1, *strides, 1], "padding": "VALID"}
    return tf.raw_ops.AvgPoolGrad(orig_input_shape=size, grad=dy, **window)
