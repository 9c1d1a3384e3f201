"""Batch normalization on tensors: TensorFlow's fused kernel, and statistics across replicas."""

import math

import keras
from keras import ops

from keras_sknet.ops._private import in_xla
from keras_sknet.ops.replicas import replica_count

FUSED_TYPES = ("float32", "bfloat16", "float16")


def fuses(x, axis):
    """Tells whether TensorFlow's fused kernel can normalize `x`.

    Args:
        x: Tensor.
        axis: Integer, the axis of the channels.

    Returns:
        `bool`: true on the TensorFlow backend for 4D `x`, channels last, in float32, bfloat16 or float16.

    Example:

    ```python
    import keras
    from keras_sknet.ops.batch_norm import fuses

    assert not fuses(keras.ops.zeros((2, 8)), axis=-1)
    ```
    """
    return (
        keras.backend.backend() == "tensorflow"
        and len(x.shape) == 4
        and axis in (-1, 3)
        and keras.backend.standardize_dtype(x.dtype) in FUSED_TYPES
    )


def values_per_channel(x, axis):
    """Counts the values of each channel: the batch size times the spatial size.

    Args:
        x: Tensor.
        axis: Integer, the axis of the channels.

    Returns:
        Integer where the shape is static, else an integer scalar tensor.

    Example:

    ```python
    import keras
    from keras_sknet.ops.batch_norm import values_per_channel

    assert values_per_channel(keras.ops.zeros((2, 7, 7, 8)), axis=-1) == 98
    ```
    """
    axes = _reduction_axes(x, axis)
    sizes = [x.shape[i] for i in axes]
    if None not in sizes:
        return math.prod(sizes)
    return ops.prod([ops.shape(x)[i] for i in axes])


def normalize_fixed(x, mean, variance, gamma, beta, epsilon):
    """Normalizes `x` by given statistics with TensorFlow's fused kernel, as inference does.

    Args:
        x: Tensor for which `fuses` is true.
        mean: Tensor of shape (channels,).
        variance: Tensor of shape (channels,).
        gamma: Tensor of shape (channels,), or `None` for ones.
        beta: Tensor of shape (channels,), or `None` for zeros.
        epsilon: Float, added to the variance.

    Returns:
        Tensor of the shape and dtype of `x`.

    Example:

    ```python
    import keras
    from keras_sknet.ops.batch_norm import fuses, normalize_fixed

    x, ones = keras.ops.ones((1, 2, 2, 3)), keras.ops.ones((3,))
    if fuses(x, axis=-1):
        y = normalize_fixed(x, ones, ones, gamma=None, beta=None, epsilon=1e-5)  # zeros
    ```
    """
    import tensorflow as tf

    mean, variance = tf.cast(mean, "float32"), tf.cast(variance, "float32")
    gamma, beta = _float32_or(tf.ones, gamma, x), _float32_or(tf.zeros, beta, x)
    y, _, _ = tf.compat.v1.nn.fused_batch_norm(
        x, gamma, beta, mean=mean, variance=variance, epsilon=epsilon, is_training=False
    )
    return y


def fused(x, gamma, beta, epsilon):
    """Normalizes `x` by its own statistics with TensorFlow's fused kernel, and nothing else.

    Args:
        x: Tensor for which `fuses` is true.
        gamma: Tensor of shape (channels,), or `None` for ones.
        beta: Tensor of shape (channels,), or `None` for zeros.
        epsilon: Float, added to the variance.

    Returns:
        Tuple `(y, mean, variance)`: `y` of the shape and dtype of `x`, the mean and the unbiased variance
        `(channels,)`.

    Example:

    ```python
    import keras
    from keras_sknet.ops.batch_norm import fused, fuses

    x = keras.random.normal((8, 7, 7, 3))
    if fuses(x, axis=-1):
        y, mean, variance = fused(x, gamma=None, beta=None, epsilon=1e-5)
    ```
    """
    import tensorflow as tf

    gamma, beta = _float32_or(tf.ones, gamma, x), _float32_or(tf.zeros, beta, x)
    return tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=epsilon, is_training=True)


