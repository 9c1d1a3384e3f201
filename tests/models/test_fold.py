import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_sknet
from checks import images, randomize, relative_difference
from keras_sknet import GroupedConv2D, fold_batch_norm
from keras_sknet.ops._private import flatten_layers
from keras_sknet.ops.paths import without_onednn
from nets import tiny


def batch(shape, seed=0):
    return np.random.default_rng(seed).normal(size=(2, *shape)).astype("float32")


def outputs(model, x):
    return [np.asarray(y) for y in keras.tree.flatten(model(x, training=False))]


def norms(model):
    return [layer.name for layer in flatten_layers(model) if isinstance(layer, layers.BatchNormalization)]


@pytest.mark.parametrize(
    "name, options",
    [
        ("SKNet50", {}),
        ("SKNet50", {"branches": [(3, 1, 2), (3, 2, 2), (3, 3, 2)]}),
        ("SKNet50", {"branches": [(3, 1, 2)]}),
        ("SKNet50", {"use_attention": False}),
        ("ResNeXt50", {"stem": "cifar"}),
        ("SENet50", {"stem_padding": "torch"}),
    ],
)
def test_a_network_of_the_package_is_folded(name, options):
    model = tiny(name, classifier_activation=None, **options)
    randomize(model)
    before = model.get_weights()
    folded = fold_batch_norm(model)
    x = images(4, (32, 32, 3))
    assert relative_difference(folded(x), model(x)) < 1e-5
    assert norms(model) and norms(folded) == []
    assert folded.trainable_weights == [] and model.trainable_weights
    assert [layer.name for layer in folded.layers] == [layer.name for layer in model.layers]
    for new, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(new, old)
    again = fold_batch_norm(folded)
    np.testing.assert_array_equal(again(x), folded(x))


# Sixteen units amplify how float32 rounds; float64 tells equal from alike.
@pytest.mark.parametrize("dtype, tolerance", [("float32", 3e-5), ("float64", 1e-13)])
def test_a_folded_network_of_full_depth_is_equal(dtype, tolerance):
    keras.config.set_dtype_policy(dtype)
    model = tiny(depths=(3, 4, 6, 3), classifier_activation=None)
    randomize(model)
    x = images(4, (32, 32, 3))
    assert relative_difference(fold_batch_norm(model)(x), model(x)) < tolerance


def test_a_folded_network_loads_with_the_package_alone(tmp_path, run_python):
    model = tiny(classifier_activation=None)
    randomize(model)
    folded = fold_batch_norm(model)
    x = images(2, (32, 32, 3))
    folded.save(tmp_path / "folded.keras")
    np.save(tmp_path / "x.npy", x)
    code = """
import sys
import keras, numpy as np
import keras_sknet
folder = sys.argv[1]
model = keras.models.load_model(folder + "/folded.keras")
np.save(folder + "/y.npy", model.predict(np.load(folder + "/x.npy")))
"""
    run_python(code, tmp_path)
    # In a graph as there: convolutions with what follows in one are rounded otherwise.
    assert relative_difference(np.load(tmp_path / "y.npy"), folded.predict(x, verbose=0)) < 1e-6
    scores = keras_sknet.attention_scores(folded, x)
    for name, want in keras_sknet.attention_scores(model, x).items():
        assert relative_difference(scores[name], want) < 1e-5


def chain(*stack, shape=(8, 8, 4)):
    """A model of a chain of layers, normalized by random statistics."""
    x = inputs = keras.Input(shape)
    for layer in stack:
        x = layer(x)
    model = keras.Model(inputs, x)
    _randomize_norms(model)
    return model


