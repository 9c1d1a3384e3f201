"""Tiny networks on which most tests run."""

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