def normalize_batch(
    x, gamma, beta, moving_mean, moving_variance, *, axis, momentum, epsilon, synchronized, mask=None
):
    """Normalizes `x` by its own statistics on the TensorFlow backend, as training does.

    With several replicas, `synchronized=True` normalizes by the statistics of the global batch; otherwise
    each replica normalizes by its own, and the moving statistics follow their average weighted by counts.

    Args:
        x: Tensor of any rank.
        gamma: Tensor of shape (channels,), or `None` for ones.
        beta: Tensor of shape (channels,), or `None` for zeros.
        moving_mean: Tensor of shape (channels,), equal on all replicas.
        moving_variance: Tensor of shape (channels,), of biased variances, equal on all replicas.
        axis: Integer, the axis of the channels.
        momentum: Float, the share of the old moving statistics in the new ones.
        epsilon: Float, added to the variance.
        synchronized: Boolean, whether replicas share their statistics.
        mask: Boolean tensor shaped as `x` without its last axis, true where values count, or `None`.

    Returns:
        Tuple `(y, moving_mean, moving_variance, count)`: the normalized tensor, the new moving statistics
        (the old ones where there was no value), the number of values per channel that `y` rests on.

    Example:

    ```python
    import keras
    from keras_sknet.ops.batch_norm import normalize_batch

    if keras.backend.backend() == "tensorflow":
        x, zeros, ones = keras.random.normal((8, 3)), keras.ops.zeros((3,)), keras.ops.ones((3,))
        y, mean, variance, count = normalize_batch(
            x, ones, zeros, zeros, ones, axis=-1, momentum=0.9, epsilon=1e-5, synchronized=True
        )
    ```
    """
    import tensorflow as tf

    several = replica_count() > 1
    dtype = keras.backend.result_type(x.dtype, "float32")
    moving_mean, moving_variance = tf.cast(moving_mean, dtype), tf.cast(moving_variance, dtype)
    if fuses(x, axis) and mask is None and not (several and synchronized):
        y, mean, variance = fused(x, gamma, beta, epsilon)
        count = values_per_channel(x, axis)
        values = tf.cast(count, "float32")
        # The kernel returns the unbiased variance, times n / max(n - 1, 1); Keras keeps the biased one.
        variance *= tf.maximum(values - 1.0, 1.0) / tf.maximum(values, 1.0)
    else:
        x = tf.cast(x, dtype)
        mean, variance, count = _moments(x, axis, mask)
        if several and synchronized:
            mean, variance, count = _global_moments(mean, variance, count, moving_mean)
        gamma = None if gamma is None else tf.cast(gamma, dtype)
        beta = None if beta is None else tf.cast(beta, dtype)
        y = ops.batch_normalization(x, mean, variance, axis, offset=beta, scale=gamma, epsilon=epsilon)
    seen = count
    if several and not synchronized:
        mean, variance, seen = _average(mean, variance, count)
    mean = _where_any(seen, moving_mean * momentum + mean * (1.0 - momentum), moving_mean)
    variance = _where_any(seen, moving_variance * momentum + variance * (1.0 - momentum), moving_variance)
    return y, mean, variance, count


def when_one_value(count, x, axis, action):
    """Calls `action` when a channel has one value only: while tracing where that is known, else at run time.

    Nothing is put into a graph that XLA compiles, nor where the spatial size is not statically 1.

    Args:
        count: Integer or scalar tensor, the number of values per channel.
        x: The tensor that is normalized.
        axis: Integer, the axis of the channels.
        action: Function without arguments.

    Example:

    ```python
    import keras
    from keras_sknet.ops.batch_norm import when_one_value

    when_one_value(1, keras.ops.zeros((1, 8)), axis=-1, action=lambda: print("one value"))
    ```
    """
    if isinstance(count, int):
        if count == 1:
            action()
        return
    axes = _reduction_axes(x, axis)
    if any(x.shape[i] != 1 for i in axes if i != 0) or x.shape[0] not in (None, 0, 1) or in_xla():
        return
    import tensorflow as tf

    def act():
        action()
        return True

    tf.cond(tf.reduce_all(count == 1), lambda: tf.py_function(act, [], tf.bool), lambda: tf.constant(False))


def _moments(x, axis, mask):
    """Mean, biased variance and count; zeros, with zero gradients, where nothing is to be counted."""
    import tensorflow as tf

    axes = _reduction_axes(x, axis)
    shape = [1] * len(x.shape)
    shape[axis] = -1
    count, counted = values_per_channel(x, axis), None
    if mask is not None:
        counted = tf.broadcast_to(tf.cast(mask, "bool")[..., None], tf.shape(x))
        count = tf.reduce_sum(tf.cast(counted, x.dtype), axes)
    divisor = tf.maximum(tf.cast(count, x.dtype), 1)

    def mean(values):
        values = values if counted is None else tf.where(counted, values, tf.zeros_like(values))
        return tf.reduce_sum(values, axes) / divisor

    # Not `tf.nn.moments`: it stops a gradient which the second derivative needs.
    center = mean(x)
    return center, mean(tf.square(x - tf.reshape(center, shape))), count


def _global_moments(mean, variance, count, shift):
    import tensorflow as tf

    # Sums about the moving mean, which all replicas share, lose fewer digits than sums about zero.
    shift = tf.stop_gradient(shift)
    count = tf.cast(count, mean.dtype)
    offset = mean - shift
    offset, square, count = _reduce_sums(count * offset, count * (variance + tf.square(offset)), count)
    divisor = tf.maximum(count, 1)
    offset = offset / divisor
    return shift + offset, tf.maximum(square / divisor - tf.square(offset), 0), count


def _average(mean, variance, count):
    import tensorflow as tf

    mean, variance = (_where_any(count, tf.stop_gradient(v), tf.zeros_like(v)) for v in (mean, variance))
    count = tf.cast(count, mean.dtype)
    mean, variance, count = _reduce_sums(count * mean, count * variance, count)
    divisor = tf.maximum(count, 1)
    return mean / divisor, variance / divisor, count


def _reduce_sums(first, second, count):
    """Sums over replicas, in a single message."""
    import tensorflow as tf

    channels = first.shape[0]
    packed = tf.concat([first, second, tf.reshape(count, [-1])], axis=0)
    packed = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, packed)
    return packed[:channels], packed[channels : 2 * channels], tf.reshape(packed[2 * channels :], count.shape)


def _where_any(count, values, otherwise):
    if isinstance(count, int) and count > 0:
        return values
    return ops.where(count > 0, values, otherwise)


def _float32_or(fill, values, x):
    import tensorflow as tf

    return fill(x.shape[-1:]) if values is None else tf.cast(values, "float32")


def _reduction_axes(x, axis):
    rank = len(x.shape)
    return [i for i in range(rank) if i != axis % rank]
