"""The attention of every SK unit of a model, for any images."""

import difflib

import keras
import numpy as np
from keras import ops

from keras_sknet.analysis.images import image_batches
from keras_sknet.layers import SelectiveKernel, record_attention
from keras_sknet.ops._private import flatten_layers
from keras_sknet.validation import positive_integer, require


def attention_scores(model, images, batch_size=32):
    """Computes the attention weights of all SK units of a model, in inference mode.

    Works for every `keras.Model` that calls SK units, also inside other models and layers. Images go
    through in batches, in one compiled function. The scores of all images are kept, 60 kB an image for
    SKNet-50: `attention_batches` hands them out batch by batch instead, and `scale_response` keeps their
    means over channels.

    Args:
        model: Built `keras.Model` with `SelectiveKernel` units.
        images: An array `(N, H, W, C)`; arrays `(images, labels)`; a batched `tf.data.Dataset` of images, of
            `(images, labels)` or of `(images, labels, weights)`; or a source such as
            `keras_sknet.data.Digits`, whose images are prepared as for evaluation. Images of weight 0, which
            fill up a last batch, are left out.
        batch_size: Integer, images at a time, for all but datasets. Defaults to `32`.

    Returns:
        Dictionary `{"sk_2_1": array (N, M, C), …}` in the order of the network: for each image the
        float32 weights of the M branches, in the order of the unit's `branches`, for each of C channels. They
        sum to 1 over the branches. Units are named by their layers; a name that occurs again, as of a unit
        that is called twice, gets `_1`, … .

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
    batches = [scores for scores, _ in attention_batches(model, images, batch_size)]
    return {unit: np.concatenate([scores[unit] for scores in batches]) for unit in batches[0]}


def attention_batches(model, images, batch_size=32):
    """Computes attention weights batch by batch, for more images than their scores fit in memory.

    Args:
        model: As for `attention_scores`.
        images: As for `attention_scores`.
        batch_size: Integer, images at a time, for all but datasets. Defaults to `32`.

    Returns:
        Iterator of pairs: what `attention_scores` returns, for one batch, and the labels of the batch, an
        array or `None`.

    Raises:
        ValueError: if the model has no SK unit that selects, or cannot take the images.

    Example:

    ```python
    from keras_sknet.analysis import attention_batches
    from keras_sknet.data import Digits

    for scores, labels in attention_batches(keras_sknet.SKNetSmall(), Digits("test")):
        print(labels[0], scores["sk_2_1"][0, 1].mean())
        break
    ```
    """
    score = score_function(model)
    batch_size = positive_integer("batch_size", batch_size)
    return ((score(batch), labels) for batch, labels in image_batches(model, images, batch_size))


def score_function(model, mean=False):
    """Returns a compiled function from a batch to `{unit: scores}`, `mean` over the channels or each."""
    require_units(model)
    return _AttentionScores(model, mean).predict_on_batch


def require_units(model):
    """Raises the error for what is no model with SK units that select."""
    require(isinstance(model, keras.Model), "model", "a keras.Model", model=type(model).__name__)
    require(
        bool(_selecting(model)),
        "model",
        "one with SK units of two branches or more and use_attention=True",
        model=model.name,
    )


def kernel_sizes(model, units):
    """Returns the sizes in pixels, dilation counted, that the kernels of units of `attention_scores` span.

    Args:
        model: `keras.Model`.
        units: Names of units, as `attention_scores` gives them.

    Returns:
        Dictionary `{unit: tuple of integers, one a branch}`.

    Raises:
        ValueError: if units of different kernels share a name, the kernels of one are of one size, or it
            cannot be told which unit a name is of.
    """
    by_name = {}
    layers = _selecting(model)
    for layer in layers:
        spans = tuple((branch.kernel_size - 1) * branch.dilation_rate + 1 for branch in layer.branches)
        by_name.setdefault(layer.name, set()).add(spans)
    found = {}
    called_again = len(units) > len(layers)
    for unit in units:
        # The second call of "x" is "x_1".
        shorter = unit.rpartition("_")[0]
        name = unit if unit in by_name else shorter
        require(
            name in by_name and not (called_again and unit in by_name and shorter in by_name),
            "model",
            "one whose units have unlike names, if one is called twice, and are not hidden in another layer",
            model=model.name,
            unit=unit,
            units=sorted(by_name),
        )
        sizes = by_name[name]
        require(
            len(sizes) == 1,
            "model",
            f"one whose units of the same name, {name!r}, have the same kernels",
            model=model.name,
            kernels=sorted(sizes),
        )
        (found[unit],) = sizes
        require(
            len(set(found[unit])) > 1,
            "model",
            f"one whose units have kernels of different sizes, also {unit!r}",
            model=model.name,
            kernels=found[unit],
        )
    return found


def named(argument, wanted, known):
    """Returns `wanted`, a list of names, if all are `known`; the error lists near ones."""
    wanted = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in wanted:
        if name in known:
            continue
        near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5) or list(known)[:8]
        require(False, argument, f"one of the {len(known)} there are, such as {near}", **{argument: name})
    return wanted


def _selecting(model):
    layers = flatten_layers(model)
    return [layer for layer in layers if isinstance(layer, SelectiveKernel) and layer.has_attention]


class _AttentionScores(keras.Model):
    """A model whose outputs are the attention weights inside another."""

    def __init__(self, model, mean):
        super().__init__(name="attention_scores")
        self.model = model
        self.mean = mean

    def call(self, inputs):
        with record_attention() as scores:
            self.model(inputs, training=False)
        # NumPy would add up half precision in half precision.
        scores = {unit: ops.cast(a, "float32") for unit, a in scores.items()}
        return {unit: ops.mean(a, axis=-1) for unit, a in scores.items()} if self.mean else scores
