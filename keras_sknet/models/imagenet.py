"""The 1,000 classes of ImageNet, and images as networks trained on them take them."""

import functools
from importlib import resources

import keras
import numpy as np

from keras_sknet.layers import ImageNormalization
from keras_sknet.validation import is_positive_integer, require

CLASSES = 1000


def preprocess_input(x, data_format=None, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)):
    """Prepares images for a network built with `include_preprocessing=False`: `(x / 255 - mean) / std`.

    Networks of this package do this themselves by default; then it must not be done again.

    Args:
        x: Array or tensor of RGB images, `(height, width, 3)` with or without a batch in front, values 0–255.
            It is not changed.
        data_format: `"channels_last"` or `None` (default), which is the same here.
        mean: Sequence of three floats, of images in 0–1. Defaults to ImageNet's, which timm's weights of
            these networks were trained with.
        std: Sequence of three positive floats, likewise. Defaults to ImageNet's.

    Returns:
        Array, or tensor where `x` is one, of the same shape and of `keras.config.floatx()`.

    Raises:
        ValueError: for an argument that cannot work.

    Example:

    ```python
    x = keras_sknet.preprocess_input(np.zeros((1, 224, 224, 3), "uint8"))  # (1, 224, 224, 3)
    ```
    """
    require(
        (data_format or keras.config.image_data_format()) == "channels_last",
        "data_format",
        "'channels_last'",
        data_format=data_format or keras.config.image_data_format(),
    )
    shape = tuple(getattr(x, "shape", ()))
    require(
        len(shape) in (3, 4) and shape[-1] == 3,
        "x",
        "images of shape (height, width, 3), with or without a batch in front",
        x=shape or type(x).__name__,
    )
    layer = ImageNormalization(mean, std, dtype=keras.config.floatx())
    y = layer(x if len(shape) == 4 else x[None])
    y = y if len(shape) == 4 else y[0]
    return np.array(y) if isinstance(x, np.ndarray) else y


def decode_predictions(preds, top=5):
    """Names the likeliest classes of an ImageNet classifier's predictions.

    Args:
        preds: Array or tensor `(images, 1000)`, probabilities or logits.
        top: Integer, how many classes. Defaults to `5`.

    Returns:
        For each image a list of `top` tuples `(WordNet id, name, score)`, the likeliest first. The names are
        WordNet's; two that it gives twice are told apart: `"crane (bird)"`, `"crane (machine)"`,
        `"maillot"`, `"tank suit"`.

    Raises:
        ValueError: for an argument that cannot work.

    Example:

    ```python
    predictions = np.eye(1000)[[386]]
    keras_sknet.decode_predictions(predictions, top=1)  # [[("n02504458", "African elephant", 1.0)]]
    ```
    """
    shape = tuple(getattr(preds, "shape", ()))
    require(
        len(shape) == 2 and shape[1] == CLASSES,
        "preds",
        f"of shape (images, {CLASSES})",
        preds=shape or type(preds).__name__,
    )
    require(is_positive_integer(top) and top <= CLASSES, "top", f"an integer of 1 to {CLASSES}", top=top)
    scores = keras.ops.convert_to_numpy(preds)
    # Equal scores come in the order of their classes. Not all integers of an int8 file have a negative.
    order = np.argsort(-scores.astype("float64"), axis=1, kind="stable")[:, :top]
    return [
        [(*imagenet_classes()[index], row[index]) for index in indices]
        for row, indices in zip(scores, order, strict=True)
    ]


def class_names_of_imagenet():
    """Returns the names of ImageNet's classes in their order, all different."""
    return tuple(name for _, name in imagenet_classes())


@functools.cache
def imagenet_classes():
    """Returns `(WordNet id, name)` of ImageNet's classes in their order."""
    text = resources.files("keras_sknet.models").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(tuple(line.split(" ", 1)) for line in text.splitlines())
