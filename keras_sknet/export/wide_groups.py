"""Narrow groups put together, as LiteRT convolves them faster."""

import functools

import keras

from keras_sknet.export.rewritten import rewritten
from keras_sknet.layers import GroupedConv2D
from keras_sknet.models.rebuild import copy_own_weights, rebuild_layer, rebuild_model
from keras_sknet.ops._private import flatten_layers
from keras_sknet.ops.wide_kernel import run_count, widen

# XNNPACK computes so many filters of a group at once, the group's or not; on ARM half as many floats.
FILTERS = 16
# By quantization: groups of fewer filters are put together.
NARROW = {None: 8, "float16": 8, "dynamic": 16, "int8": 16}
# The kernels of fewer numbers that LiteRT leaves in float32 with "dynamic".
SMALL = 1024


def with_wide_groups(model, quantize=None):
    """Copies a model for inference, narrow groups convolved several at a time, zeros between them.

    Outputs are the same, but for infinities and NaN, which reach the groups beside theirs.

    Args:
        model: Functional or built sequential `keras.Model`.
        quantize: As in `export_tflite`: in float32 and float16 groups of fewer than 8 filters are put
            together to about 16, in integers also those of 8 to 15. Defaults to `None`.

    Returns:
        `keras.Model` with weights of its own; `model` itself, if it has no such groups, or if a copy cannot
        be made from the layers' configs or gives other outputs.

    Example:

    ```python
    from keras_sknet.export.wide_groups import with_wide_groups

    model = keras_sknet.SKNet50(input_shape=(64, 64, 3))
    wide = with_wide_groups(model)  # 8 groups of 16 in stage 2, where there were 32 of 4
    ```
    """

    def rebuild(layer):
        new = rebuild_layer(layer, layer.get_config())
        # The new ones are not built yet, and take another number of groups as their own.
        for old, inner in zip(_grouped(layer), _grouped(new), strict=True):
            if (count := _group_count(old, quantize)) < old.groups:
                inner.groups = count
                inner.kernel_initializer = inner.bias_initializer = keras.initializers.Zeros()
        return new

    if all(_group_count(conv, quantize) == conv.groups for conv in _grouped(model)):
        return model
    return rewritten(model, functools.partial(rebuild_model, rebuild=rebuild, copy_own=_copy_own))


def _grouped(layer):
    """The convolutions in a layer that have groups; none in an operation, such as a sum."""
    layers = flatten_layers(layer) if isinstance(layer, keras.layers.Layer) else []
    return [inner for inner in layers if type(inner) is GroupedConv2D and inner.groups > 1]


def _group_count(conv, quantize):
    """The number of groups that a convolution had better have: its own, or fewer."""
    # Of one channel a group LiteRT has an operation of its own; a kernel of low rank is several weights.
    if not conv.built or conv.kernel.shape[2] == 1 or conv.lora_enabled:
        return conv.groups
    if conv.filters // conv.groups >= NARROW[quantize]:
        return conv.groups
    if quantize == "dynamic" and keras.ops.size(conv.kernel) < SMALL:
        return conv.groups
    count = run_count(conv.filters, conv.groups, FILTERS)
    return count if conv.filters < 2 * FILTERS * count else conv.groups


def _copy_own(layer, new):
    if getattr(layer, "groups", None) == getattr(new, "groups", None):
        return copy_own_weights(layer, new)
    new.kernel.assign(widen(keras.ops.convert_to_tensor(layer.kernel), layer.groups, new.groups))
    if layer.use_bias:
        new.bias.assign(layer.bias)
