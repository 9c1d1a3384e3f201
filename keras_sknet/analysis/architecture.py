"""A built network in the words of the paper's Table 1."""

import itertools

from keras_sknet.layers import (
    Bottleneck,
    ConvNormAct,
    SelectiveKernel,
    SqueezeExcite,
    Stem,
)


def architecture(model):
    """Reads the stages of a network from its layers.

    Args:
        model: `keras.Model`, one of this package's with four stages and a top.

    Returns:
        List of pairs: the size of a stage's output, `"56×56"`, and its layers,
        `"[1×1, 128; 3×3, 128, G=32; 1×1, 256] × 3"`; the stem's two first, the head last.
    """
    stages = []
    blocks = [layer for layer in model.layers if isinstance(layer, Bottleneck)]
    for _, group in itertools.groupby(blocks, lambda block: block.name.split("_")[-2]):
        group = list(group)
        words = [_block(block) for block in group]
        repeated = [f"[{word}] × {len(list(same))}" for word, same in itertools.groupby(words)]
        stages.append((_size(group[-1].output.shape), ", ".join(repeated)))
    return [*_stem(model), *stages, _head(model)]


def _block(block):
    layers = (block.reduce, block.spatial, block.expand, block.gate)
    return "; ".join(_words(layer) for layer in layers if layer is not None)


def _words(layer):
    if isinstance(layer, ConvNormAct):
        conv = layer.conv
        groups = f", G={conv.groups}" if conv.groups > 1 else ""
        return f"{_size((None, *conv.kernel_size))}, {conv.filters}{groups}"
    if isinstance(layer, SelectiveKernel):
        groups = "/".join(dict.fromkeys(str(branch.groups) for branch in layer.branches))
        return f"SK[M={len(layer.branches)}, G={groups}, r={layer.reduction}], {layer.filters}"
    if isinstance(layer, SqueezeExcite):
        return f"fc, [{layer.squeeze.units}, {layer.excite.units}]"
    return type(layer).__name__


def _stem(model):
    (stem,) = (layer for layer in model.layers if isinstance(layer, Stem))
    conv = stem.conv
    size = _size(conv.compute_output_shape(stem.input.shape))
    rows = [(size, f"{_words(conv)}, stride {conv.conv.strides[0]}")]
    if stem.kind == "imagenet":
        rows.append((_size(stem.output.shape), "3×3 max pool, stride 2"))
    return rows


def _head(model):
    pool, top = model.layers[-2:]
    kinds = {"GlobalAveragePooling2D": "global average pool"}
    kind = type(pool).__name__
    return "1×1", f"{kinds.get(kind, kind)}, {top.units}-d fc, {top.activation.__name__}"


def _size(shape):
    return f"{shape[1]}×{shape[2]}"
