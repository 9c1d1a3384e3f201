"""Inputs on which an export is compared with its model: random ones, and images that the user gives."""

import keras
import numpy as np

from keras_sknet.export.inference import input_name
from keras_sknet.export.pixels import takes_raw_pixels
from keras_sknet.validation import require

RANDOM = 16
UNKNOWN_SIZE = 64


def random_inputs(model, calibration=None):
    """Draws random arrays for a model's inputs, the same ones each time.

    Args:
        model: A model that `require_exportable` lets pass.
        calibration: Array of images, in whose range of values a model's only input stays: an int8 file knows
            no others. Defaults to `None`.

    Returns:
        Dictionary of arrays by the names that inputs have in exports: images of 0–255 where the model
        normalizes pixels itself or takes integers.

    Example:

    ```python
    from keras_sknet.export.samples import random_inputs

    random_inputs(keras_sknet.SKNetSmall())["images"]  # (16, 32, 32, 3)
    ```
    """
    rng = np.random.default_rng(0)
    inputs = {
        input_name(model, x): _random(rng, x, takes_raw_pixels(model, position))
        for position, x in enumerate(model.inputs)
    }
    if calibration is not None and calibration.min() < calibration.max():
        inputs = {name: np.clip(x, calibration.min(), calibration.max()) for name, x in inputs.items()}
    return inputs


def check_images(model, argument, images):
    """Raises an error unless `images` are ones that a model takes as its only input."""
    shape = np.shape(images)
    own = tuple(model.inputs[0].shape)
    fits = len(model.inputs) == 1 and len(shape) == len(own) > 0 and shape[0] > 0
    require(
        fits and all(size in (None, given) for size, given in zip(own, shape, strict=True)),
        argument,
        "one image or more of the shape that the model's only input takes",
        **{argument: shape if shape else images},
        input_shapes=[tuple(x.shape) for x in model.inputs],
    )


def with_images(model, inputs, images):
    """Adds images that `check_images` lets pass to random ones, or puts them in their place.

    Args:
        model: The model.
        inputs: What `random_inputs` returns.
        images: Array of images; `None`: random ones stay by themselves.

    Returns:
        Dictionary of one array: both, or `images` alone where the model fixes the batch size, or takes
        images of any size and these have another.
    """
    if images is None:
        return inputs
    ((name, random),) = inputs.items()
    images = np.asarray(images).astype(random.dtype)
    together = model.inputs[0].shape[0] is None and images.shape[1:] == random.shape[1:]
    return {name: np.concatenate([random, images]) if together else images}


def _random(rng, x, raw):
    shape = [x.shape[0] or RANDOM, *(size or UNKNOWN_SIZE for size in x.shape[1:])]
    if x.dtype == "string":
        return np.full(shape, "text", object)
    integers = keras.backend.is_int_dtype(x.dtype)
    if not x.dtype.startswith(("float", "bfloat")) and not (integers and _is_image(shape)):
        return rng.integers(0, 2, shape).astype(x.dtype)
    noise = rng.normal(size=shape)
    if len(shape) == 4:
        # Areas of different colour and contrast, as photographs have; pure noise gives all the same output.
        areas = rng.normal(size=(shape[0], 4, 4, shape[3])) * rng.uniform(0.2, 2, (shape[0], 1, 1, 1))
        rows, columns = (np.arange(size) * 4 // size for size in shape[1:3])
        noise = 0.3 * noise + areas[:, rows][:, :, columns]
    if not (raw or integers):
        return noise.astype("float32")
    pixels = np.clip(127 + 60 * noise, 0, 255)
    # The bytes of an image minus 128 are what an input of int8 takes.
    return (pixels - 128 if x.dtype == "int8" else pixels).astype(x.dtype if integers else "float32")


def _is_image(shape):
    # Others of four dimensions may be indices.
    return len(shape) == 4 and shape[-1] in (1, 3, 4)
