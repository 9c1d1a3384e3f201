"""Building a functional model anew, layer by layer: what every rewriting of a model starts from."""

import contextlib
import tempfile

import keras
import numpy as np

from keras_sknet.models.graph import is_graph
from keras_sknet.ops._private import flatten_layers, graph_nodes, lambda_output_shape
from keras_sknet.validation import require


def copy_own_weights(layer, new):
    """Gives `new` what `layer` has of its own, outside the layers in it: weights, and a vocabulary."""
    weights = {}
    layer.save_own_variables(weights)
    if keras.backend.backend() == "jax":
        # Assigned, an array is shared; and given away when one of the two is trained.
        weights = {name: np.array(value) for name, value in weights.items()}
    new.load_own_variables(weights)
    if hasattr(layer, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            layer.save_assets(folder)
            new.load_assets(folder)


def rebuild_model(model, rebuild, layers_inside=flatten_layers, copy_own=copy_own_weights):
    """Builds a model, and models inside it, anew. No weight is shared; what is called twice, still is.

    Args:
        model: Functional or built sequential `keras.Model`.
        rebuild: Function `(layer)` that returns the new layer, unbuilt, in place of one that is no model.
        layers_inside: Function `(layer)` that lists a layer and those inside it which the new one has too.
            Defaults to all.
        copy_own: Function `(layer, new)` that gives the new layer, built meanwhile, its own weights.
            Defaults to `copy_own_weights`.

    Returns:
        `keras.Model`.

    Raises:
        ValueError: if a model computes in a `call` of its own, or one of the functions fails.
    """
    require(
        is_graph(model),
        "model",
        "a functional keras.Model, or a Sequential one that is built (what computes in a `call` of its own "
        "cannot be rebuilt, only the functional models in it)",
        model=type(model).__name__,
    )
    made = {}

    def clone(layer):
        if id(layer) not in made:
            with _naming(model, layer):
                made[id(layer)] = layer, _clone_graph(layer, clone) if is_graph(layer) else rebuild(layer)
        return made[id(layer)][1]

    copy = clone(model)
    pairs = []
    # A layer is made before the models that call it. Turned round, the outer ones come first.
    for layer, new in reversed(made.values()):
        if is_graph(layer):
            pairs.append((layer, new))
        elif isinstance(layer, keras.layers.Layer):  # and not an operation
            with _naming(model, layer):
                pairs += zip(layers_inside(layer), flatten_layers(new), strict=True)
    for layer, new in pairs:
        # It hands its state down to the layers in it, whose turn comes later.
        if new.trainable != layer.trainable:
            new.trainable = layer.trainable
        if not is_graph(layer):
            with _naming(model, layer):
                copy_own(layer, new)
    return copy


def rebuild_layer(layer, config):
    """Makes a layer of the class of `layer` by a config."""
    if type(layer) is keras.layers.Lambda:
        # Its functions are at hand, and need not be trusted or found again.
        functions = {"function": layer.function, "mask": layer.mask, "arguments": layer.arguments}
        return keras.layers.Lambda(**{**config, **functions, "output_shape": lambda_output_shape(layer)})
    return type(layer).from_config(config)


def _clone_graph(model, clone):
    # Not `keras.models.clone_model`: it compiles by a config, which not every loss has, and alters inputs.
    if isinstance(model, keras.Sequential):
        (x,) = model.inputs
        x = keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name)
        return _like(model, keras.Sequential, [x, *map(clone, model.layers)])
    inputs = _new_inputs(model)
    tensors = {id(old): new for old, new in zip(model.inputs, keras.tree.flatten(inputs), strict=True)}
    for node in graph_nodes(model):
        args, kwargs = node.arguments.fill_in(tensors)
        operation = clone(node.operation)
        with _naming(model, node.operation):
            outputs = keras.tree.flatten(_call(operation, *args, **kwargs))
        tensors.update(zip(map(id, node.outputs), outputs, strict=True))
    outputs = keras.tree.map_structure(lambda x: tensors[id(x)], model.output)
    return _like(model, keras.Model, inputs, outputs)


def _like(model, plain, *arguments):
    """A new model of the class of `model`, or of a plain one where that has a constructor of its own."""
    new = plain(*arguments, name=model.name)
    if type(model) is not type(new) and type(model).__init__ is type(new).__init__:
        new = type(model)(*arguments, name=model.name)
    require(
        type(new).call is type(model).call,
        "model",
        "one without a constructor of its own, where it has a `call` of its own",
        model=type(model).__name__,
    )
    return new


def _new_inputs(model):
    """The inputs again, also those that start in the middle of another model."""
    layers = {id(x.output): x for x in model.layers if isinstance(x, keras.layers.InputLayer)}

    def copy(x):
        if id(x) in layers:
            return rebuild_layer(layers[id(x)], layers[id(x)].get_config()).output
        return keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name)

    return keras.tree.map_structure(copy, model.input)


def _call(layer, *args, **kwargs):
    # It may stand where a layer was called with more, such as a mask.
    if isinstance(layer, keras.layers.Identity):
        return layer(*args[:1] or list(kwargs.values())[:1])
    return layer(*args, **kwargs)


@contextlib.contextmanager
def _naming(model, layer):
    try:
        yield
    except Exception as error:
        if is_graph(layer):
            raise
        raise ValueError(
            "`model` must be made of layers that can be rebuilt from their config. "
            f"Received: model={model.name!r}, layer={layer.name!r} of class {type(layer).__name__} ({error})"
        ) from error
