import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_sknet import Branch, SelectiveKernel, attention_scores
from nets import tiny

IMAGES = np.random.default_rng(0).uniform(0, 255, (5, 32, 32, 3)).astype("float32")
THREE = tuple(Branch(3, d, 2) for d in (1, 2, 3))


def tapped(model, name):
    """The attention of one block, by a sub-model that ends at the block's input."""
    block = model.get_layer(name)
    return block.attention(keras.Model(model.input, block.input)(IMAGES, training=False))


@pytest.mark.parametrize("branches", [THREE[:2], THREE])
def test_equals_each_blocks_own_attention(branches):
    model = tiny(depths=(1, 2, 1, 1), branches=branches)
    scores = attention_scores(model, IMAGES, batch_size=2)
    assert list(scores) == ["sk_2_1", "sk_3_1", "sk_3_2", "sk_4_1", "sk_5_1"]
    for name, a in scores.items():
        assert a.shape == (5, len(branches), model.get_layer(name).width)
        np.testing.assert_allclose(a, tapped(model, name), atol=1e-5)
        np.testing.assert_allclose(a.sum(1), 1, atol=1e-5)


def test_takes_datasets_and_leaves_training_mode_alone():
    model = tiny()
    scores = attention_scores(model, tf.data.Dataset.from_tensor_slices(IMAGES).batch(3))
    for name, a in attention_scores(model, IMAGES).items():
        np.testing.assert_allclose(scores[name], a, atol=1e-6)


def test_finds_units_in_nested_models_subclasses_and_reloaded_files(tmp_path):
    network = tiny(include_top=False, pooling="avg")
    expected = attention_scores(network, IMAGES)
    nested = keras.Sequential([keras.Input((32, 32, 3)), network, keras.layers.Dense(3)])

    class Subclass(keras.Model):
        def __init__(self):
            super().__init__()
            self.network = network

        def call(self, x):
            return self.network(x)

    nested.save(tmp_path / "nested.keras")
    for model in (nested, Subclass(), keras.saving.load_model(tmp_path / "nested.keras")):
        found = attention_scores(model, IMAGES)
        assert list(found) == list(expected)
        for name, a in expected.items():
            np.testing.assert_allclose(found[name], a, atol=1e-6)


def test_names_units_of_a_users_own_model():
    inputs = keras.Input((16, 16, 4))
    x = SelectiveKernel(8, THREE[:2], name="mine")(inputs)
    outputs = SelectiveKernel(8, THREE[:1], name="plain")(x)
    scores = attention_scores(keras.Model(inputs, outputs), np.zeros((2, 16, 16, 4), "float32"))
    assert {name: a.shape for name, a in scores.items()} == {"mine": (2, 2, 8)}


def test_refuses_models_without_selection():
    for model in (tiny("ResNeXt50"), tiny(use_attention=False), tiny(branches=THREE[:1])):
        with pytest.raises(ValueError, match="`model` must be one with SK units of two branches or more"):
            attention_scores(model, IMAGES)
