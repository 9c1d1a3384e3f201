"""What transfer learning and detection need of a network: its stages."""

import math
import re

import keras

from keras_sknet.layers import Bottleneck, ImageNormalization, Stem
from keras_sknet.models.residual import FIRST_STAGE
from keras_sknet.ops._private import flatten_layers, graph_nodes
from keras_sknet.validation import require


def feature_pyramid(model):
    """Makes a model of the features of every stage, as detectors and segmenters take them.

    Level `P<l>` is 2^l times smaller than the image: P2–P5 for the four stages behind the ImageNet stem,
    P0 and up behind the CIFAR stem. The layers are shared with `model`.

    Args:
        model: Functional model, one of this package's networks, with or without top.

    Returns:
        A functional `keras.Model` of the same input and outputs `{"P2": (N, H/4, W/4, C), …}`.

    Raises:
        ValueError: if the model has no stem and blocks of this package.

    Example:

    ```python
    model = keras_sknet.SKNet26(include_top=False)
    pyramid = keras_sknet.feature_pyramid(model)
    features = pyramid(keras.random.uniform((1, 64, 64, 3)))
    features["P4"].shape  # (1, 4, 4, 1024)
    ```
    """
    _require_functional(model)
    stems = [layer for layer in model.layers if isinstance(layer, Stem)]
    # Of this model's own calls: its layers may be called in others too.
    calls = [node for node in graph_nodes(model) if _stage(node.operation)]
    require(stems and calls, "model", "a network of this package", model=model.name)
    last = {_stage(node.operation): node.outputs[0] for node in calls}
    first_level = int(math.log2(stems[0].stride))
    outputs = {f"P{stage - FIRST_STAGE + first_level}": x for stage, x in sorted(last.items())}
    return keras.Model(model.input, outputs, name=f"{model.name}_pyramid")


def freeze_stages(model, through):
    """Freezes the first stages of a network, and only these: later ones become trainable.

    Frozen layers neither train nor update moving statistics; their batch normalization runs in inference
    mode. The head is left as it is. Compile the model afterwards. Files keep which blocks are frozen, not
    which layers inside a block, where somebody froze some of them.

    Args:
        model: `keras.Model` with this package's network in it, nested or not.
        through: `"stem"`, or the last stage to freeze as the paper counts them, 2–5. `None` freezes
            nothing.

    Raises:
        ValueError: if `through` is another value, or the model has no such stage.

    Example:

    ```python
    model = keras_sknet.SKNet26(input_shape=(64, 64, 3), classes=5)
    keras_sknet.freeze_stages(model, through=4)
    model.compile("sgd", "sparse_categorical_crossentropy")
    ```
    """
    require(isinstance(model, keras.Model), "model", "a keras.Model", model=type(model).__name__)
    layers = flatten_layers(model)
    stages = sorted({_stage(layer) for layer in layers if _stage(layer)})
    require(stages, "model", "a network of this package, or contain one", model=model.name)
    choices = (None, "stem", *stages)
    require(through in choices, "through", f"one of {choices}", through=through)
    last = {None: 0, "stem": FIRST_STAGE - 1}.get(through, through)
    _thaw_models(layers)
    for layer in layers:
        if isinstance(layer, (ImageNormalization, Stem)):
            layer.trainable = last < FIRST_STAGE - 1
        elif _stage(layer):
            layer.trainable = _stage(layer) > last


def _thaw_models(layers):
    """Makes models trainable that have stages and were frozen as a whole, but none of their layers."""
    frozen = [
        layer
        for layer in layers
        if isinstance(layer, keras.Model) and not layer.trainable and any(map(_stage, flatten_layers(layer)))
    ]
    if not frozen:
        return
    others = [(layer, layer.trainable) for layer in layers if layer not in frozen]
    for model in frozen:
        model.trainable = True
    # Outer ones come first, which hand their state down.
    for layer, trainable in others:
        layer.trainable = trainable


def _stage(layer):
    """The stage that a block's name tells, `None` for other layers."""
    if not isinstance(layer, Bottleneck):
        return None
    match = re.fullmatch(r".+_(\d+)_\d+", layer.name)
    return int(match[1]) if match else None


def _require_functional(model):
    require(
        isinstance(model, keras.Model)
        and not isinstance(model, keras.Sequential)
        and getattr(model, "inputs", None),
        "model",
        "a functional keras.Model",
        model=type(model).__name__,
    )
