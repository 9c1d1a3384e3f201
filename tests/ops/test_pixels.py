import itertools
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from checks import relative_difference
from keras_sknet import ConvNormAct, GroupedConv2D
from keras_sknet.layers import conv_norm_act
from keras_sknet.ops import convolution_path, grouped_conv, pixels
from keras_sknet.ops.paths import without_onednn
from keras_sknet.ops.processor import has_avx512

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
KERNELS_OF_A_BLOCK = """
import sys
sys.path.insert(0, sys.argv[1])
from operations import profile
import keras, tensorflow as tf
import keras_sknet

folded, size = sys.argv[2] == "folded", int(sys.argv[3])
block = keras_sknet.ResNeXtBottleneck(32, 16, cardinality=4, folded=folded)
x = tf.ones((2, size, size, 32))
block.build(x.shape)
run = tf.function(lambda x: block(x, training=False)).get_concrete_function(x)
print(*sorted(profile(lambda runs: [run(x) for _ in range(runs)], 1)[1]))
"""


def prefer(monkeypatch, answer):
    monkeypatch.setattr(conv_norm_act, "prefers_product", lambda _: answer)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 3), (4, 2)])
def test_a_product_is_the_convolution(strides):
    x, kernel = tf.random.normal((2, 7, 6, 5)), tf.random.normal((1, 1, 5, 3))
    bias = tf.random.normal((3,))
    y = grouped_conv(x, kernel, strides)
    np.testing.assert_allclose(pixels.product(x, kernel, strides), y, rtol=1e-5, atol=1e-5)
    whole = pixels.product(x, kernel, strides, bias, relu=True)
    np.testing.assert_allclose(whole, tf.nn.relu(y + bias), rtol=1e-5, atol=1e-5)


def test_where_it_is_preferred(monkeypatch):
    for name, value in {"has_avx512": True, "without_onednn": False, "on_gpu": False}.items():
        monkeypatch.setattr(pixels, name, lambda *_, value=value: value)
    x = keras.KerasTensor((None, 8, 8, 3))
    assert pixels.prefers_product(x)
    assert not pixels.prefers_product(keras.KerasTensor((2, None, 8, 3)))
    assert not pixels.prefers_product(keras.KerasTensor((2, 8, None, 3)))
    with convolution_path("native"):
        assert not pixels.prefers_product(x)
    for name, value in {"has_avx512": False, "without_onednn": True, "on_gpu": True}.items():
        with monkeypatch.context() as changed:
            changed.setattr(pixels, name, lambda *_, value=value: value)
            assert not pixels.prefers_product(x), name


def test_images_outweigh_weights_by_their_pixels():
    assert pixels.outweigh((8, 7, 7, 2048), 392)
    assert not pixels.outweigh((8, 7, 7, 2048), 393)
    assert pixels.outweigh((None, 14, 14, 64), 196) and not pixels.outweigh((None, 14, 14, 64), 197)


@pytest.fixture
def products(monkeypatch):
    """The list of the inputs of every product that a layer makes."""
    made = []

    def product(x, *arguments):
        made.append(x)
        return pixels.product(x, *arguments)

    monkeypatch.setattr(conv_norm_act, "product", product)
    return made


@pytest.mark.parametrize("channels", [8, 200], ids=["images outweigh", "weights outweigh"])
@pytest.mark.parametrize("activation", ["relu", None, "gelu"])
@pytest.mark.parametrize("form", [{}, {"use_bias": True}, {"folded": True}], ids=["plain", "bias", "folded"])
def test_a_layer_of_products_gives_what_it_gives_by_convolutions(
    monkeypatch, products, form, activation, channels
):
    for strides, batch in itertools.product([1, 2], [2, None]):
        layer = ConvNormAct(16, 1, strides, activation=activation, **form)
        layer.build((batch, 9, 10, channels))
        for weight in layer.weights:
            weight.assign(keras.random.uniform(weight.shape, 0.5, 1.5))
        layer.conv.kernel.assign(keras.random.normal(layer.conv.kernel.shape))
        x = tf.random.normal((2, 9, 10, channels))
        answers = []
        for answer in (False, True):
            prefer(monkeypatch, answer)
            products.clear()

            @tf.function(input_signature=[tf.TensorSpec((batch, 9, 10, channels))])
            def run(x, layer=layer):
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    y = layer(x, training=False)
                return y, tape.gradient(y, x)

            answers.append([*run(x), layer(x, training=False)])
            convolved = not answer or (channels == 8 and activation is None)
            assert len(products) == (0 if convolved else 2)
        for got, want in zip(*answers, strict=True):
            assert got.shape == want.shape
            assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()


def test_an_activation_is_given_images(monkeypatch, products):
    prefer(monkeypatch, True)
    x = tf.random.normal((2, 4, 4, 8))
    for activation, shape in {
        "glu": (2, 4, 4, 8),
        lambda y: keras.ops.softmax(y, (1, 2)): (2, 4, 4, 16),
    }.items():
        layer = ConvNormAct(16, 1, activation=activation)
        y = layer(x, training=False)
        assert y.shape == shape
        np.testing.assert_allclose(y, layer(x), rtol=1e-4, atol=1e-6)
    assert len(products) == 2


def test_what_was_put_in_place_of_a_part_is_used(monkeypatch, products):
    class Doubled(GroupedConv2D):
        def convolution_op(self, inputs, kernel, **arguments):
            return super().convolution_op(inputs, 2 * kernel, **arguments)

    prefer(monkeypatch, True)
    x = tf.random.normal((2, 4, 4, 8))
    for groups in (1, 2):
        parts = {
            "conv": Doubled(16, 1, groups=groups, use_bias=False),
            "norm": keras.layers.GroupNormalization(4),
        }
        for name, part in parts.items():
            layer = ConvNormAct(16, 1, groups=groups)
            setattr(layer, name, part)
            assert relative_difference(layer(x, training=False), layer(x)) < 1e-5
    assert products == []


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


@pytest.mark.parametrize("form, size", [("plain", 8), ("folded", 8), ("folded", 2)])
def test_what_follows_is_fused_with_products_and_convolutions(run_python, require, form, size):
    require(not without_onednn("float32"), "a TensorFlow with oneDNN")
    kernels = run_python(KERNELS_OF_A_BLOCK, BENCHMARKS, form, size).split()
    assert "_MklNativeFusedConv2D" in kernels and "BiasAdd" not in kernels
    if has_avx512():
        # TensorFlow breaks graphs with a sum and a ReLU right behind a product, and fuses nothing in them.
        assert "_MklNativeFusedMatMul" in kernels
        assert ("Relu" in kernels) == (size == 2)
