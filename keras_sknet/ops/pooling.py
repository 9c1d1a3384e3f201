"""Largest values, also of no images."""

import keras
from keras import ops

from keras_sknet.ops.replicas import replica_count


def max_pool(x, size, strides, padding):
    """Takes the largest value of each window of channels-last images.

    TensorFlow's gradient of it ends the process on an empty batch, which one of several replicas may get.

    Args:
        x: Tensor `(N, H, W, C)`, N possibly zero.
        size: Integer, side of the window in pixels.
        strides: Integer, in pixels.
        padding: `"same"` or `"valid"`, as in Keras.

    Returns:
        Tensor `(N, H', W', C)`.

    Example:

    ```python
    from keras_sknet.ops.pooling import max_pool

    y = max_pool(keras.random.normal((2, 8, 8, 4)), 3, 2, "same")  # (2, 4, 4, 4)
    ```
    """
    if replica_count() == 1 or x.shape[0]:
        return ops.max_pool(x, size, strides, padding, "channels_last")
    # One image of zeros keeps the kernel from an empty batch.
    x = ops.pad(x, [(0, 1), (0, 0), (0, 0), (0, 0)])
    return ops.max_pool(x, size, strides, padding, "channels_last")[:-1]


def largest(x, axis, keepdims=False):
    """Takes the largest value along axes, as `keras.ops.max`, which refuses an empty batch on TensorFlow.

    Args:
        x: Tensor, `(N, H, W, C)`, N possibly zero.
        axis: Integer or tuple of integers, not that of N.
        keepdims: Boolean, whether the axes stay, with a length of 1. Defaults to `False`.

    Returns:
        Tensor.

    Example:

    ```python
    from keras_sknet.ops.pooling import largest

    y = largest(keras.random.normal((2, 8, 8, 4)), axis=(1, 2))  # (2, 4)
    ```
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.reduce_max(x, axis, keepdims)
    return ops.max(x, axis, keepdims=keepdims)
