"""A batch as two halves that TensorFlow computes side by side, in inference."""

import contextlib
import contextvars
import os

import keras

from keras_sknet.ops._private import in_tape, in_xla
from keras_sknet.ops.paths import is_forced, on_gpu, without_onednn
from keras_sknet.ops.processor import has_avx512
from keras_sknet.ops.replicas import replica_count

# Halves of more images take no less time than the whole (docs/performance.md).
BATCHES = range(2, 17)

_shared = contextvars.ContextVar("shared_by_halves", default=None)
_kept_whole = contextvars.ContextVar("kept_whole", default=False)


@contextlib.contextmanager
def whole_batches():
    """Keeps batches whole inside a `with` block, in this thread.

    Example:

    ```python
    from keras_sknet.ops.halves import in_halves, whole_batches

    with whole_batches():
        y = in_halves(lambda x: 2 * x, keras.ops.ones((8, 2, 2, 3)))  # twos, at once
    ```
    """
    token = _kept_whole.set(True)
    try:
        yield
    finally:
        _kept_whole.reset(token)


def in_halves(function, images):
    """Applies a function to images; to both halves of a small batch in float32, in a TensorFlow graph.

    A network's operations run one behind the other, and at the end of each one core waits for another. The
    halves do not need each other: while one waits, the other goes on. What this returns is handed on in
    halves to the next function, neither put together nor cut again. Where oneDNN has AVX-512 only, and not
    under a gradient tape, which may be asked for the gradient of what is passed over so; `tf.gradients` finds
    none of it.

    Args:
        function: Function of a tensor `(N, …)` that treats each image by itself, as inference does. It is
            called twice where it gets halves; a call of this inside gets no halves of these.
        images: Tensor `(N, …)`.

    Returns:
        What `function(images)` returns, a tensor `(N, …)`.

    Example:

    ```python
    from keras_sknet.ops.halves import in_halves

    y = in_halves(lambda x: 2 * x, keras.ops.ones((8, 2, 2, 3)))  # twos
    ```
    """
    if _shared.get() is not None or not _prefers_halves(images):
        return function(images)
    import tensorflow as tf

    token = _shared.set({})
    try:
        return tf.concat([function(half) for half in _halves(images)], 0)
    finally:
        _shared.reset(token)


def once(owner, make):
    """Returns `make()`, which does not depend on images: for the second half what it was for the first.

    In a graph inside, as a loop's, it is made anew: no graph may use another's tensors.

    Args:
        owner: Whose value it is; each has one.
        make: Function without arguments.

    Example:

    ```python
    from keras_sknet.ops.halves import once

    assert once("kernel", lambda: 2 * 3) == 6
    ```
    """
    shared = _shared.get()
    if shared is None:
        return make()
    import tensorflow as tf

    key = id(owner), tf.compat.v1.get_default_graph()
    if key not in shared:
        shared[key] = make()
    return shared[key]


def _prefers_halves(images):
    if keras.backend.backend() != "tensorflow" or images.shape[0] not in BATCHES:
        return False
    import tensorflow as tf

    return (
        not (is_forced() or _kept_whole.get() or in_tape())
        and tf.is_symbolic_tensor(images)
        and images.dtype == "float32"
        and has_avx512()
        and not without_onednn(images.dtype)
        and not _computes_one_by_one()
        and not on_gpu()
        and not in_xla()
        and replica_count() == 1
    )


def _computes_one_by_one():
    """Whether TensorFlow was told to run one operation at a time."""
    import tensorflow as tf

    threads = tf.config.threading.get_inter_op_parallelism_threads()  # 0: not told
    return str(threads or os.environ.get("TF_NUM_INTEROP_THREADS")) == "1"


def _halves(images):
    """Both halves: those that `images` were put together of, where they were."""
    import tensorflow as tf

    sizes = [images.shape[0] - images.shape[0] // 2, images.shape[0] // 2]
    if images.op.type == "ConcatV2":
        *parts, axis = images.op.inputs
        if tf.get_static_value(axis) == 0 and [part.shape[0] for part in parts] == sizes:
            return parts
    return tf.split(images, sizes)
