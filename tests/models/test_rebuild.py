import keras
import pytest
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
