"""CBAM and BAM against their equations in NumPy."""

import keras
import numpy as np
import pytest

from checks import check_layer
from keras_sknet import BAM, CBAM, BAMBottleneck, CBAMBottleneck, ResNeXtBottleneck
from keras_sknet.ops._private import flatten_layers
from oracles import numpy_conv2d

EPSILON = 1e-5


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def with_drawn_weights(layer, x):
    """The layer, built for `x`, and no weight of it at a value that would hide a mistake."""
    layer.build(x.shape)
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        positive = "variance" in weight.path or "gamma" in weight.path
        draw = rng.uniform(0.5, 1.5, weight.shape) if positive else rng.normal(0, 0.5, weight.shape)
        weight.assign(draw)
    return layer


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def dense(x, layer):
    kernel, bias = layer.get_weights()
    return x @ kernel + bias


def normalized(x, norm):
    gamma, beta, mean, variance = norm.get_weights()
    return (x - mean) / np.sqrt(variance + EPSILON) * gamma + beta


def positions(values):
    return values[:, None, None]


@pytest.mark.parametrize(
    "layer, output_shape",
    [
        (CBAM(reduction=4), (4, 8, 8, 16)),
        (BAM(reduction=4, dilation_rate=2), (4, 8, 8, 16)),
        (CBAMBottleneck(24, 8, 2, cardinality=4, reduction=4), (4, 4, 4, 24)),
        (BAMBottleneck(24, 8, 2, cardinality=4, reduction=4, dilation_rate=3), (4, 4, 4, 24)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.Layer) else "",
)
def test_survives_saving_and_trains_every_weight(layer, output_shape):
    check_layer(type(layer).from_config(layer.get_config()), images(4, 8, 8, 16), output_shape)


def test_cbam_equals_its_equations():
    x = images(2, 9, 7, 8)
    layer = with_drawn_weights(CBAM(reduction=4), x)

    def mlp(pooled):
        return dense(np.maximum(dense(pooled, layer.squeeze), 0), layer.excite)

    gated = x * positions(sigmoid(mlp(x.mean((1, 2))) + mlp(x.max((1, 2)))))
    seen = np.stack([gated.max(-1), gated.mean(-1)], axis=-1)
    kernel, *norm = layer.position_gate.get_weights()
    assert layer.squeeze.units == 2 and kernel.shape == (7, 7, 2, 1)
    map_ = normalized(numpy_conv2d(seen, kernel), layer.position_gate.norm)
    np.testing.assert_allclose(layer(x, training=False), gated * sigmoid(map_), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", [CBAM, BAM])
def test_an_empty_batch_has_an_output(layer):
    assert layer(reduction=2)(np.zeros((0, 9, 7, 8), "float32")).shape == (0, 9, 7, 8)


def test_bam_equals_its_equations():
    x = images(2, 12, 11, 8)
    layer = with_drawn_weights(BAM(reduction=2, dilation_rate=3), x)
    z = np.maximum(normalized(dense(x.mean((1, 2)), layer.squeeze), layer.norm), 0)
    branch = x
    for convolution, size, dilation in zip(layer.convolutions, (1, 3, 3), (1, 3, 3), strict=True):
        kernel, bias = convolution.conv.get_weights()
        assert kernel.shape == (size, size, branch.shape[-1], 4)
        branch = numpy_conv2d(branch, kernel, dilation_rate=dilation) + bias
        branch = np.maximum(normalized(branch, convolution.norm), 0)
    kernel, bias = layer.project.get_weights()
    gate = sigmoid(positions(dense(z, layer.excite)) + numpy_conv2d(branch, kernel) + bias)
    np.testing.assert_allclose(layer(x, training=False), x + gate * x, rtol=1e-4, atol=1e-6)


def test_hidden_layers_have_a_unit_at_least():
    for gate in (CBAM(), BAM()):
        gate.build((None, 8, 8, 4))
        assert gate.squeeze.units == 1


def test_cbam_stands_in_front_of_the_addition_and_bam_behind_the_block():
    x = images(2, 8, 8, 16)
    plain = ResNeXtBottleneck(16, 8, cardinality=2)
    cbam, bam = CBAMBottleneck(16, 8, cardinality=2), BAMBottleneck(16, 8, cardinality=2)
    for block in (plain, cbam, bam):
        with_drawn_weights(block, x)
    for block in (cbam, bam):
        for name in ("reduce", "spatial", "expand"):
            getattr(block, name).set_weights(getattr(plain, name).get_weights())
    inner = plain.expand(plain.spatial(plain.reduce(x)))
    np.testing.assert_allclose(cbam(x), np.maximum(cbam.gate(inner) + x, 0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(bam(x), bam.bam(plain(x)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", [CBAMBottleneck(16, 8, cardinality=2), BAMBottleneck(16, 8, cardinality=2)])
def test_batch_normalization_in_the_gate_learns_and_freezes_with_its_block(layer):
    layer = type(layer).from_config(layer.get_config())
    x = images(4, 8, 8, 16)
    layer(x)

    def moved(**options):
        norms = [
            inner for inner in flatten_layers(layer) if isinstance(inner, keras.layers.BatchNormalization)
        ]
        before = [np.asarray(norm.moving_mean) for norm in norms]
        layer(x, **options)
        return [not np.array_equal(norm.moving_mean, old) for norm, old in zip(norms, before, strict=True)]

    assert not any(moved()) and not any(moved(training=False))
    assert all(moved(training=True))
    layer.trainable = False
    assert not any(moved(training=True))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
@pytest.mark.parametrize("layer", [CBAMBottleneck(16, 8, 2, 4), BAMBottleneck(16, 8, 2, 4)])
def test_blocks_honour_the_dtype_policy(layer, policy):
    layer = type(layer).from_config({**layer.get_config(), "dtype": policy})
    y = layer(images(2, 8, 8, 8))
    assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
    assert {weight.dtype for weight in layer.weights} == {layer.variable_dtype}
