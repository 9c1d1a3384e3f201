"""What a model does first with its images: whether it takes bytes as they are in files."""

import keras
import numpy as np

from keras_sknet.layers import ImageNormalization
from keras_sknet.models.graph import is_graph
from keras_sknet.ops._private import graph_nodes

SMALL = 10
LAYERS = keras.layers
# In inference mode these move, drop or average pixels, or do nothing, and keep the range of values.
KEEPING = (
    LAYERS.Identity,
    LAYERS.Dropout,
    LAYERS.SpatialDropout2D,
    LAYERS.GaussianDropout,
    LAYERS.GaussianNoise,
    LAYERS.Reshape,
    LAYERS.Permute,
    LAYERS.Flatten,
    LAYERS.Resizing,
    LAYERS.CenterCrop,
    LAYERS.Cropping2D,
    LAYERS.ZeroPadding2D,
    LAYERS.UpSampling2D,
    LAYERS.AveragePooling2D,
    LAYERS.MaxPooling2D,
    LAYERS.RandAugment,
    LAYERS.AugMix,
    LAYERS.CutMix,
    LAYERS.MixUp,
    *(getattr(LAYERS, name) for name in dir(LAYERS) if name.startswith("Random")),
)
# Operations that are no layers have no public classes.
KEEPING_OPERATIONS = {"Cast", "Identity", "Flip", "Reshape", "Transpose", "Resize", "CropImages", "GetItem"}


def takes_raw_pixels(model, position=0):
    """Tells whether an input of a model is raw pixels, 0–255, which the model normalizes itself.

    It is if the first operation that changes its values is an `ImageNormalization`, or a `Rescaling` or
    `Normalization` of Keras that gives small numbers for 0 and 255; if there are several such operations
    because the input goes several ways, each must be one.

    Args:
        model: Functional or built sequential `keras.Model`.
        position: Integer, which of the model's inputs. Defaults to `0`.

    Returns:
        `bool`.

    Example:

    ```python
    from keras_sknet.export.pixels import takes_raw_pixels

    net = keras_sknet.SKNetSmall()
    x = keras.Input((32, 32, 3))
    assert takes_raw_pixels(net)
    assert not takes_raw_pixels(keras.Model(x, net(keras.layers.Rescaling(255.0)(x))))
    ```
    """
    x = model.inputs[position]
    if keras.backend.is_int_dtype(x.dtype) and np.iinfo(x.dtype).max < 255:
        return False
    first, _ = _first_changes(model, {position})
    return bool(first) and all(first)


def _first_changes(model, positions):
    """Whether each operation that first changes one of these inputs of a model normalizes pixels; and the
    positions of the outputs that are still such an input.
    """
    same = {id(model.inputs[position]) for position in positions}
    found = []
    for node in graph_nodes(model):
        places = {place for place, x in enumerate(node.input_tensors) if id(x) in same}
        if not places:
            continue
        if is_graph(node.operation):
            inner, kept = _first_changes(node.operation, places)
            found += inner
            same |= {id(node.outputs[place]) for place in kept}
        elif _keeps_values(node.operation):
            same |= {id(x) for x in node.outputs}
        else:
            found.append(_normalizes(node))
    return found, {place for place, x in enumerate(model.outputs) if id(x) in same}


def _keeps_values(operation):
    if not isinstance(operation, LAYERS.Layer):
        return type(operation).__name__ in KEEPING_OPERATIONS
    linear = isinstance(operation, LAYERS.Activation) and operation.activation is keras.activations.linear
    return linear or isinstance(operation, KEEPING)


def _normalizes(node):
    layer = node.operation
    if isinstance(layer, ImageNormalization):
        return True
    if not isinstance(layer, (LAYERS.Rescaling, LAYERS.Normalization)):
        return False
    shape = [size or 1 for size in node.input_tensors[0].shape[1:]]
    limits = np.stack([np.zeros(shape, "float32"), np.full(shape, 255, "float32")])
    # Numbers between 0 and 1 made ready for a network would be far larger for 255.
    return bool(np.abs(np.asarray(keras.ops.cast(layer(limits), "float32"))).max() <= SMALL)
