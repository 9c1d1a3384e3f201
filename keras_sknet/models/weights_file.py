"""Weights from a file that Keras wrote: they fit wholly, or the error says so."""

import contextlib
import json
import os
import textwrap
import zipfile

import h5py
import keras
import numpy as np

from keras_sknet.layers import Classifier
from keras_sknet.models.keras_file import check_keras_file
from keras_sknet.ops._private import graph_nodes
from keras_sknet.validation import require
from keras_sknet.weights.checkpoint import Settings

# Where Keras keeps a model's description and arrays inside a .keras archive, and a classifier's arrays.
ARCHIVE_CONFIG = "config.json"
ARCHIVE_MEMBER = "model.weights.h5"
CLASSIFIER = "layers/classifier/"
BIAS = CLASSIFIER + "vars/1"


def load_weights_file(model, path, include_top=True):
    """Loads a weights file into a network, all of it but for a classifier of other classes.

    Keras passes over what a file has and the model has not, so that a deeper network's would seem to fit.

    Args:
        model: A network of this package.
        path: Path of a `.weights.h5` or `.keras` file.
        include_top: Boolean. Without a top the file's classifier, if it has one, is passed over.

    Returns:
        Number of the file's classes if its classifier was passed over for having other ones, else `None`.

    Raises:
        ValueError: if it is damaged, it does not fit, or it has values that are not finite.
    """
    classifiers = [layer for layer in model.layers if isinstance(layer, Classifier)] if include_top else []
    try:
        if _is_archive(path):
            check_keras_file(path)
        shapes = _array_shapes(path)
        (classes,) = shapes.get(BIAS, (None,))
        passed_over = bool(classifiers and classes and classes != classifiers[0].units)
        if passed_over:
            # A model that starts in the midst of another has calls of its own.
            (call,) = (node for node in graph_nodes(model) if node.operation is classifiers[0])
            model = keras.Model(model.inputs, call.input_tensors[0], name=model.name)
        model.load_weights(path)
    except Exception as error:  # a damaged file makes Keras, zipfile and h5py raise all kinds
        reason = textwrap.shorten(str(error), 300, placeholder=" …")
        raise ValueError(
            f"`weights` must be an undamaged file that fits the model {model.name!r} as built: its layers "
            f"and `include_top`. Received: weights={path!r}, reason={reason!r}"
        ) from error
    _require_finite(model, path)
    if passed_over or not include_top:
        shapes = [name for name in shapes if not name.startswith(CLASSIFIER)]
    require(
        len(shapes) <= len(model.variables),
        "weights",
        f"a file with no more weights than the model {model.name!r} has, {len(model.variables)} arrays",
        weights=path,
        arrays=len(shapes),
    )
    return classes if passed_over else None


def read_keras_settings(path):
    """Reads what a `.keras` file says of the network; a `.weights.h5` file says nothing.

    Args:
        path: Path of the file.

    Returns:
        `Settings`.

    Raises:
        ValueError: if the file is damaged.
    """
    if not _is_archive(path):
        return Settings()
    try:
        check_keras_file(path)
        with zipfile.ZipFile(path) as archive:
            layers = json.loads(archive.read(ARCHIVE_CONFIG))["config"]["layers"]
        configs = {layer["class_name"]: layer["config"] for layer in layers}
        stem, top = configs.get("Stem", {}), configs.get("Classifier", {})
        normalization = configs.get("ImageNormalization", {})
        names = top.get("class_names")
        return Settings(
            stem_padding=stem.get("padding", Settings().stem_padding),
            normalization={
                name: normalization[name]
                for name in ("mean", "std", "crop_fraction", "interpolation")
                if name in normalization
            },
            class_names=tuple(names) if names else None,
        )
    except Exception as error:  # zipfile raises all kinds, and JSON may hold anything
        raise ValueError(
            f"`weights` must be an undamaged file of a network of this package. Received: weights={path!r} "
            f"({textwrap.shorten(str(error), 200, placeholder=' …')})"
        ) from error


def _is_archive(path):
    return os.fspath(path).endswith(".keras")


def _require_finite(model, path):
    for variable in model.variables:
        values = keras.ops.convert_to_numpy(variable)
        require(
            np.issubdtype(values.dtype, np.integer) or np.isfinite(values).all(),
            "weights",
            "a file of finite numbers",
            weights=path,
            array=variable.path,
        )


def _array_shapes(path):
    """{name: shape} of the model's arrays in a file, the optimizer's left out."""
    shapes = {}
    with contextlib.ExitStack() as stack:
        if _is_archive(path):
            path = stack.enter_context(stack.enter_context(zipfile.ZipFile(path)).open(ARCHIVE_MEMBER))
        file = stack.enter_context(h5py.File(path, "r"))

        def visit(name, item):
            if isinstance(item, h5py.Dataset):
                shapes[name] = item.shape

        file.visititems(visit)
    return {name: shape for name, shape in shapes.items() if not name.startswith("optimizer/")}
