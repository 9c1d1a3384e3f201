"""Grouped, dilated and strided 2D convolution: its definition and its implementations."""

import keras
from keras import ops

from keras_sknet.ops.paths import current_path, is_forced, on_gpu
from keras_sknet.ops.processor import lacks_avx512
from keras_sknet.ops.replicas import replica_count
from keras_sknet.ops.wide_kernel import run_count, widen
from keras_sknet.validation import one_of, positive_pair, require

PADDINGS = ("symmetric", "same", "valid")
# Channels that narrow groups are put together to: what Eigen's vectors and matrix products want.
WIDE_CHANNELS = 16
# The same for oneDNN without AVX-512.
ONEDNN_CHANNELS = 8


def check_padding(padding, kernel_size):
    """Raises a `ValueError` for an unknown padding, or one that does not fit the kernel."""
    one_of("padding", padding, PADDINGS)
    require(
        padding != "symmetric" or all(size % 2 for size in kernel_size),
        "kernel_size",
        "odd for padding='symmetric'",
        kernel_size=kernel_size,
        padding=padding,
    )


def output_size(size, kernel_size, strides, padding, dilation_rate):
    """Height and width of the output, `None` for an unknown one.

    Raises:
        ValueError: if the input is known to be too small.
    """
    size, kernel_size = tuple(size), tuple(kernel_size)
    outputs = []
    for length, kernel_length, stride, dilation in zip(
        size, kernel_size, strides, dilation_rate, strict=True
    ):
        # Both paddings add as much as the kernel takes away.
        lost = dilation * (kernel_length - 1) if padding == "valid" else 0
        outputs.append(None if length is None else (length - lost - 1) // stride + 1)
    require(
        all(length > 0 for length in outputs if isinstance(length, int)),
        "inputs",
        "at least as large as the dilated kernel",
        size=size,
        kernel_size=kernel_size,
        dilation_rate=dilation_rate,
    )
    return tuple(outputs)


def grouped_conv(x, kernel, strides=1, padding="symmetric", dilation_rate=1, inference=False):
    """Convolves images with a grouped kernel, differentiable for all groups, strides and dilations.

    The number of groups is `channels / kernel.shape[2]`.

    Args:
        x: Float tensor `(N, H, W, C)`. Any dimension but C may be unknown or, for N, zero.
        kernel: Float tensor `(kernel height, kernel width, C / groups, filters)`.
        strides: Integer or pair. Defaults to `1`. May exceed 1 together with `dilation_rate`.
        padding: `"symmetric"` (default): `dilation * (kernel - 1) / 2` zeros on both sides, for odd
            kernels; `"same"` and `"valid"` as in Keras.
        dilation_rate: Integer or pair. Defaults to `1`.
        inference: Boolean. `True` makes it a single operation into which TensorFlow can fuse what follows,
            where `False` (default) prefers fast gradients. In a graph of unknown batch size N must then not
            be zero.

    Returns:
        Float tensor `(N, H', W', filters)` of the dtype of `x`.

    Raises:
        ValueError: for an argument or shapes that cannot work.

    Example:

    ```python
    x, kernel = keras.random.normal((1, 16, 16, 8)), keras.random.normal((3, 3, 2, 16))
    y = keras_sknet.ops.grouped_conv(x, kernel, strides=2)  # (1, 8, 8, 16)
    ```
    """
    strides = positive_pair("strides", strides)
    dilation_rate = positive_pair("dilation_rate", dilation_rate)
    x, kernel = ops.convert_to_tensor(x), ops.convert_to_tensor(kernel)
    shapes = {"input_shape": tuple(x.shape), "kernel_shape": tuple(kernel.shape)}
    ranks_fit = len(x.shape) == len(kernel.shape) == 4 and x.shape[-1] is not None
    require(ranks_fit, "x", "images with known channels, and `kernel` of four dimensions too", **shapes)
    check_padding(padding, shapes["kernel_shape"][:2])
    depth = kernel.shape[2]
    groups = x.shape[-1] // depth if depth else 0
    fits = groups > 0 and groups * depth == x.shape[-1] and kernel.shape[3] % groups == 0
    require(fits, "kernel", "(height, width, C / groups, filters), filters divisible by groups", **shapes)
    output_size(x.shape[1:3], kernel.shape[:2], strides, padding, dilation_rate)
    if x.shape[0] == 0:
        return _conv_of_nothing(x, kernel, strides, padding, dilation_rate)
    pointwise = max(kernel.shape[:2]) == 1
    path = current_path(x.dtype, groups, dilation_rate, pointwise and not inference)
    if path == "keras":
        return _plain_conv(x, kernel, strides, padding, dilation_rate)
    product = pointwise and groups == 1 and _trains_as_product(x.dtype, path, inference)
    divided = padding != "same" and all(d % s == 0 for s, d in zip(strides, dilation_rate, strict=True))
    if not inference and max(strides) > 1 and (divided or product or (pointwise and path == "custom")):
        x, strides, dilation_rate = _lattice(x, strides, dilation_rate)
    if product:
        return _matrix_product(x, kernel)
    if path == "native":
        if groups > 1 and _too_narrow(depth):
            kernel = widen(kernel, groups, run_count(x.shape[-1], groups, ONEDNN_CHANNELS))
        # A replica may be left without a share of the last batch, in inference too.
        assume_nonempty = inference and replica_count() == 1
        fails = not on_gpu() and _gradient_fails(x, kernel, strides, dilation_rate, inference)
        convolve = _custom_conv if fails else _native_conv
        return convolve(x, kernel, strides, padding, dilation_rate, assume_nonempty)
    return _wide_conv(x, kernel, strides, padding, dilation_rate)


def add_bias(x, bias, groups=1, inference=False):
    """Adds a bias of shape (channels,) to images.

    Args:
        x: Tensor `(N, H, W, C)`, what `grouped_conv` returned.
        bias: Tensor `(C,)`.
        groups: Integer, of the convolution. Defaults to `1`.
        inference: Boolean, as in `grouped_conv`. Defaults to `False`.

    Returns:
        Tensor of the shape of `x`.

    Example:

    ```python
    from keras_sknet.ops.grouped_conv import add_bias

    y = add_bias(keras.ops.zeros((1, 4, 4, 8)), keras.ops.ones((8,)))  # ones
    ```
    """
    if inference and keras.backend.backend() == "tensorflow" and not on_gpu():
        import tensorflow as tf

        # oneDNN's convolution takes in both, and the ReLU behind them; Eigen's BiasAdd alone, and no groups.
        return tf.nn.bias_add(x, bias) if groups == 1 else tf.add(x, bias)
    return ops.add(x, bias)


def _conv_of_nothing(x, kernel, strides, padding, dilation_rate):
    """No images, of the right shape and with gradients: a tensor without elements takes any shape."""
    spatial = output_size(ops.shape(x)[1:3], kernel.shape[:2], strides, padding, dilation_rate)
    kernel = ops.reshape(kernel, (-1, kernel.shape[-1]))
    return ops.matmul(ops.reshape(x, (0, *spatial, kernel.shape[0])), kernel)


def _lattice(x, strides, dilation_rate):
    """The only pixels that any tap meets, and the convolution of them without strides."""
    # oneDNN differentiates dilation with stride at a tenth of the speed.
    dilation_rate = tuple(max(1, d // s) for s, d in zip(strides, dilation_rate, strict=True))
    return subsampled(x, strides), (1, 1), dilation_rate


def subsampled(x, strides):
    """`x[:, ::strides[0], ::strides[1]]`, faster. TensorFlow only."""
    import tensorflow as tf

    return tf.nn.avg_pool2d(x, 1, strides, "SAME") if max(strides) > 1 else x


def _too_narrow(depth):
    """Whether oneDNN convolves so many channels a group faster with zeros between groups."""
    # Of one channel it makes a depthwise convolution.
    return 1 < depth < ONEDNN_CHANNELS and not is_forced() and not on_gpu() and lacks_avx512()


def _trains_as_product(dtype, path, inference):
    """Whether the gradients of a 1×1 convolution are faster as those of a matrix product."""
    exact = keras.backend.standardize_dtype(dtype) in ("float32", "float64")
    return exact and not inference and not on_gpu() and (path == "custom" or lacks_avx512())


def _matrix_product(x, kernel):
    """A 1×1 convolution."""
    import tensorflow as tf

    return tf.tensordot(x, tf.reshape(kernel, kernel.shape[2:]), 1)


def _wide_conv(x, kernel, strides, padding, dilation_rate):
    """`_custom_conv` as Eigen computes it best: narrow groups put together, in float32 or wider."""
    import tensorflow as tf

    dtype = x.dtype
    if dtype.size < 4:
        # Eigen adds up thousands of products in the dtype itself.
        x, kernel = tf.cast(x, "float32"), tf.cast(kernel, "float32")
    groups = x.shape[-1] // kernel.shape[2]
    kernel = widen(kernel, groups, run_count(x.shape[-1], groups, WIDE_CHANNELS))
    return tf.cast(_custom_conv(x, kernel, strides, padding, dilation_rate), dtype)


def _custom_conv(x, kernel, strides, padding, dilation_rate, assume_nonempty=False):
    from keras_sknet.ops.grouped_conv_gradient import differentiable_conv

    odd = all(size % 2 for size in kernel.shape[:2])
    if odd and strides == (1, 1) and padding != "valid":
        padding = "same"
    else:
        x, padding = _pad(x, kernel, strides, padding, dilation_rate), "valid"
    return differentiable_conv(x, kernel, strides, padding, dilation_rate, assume_nonempty)


def _native_conv(x, kernel, strides, padding, dilation_rate, assume_nonempty):
    if padding == "symmetric":
        if strides == (1, 1):
            padding = "same"
        else:
            # An explicit padding list would leave oneDNN, and has no gradient for groups.
            x, padding = _pad(x, kernel, strides, padding, dilation_rate), "valid"
    return conv2d(x, kernel, strides, padding, dilation_rate, assume_nonempty)


def _gradient_fails(x, kernel, strides, dilation_rate, inference):
    """Whether oneDNN's filter gradient writes past its buffer's end, which ends the process, or crawls."""
    narrow_strided_1x1 = max(kernel.shape[:2]) == 1 < max(strides) and x.shape[-1] % 16
    dilated = kernel.shape[2] < x.shape[-1] and max(dilation_rate) > 1
    half = keras.backend.standardize_dtype(x.dtype) in ("bfloat16", "float16")
    crawls = not inference and lacks_avx512()
    return narrow_strided_1x1 or (dilated and (half or crawls))


def conv2d(x, kernel, strides, padding, dilation_rate, assume_nonempty=False):
    """`tf.nn.conv2d`, whose oneDNN kernel gives an empty batch the shape of its input, repaired.

    A reshape is free, but keeps TensorFlow from fusing the convolution with what follows.
    """
    import tensorflow as tf

    y = tf.nn.conv2d(x, kernel, strides, padding.upper(), dilations=dilation_rate)
    if assume_nonempty or x.shape[0] is not None:
        return y
    batch, *size = tf.unstack(tf.shape(x)[:3])
    size = output_size(size, kernel.shape[:2], strides, padding, dilation_rate)
    return lasting_reshape(y, batch, *size)


def lasting_reshape(y, batch, height, width):
    """A reshape that the graph optimizer keeps, although y seems to have this shape already."""
    import tensorflow as tf

    # Nothing, but only at run time.
    zero = tf.minimum(batch, 0)
    reshaped = tf.reshape(y, [batch, height + zero, width + zero, y.shape[-1]])
    reshaped.set_shape(y.shape)
    return reshaped


def _plain_conv(x, kernel, strides, padding, dilation_rate):
    x = _pad(x, kernel, strides, padding, dilation_rate)
    if max(strides) > 1 and max(dilation_rate) > 1 and keras.backend.backend() == "tensorflow":
        # tf.nn.convolution refuses the two together.
        y = ops.conv(x, kernel, 1, "valid", "channels_last", dilation_rate)
        return y[:, :: strides[0], :: strides[1]]
    return ops.conv(x, kernel, strides, "valid", "channels_last", dilation_rate)


def _pad(x, kernel, strides, padding, dilation_rate):
    """Pads so that a "valid" convolution does the rest."""
    if padding == "valid" or max(kernel.shape[:2]) == 1:
        return x
    pads = [
        _axis_padding(x, axis, kernel.shape[axis - 1], strides[axis - 1], dilation_rate[axis - 1], padding)
        for axis in (1, 2)
    ]
    return ops.pad(x, [(0, 0), *pads, (0, 0)])


def _axis_padding(x, axis, kernel_size, stride, dilation, padding):
    reach = dilation * (kernel_size - 1)
    if padding == "symmetric" or stride == 1:
        return reach // 2, reach - reach // 2
    size = ops.shape(x)[axis]
    total = (-(-size // stride) - 1) * stride + reach + 1 - size
    total = max(total, 0) if isinstance(total, int) else ops.maximum(total, 0)
    return total // 2, total - total // 2
