"""What the tests of KerasCV's and KerasHub's backbones share."""

import keras
import numpy as np
import pytest

from checks import images, randomize
from nets import tiny

SIZE = (64, 64, 3)
X = images(2, SIZE)
# What is no network of this package, and what is said of it.
NO_NETWORKS = pytest.mark.parametrize(
    "model, requirement",
    [
        (lambda: keras.Sequential([keras.Input((4,))]), "a functional keras.Model. Received: model="),
        (lambda: keras.Model(x := keras.Input((4,)), x, name="foreign"), "a network of this package. Rec"),
        (lambda: "SKNet50", "a functional keras.Model. Received: model='str'"),
    ],
)


def network(**options):
    model = tiny(**{"include_top": False, "input_shape": SIZE, "depths": (1, 2, 1, 1), **options})
    randomize(model)
    return model


def assert_equal_predictions(got, want):
    got, want = (keras.tree.flatten(model.predict(X, verbose=0)) for model in (got, want))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)


def layers_that_stay(network, train):
    """Names of the layers of a network whose weights are the same after `train()`."""
    layers = [layer for layer in network.layers if layer.weights]
    before = {layer.name: layer.get_weights() for layer in layers}
    train()
    return {
        layer.name for layer in layers if all(map(np.array_equal, before[layer.name], layer.get_weights()))
    }
