"""What layers and operations should give, in plain NumPy and float64; knows nothing of the package."""

import numpy as np


def pair(value):
    return (value, value) if np.isscalar(value) else tuple(value)


def padding_before_and_after(size, kernel_size, stride, dilation, padding):
    """Zeros on the two sides of one axis."""
    reach = (kernel_size - 1) * dilation
    if padding == "valid":
        return 0, 0
    if padding == "symmetric":
        return reach // 2, reach // 2
    outputs = (size + stride - 1) // stride
    total = max(0, stride * (outputs - 1) + reach + 1 - size)
    return total // 2, total - total // 2


def numpy_pad(x, kernel_size, strides, padding, dilation_rate):
    """Images with the zeros that a convolution puts around them, and how many it put before (H, W)."""
    sides = [
        padding_before_and_after(size, *axis, padding)
        for size, axis in zip(
            x.shape[1:3], zip(kernel_size, strides, dilation_rate, strict=True), strict=True
        )
    ]
    return np.pad(x, [(0, 0), *sides, (0, 0)]), tuple(before for before, _ in sides)


def taps(padded_shape, kernel_size, strides, dilation_rate):
    """For each place in the kernel, the slice of the padded images that it meets."""
    starts = [
        [i * dilation for i in range(size)] for size, dilation in zip(kernel_size, dilation_rate, strict=True)
    ]
    outputs = [
        len(range(0, length - start[-1], stride))
        for length, start, stride in zip(padded_shape[1:3], starts, strides, strict=True)
    ]
    for i, top in enumerate(starts[0]):
        for j, left in enumerate(starts[1]):
            rows = slice(top, top + (outputs[0] - 1) * strides[0] + 1, strides[0])
            columns = slice(left, left + (outputs[1] - 1) * strides[1] + 1, strides[1])
            yield (i, j), (slice(None), rows, columns)


def groups_of(channels, kernel):
    """For each group, its slices of the input and the output channels."""
    inputs = kernel.shape[2]
    groups = channels // inputs
    filters = kernel.shape[3] // groups
    return [
        (slice(g * inputs, (g + 1) * inputs), slice(g * filters, (g + 1) * filters)) for g in range(groups)
    ]


def numpy_conv2d(x, kernel, strides=1, padding="symmetric", dilation_rate=1):
    """Grouped convolution, one tap and one group after another.

    Args:
        x: Array (N, H, W, C).
        kernel: Array (kernel height, kernel width, C / groups, filters).
        strides, padding, dilation_rate: as in `keras.layers.Conv2D`; `"symmetric"` puts
            `dilation * (kernel - 1) / 2` zeros on both sides.

    Returns:
        float64 array (N, H', W', filters).
    """
    x, kernel = np.asarray(x, "float64"), np.asarray(kernel, "float64")
    strides, dilation_rate, size = pair(strides), pair(dilation_rate), kernel.shape[:2]
    padded, _ = numpy_pad(x, size, strides, padding, dilation_rate)
    y = 0
    for tap, window in taps(padded.shape, size, strides, dilation_rate):
        seen = padded[window]
        y = y + np.concatenate(
            [seen[..., c] @ kernel[tap][:, f] for c, f in groups_of(x.shape[-1], kernel)], axis=-1
        )
    return y


def numpy_conv2d_gradients(x, kernel, dy, strides=1, padding="symmetric", dilation_rate=1):
    """Gradients of `sum(numpy_conv2d(x, kernel, ...) * dy)`.

    Returns:
        float64 arrays of the shapes of `x` and of `kernel`.
    """
    x, kernel, dy = (np.asarray(value, "float64") for value in (x, kernel, dy))
    strides, dilation_rate, size = pair(strides), pair(dilation_rate), kernel.shape[:2]
    padded, (top, left) = numpy_pad(x, size, strides, padding, dilation_rate)
    dpadded, dkernel = np.zeros_like(padded), np.zeros_like(kernel)
    for tap, window in taps(padded.shape, size, strides, dilation_rate):
        for c, f in groups_of(x.shape[-1], kernel):
            dkernel[tap][:, f] += np.einsum("nhwc,nhwf->cf", padded[window][..., c], dy[..., f])
            dpadded[window][..., c] += dy[..., f] @ kernel[tap][:, f].T
    return dpadded[:, top : top + x.shape[1], left : left + x.shape[2]], dkernel


def block_diagonal(kernel, channels):
    """The dense kernel (h, w, channels, filters) that does what the grouped one does."""
    dense = np.zeros((*kernel.shape[:2], channels, kernel.shape[3]), kernel.dtype)
    for c, f in groups_of(channels, kernel):
        dense[:, :, c, f] = kernel[..., f]
    return dense
