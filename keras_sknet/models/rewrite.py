"""A model in, a model out: the same outputs, computed by other layers."""

import collections
import warnings

import keras
import numpy as np

from keras_sknet.layers import BAM, BatchNormalization, ConvNormAct, GroupedConv2D, SelectiveKernel
from keras_sknet.layers.altered import has_altered_kernel
from keras_sknet.layers.foldable import Foldable
from keras_sknet.models.graph import graphs_inside, is_graph, makers
from keras_sknet.models.rebuild import copy_own_weights, rebuild_layer, rebuild_model
from keras_sknet.ops._private import flatten_layers, graph_nodes

FOLDED_INTO = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense, GroupedConv2D)
NORMALIZATIONS = (keras.layers.BatchNormalization, BatchNormalization)


def replace_grouped_convolutions(model):
    """Copies a functional model with `GroupedConv2D` in place of grouped and dilated `Conv2D` layers.

    Keras compiles each grouped convolution with XLA on TensorFlow: slow to train on CPU, and refused by
    model servers that run without XLA. The copy has the same layer names, weights in the same order,
    outputs and frozen layers, and needs no XLA.

    Keras names the entries of a `.weights.h5` file by class: between the two, `get_weights` and `set_weights`
    carry weights over.

    Replaced are layers of the class `keras.layers.Conv2D` itself with `groups` or `dilation_rate` above 1:
    in the model, in models inside it, and in layers that keep other layers in their config, such as
    `keras.layers.TimeDistributed`. A channels-first one, or one that another layer makes by itself, stays as
    it is, and a warning names it.

    Args:
        model: Functional or built sequential `keras.Model`. One of a subclass that is built functionally
            (as KerasHub's backbones are) becomes a plain functional model where the subclass has a
            constructor of its own, and its weights stand in the order of the graph. The model stays as it
            is, and shares no weights with the copy.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        ValueError: if the model is not functional, if it or a functional one inside it computes in its own
            `call`, or if a layer cannot be rebuilt from its config.

    Example:

    ```python
    inputs = keras.Input((32, 32, 8))
    plain = keras.Model(inputs, keras.layers.Conv2D(16, 3, groups=4, name="conv")(inputs))
    model = keras_sknet.replace_grouped_convolutions(plain)
    model.get_layer("conv")  # a GroupedConv2D
    ```
    """

    def rebuild(layer):
        if _is_replaceable(layer):
            return GroupedConv2D.from_config(layer.get_config())
        return rebuild_layer(layer, _replaced_inside(layer.get_config()))

    copy = rebuild_model(model, rebuild)
    left = [layer for layer in flatten_layers(copy) if _is_grouped_or_dilated(layer)]
    if left:
        names = ", ".join(f"{layer.name!r} ({layer.data_format})" for layer in left)
        warnings.warn(
            f"These grouped or dilated convolutions in model {model.name!r} stay as they are, being "
            f"channels-first or made by another layer: {names}.",
            stacklevel=2,
        )
    return copy


def _is_grouped_or_dilated(layer):
    return type(layer) is keras.layers.Conv2D and (layer.groups > 1 or max(layer.dilation_rate) > 1)


def _is_replaceable(layer):
    return _is_grouped_or_dilated(layer) and layer.data_format == "channels_last"


def _replaced_inside(config):
    """The config of a layer, with the layers that it holds replaced."""
    if isinstance(config, (list, tuple)):
        return type(config)(map(_replaced_inside, config))
    if not isinstance(config, dict):
        return config
    if (config.get("module"), config.get("class_name")) == ("keras.layers", "Conv2D"):
        conv = keras.layers.deserialize(config)
        if _is_replaceable(conv):
            # What a functional model's config says of the layer beside its own config stays.
            return {**config, **keras.layers.serialize(GroupedConv2D.from_config(conv.get_config()))}
    return {key: _replaced_inside(value) for key, value in config.items()}


