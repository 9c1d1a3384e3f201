"""Which implementation runs a convolution: the rule, and the context manager that overrides it."""

import contextlib
import contextvars
import functools

import keras

PATHS = ("auto", "native", "custom", "keras")

# The innermost `with` blocks of all threads, which may overlap.
_forced = []
_stepwise = contextvars.ContextVar("stepwise", default=False)


@contextlib.contextmanager
def convolution_path(path):
    """Chooses how `grouped_conv` is computed inside a `with` block.

    The choice is made while a function is traced, in every thread (a distribution strategy traces each
    replica in its own). It never becomes part of a config or of weights.

    Args:
        path: String. `"auto"`: the written rule of `choose_path` (what runs without this context).
            `"native"`: `tf.nn.conv2d` and its own gradients, where they neither fail nor crawl.
            `"custom"`: `tf.nn.conv2d` with this package's gradients, for kernels that TensorFlow cannot
            differentiate itself. `"keras"`: `keras.ops.conv`, the plain definition; on TensorFlow it
            compiles each grouped convolution with XLA. `"native"` and `"custom"` need the TensorFlow backend.

    Raises:
        ValueError: if `path` is none of these, or needs TensorFlow and the backend is another.

    Example:

    ```python
    layer = keras_sknet.GroupedConv2D(8, 3, groups=4)
    x = keras.random.normal((1, 16, 16, 8))
    with keras_sknet.ops.convolution_path("keras"):
        plain = layer(x)
    fast = layer(x)
    ```
    """
    if path not in PATHS:
        raise ValueError(f"`path` must be one of {PATHS}. Received: path={path!r}")
    if path in ("native", "custom") and keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"`path` must be 'auto' or 'keras' off the TensorFlow backend. Received: path={path!r}, "
            f"backend={keras.backend.backend()!r}"
        )
    choice = [path]  # of its own identity, by which it is found again
    _forced.append(choice)
    try:
        yield
    finally:
        _forced[:] = [other for other in _forced if other is not choice]


@contextlib.contextmanager
def step_by_step():
    """Chooses the path `"keras"` inside a `with` block, in this thread alone."""
    token = _stepwise.set(True)
    try:
        yield
    finally:
        _stepwise.reset(token)


def current_path(*what):
    """Returns the path that runs here: the one that `convolution_path` forces, else that of `choose_path`."""
    return _forced_path() if is_forced() else choose_path(*what)


def is_forced():
    """Whether `convolution_path` has chosen: what is computed then must not depend on the processor."""
    return _forced_path() != "auto"


def is_plain():
    """Whether layers compute what defines them step by step: off TensorFlow, or on the path `"keras"`."""
    return keras.backend.backend() != "tensorflow" or _forced_path() == "keras"


def _forced_path():
    if _stepwise.get():
        return "keras"
    return _forced[-1][0] if _forced else "auto"


def choose_path(dtype, groups, dilation_rate, trains_pointwise=False):
    """The rule by which `"auto"` becomes a path; applied while tracing.

    1. Off TensorFlow: `"keras"`.
    2. Neither grouped nor dilated, nor a 1×1 convolution in training (`trains_pointwise`): `"native"`.
    3. A GPU is visible and no `tf.device` scope, in or around the trace, names a CPU: `"native"` (cuDNN).
    4. Otherwise `"native"` if a tiny trial shows that this CPU build differentiates groups in this dtype
       (x86 builds with oneDNN do in float32 and bfloat16, and in float16 where the processor knows it),
       else `"custom"`.
    """
    if keras.backend.backend() != "tensorflow":
        return "keras"
    if groups == 1 and max(dilation_rate) == 1 and not trains_pointwise:
        return "native"
    return "custom" if without_onednn(dtype) and not on_gpu() else "native"


def without_onednn(dtype):
    """Whether TensorFlow's CPU kernels for this dtype are Eigen's, which cannot differentiate groups."""
    return not _cpu_has_gradients(keras.backend.standardize_dtype(dtype))


def on_gpu():
    """Whether what is traced here will run on a GPU."""
    import tensorflow as tf

    return bool(tf.config.list_logical_devices("GPU")) and "CPU" not in _device().upper()


def _device():
    """The device of what is computed here: of the scope it is traced in, else of the one around the trace."""
    import tensorflow as tf

    device = tf.zeros([]).device
    if not device:
        with tf.init_scope():
            device = tf.zeros([]).device
    return device


@functools.cache
def _cpu_has_gradients(dtype):
    import tensorflow as tf

    size, kernel_size = [1, 5, 5, 4], [3, 3, 2, 4]
    options = {"strides": [1] * 4, "padding": "SAME", "dilations": [1, 2, 2, 1]}
    with tf.init_scope(), tf.device("/CPU:0"):
        x, kernel = tf.ones(size, dtype), tf.ones(kernel_size, dtype)
        try:
            # The operations themselves: no tape records inside `init_scope`.
            tf.raw_ops.Conv2DBackpropInput(input_sizes=size, filter=kernel, out_backprop=x, **options)
            tf.raw_ops.Conv2DBackpropFilter(input=x, filter_sizes=kernel_size, out_backprop=x, **options)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
    return True
