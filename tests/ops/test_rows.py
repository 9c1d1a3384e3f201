import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_sknet import ConvNormAct
from keras_sknet.layers import conv_norm_act
from keras_sknet.ops import convolution_path, rows
from keras_sknet.ops.paths import without_onednn


@pytest.mark.parametrize("size", [(2, 2), (7, 7), (14, 9), (1, 5), (1, 13)])
def test_rows_are_several_and_give_the_images_back(size):
    x = tf.random.normal((1, *size, 3))
    cut = rows.to_rows(x)
    assert cut.shape[0] > 1 and cut.shape[2:] == (1, 3)
    np.testing.assert_array_equal(rows.from_rows(cut, *size), x)


def test_only_what_may_be_a_single_image_is_cut_and_only_where_it_helps(monkeypatch):
    preferred = {}
    for lacks in (False, True):
        monkeypatch.setattr(rows, "lacks_avx512", lambda lacks=lacks: lacks)
        for shape in [(1, 8, 8, 3), (None, 8, 8, 3), (2, 8, 8, 3), (1, None, 8, 3), (1, 1, 1, 3)]:
            preferred[lacks, shape] = rows.prefers_rows(keras.KerasTensor(shape), shape)
    monkeypatch.setattr(rows, "lacks_avx512", lambda: True)
    with convolution_path("native"):
        assert not rows.prefers_rows(keras.KerasTensor((1, 8, 8, 3)), (1, 8, 8, 3))
    expected = set() if without_onednn("float32") else {(True, (1, 8, 8, 3)), (True, (None, 8, 8, 3))}
    assert {case for case, answer in preferred.items() if answer} == expected


@pytest.mark.parametrize("activation, folded", [("relu", False), (None, False), (None, True)])
@pytest.mark.parametrize("batch", [1, None])
def test_a_layer_in_rows_gives_what_it_gives_on_images(monkeypatch, batch, activation, folded):
    for kernel_size, strides in itertools.product([1, 3, 7], [1, 2, (2, 1), 4]):
        layer = ConvNormAct(16, kernel_size, strides, activation=activation, folded=folded)
        layer.build((batch, 9, 10, 8))
        for weight in layer.weights:
            weight.assign(keras.random.uniform(weight.shape, 0.5, 1.5))
        x = tf.random.normal((batch or 3, 9, 10, 8))
        outputs = []
        for in_rows in (False, True):
            monkeypatch.setattr(conv_norm_act, "prefers_rows", lambda *_, in_rows=in_rows: in_rows)
            signature = [tf.TensorSpec((batch, 9, 10, 8))]
            run = tf.function(lambda x, layer=layer: layer(x, training=False), input_signature=signature)
            outputs.append(run(x).numpy())
        assert outputs[0].shape == outputs[1].shape
        assert np.abs(outputs[0] - outputs[1]).max() <= 1e-5 * np.abs(outputs[0]).max()


def test_what_looks_at_images_is_given_images(monkeypatch):
    monkeypatch.setattr(conv_norm_act, "prefers_product", lambda _: False)
    monkeypatch.setattr(conv_norm_act, "prefers_rows", lambda *_: True)
    cut, to_rows = [], rows.to_rows
    monkeypatch.setattr(conv_norm_act, "to_rows", lambda x: cut.append(x.shape) or to_rows(x))
    x = tf.random.normal((1, 8, 8, 16))
    for kernel_size in (1, 3):
        layer = ConvNormAct(16, kernel_size, activation=lambda y: keras.ops.softmax(y, (1, 2)))
        layer(x)
        expected = layer.activation(layer.norm(layer.conv(x)))
        np.testing.assert_allclose(layer(x, training=False), expected, atol=1e-6)
        assert cut.pop() and not cut
        layer = ConvNormAct(16, kernel_size)
        layer.norm = keras.layers.GroupNormalization(4)
        layer(x)
        expected = layer.activation(layer.norm(layer.conv(x)))
        np.testing.assert_allclose(layer(x, training=False), expected, atol=1e-6)
        assert not cut


def test_groups_and_training_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(conv_norm_act, "prefers_rows", lambda *_: True)
    monkeypatch.setattr(conv_norm_act, "to_rows", lambda _: pytest.fail("cut into rows"))
    x = tf.random.normal((1, 4, 4, 8))
    ConvNormAct(8, 3, groups=2)(x, training=False)
    ConvNormAct(8, 1)(x, training=True)
