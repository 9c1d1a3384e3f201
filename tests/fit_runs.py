"""Short trainings of a tiny network by `fit`, and what kills them."""

import keras
import numpy as np

from keras_sknet import Branch, SKNetSmall
from keras_sknet.data import Digits
from keras_sknet.training import Recipe, fit

RECIPE = Recipe(epochs=3, batch_size=16, learning_rate=0.05)


def tiny(**options):
    branches = (Branch(3, groups=1), Branch(3, 2, groups=1))
    sizes = {"depths": (1, 1, 1), "widths": (4, 4, 4), "filters": (8, 8, 8), "stem_filters": 4}
    return SKNetSmall(**sizes, branches=branches, **options)


def dropout(seed):
    """A net with a random layer, whose seed generator is a part of the state."""
    net = tiny(include_top=False, pooling="avg")
    x = keras.layers.Dropout(0.3, seed=seed)(net.output)
    return keras.Model(net.input, keras.layers.Dense(10, "softmax")(x))


def train(output, seed=0, recipe=RECIPE, make=tiny, **options):
    output.mkdir(exist_ok=True)
    keras.utils.set_random_seed(seed)
    model = make()
    return model, *fit(
        model, Digits("train"), Digits("validation"), recipe, output, seed=seed, verbose=False, **options
    )


def values(model):
    return [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]


def assert_equal(first, second):
    for one, other in zip(values(first), values(second), strict=True):
        np.testing.assert_array_equal(one, other)


class Killed(BaseException):
    """As good as `kill -9`: nothing catches it."""


class Killer(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        self.step -= 1
        if self.step == 0:
            raise Killed
