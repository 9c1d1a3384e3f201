"""Images cut into rows, on which oneDNN is fast where it is slow on a single image. TensorFlow only."""

from keras_sknet.ops.paths import is_forced, on_gpu, without_onednn
from keras_sknet.ops.processor import lacks_avx512


def prefers_rows(x, output_shape):
    """Whether what follows a dense convolution of `x` had better be computed in rows, in inference.

    Without AVX-512, oneDNN convolves a batch of one image by a kernel that applies what is fused with it,
    but for a bias and ReLU, value by value: batch normalization makes that 5 to 30 times slower, the sum of
    a residual block 3 times.

    Args:
        x: Tensor `(N, H, W, C)`.
        output_shape: Shape of the convolution's output. A single pixel is left: TensorFlow would take away
            both reshapes, that of rows and that of `conv2d`, which an empty batch needs.
    """
    height, width = output_shape[1:3]
    return (
        not is_forced()
        and x.shape[0] in (1, None)
        and None not in (height, width)
        and height * width > 1
        and lacks_avx512()
        and not without_onednn(x.dtype)
        and not on_gpu()
    )


def to_rows(x):
    """Reshapes images `(N, H, W, C)` to `(N * p, H * W / p, 1, C)`, p > 1 the smallest that divides."""
    import tensorflow as tf

    pixels = x.shape[1] * x.shape[2]
    length = next(pixels // p for p in range(2, pixels + 1) if pixels % p == 0)
    return tf.reshape(x, [-1, length, 1, x.shape[3]])


def from_rows(rows, height, width):
    """Undoes `to_rows`."""
    import tensorflow as tf

    return tf.reshape(rows, [-1, height, width, rows.shape[3]])
