"""A new head for a network that was trained on other classes."""

import keras
import numpy as np

from keras_sknet.layers import Classifier
from keras_sknet.ops._private import graph_nodes
from keras_sknet.validation import is_positive_integer, require


def replace_classifier(model, class_names, activation="softmax"):
    """Makes a model of a network and a new classifier, for other classes than those that it was trained on.

    All other layers are shared with `model`, and so are their weights.

    Args:
        model: Functional `keras.Model` that ends in a `Classifier` (or another dense layer), or in features
            `(batch, features)` or `(batch, height, width, features)`, which are averaged.
        class_names: Sequence of names, one a class, which are saved with the model; or an integer, how many
            classes there are.
        activation: As in `Classifier`. Defaults to `"softmax"`.

    Returns:
        Functional `keras.Model`.

    Raises:
        ValueError: if the model ends otherwise, or names are not different.

    Example:

    ```python
    base = keras_sknet.SKNet26(input_shape=(64, 64, 3))
    model = keras_sknet.replace_classifier(base, ("cat", "dog"))
    model.output_shape  # (None, 2)
    ```
    """
    output = model.outputs[0] if len(getattr(model, "outputs", None) or ()) == 1 else None
    require(
        output is not None and len(output.shape) in (2, 4),
        "model",
        "a functional keras.Model of one output, scores of classes or features",
        model=type(model).__name__,
        output_shape=getattr(model, "output_shape", None),
    )
    named = np.iterable(class_names) and not isinstance(class_names, str)
    require(
        len(class_names) > 0 if named else is_positive_integer(class_names),
        "class_names",
        "names, one a class, or how many classes there are",
        class_names=class_names,
    )
    heads = [node for node in graph_nodes(model) if isinstance(node.operation, keras.layers.Dense)]
    head = next((node for node in heads if node.outputs[0] is output), None)
    if head:
        output = head.input_tensors[0]
    elif len(output.shape) == 4:
        output = keras.layers.GlobalAveragePooling2D("channels_last", name="avg_pool")(output)
    classes, names = (len(class_names), tuple(class_names)) if named else (int(class_names), None)
    classifier = Classifier(classes, activation, names, name="predictions")
    return keras.Model(model.inputs, classifier(output), name=model.name)
