"""Tiny networks on which most tests run."""

import keras

import keras_sknet
from keras_sknet import Branch

BRANCHES = (Branch(3, 1, 2), Branch(3, 2, 2))
TINY = {"depths": (1, 1, 1, 1), "widths": (8, 8, 16, 16), "filters": (8, 16, 16, 32), "stem_filters": 8}


def tiny(name="SKNet50", **options):
    """A network of the package by its name: 32×32 pixels, five classes, at most 32 channels."""
    groups = {"branches": BRANCHES} if name.startswith("SK") else {"cardinality": 2}
    return getattr(keras_sknet, name)(
        **{"input_shape": (32, 32, 3), "classes": 5, **TINY, **groups, **options}
    )


def small(input_shape=(32, 32, 3), crop_fraction=0.875, interpolation="bicubic", **classifier):
    """A classifier of images that is no network of the package: built, exported and run in no time."""
    inputs = keras.Input(input_shape)
    x = keras_sknet.layers.ImageNormalization(crop_fraction=crop_fraction, interpolation=interpolation)(
        inputs
    )
    x = keras.layers.Conv2D(16, 5, strides=3, activation="relu", kernel_initializer="random_normal")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(x))
    outputs = keras_sknet.Classifier(
        5, kernel_initializer=keras.initializers.RandomNormal(stddev=9), **classifier
    )(x)
    return keras.Model(inputs, outputs, name="small")
