"""Parts of sources."""

import numbers

import numpy as np

from keras_sknet.data.faults import describe
from keras_sknet.validation import require, whole_number


class Subset:
    """Some elements of a source, as a source.

    Args:
        source: As in `batches`, e.g. what `open_source` returns.
        indices: Sequence of integers from 0 to below `len(source)`, one or more, in any order.

    Raises:
        ValueError: for indices that the source does not have.

    Example:

    ```python
    from keras_sknet.data import Digits, Subset

    digits = Digits("train")
    small = Subset(digits, np.flatnonzero(digits.element_labels < 5))
    ```
    """

    def __init__(self, source, indices):
        import tensorflow as tf

        values = np.asarray(indices)
        whole = values.ndim == 1 and len(values) > 0 and np.issubdtype(values.dtype, np.integer)
        require(
            whole and values.min() >= 0 and values.max() < len(source),
            "indices",
            "one or more integers from 0 to below the length of `source`",
            indices=indices,
            length=len(source),
        )
        self.source, self.indices = source, values.astype("int64")
        if hasattr(source, "class_names"):
            self.class_names = source.class_names
        self.image_shape = getattr(source, "image_shape", None)
        with tf.device("/CPU:0"):
            self._indices = tf.constant(self.indices)

    def __len__(self):
        return len(self.indices)

    def element(self, index, seed, epoch):
        """Image and label of an element."""
        import tensorflow as tf

        return self.source.element(tf.gather(self._indices, index), seed, epoch)

    def describe(self, index):
        """The path of an element, or what else tells which one it is."""
        return describe(self.source, int(self.indices[index]))


def split_source(source, held_out, seed=0):
    """Splits a source in two at random, always in the same way.

    Args:
        source: As in `Subset`.
        held_out: Integer, the size of the second part, or a number between 0 and 1, its share.
        seed: Integer, 0 or more. Defaults to `0`.

    Returns:
        Two `Subset`s that have no element in common: the rest, and the part held out.

    Raises:
        ValueError: if one of the parts would be empty.

    Example:

    ```python
    from keras_sknet.data import Digits, split_source

    training, validation = split_source(Digits("train"), 500)
    len(training)  # 3400
    ```
    """
    whole_number("seed", seed)
    count = held_out if isinstance(held_out, numbers.Integral) and not isinstance(held_out, bool) else 0
    if not count and isinstance(held_out, numbers.Real) and 0 < held_out < 1:
        count = round(held_out * len(source))
    require(
        0 < count < len(source),
        "held_out",
        "a number of elements that leaves some in both parts, or a share between 0 and 1",
        held_out=held_out,
        length=len(source),
    )
    order = np.random.default_rng(seed).permutation(len(source))
    return Subset(source, np.sort(order[count:])), Subset(source, np.sort(order[:count]))