def _randomize_norms(model):
    rng = np.random.default_rng(0)
    for layer in flatten_layers(model):
        for weight in layer.weights if not isinstance(layer, keras.Model) else []:
            low, high = (0.5, 2) if weight.name in ("gamma", "moving_variance") else (-1, 1)
            weight.assign(rng.uniform(low, high, weight.shape))


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(8, 3, use_bias=False),
        layers.Conv2D(8, 3, groups=2, strides=2),
        layers.DepthwiseConv2D(3),
        layers.DepthwiseConv2D(3, depth_multiplier=3, use_bias=False, padding="same"),
        GroupedConv2D(8, 3, groups=4, strides=2, dilation_rate=2),
        layers.Dense(5, use_bias=False),
    ],
)
@pytest.mark.parametrize("parts", [{}, {"scale": False}, {"center": False}, {"axis": 3}])
def test_a_chain_is_folded(layer, parts):
    layer = type(layer).from_config(layer.get_config())
    kind = keras_sknet.BatchNormalization if parts else layers.BatchNormalization
    model = chain(layer, kind(name="norm", epsilon=0.01, **parts), layers.ReLU())
    folded = fold_batch_norm(model)
    x = batch((8, 8, 4))
    assert norms(folded) == [] and type(folded.get_layer("norm")) is layers.Identity
    assert relative_difference(folded(x), model(x)) < 1e-5
    assert folded.get_layer(layer.name).use_bias


def test_a_channels_first_chain_is_folded(require):
    require(not without_onednn("float32"), "a TensorFlow with oneDNN")
    conv = layers.Conv2D(6, 1, data_format="channels_first")
    model = chain(conv, layers.BatchNormalization(axis=1, name="norm"), shape=(4, 6, 6))
    folded = fold_batch_norm(model)
    assert norms(folded) == []
    # In a graph: called eagerly, channels-first convolutions give wrong numbers on CPU.
    got = [m.predict(batch((4, 6, 6)), verbose=0) for m in (folded, model)]
    assert relative_difference(*got) < 1e-5


def test_chains_in_models_inside_a_model_are_folded_once():
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 1), layers.BatchNormalization()])
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, inner(inner(inputs)))
    _randomize_norms(model)
    folded = fold_batch_norm(model)
    assert norms(folded) == []
    x = batch((8, 8, 4))
    assert relative_difference(folded(x), model(x)) < 1e-5


def _taken_twice(x):
    conv = layers.Conv2D(4, 1)(x)
    return layers.BatchNormalization()(conv) + conv


def _shown(x):
    conv = layers.Conv2D(4, 1)(x)
    return [layers.BatchNormalization()(conv), conv]


def _called_twice(x):
    conv, norm = layers.Conv2D(4, 1), layers.BatchNormalization()
    return norm(conv(x)) + norm(conv(2 * x))


def _activated(x):
    return layers.BatchNormalization()(layers.Conv2D(4, 1, activation="relu")(x))


def _on_other_axis(x):
    return layers.BatchNormalization(axis=1)(layers.Conv2D(4, 1)(x))


def _behind_relu(x):
    return layers.BatchNormalization()(ops.relu(layers.Conv2D(4, 1)(x)))


def _always_training(x):
    return layers.BatchNormalization()(layers.Conv2D(4, 1)(x), training=True)


def _at_the_input(x):
    return layers.BatchNormalization()(x)


@pytest.mark.parametrize(
    "body",
    [
        _taken_twice,
        _shown,
        _called_twice,
        _activated,
        _on_other_axis,
        _behind_relu,
        _always_training,
        _at_the_input,
    ],
)
def test_what_cannot_be_folded_stays(body):
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, body(inputs))
    _randomize_norms(model)
    folded = fold_batch_norm(model)
    assert norms(folded) == norms(model) != []
    x = batch((8, 8, 4))
    for got, want in zip(outputs(folded, x), outputs(model, x), strict=True):
        assert relative_difference(got, want) < 1e-6


def test_a_block_in_the_users_own_layer_keeps_its_normalization():
    @keras.saving.register_keras_serializable("test_rewrite")
    class Own(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.unit = keras_sknet.ConvNormAct(4, 3)

        def build(self, input_shape):
            self.unit.build(input_shape)

        def call(self, x):
            return self.unit(x)

    model = chain(Own(), keras_sknet.ConvNormAct(4, 3))
    folded = fold_batch_norm(model)
    assert len(norms(model)) == 2 and len(norms(folded)) == 1
    x = batch((8, 8, 4))
    assert relative_difference(folded(x), model(x)) < 1e-5


def test_a_published_network_of_keras_is_folded():
    model = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), classifier_activation=None)
    randomize(model)
    folded = fold_batch_norm(model)
    assert len(norms(model)) == 52 and norms(folded) == []
    x = images(2, (32, 32, 3))
    assert relative_difference(folded(x), model(x)) < 1e-5
