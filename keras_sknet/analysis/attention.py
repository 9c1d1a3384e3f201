"""The attention of every SK unit of a model, for any images."""

import keras

from keras_sknet.layers import SelectiveKernel, record_attention
from keras_sknet.ops._private import flatten_layers
from keras_sknet.validation import positive_integer, require


def attention_scores(model, images, batch_size=32):
    """Computes the attention weights of all SK units of a model, in inference mode.

    Works for every `keras.Model` that calls SK units, also inside other models and layers. Images go
    through in batches, in one compiled function.

    Args:
        model: Built `keras.Model` with `SelectiveKernel` units.
        images: What `model.predict` takes: an array `(N, H, W, C)`, or a batched `tf.data.Dataset`.
        batch_size: Integer, images at a time, for arrays. Defaults to `32`.

    Returns:
        Dictionary `{"sk_2_1": array (N, M, C), …}` in the order of the network: for each image the
        weights of the M branches, in the order of the unit's `branches`, for each of C channels. They sum
        to 1 over the branches. Units are named by their layers; a name that occurs again gets `_1`, … .

    Raises:
        ValueError: if the model has no SK unit that selects, or cannot take the images.

    Example:

    ```python
    model = keras_sknet.SKNetSmall()
    scores = keras_sknet.attention_scores(model, keras.random.uniform((4, 32, 32, 3), 0, 255))
    scores["sk_2_1"].shape  # (4, 2, 8)
    ```

    Reference:
        Section 4.3, Figures 3 and 4 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).
    """
    require(isinstance(model, keras.Model), "model", "a keras.Model", model=type(model).__name__)
    require(
        any(isinstance(layer, SelectiveKernel) and layer.has_attention for layer in flatten_layers(model)),
        "model",
        "one with SK units of two branches or more and use_attention=True",
        model=model.name,
    )
    batch_size = positive_integer("batch_size", batch_size)
    _require_images(model, images)
    sized = hasattr(images, "shape")
    return _AttentionScores(model).predict(images, batch_size=batch_size if sized else None, verbose=0)


def _require_images(model, images):
    """Checks what is known of the images of a model of one input; Keras knows the rest."""
    inputs = getattr(model, "inputs", None) or ()
    if hasattr(images, "shape"):
        shape = tuple(images.shape)
        own = tuple(inputs[0].shape) if len(inputs) == 1 else (None,) * len(shape)
        require(
            len(shape) == len(own) > 0
            and shape[0] != 0
            and all(size in (None, given) for size, given in zip(own[1:], shape[1:], strict=True)),
            "images",
            f"one image or more of the shape that the model takes, {own[1:]}",
            images=shape,
        )
    else:
        several = isinstance(images, (tuple, list)) and len(inputs) != 1
        require(
            several or (hasattr(images, "__iter__") and not isinstance(images, (str, tuple, list))),
            "images",
            "an array or a batched tf.data.Dataset",
            images=type(images).__name__,
        )


class _AttentionScores(keras.Model):
    """A model whose outputs are the attention weights inside another."""

    def __init__(self, model):
        super().__init__(name="attention_scores")
        self.model = model

    def call(self, inputs):
        with record_attention() as scores:
            self.model(inputs, training=False)
        return scores
