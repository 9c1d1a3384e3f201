import keras
import numpy as np
import pytest

from checks import check_layer
from keras_sknet import (
    Branch,
    ConvNormAct,
    ResNeXtBottleneck,
    SEBottleneck,
    SKBasicBlock,
    SKBottleneck,
    SqueezeExcite,
    Stem,
)

BRANCHES = (Branch(3, 1, 4), Branch(3, 2, 4))


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    "layer, output_shape",
    [
        (ConvNormAct(8, 3, 2, groups=4), (4, 4, 4, 8)),
        (ConvNormAct(8, (3, 5), dilation_rate=2, activation=None), (4, 8, 8, 8)),
        (SqueezeExcite(reduction=2), (4, 8, 8, 16)),
        (Stem(8), (4, 2, 2, 8)),
        (Stem(8, padding="torch"), (4, 2, 2, 8)),
        (Stem(8, kind="cifar"), (4, 8, 8, 8)),
        (ResNeXtBottleneck(16, 8, cardinality=4), (4, 8, 8, 16)),
        (ResNeXtBottleneck(24, 8, strides=2, cardinality=4), (4, 4, 4, 24)),
        (SEBottleneck(16, 8, cardinality=4, reduction=4), (4, 8, 8, 16)),
        (SKBottleneck(16, 8, branches=BRANCHES), (4, 8, 8, 16)),
        (SKBottleneck(24, 8, 2, BRANCHES, reduction=2, min_units=4), (4, 4, 4, 24)),
        (SKBottleneck(16, 8, branches=BRANCHES, use_attention=False), (4, 8, 8, 16)),
        (SKBottleneck(16, 8, branches=BRANCHES, split_input=True), (4, 8, 8, 16)),
        (SKBasicBlock(16, 8), (4, 8, 8, 16)),
        (SKBasicBlock(24, 24, 2, reduction=2, min_units=4), (4, 4, 4, 24)),
        (SKBasicBlock(16, 8, branches=BRANCHES, split_input=False, use_attention=False), (4, 8, 8, 16)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.Layer) else "",
)
def test_survives_saving_and_trains_every_weight(layer, output_shape):
    check_layer(type(layer).from_config(layer.get_config()), images(4, 8, 8, 16), output_shape)


def test_shortcut_is_the_input_where_shapes_agree_and_a_convolution_elsewhere():
    same, wider, strided = (
        ResNeXtBottleneck(16, 8, cardinality=2),
        ResNeXtBottleneck(32, 8, cardinality=2),
        ResNeXtBottleneck(16, 8, strides=2, cardinality=2),
    )
    for block in (same, wider, strided):
        block.build((None, 8, 8, 16))
    assert same.shortcut is None
    assert wider.shortcut.conv.strides == (1, 1) and wider.shortcut.conv.kernel.shape == (1, 1, 16, 32)
    assert strided.shortcut.conv.strides == (2, 2)
    assert keras.activations.serialize(wider.shortcut.activation) == "linear"


def test_the_stride_sits_on_the_spatial_layer():
    block = SKBottleneck(16, 8, 2, BRANCHES)
    block.build((None, 8, 8, 16))
    assert block.reduce.conv.strides == (1, 1)
    assert all(branch.conv.strides == (2, 2) for branch in block.spatial.convolutions)


def test_a_block_of_zeroed_branch_passes_its_input():
    block = SKBottleneck(16, 8, branches=BRANCHES)
    x = images(2, 8, 8, 16)
    block.build(x.shape)
    block.expand.norm.gamma.assign(np.zeros(16))
    np.testing.assert_array_equal(block(x), np.maximum(x, 0))


def test_block_attention_is_its_units_on_the_reduced_input():
    block = SKBottleneck(16, 8, branches=BRANCHES, name="sk_2_1")
    x = images(2, 8, 8, 16)
    a = block.attention(x)
    assert a.shape == (2, 2, 8)
    np.testing.assert_allclose(a, block.spatial.attention(block.reduce(x, training=False)))
    assert block.spatial.name == "sk_2_1"


def test_squeeze_excite_equals_its_equation():
    layer = SqueezeExcite(reduction=4)
    x = images(2, 5, 5, 8)
    layer.build(x.shape)
    (w1, b1), (w2, b2) = layer.squeeze.get_weights(), layer.excite.get_weights()
    gate = 1 / (1 + np.exp(-(np.maximum(x.mean((1, 2)) @ w1 + b1, 0) @ w2 + b2)))
    np.testing.assert_allclose(layer(x), x * gate[:, None, None], rtol=1e-5)
    assert w1.shape == (8, 2)


def test_stem_paddings_differ_only_as_documented():
    x = images(1, 16, 16, 3)
    same, torch = Stem(4), Stem(4, padding="torch")
    same.build(x.shape)
    torch.build(x.shape)
    torch.set_weights(same.get_weights())
    features = np.asarray(same.conv(x))[0, :, :, 0]  # 8×8

    def pooled(before, after):
        padded = np.pad(features, ((before, after), (before, after)))
        return [[padded[i : i + 3, j : j + 3].max() for j in range(0, 8, 2)] for i in range(0, 8, 2)]

    np.testing.assert_array_equal(same(x)[0, :, :, 0], pooled(0, 1))
    np.testing.assert_array_equal(torch(x)[0, :, :, 0], pooled(1, 1))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
@pytest.mark.parametrize(
    "layer",
    [
        ResNeXtBottleneck(16, 8, 2, 4),
        SEBottleneck(16, 8, 2, 4),
        SKBottleneck(16, 8, 2, BRANCHES),
        SKBasicBlock(16, 8, 2),
    ],
)
def test_blocks_honour_the_dtype_policy(layer, policy):
    layer = type(layer).from_config({**layer.get_config(), "dtype": policy})
    y = layer(images(2, 8, 8, 8))
    assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
    assert {w.dtype for w in layer.weights} == {layer.variable_dtype}