def fold_batch_norm(model):
    """Copies a functional model for inference, batch normalization folded into the layers before it.

    The moving statistics become part of the kernels and biases; outputs are equal up to rounding. Folded
    are the batch normalizations of this package's layers, and those that directly follow a `Conv2D`,
    `DepthwiseConv2D`, `GroupedConv2D` or `Dense` layer without activation whose output nothing else takes;
    in their place there are `keras.layers.Identity` layers. Others stay.

    The copy is frozen. Without batch normalization it would train badly: train `model`, and fold again.

    Args:
        model: Functional or built sequential `keras.Model`. It stays as it is, and shares no weights with
            the copy.

    Returns:
        `keras.Model`, not compiled, with all weights frozen. A `.keras` file of it loads where this package
        is imported.

    Raises:
        ValueError: if the model is not functional, if it or a functional one inside it computes in its own
            `call`, or if a layer cannot be rebuilt from its config.

    Example:

    ```python
    model = keras_sknet.SKNetSmall()
    fast = keras_sknet.fold_batch_norm(model)
    fast.save("small.keras")
    ```
    """
    norms = _norms_by_layer(model) if is_graph(model) else {}
    absorbed = {id(norm) for norm in norms.values()}

    def rebuild(layer):
        if id(layer) in absorbed:
            return keras.layers.Identity(name=layer.name, dtype=layer.dtype_policy)
        config = layer.get_config()
        if isinstance(layer, Foldable):
            config["folded"] = True
        elif id(layer) in norms:
            config["use_bias"] = True
        return rebuild_layer(layer, config)

    def layers_inside(layer):
        return [layer, *(inner for inner in flatten_layers(layer)[1:] if id(inner) not in absorbed)]

    def copy_own(layer, new):
        if id(layer) in norms:
            _fold(layer, norms[id(layer)], new)
        elif id(layer) not in absorbed:
            copy_own_weights(layer, new)

    copy = rebuild_model(model, rebuild, layers_inside, copy_own)
    copy.trainable = False
    return copy


def _norms_by_layer(model):
    """{id of a layer: the batch normalization to be folded into it}"""
    graphs = graphs_inside(model)
    nodes = [node for graph in graphs for node in graph_nodes(graph)]
    outputs = [tensor for graph in graphs for tensor in graph.outputs]
    made_by = collections.ChainMap(*map(makers, graphs))
    calls = collections.Counter(id(node.operation) for node in nodes)
    takers = collections.Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    takers.update(map(id, outputs))

    norms = {}
    for node in nodes:
        layer, *others = (
            getattr(made_by.get(id(tensor)), "operation", None) for tensor in node.input_tensors
        )
        norm = node.operation
        if isinstance(norm, Foldable):
            norms |= _norms_inside(norm)
        elif (
            type(norm) in NORMALIZATIONS
            and type(layer) in FOLDED_INTO
            and not others
            and not node.arguments.kwargs.get("training")
            and calls[id(norm)] == calls[id(layer)] == takers[id(node.input_tensors[0])] == 1
            and _fits(layer, norm)
        ):
            norms[id(layer)] = norm
    return norms


def _norms_inside(layer):
    norms = {}
    for inner in flatten_layers(layer):
        if isinstance(inner, ConvNormAct) and not inner.folded:
            norms[id(inner.conv)] = inner.norm
        elif isinstance(inner, (BAM, SelectiveKernel)) and getattr(inner, "norm", None) is not None:
            norms[id(inner.squeeze)] = inner.norm
    return norms


def _fits(layer, norm):
    rank = len(layer.output.shape)
    channels_first = getattr(layer, "data_format", None) == "channels_first"
    return (
        norm.axis % rank == (1 if channels_first else rank - 1)
        and layer.activation is keras.activations.linear
        and not has_altered_kernel(layer)
    )


def _fold(layer, norm, new):
    mean, variance = _array(norm.moving_mean), _array(norm.moving_variance)
    scale = (_array(norm.gamma) if norm.scale else 1.0) / np.sqrt(variance + norm.epsilon)
    bias = _array(layer.bias) if layer.use_bias else 0.0
    shift = _array(norm.beta) if norm.center else 0.0
    kernel = _array(layer.kernel)
    # A depthwise kernel ends in (channels, multiplier), which the output's channels run over.
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    new.kernel.assign(kernel * (scale.reshape(kernel.shape[2:]) if depthwise else scale))
    new.bias.assign((bias - mean) * scale + shift)


def _array(variable):
    return keras.ops.convert_to_numpy(variable).astype("float64")
