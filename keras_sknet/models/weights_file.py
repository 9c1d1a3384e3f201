"""Weights from a file of the user's: they fit wholly, or the error says so."""

import contextlib
import os
import textwrap
import zipfile

import h5py

from keras_sknet.validation import require

# Where Keras keeps the arrays: inside a .keras archive, and those of a network's classifier.
ARCHIVE_MEMBER = "model.weights.h5"
CLASSIFIER = "layers/classifier/"


def load_weights_file(model, path, include_top=True):
    """Loads a weights file into a network, all of it.

    Keras passes over what a file has and the model has not, so that a deeper network's would seem to fit.

    Args:
        model: A network of this package.
        path: Path of a `.weights.h5` or `.keras` file.
        include_top: Boolean. Without a top the file's classifier, if it has one, is passed over.

    Raises:
        ValueError: if there is no such file, it is damaged, or it does not fit.
    """
    require(
        isinstance(path, (str, os.PathLike)) and os.path.isfile(path),
        "weights",
        "None or the path of an existing .weights.h5 or .keras file",
        weights=path,
    )
    require(
        os.fspath(path).endswith((".weights.h5", ".keras")),
        "weights",
        "a file whose name ends in .weights.h5 or .keras",
        weights=path,
    )
    try:
        names = _array_names(path)
        model.load_weights(path)
    except Exception as error:  # a damaged file makes Keras, zipfile and h5py raise all kinds
        reason = textwrap.shorten(str(error), 300, placeholder=" …")
        raise ValueError(
            f"`weights` must be an undamaged file that fits the model {model.name!r} as built: its layers, "
            f"`classes` and `include_top`. Received: weights={path!r}. Keras says: {reason}"
        ) from error
    if not include_top:
        names = [name for name in names if not name.startswith(CLASSIFIER)]
    require(
        len(names) <= len(model.variables),
        "weights",
        f"a file with no more weights than the model {model.name!r} has, {len(model.variables)} arrays",
        weights=path,
        arrays=len(names),
    )


def _array_names(path):
    """Names of the model's arrays in a file, the optimizer's left out."""
    names = []
    with contextlib.ExitStack() as stack:
        if os.fspath(path).endswith(".keras"):
            path = stack.enter_context(stack.enter_context(zipfile.ZipFile(path)).open(ARCHIVE_MEMBER))
        file = stack.enter_context(h5py.File(path, "r"))
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return [name for name in names if not name.startswith("optimizer/")]
