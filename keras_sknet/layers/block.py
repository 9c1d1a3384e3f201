import functools

from keras_sknet.layers.foldable import Foldable
from keras_sknet.layers.recorder import is_recording
from keras_sknet.ops.halves import in_halves


class Block(Foldable):
    """A layer of layers whose batch may be computed in halves, in inference (`ops.halves`).

    A subclass defines `compute`, which in inference treats each image by itself.

    Args:
        **kwargs: `folded`, `name`, `dtype`, `trainable` of `Foldable`.
    """

    def compute(self, inputs, training):
        """Returns what the layer makes of `inputs`, a batch of images."""
        raise NotImplementedError(f"{type(self).__name__} must define `compute`")

    def call(self, inputs, training=None):
        compute = functools.partial(self.compute, training=training)
        # What is recorded is recorded of all images at once.
        return in_halves(compute, inputs) if training is False and not is_recording() else compute(inputs)
