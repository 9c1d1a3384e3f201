"""Gradients of grouped convolution for TensorFlow kernels that have none. Only TensorFlow imports this.

Everything here is built from operations that every CPU build can run in every dtype: the grouped
convolution *forward*, and the *dense*, undilated filter gradient.
"""

import tensorflow as tf

from keras_sknet.ops.grouped_conv import conv2d, lasting_reshape

# Channels of one dense filter gradient: few enough to waste little, enough to fill a matrix product.
RUN_CHANNELS = 32


def valid_conv(x, kernel, strides, dilation_rate, assume_nonempty=False):
    """`tf.nn.conv2d` without padding, differentiable to any order."""

    @tf.custom_gradient
    def conv(x, kernel):
        y = conv2d(x, kernel, strides, "valid", dilation_rate, assume_nonempty)
        # Keeps what follows from being fused into Eigen's convolution, which then refuses groups.
        y = tf.ensure_shape(y, y.shape)

        def gradient(dy):
            if x.shape[0] is None:
                # Fused with the gradient of a bias, oneDNN's kernel fails on an empty batch.
                dy = lasting_reshape(dy, *tf.unstack(tf.shape(dy)[:3]))
            return (
                _input_gradient(dy, x, kernel, strides, dilation_rate),
                _kernel_gradient(dy, x, kernel, strides, dilation_rate),
            )

        return y, gradient

    # A custom gradient refuses to meet a variable itself.
    return conv(tf.convert_to_tensor(x), tf.convert_to_tensor(kernel))


def _input_gradient(dy, x, kernel, strides, dilation_rate):
    """A forward convolution of dy: kernel turned round in space, transposed within each group."""
    kernel_height, kernel_width, group_inputs, filters = kernel.shape
    groups = x.shape[-1] // group_inputs
    kernel = tf.reshape(kernel[::-1, ::-1], [kernel_height, kernel_width, group_inputs, groups, -1])
    kernel = tf.transpose(kernel, [0, 1, 4, 3, 2])
    kernel = tf.reshape(kernel, [kernel_height, kernel_width, filters // groups, x.shape[-1]])
    dy = _insert_zeros(dy, strides)
    paddings = [(0, 0)]
    for axis, size in ((1, kernel_height), (2, kernel_width)):
        reach = dilation_rate[axis - 1] * (size - 1)
        # Rows at the end of x that no stride reaches get a zero gradient.
        paddings.append((reach, tf.shape(x)[axis] - tf.shape(dy)[axis]))
    return valid_conv(tf.pad(dy, [*paddings, (0, 0)]), kernel, (1, 1), dilation_rate)


def _kernel_gradient(dy, x, kernel, strides, dilation_rate):
    """Dense filter gradients of runs of channels, of which the blocks on the diagonal are kept."""
    x, dy, strides = _undilated(x, dy, kernel.shape[:2], strides, dilation_rate)
    kernel_height, kernel_width, group_inputs, filters = kernel.shape
    groups = x.shape[-1] // group_inputs
    most = max(1, x.shape[-1] // RUN_CHANNELS)
    runs = max(n for n in range(1, groups + 1) if groups % n == 0 and n <= most)
    dense_shape = [kernel_height, kernel_width, x.shape[-1] // runs, filters // runs]
    blocks_shape = [kernel_height, kernel_width, groups // runs, group_inputs, groups // runs, -1]
    blocks = []
    for x_run, dy_run in zip(tf.split(x, runs, -1), tf.split(dy, runs, -1), strict=True):
        dense = tf.compat.v1.nn.conv2d_backprop_filter(x_run, dense_shape, dy_run, [1, *strides, 1], "VALID")
        diagonal = tf.linalg.diag_part(tf.transpose(tf.reshape(dense, blocks_shape), [0, 1, 3, 5, 2, 4]))
        blocks.append(tf.transpose(diagonal, [0, 1, 2, 4, 3]))
    return tf.reshape(tf.concat(blocks, 3), kernel.shape)


def _undilated(x, dy, kernel_size, strides, dilation_rate):
    """The same sum of products without dilation: the phases of both images become a larger batch."""
    if max(kernel_size) == 1:
        return x[:, :: strides[0], :: strides[1]], dy, (1, 1)
    if max(dilation_rate) == 1:
        return x, dy, strides
    dy = _insert_zeros(dy, strides)
    x_paddings, dy_paddings = [], []
    for axis in (1, 2):
        dilation = dilation_rate[axis - 1]
        length = tf.shape(dy)[axis]
        whole = -(-length // dilation) * dilation
        used = length + dilation * (kernel_size[axis - 1] - 1)
        x = x[:, :used] if axis == 1 else x[:, :, :used]
        x_paddings.append((0, whole - length))
        dy_paddings.append((0, whole - length))
    return (
        tf.space_to_batch(x, dilation_rate, x_paddings),
        tf.space_to_batch(dy, dilation_rate, dy_paddings),
        (1, 1),
    )


def _insert_zeros(dy, strides):
    """Spreads dy out to the stride-1 positions it was sampled at."""
    if tuple(strides) == (1, 1):
        return dy
    height_stride, width_stride = strides
    batch, height, width = tf.unstack(tf.shape(dy)[:3])
    channels = dy.shape[-1]
    dy = tf.reshape(dy, [batch, height, 1, width, 1, channels])
    dy = tf.pad(dy, [(0, 0), (0, 0), (0, height_stride - 1), (0, 0), (0, width_stride - 1), (0, 0)])
    dy = tf.reshape(dy, [batch, height * height_stride, width * width_stride, channels])
    return dy[:, : (height - 1) * height_stride + 1, : (width - 1) * width_stride + 1]
