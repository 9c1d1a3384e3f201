"""Images in batches, whatever they come in."""

import keras
import numpy as np

from keras_sknet.data.transforms import evaluation_transform
from keras_sknet.validation import require

KINDS = "an array, arrays (images, labels), a source of keras_sknet.data, or a batched tf.data.Dataset"


def image_batches(model, images, batch_size):
    """Yields `(images, labels)` in batches, each image once, in order; labels may be `None`.

    Args:
        model: `keras.Model`, for which the images of a source are prepared as for evaluation.
        images: What `keras_sknet.attention_scores` takes.
        batch_size: Integer, for all but datasets, which are batched already.

    Yields:
        Pairs of what the model takes, and an integer array or `None`.

    Raises:
        ValueError: for what is no images, or not of the shape that the model takes.

    Example:

    ```python
    from keras_sknet.analysis.images import image_batches
    from keras_sknet.data import Digits

    images, labels = next(image_batches(keras_sknet.SKNetSmall(), Digits("test"), 8))  # (8, 32, 32, 3)
    ```
    """
    count = 0
    for batch, labels in _batches(model, images, batch_size):
        _require_shape(model, batch)
        count += 1
        yield batch, labels
    require(count > 0, "images", "one image or more", images=type(images).__name__)


def _batches(model, images, batch_size):
    inputs = len(getattr(model, "inputs", None) or ())
    pair = isinstance(images, tuple) and len(images) == 2 and inputs < 2
    # A subclassed model does not tell how many inputs it takes; labels have one dimension.
    pair = pair and (inputs == 1 or np.ndim(images[1]) == 1)
    if is_source(images):
        yield from _unpadded(_source_batches(model, images, batch_size))
    elif hasattr(images, "shape") or pair or (isinstance(images, (tuple, list)) and inputs != 1):
        yield from _slices(*(images if pair else (images, None)), batch_size)
    else:
        iterable = hasattr(images, "__iter__") and not isinstance(images, (str, bytes, dict, tuple, list))
        require(iterable, "images", KINDS, images=type(images).__name__)
        yield from _unpadded(images)


def is_source(images):
    """Tells whether `images` is a source, as `keras_sknet.data.Digits`: elements by their index."""
    return hasattr(images, "element") and hasattr(images, "__len__")


def _source_batches(model, source, batch_size):
    from keras_sknet.data import evaluation_batches

    # Images that are drawn at the model's size already would only lose their border.
    transform = evaluation_transform(model)
    ready = getattr(source, "image_shape", None) == transform.shape
    return evaluation_batches(source, batch_size, None if ready else transform)


def _slices(images, labels, batch_size):
    arrays = keras.tree.flatten(images)
    sizes = {len(array) if getattr(array, "shape", ()) else None for array in arrays}
    if labels is not None:
        sizes.add(len(labels))
    require(
        len(sizes) == 1 and None not in sizes,
        "images",
        "arrays of as many images, and labels, each",
        images=sorted(sizes, key=str),
    )
    (count,) = sizes
    # An empty array shows itself, whose shape the error names.
    for start in range(0, count or 1, batch_size):
        part = slice(start, start + batch_size)
        batch = keras.tree.map_structure(lambda array, part=part: array[part], images)
        yield batch, None if labels is None else np.asarray(labels[part])


def _unpadded(batches):
    """Leaves out the elements of weight 0, which fill up a last batch."""
    for batch in batches:
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(batch)
        labels = None if labels is None else np.asarray(labels)
        if weights is not None and not np.all(weights):
            kept = np.flatnonzero(np.asarray(weights))
            images = keras.tree.map_structure(lambda array, kept=kept: np.asarray(array)[kept], images)
            labels = None if labels is None else labels[kept]
            if not len(kept):
                continue
        yield images, labels


def _require_shape(model, images):
    """Checks what is known of the images of a model of one input; Keras knows the rest."""
    inputs = getattr(model, "inputs", None) or ()
    shape = tuple(getattr(images, "shape", ()))
    if len(inputs) != 1:
        require(shape[:1] != (0,), "images", "one image or more", images=shape)
        return
    own = tuple(inputs[0].shape)
    require(
        len(shape) == len(own)
        and shape[0] != 0
        and all(size in (None, given) for size, given in zip(own[1:], shape[1:], strict=True)),
        "images",
        f"one image or more of the shape that the model takes, {own[1:]}, in batches",
        images=shape,
    )
