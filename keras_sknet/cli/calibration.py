"""Images that a model is quantized and checked with."""

import numpy as np

from keras_sknet.data import Subset, evaluation_batches

IMAGES = 300


def calibration_images(source, transform, count=None):
    """Takes some images of a source, evenly chosen, as a model is given them.

    Args:
        source: Source of images.
        transform: Function of an image and a key, or `None`.
        count: Integer, how many at most. Defaults to `None`: `IMAGES`.

    Returns:
        Array `(images, height, width, 3)`.
    """
    some = Subset(source, evenly(range(len(source)), count))
    ((images, _, _),) = evaluation_batches(some, len(some), transform).as_numpy_iterator()
    return np.asarray(images)


def evenly(items, count=None):
    """Takes at most so many of a sequence (`IMAGES` by default), at even distances."""
    count = count or IMAGES
    return items[:: -(-len(items) // count)]
