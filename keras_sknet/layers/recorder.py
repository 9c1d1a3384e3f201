import contextlib
import contextvars

from keras import ops

_recorder = contextvars.ContextVar("attention_recorder", default=None)


@contextlib.contextmanager
def record_attention():
    """Collects the attention of every `SelectiveKernel` called inside the `with` block.

    Yields:
        A dictionary that fills with the units' names and tensors `(N, M, C)`, in the order of the calls.
        A name that comes again gets `_1`, `_2`, … appended. Compiled functions such as `model.predict` call
        their layers only while they are traced, with symbolic tensors: for them there is
        `keras_sknet.attention_scores`.

    Example:

    ```python
    with keras_sknet.layers.record_attention() as scores:
        keras_sknet.SelectiveKernel(64, name="unit")(keras.random.normal((2, 14, 14, 64)))
    scores["unit"].shape  # (2, 2, 64)
    ```
    """
    scores = {}
    token = _recorder.set(scores)
    try:
        yield scores
    finally:
        _recorder.reset(token)


def is_recording():
    """Whether somebody collects attention."""
    return _recorder.get() is not None


def record(name, weights):
    """Takes down the attention of a unit, a list of M tensors `(N, C)`, if somebody collects it."""
    scores = _recorder.get()
    if scores is None:
        return
    unique, again = name, 0
    while unique in scores:
        again += 1
        unique = f"{name}_{again}"
    scores[unique] = ops.stack(weights, axis=1)
