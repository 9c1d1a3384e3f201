"""A new head for a network that was trained on other classes."""

import itertools

import keras
import numpy as np

from keras_sknet.layers import Classifier
from keras_sknet.models.graph import is_graph, makers, structures
from keras_sknet.ops._private import operation_class
from keras_sknet.validation import is_positive_integer, require


def replace_classifier(model, class_names, activation="softmax"):
    """Makes a model of a network and a new classifier, for other classes than those that it was trained on.

    All other layers are shared with `model`, and so are their weights.

    Args:
        model: Functional `keras.Model` that ends in a `Classifier` (or another dense layer, with softmax or
            sigmoid behind it or not), itself or a model inside it that it ends in, or in features
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
    features = _features(model)
    body = keras.Model(structures(model)[0], features)
    if len(features.shape) == 4:
        name = _free_name("avg_pool", body)
        features = keras.layers.GlobalAveragePooling2D("channels_last", name=name)(features)
    classes, names = (len(class_names), tuple(class_names)) if named else (int(class_names), None)
    classifier = Classifier(classes, activation, names, name=_free_name("predictions", body))
    return keras.Model(structures(model)[0], classifier(features), name=model.name)


def ends_in_softmax(model):
    """Whether a model's scores are probabilities by a softmax, its own or that of a model inside it.

    Args:
        model: Functional or built sequential `keras.Model` of one output; of another it is not known.

    Returns:
        `bool`.

    Example:

    ```python
    from keras_sknet.models.classifier import ends_in_softmax

    assert ends_in_softmax(keras_sknet.SKNetSmall())
    ```
    """
    if not is_graph(model) or len(model.outputs) != 1:
        return getattr(model.layers[-1], "activation", None) is keras.activations.softmax
    made_by = makers(model)
    node = made_by.get(id(model.outputs[0]))
    while node is not None and _keeps_numbers(node.operation):
        node = made_by.get(id(node.input_tensors[0]))
    if node is None:
        return False
    if is_graph(node.operation):
        return ends_in_softmax(node.operation)
    by_name = getattr(node.operation, "activation", None) is keras.activations.softmax
    return by_name or isinstance(node.operation, (keras.layers.Softmax, operation_class(keras.ops.softmax)))


def _features(model):
    """The tensor that the classifier of a model is given; without a classifier, the model's output."""
    (output,) = model.outputs
    made_by = makers(model)
    node = made_by.get(id(output))
    while node is not None and _makes_probabilities(node.operation):
        node = made_by.get(id(node.input_tensors[0]))
    if node is not None and isinstance(node.operation, keras.layers.Dense):
        return node.input_tensors[0]
    inner = node.operation if node is not None and is_graph(node.operation) else None
    if inner is None or len(inner.outputs) > 1:
        return output
    features = _features(inner)
    if features is inner.outputs[0]:
        return output
    body = keras.Model(structures(inner)[0], features, name=inner.name)
    return body(*node.arguments.args, **node.arguments.kwargs)


def _keeps_numbers(operation):
    layers = (keras.layers.Identity, keras.layers.Reshape, keras.layers.Flatten)
    linear = isinstance(operation, keras.layers.Activation) and (
        operation.activation is keras.activations.linear
    )
    return linear or isinstance(operation, layers)


def _makes_probabilities(operation):
    functions = (keras.activations.softmax, keras.activations.sigmoid)
    classes = map(operation_class, (keras.ops.softmax, keras.ops.sigmoid))
    return isinstance(operation, (keras.layers.Softmax, *classes)) or (
        isinstance(operation, keras.layers.Activation) and operation.activation in functions
    )


def _free_name(name, model):
    """`name`, or with a number behind it where a layer has it."""
    taken = {layer.name for layer in model.layers}
    names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(1)))
    return next(name for name in names if name not in taken)
