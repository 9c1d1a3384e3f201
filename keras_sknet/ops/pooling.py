"""Max-pooling that survives a replica without images."""

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
