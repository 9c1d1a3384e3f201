import itertools
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_sknet import ConvNormAct
from keras_sknet.layers import conv_norm_act
from keras_sknet.ops import convolution_path, grouped_conv, pixels
from keras_sknet.ops.paths import without_onednn
from keras_sknet.ops.processor import lacks_avx512

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
KERNELS_OF_A_BLOCK = """
import sys
sys.path.insert(0, sys.argv[1])
from operations import profile
import keras, tensorflow as tf
import keras_sknet

block = keras_sknet.ResNeXtBottleneck(32, 16, cardinality=4)
block.build((8, 8, 8, 32))
run = tf.function(lambda x: block(x, training=False)).get_concrete_function(tf.ones((8, 8, 8, 32)))
print(sorted(profile(lambda runs: [run(tf.ones((8, 8, 8, 32))) for _ in range(runs)], 1)[1]))
"""


def prefer(monkeypatch, answer):
    monkeypatch.setattr(conv_norm_act, "prefers_product", lambda _: answer)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 3), (4, 2)])
def test_a_product_is_the_convolution(strides):
    x, kernel = tf.random.normal((2, 7, 6, 5)), tf.random.normal((1, 1, 5, 3))
    bias = tf.random.normal((3,))
    y = grouped_conv(x, kernel, strides)
    np.testing.assert_allclose(pixels.product(x, kernel, strides), y, rtol=1e-5, atol=1e-5)
    whole = pixels.product(x, kernel, strides, bias, tf.nn.relu)
    np.testing.assert_allclose(whole, tf.nn.relu(y + bias), rtol=1e-5, atol=1e-5)


def test_where_it_is_preferred(monkeypatch):
    preferred = set()
    for lacks in (False, True):
        monkeypatch.setattr(pixels, "lacks_avx512", lambda lacks=lacks: lacks)
        for shape in [(1, 8, 8, 3), (None, 8, 8, 3), (2, None, 8, 3), (2, 8, None, 3)]:
            if pixels.prefers_product(keras.KerasTensor(shape)):
                preferred.add((lacks, shape))
    monkeypatch.setattr(pixels, "lacks_avx512", lambda: False)
    with convolution_path("native"):
        assert not pixels.prefers_product(keras.KerasTensor((1, 8, 8, 3)))
    expected = set() if without_onednn("float32") else {(False, (1, 8, 8, 3)), (False, (None, 8, 8, 3))}
    assert preferred == expected


def test_images_outweigh_weights_by_their_pixels():
    assert pixels.outweigh((8, 7, 7, 2048), 392)
    assert not pixels.outweigh((8, 7, 7, 2048), 393)
    assert pixels.outweigh((None, 14, 14, 64), 196) and not pixels.outweigh((None, 14, 14, 64), 197)


@pytest.mark.parametrize("channels", [8, 200], ids=["images outweigh", "weights outweigh"])
@pytest.mark.parametrize("activation", ["relu", None, "gelu"])
@pytest.mark.parametrize("form", [{}, {"use_bias": True}, {"folded": True}], ids=["plain", "bias", "folded"])
def test_a_layer_of_products_gives_what_it_gives_by_convolutions(monkeypatch, form, activation, channels):
    for strides, batch in itertools.product([1, 2], [2, None]):
        layer = ConvNormAct(16, 1, strides, activation=activation, **form)
        layer.build((batch, 9, 10, channels))
        for weight in layer.weights:
            weight.assign(keras.random.uniform(weight.shape, 0.5, 1.5))
        layer.conv.kernel.assign(keras.random.normal(layer.conv.kernel.shape))
        answers = []
        for answer in (False, True):
            prefer(monkeypatch, answer)

            @tf.function(input_signature=[tf.TensorSpec((batch, 9, 10, channels))])
            def run(x, layer=layer):
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    y = layer(x, training=False)
                return y, tape.gradient(y, x)

            x = tf.random.stateless_normal((2, 9, 10, channels), (1, 2))
            answers.append(run(x))
        for got, want in zip(*answers, strict=True):
            assert got.shape == want.shape
            assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("channels", [8, 200])
def test_no_images_are_none(monkeypatch, channels):
    prefer(monkeypatch, True)
    layer = ConvNormAct(16, 1, 2)
    layer.build((None, 9, 10, channels))
    signature = [tf.TensorSpec((None, 9, 10, channels))]
    run = tf.function(lambda x: layer(x, training=False), input_signature=signature)
    images = tf.zeros((0, 9, 10, channels))
    for y in (layer(images, training=False), run(images)):
        assert y.shape == (0, 5, 5, 16)


@pytest.mark.parametrize(
    ("layer", "training"),
    [
        (ConvNormAct(8, 1), True),
        (ConvNormAct(8, 1), None),
        (ConvNormAct(8, 3), False),
        (ConvNormAct(8, 1, groups=2), False),
        (ConvNormAct(8, 1, dtype="mixed_bfloat16"), False),
        (ConvNormAct(8, 1, dtype="float64"), False),
    ],
)
def test_the_rest_stays_as_it_is(monkeypatch, layer, training):
    prefer(monkeypatch, True)
    monkeypatch.setattr(conv_norm_act, "product", lambda *_: pytest.fail("made a product"))
    layer(tf.random.normal((2, 4, 4, 8)), training=training)


def test_what_follows_is_fused_with_products_and_convolutions(run_python, require):
    require(not without_onednn("float32"), "a TensorFlow with oneDNN")
    kernels = run_python(KERNELS_OF_A_BLOCK, BENCHMARKS, TF_ENABLE_ONEDNN_OPTS="1")
    assert "_MklNativeFusedConv2D" in kernels
    assert ("_MklNativeFusedMatMul" in kernels) != lacks_avx512()
    # The optimizer breaks graphs with a sum and a ReLU behind a product, and leaves them as they are.
    assert "Relu" not in kernels and "BiasAdd" not in kernels
