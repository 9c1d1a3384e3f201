"""1×1 convolutions in inference as matrix products of pixels and weights. TensorFlow only."""

from keras_sknet.ops.grouped_conv import subsampled
from keras_sknet.ops.paths import is_forced, on_gpu, without_onednn
from keras_sknet.ops.processor import has_avx512


def prefers_product(x):
    """Whether a dense 1×1 convolution of `x` had better be a matrix product, in inference with AVX-512.

    oneDNN's convolution lays weights that are variables out anew for each call, or reads those of a single
    image as they lie, which is slow; its matrix product does neither.

    Args:
        x: Tensor `(N, H, W, C)`, float32.
    """
    return (
        not is_forced()
        and None not in x.shape[1:]
        and has_avx512()
        and not without_onednn(x.dtype)
        and not on_gpu()
    )


def outweigh(output_shape, channels):
    """Whether to scale the weights of a 1×1 convolution costs less than to scale its output.

    Args:
        output_shape: Shape of the convolution's output. An unknown number of images counts as one.
        channels: Integer, input channels.
    """
    batch, height, width, _ = output_shape
    return (batch or 1) * height * width >= channels


def product(x, kernel, strides, bias=None, relu=False):
    """A dense 1×1 convolution, and what TensorFlow fuses with a matrix product.

    Args:
        x: Tensor `(N, H, W, C)` for which `prefers_product` is true.
        kernel: Tensor `(1, 1, C, F)`.
        strides: Pair of integers.
        bias: Tensor `(F,)`. Defaults to `None`.
        relu: Boolean, whether ReLU follows. Defaults to `False`.

    Returns:
        Tensor `(N, H', W', F)`.

    Example:

    ```python
    from keras_sknet.ops.pixels import product

    if keras.backend.backend() == "tensorflow":
        y = product(keras.ops.ones((1, 4, 4, 8)), keras.ops.ones((1, 1, 8, 16)), (2, 2))  # (1, 2, 2, 16)
    ```
    """
    import tensorflow as tf

    x = subsampled(x, strides)
    y = tf.matmul(tf.reshape(x, [-1, x.shape[3]]), tf.reshape(kernel, kernel.shape[2:]))
    # In front of the reshape, else they are not fused.
    if bias is not None:
        y = tf.nn.bias_add(y, bias)
    if relu:
        y = tf.nn.relu(y)
    return tf.reshape(y, [-1, *x.shape[1:3], kernel.shape[3]])
