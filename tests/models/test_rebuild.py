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


class Unsaved(layers.Layer):
    def __init__(self, function):
        super().__init__(name="unsaved")
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
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, Unsaved(ops.relu)(inputs), name="mine")
    with pytest.raises(ValueError, match="`model` must be made of layers.* model='mine', layer='unsaved'"):
        rewrite(model)


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
