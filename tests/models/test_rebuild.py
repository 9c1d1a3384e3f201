import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_sknet import fold_batch_norm, replace_grouped_convolutions


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(4, 3, groups=2)

    def call(self, x):
        return self.conv(x)


class Overridden(keras.Model):
    def __init__(self, filters):
        inputs = keras.Input((8, 8, 4))
        super().__init__(inputs, layers.Conv2D(filters, 3, groups=2)(inputs))

    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training, mask=mask)


class Residual(keras.Sequential):
    def call(self, inputs, training=None, mask=None):
        return inputs + super().call(inputs, training=training, mask=mask)


class ResidualOfItsOwn(Residual):
    def __init__(self):
        super().__init__([keras.Input((8, 8, 4)), layers.Conv2D(4, 3, groups=2, padding="same")])


class Unsaved(layers.Layer):
    def __init__(self, function):
        super().__init__(name="unsaved")
        self.function = function

    def call(self, x):
        return self.function(x)


class Forgetful(layers.Layer):
    """Its config does not say what it computes."""

    def __init__(self, function=None, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, x):
        return self.function(x)


@pytest.mark.parametrize("rewrite", [replace_grouped_convolutions, fold_batch_norm])
def test_what_cannot_be_rebuilt_is_one_clear_error(rewrite):
    subclassed = Subclassed()
    subclassed(ops.ones((2, 8, 8, 4)))
    unbuilt = keras.Sequential([layers.Conv2D(4, 3, groups=2)])
    for model in (subclassed, unbuilt, layers.Dense(2), None):
        with pytest.raises(ValueError, match="`model` must be a functional keras.Model.* Received: model="):
            rewrite(model)
    with pytest.raises(ValueError, match="where it has a `call` of its own. Received: model='Overridden'"):
        rewrite(Overridden(8))
    with pytest.raises(ValueError, match="`call` of its own. Received: model='ResidualOfItsOwn'"):
        rewrite(ResidualOfItsOwn())
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, Unsaved(ops.relu)(inputs), name="mine")
    with pytest.raises(ValueError, match="`model` must be made of layers.* model='mine', layer='unsaved'"):
        rewrite(model)


@pytest.mark.parametrize("rewrite", [replace_grouped_convolutions, fold_batch_norm])
def test_what_a_sequential_model_computes_itself_is_kept(rewrite):
    model = Residual([keras.Input((8, 8, 4)), layers.Conv2D(4, 3, groups=2, padding="same")])
    x = tf.random.normal((2, 8, 8, 4))
    copy = rewrite(model)
    assert type(copy) is Residual
    np.testing.assert_allclose(copy(x), model(x), atol=1e-5)


@pytest.mark.parametrize("rewrite", [replace_grouped_convolutions, fold_batch_norm])
def test_a_lambda_says_its_shape_by_a_function(rewrite):
    inputs = keras.Input((8, 8, 4))
    doubled = layers.Lambda(lambda x: 2 * x, output_shape=lambda shape: shape)(inputs)
    model = keras.Model(inputs, layers.Conv2D(4, 3, groups=2)(doubled))
    x = tf.random.normal((2, 8, 8, 4))
    np.testing.assert_allclose(rewrite(model)(x), model(x), atol=1e-5)


def test_a_layer_that_cannot_be_called_again_is_named():
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, Forgetful(ops.relu)(inputs))
    with pytest.raises(ValueError, match="`model` must be made of layers.* layer='forgetful'"):
        fold_batch_norm(model)


@pytest.mark.parametrize("rewrite", [replace_grouped_convolutions, fold_batch_norm])
def test_layers_called_by_names_alone_and_learned_vocabularies_are_copied(rewrite):
    images, words = keras.Input((8, 8, 4)), keras.Input((1,), dtype="string")
    lookup = layers.StringLookup(output_mode="one_hot")
    lookup.adapt(np.array([["cat"], ["dog"], ["cat"]]))
    x = layers.Reshape((36, 8))(layers.Conv2D(8, 3, groups=2)(images))
    x = layers.MultiHeadAttention(2, 4)(query=x, value=x)
    outputs = layers.Dense(2)(layers.Concatenate()([layers.Flatten()(x), lookup(words)]))
    model = keras.Model([images, words], outputs)
    inputs = [tf.random.normal((3, 8, 8, 4)), tf.constant([["dog"], ["cat"], ["cow"]])]
    copy = rewrite(model)
    np.testing.assert_allclose(copy(inputs), model(inputs), atol=1e-5)
    assert copy.count_params() == model.count_params()
