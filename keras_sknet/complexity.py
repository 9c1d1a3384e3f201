"""Parameters and multiply-adds of any model, counted on the built graph."""

import contextlib
import math
import threading
from typing import NamedTuple

import keras

from keras_sknet.layers import SelectiveKernel
from keras_sknet.ops._private import flatten_layers
from keras_sknet.ops.paths import step_by_step
from keras_sknet.validation import is_positive_integer, require

# Layers count themselves while a model is called: one model after the other.
_COUNTING = threading.Lock()


class Complexity(NamedTuple):
    """What a model costs for one image; whole numbers.

    Args:
        trainable_parameters: Weights that training changes.
        parameters: These and the moving statistics of batch normalization.
        multiply_adds: Multiply-adds of convolutions and dense layers.
        multiply_adds_with_select: The same and the SK units' selecting: one multiply per branch and
            output element.
        multiply_adds_with_batch_norm: `multiply_adds` and one operation per output of batch
            normalization.
        uncounted: Names of layers with weights whose multiply-adds no rule here counts: those of other
            kinds, and recurrent ones that are not unrolled. Defaults to `()`.

    Example:

    ```python
    counts = keras_sknet.complexity(keras_sknet.SKNetSmall())
    counts.parameters - counts.trainable_parameters  # 2752
    ```
    """

    trainable_parameters: int
    parameters: int
    multiply_adds: int
    multiply_adds_with_select: int
    multiply_adds_with_batch_norm: int
    uncounted: tuple = ()


def complexity(model, input_shape=None):
    """Counts the parameters and multiply-adds of a model for one image.

    The model is called symbolically, at `input_shape`, and each convolution, dense layer, batch
    normalization and SK unit that is called counts itself by the shapes it meets. Calls count, not layers:
    a layer that is called twice counts twice. Works for any functional model, also with layers inside layers.

    Args:
        model: Functional or built sequential `keras.Model` of one input.
        input_shape: `(height, width, channels)` where the model leaves them open. Defaults to the
            model's own.

    Returns:
        `Complexity`.

    Raises:
        ValueError: if `model` is not built or has several inputs, or a size is neither known nor given.

    Example:

    ```python
    counts = keras_sknet.complexity(keras_sknet.SKNet50())
    counts.trainable_parameters  # 27479784
    ```

    Reference:
        Tables 1–3, 6 and 7 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586), which print
        three different countings.
    """
    shape = _input_shape(model, input_shape)
    totals = {"dense": 0, "select": 0, "batch_norm": 0}
    uncounted = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(_COUNTING)
        layers = flatten_layers(model)
        loops = [layer for layer in layers if isinstance(layer, keras.layers.RNN) and not layer.unroll]
        in_loops = {id(inner) for loop in loops for inner in flatten_layers(loop)[1:]}
        for layer in layers:
            rule = _rule(layer)
            if layer in loops:
                uncounted.append(layer.name)
            elif id(layer) in in_loops:
                continue
            elif rule is not None:
                stack.enter_context(_counted(layer, *rule, totals))
            elif _owns_matrix(layer):
                uncounted.append(layer.name)
        # Step by step: every layer that there is must be called.
        stack.enter_context(step_by_step())
        _Trace(model)(keras.KerasTensor((1, *shape), model.inputs[0].dtype))
    return Complexity(
        trainable_parameters=_size(model.trainable_weights),
        parameters=_size(model.weights),
        multiply_adds=totals["dense"],
        multiply_adds_with_select=totals["dense"] + totals["select"],
        multiply_adds_with_batch_norm=totals["dense"] + totals["batch_norm"],
        uncounted=tuple(uncounted),
    )


class _Trace(keras.layers.Layer):
    """Called symbolically, it runs the `call` of every layer in a model, without arithmetic."""

    def __init__(self, model):
        super().__init__(name="trace")
        self.model = model

    def call(self, inputs):
        return self.model(inputs, training=False)


def _input_shape(model, input_shape):
    inputs = getattr(model, "inputs", None)
    require(
        isinstance(model, keras.Model) and inputs and len(inputs) == 1,
        "model",
        "a functional keras.Model, or a built Sequential one, of one input",
        model=type(model).__name__,
    )
    own = tuple(inputs[0].shape[1:])
    shape = own if input_shape is None else input_shape
    require(
        isinstance(shape, (tuple, list))
        and len(shape) == len(own)
        and all(map(is_positive_integer, shape))
        and all(known in (None, size) for known, size in zip(own, shape, strict=True)),
        "input_shape",
        f"positive integers that complete the model's own {own}",
        input_shape=input_shape,
    )
    return tuple(shape)


def _size(weights):
    return sum(math.prod(weight.shape) for weight in weights)


def _positions(shape):
    """How often a kernel is applied: all of a channels-last shape but its batch and channels."""
    return math.prod(shape[1:-1])


def _spatial(layer, shape):
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        shape = (shape[0], *shape[2:], shape[1])
    return _positions(shape)


def _conv(layer, inputs, outputs):
    return _spatial(layer, outputs) * math.prod(layer.kernel.shape)


def _conv_transpose(layer, inputs, outputs):
    return _spatial(layer, inputs) * math.prod(layer.kernel.shape)


def _separable_conv(layer, inputs, outputs):
    kernels = (layer.depthwise_kernel, layer.pointwise_kernel)
    return _spatial(layer, outputs) * _size(kernels)


def _dense(layer, inputs, outputs):
    return _positions(outputs) * math.prod(layer.kernel.shape)


def _elements(layer, inputs, outputs):
    return math.prod(outputs[1:])


def _select(layer, inputs, outputs):
    return len(layer.branches) * math.prod(outputs[1:]) if layer.has_attention else 0


# Classes, what they add to, and how much. The first that fits counts.
RULES = (
    ((keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose), "dense", _conv_transpose),
    (keras.layers.Conv3DTranspose, "dense", _conv_transpose),
    ((keras.layers.SeparableConv1D, keras.layers.SeparableConv2D), "dense", _separable_conv),
    ((keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D), "dense", _conv),
    ((keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D), "dense", _conv),
    (keras.layers.Dense, "dense", _dense),
    (keras.layers.BatchNormalization, "batch_norm", _elements),
    (SelectiveKernel, "select", _select),
)


def _rule(layer):
    for classes, total, count in RULES:
        if isinstance(layer, classes):
            return total, count
    return None


def _owns_matrix(layer):
    """Whether a layer without a rule multiplies by weights of its own, rather than its sublayers'."""
    inner = {id(weight) for other in flatten_layers(layer)[1:] for weight in other.weights}
    return any(len(weight.shape) > 1 and id(weight) not in inner for weight in layer.weights)


@contextlib.contextmanager
def _counted(layer, total, count, totals):
    call, own = layer.call, layer.__dict__.get("call")
    thread = threading.get_ident()

    def counting_call(inputs, *args, **kwargs):
        outputs = call(inputs, *args, **kwargs)
        if threading.get_ident() == thread:  # another one may be using the model
            totals[total] += count(layer, tuple(inputs.shape), tuple(outputs.shape))
        return outputs

    # On the instance it hides the class's method until it is deleted.
    layer.__dict__["call"] = counting_call
    try:
        yield
    finally:
        if own is None:
            del layer.__dict__["call"]
        else:
            layer.__dict__["call"] = own
