"""The networks of the paper's tables, built and counted, each once."""

import functools
import gc

import keras

from keras_sknet import models
from keras_sknet.complexity import complexity
from keras_sknet.extras import import_extra


def build(net):
    """Builds a network of random weights; nothing is downloaded.

    Args:
        net: `published.Net`.

    Returns:
        `keras.Model`.

    Raises:
        ImportError: if the package it comes from is not installed.
    """
    return BUILDERS[net.package](net.name, **dict(net.options))


@functools.cache
def measure(net):
    """Counts a network.

    Args:
        net: `published.Net`.

    Returns:
        `keras_sknet.Complexity` and the side of the images that it is for, or `None` without the network's
        package.
    """
    try:
        model = build(net)
    except ImportError:
        return None
    found = complexity(model), model.input_shape[1]
    del model
    gc.collect()  # else the weights of network after network stay until Python comes to it
    return found


def _own(name, **options):
    return getattr(models, name)(**options)


def _applications(name):
    return getattr(keras.applications, name)(weights=None)


def _zeromodels(name):
    module = import_extra(f"zeromodels.models.{name.lower()}")
    return getattr(module, f"{name}ImageClassify")()


def _keras_hub(name, **options):
    hub = import_extra("keras_hub").models
    backbone = getattr(hub, f"{name}Backbone")(image_shape=(224, 224, 3), **options)
    return getattr(hub, f"{name}ImageClassifier")(backbone, num_classes=1000)


BUILDERS = {
    "keras_sknet": _own,
    "keras.applications": _applications,
    "zeromodels": _zeromodels,
    "keras_hub": _keras_hub,
}
