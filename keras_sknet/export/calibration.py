"""Images that show an int8 export which values the activations of a model take."""

import itertools

import keras
import numpy as np

from keras_sknet.export.pixels import takes_raw_pixels
from keras_sknet.validation import require

FORMS = "an array of images, or batches of them: a tf.data.Dataset or another iterable that ends"
# By how much of the largest value images may change where an input of integers rounds them.
ROUNDING = 0.02


def calibration_batches(dataset, model, batch_size):
    """Checks a representative dataset and cuts it into the batches that LiteRT's converter runs.

    Args:
        dataset: What `export_tflite` was given.
        model: `keras.Model` of one input.
        batch_size: Integer, the batch size of the file.

    Returns:
        A function without arguments that can be called once and yields `[batch]`, in the input's dtype.

    Raises:
        ValueError: if `dataset` is none, is empty, or its first image does not fit the model. What is wrong
            further on is found as the batches are drawn.

    Example:

    ```python
    from keras_sknet.export.calibration import calibration_batches

    images = 255 * np.random.default_rng(0).random((5, 32, 32, 3))
    batches = calibration_batches(images, keras_sknet.SKNetSmall(), batch_size=2)
    [len(batch) for [batch] in batches()]  # three of two, as the last is filled up
    ```
    """
    (x,) = model.inputs
    raw = takes_raw_pixels(model)
    images = _images(dataset, tuple(x.shape[1:]), x.dtype, raw)
    first = next(images, None)
    require(first is not None, "representative_dataset", "one image or more", images=0)
    first = np.array(first)
    if raw:
        # The input's range is then a byte's whatever the images are: a uint8 image is the input itself.
        first.flat[0], first.flat[-1] = 0, 255
    images = itertools.chain([first], images)

    def batches():
        while batch := list(itertools.islice(images, batch_size)):
            batch += batch[:1] * (batch_size - len(batch))
            yield [np.stack(batch)]

    return batches


def _images(dataset, shape, dtype, raw):
    """Yields one image after the other, checked, in the dtype of the model's input."""
    limits = " between 0 and 255, as the model normalizes pixels itself" if raw else ""
    for batch in _batches(dataset):
        require(
            batch.shape[1:] == shape and batch.ndim == len(shape) + 1,
            "representative_dataset",
            f"{FORMS}, of shape (images, {', '.join(map(str, shape))})",
            shape=batch.shape,
        )
        require(
            batch.dtype.kind in "iuf",
            "representative_dataset",
            "images of integers or floats",
            dtype=str(batch.dtype),
        )
        if batch.size:
            low, high = batch.min(), batch.max()
            require(
                np.isfinite([low, high]).all() and (not raw or 0 <= low <= high <= 255),
                "representative_dataset",
                f"images of finite values{limits}",
                lowest=low.item(),
                highest=high.item(),
            )
        yield from _cast(batch, dtype)


def _cast(batch, dtype):
    if not keras.backend.is_int_dtype(dtype):
        return batch.astype(dtype)
    limits = np.iinfo(dtype)
    whole = np.rint(batch).clip(limits.min, limits.max)
    # Resizing leaves fractions of bytes, of which nothing depends; images of 0 to 1 would become black.
    changed, largest = (float(np.abs(values).max(initial=0)) for values in (whole - batch, batch))
    require(
        changed <= ROUNDING * largest,
        "representative_dataset",
        f"images whose values fit the model's input, integers of {dtype}",
        dtype=str(batch.dtype),
        largest=largest,
        change=changed,
    )
    return whole.astype(dtype)


def _batches(dataset):
    """Yields arrays; of batches with labels, the images."""
    import tensorflow as tf

    endless = isinstance(dataset, tf.data.Dataset) and dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    iterable = np.iterable(dataset) and not isinstance(dataset, (str, bytes, dict))
    require(iterable and not endless, "representative_dataset", FORMS, representative_dataset=dataset)
    if hasattr(dataset, "shape"):
        dataset = [dataset]
    for batch in dataset:
        images = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
        require(
            hasattr(images, "shape") and hasattr(images, "dtype"),
            "representative_dataset",
            FORMS,
            batch=type(images).__name__,
        )
        yield np.asarray(images)
