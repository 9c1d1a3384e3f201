"""Narrow groups put together, as LiteRT convolves them faster."""

from keras import ops

from keras_sknet.layers import GroupedConv2D
from keras_sknet.models.rebuild import copy_own_weights, rebuild_layer, rebuild_model
from keras_sknet.ops._private import flatten_layers
from keras_sknet.ops.wide_kernel import run_count, widen

# XNNPACK computes so many filters of a group at once, the group's or not; on ARM half as many floats.
CHANNELS = 16
# By quantization: groups of fewer channels are put together.
NARROW = {None: 8, "float16": 8, "dynamic": 16, "int8": 16}


def with_wide_groups(model, quantize=None):
    """Copies a model for inference, narrow groups convolved several at a time, zeros between them.

    Outputs are the same.

    Args:
        model: Functional or built sequential `keras.Model`.
        quantize: As in `export_tflite`: in float32 and float16 groups of 2 to 7 channels are put together to
            about 16, in integers also those of 8 to 15. Defaults to `None`.

    Returns:
        `keras.Model` with weights of its own, or `model` itself, if it has no such groups or cannot be
        rebuilt.

    Example:

    ```python
    from keras_sknet.export.wide_groups import with_wide_groups

    model = keras_sknet.SKNet50(input_shape=(64, 64, 3))
    wide = with_wide_groups(model)  # 8 groups of 16 in stage 2, where there were 32 of 4
    ```
    """
    narrow = NARROW[quantize]

    def rebuild(layer):
        new = rebuild_layer(layer, layer.get_config())
        # Not built yet, it may lack layers without groups, and takes another number of groups as its own.
        for old, inner in zip(_grouped(layer), _grouped(new), strict=True):
            inner.groups = _group_count(old, narrow)
        return new

    if not any(_group_count(conv, narrow) < conv.groups for conv in _grouped(model)):
        return model
    try:
        return rebuild_model(model, rebuild, copy_own=_copy_own)
    except ValueError:
        return model


def _grouped(layer):
    """The convolutions in a layer that have groups."""
    layers = flatten_layers(layer)
    return [inner for inner in layers if type(inner) is GroupedConv2D and inner.groups > 1]


def _group_count(conv, narrow):
    """The number of groups that a convolution had better have: its own, or fewer."""
    # Of one channel there is an operation of its own; kernels of low rank or in integers are several weights.
    if conv.lora_enabled or conv.quantization_mode or not 1 < conv.kernel.shape[2] < narrow:
        return conv.groups
    channels = conv.kernel.shape[2] * conv.groups
    count = run_count(channels, conv.groups, CHANNELS)
    return count if channels < 2 * CHANNELS * count else conv.groups


def _copy_own(layer, new):
    if getattr(layer, "groups", None) == getattr(new, "groups", None):
        return copy_own_weights(layer, new)
    new.kernel.assign(widen(ops.convert_to_tensor(layer.kernel), layer.groups, new.groups))
    if layer.use_bias:
        new.bias.assign(layer.bias)
