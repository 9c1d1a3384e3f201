"""What the argument `weights` of a network stands for, and how they get into it."""

import os
import re
import warnings
from collections.abc import Callable
from typing import NamedTuple

import keras

from keras_sknet.layers import Classifier
from keras_sknet.models.imagenet import class_names_of_imagenet
from keras_sknet.models.weights_file import load_weights_file, read_keras_settings
from keras_sknet.validation import require
from keras_sknet.weights import cache, hub
from keras_sknet.weights.checkpoint import Settings, count_classes, read_settings, read_tensors
from keras_sknet.weights.published import PUBLISHED
from keras_sknet.weights.shipped import SHIPPED, shipped_file
from keras_sknet.weights.timm import load_timm

TIMM, KERAS = ".safetensors", (".weights.h5", ".keras")
PICKLES = (".bin", ".pth", ".pt", ".pkl", ".ckpt")
# No part of it leads out of the hub's cache.
ON_HUB = re.compile(r"(?!.*\.\.)(timm/[\w.-]+)(?:@(\w[\w./-]*))?", re.ASCII)


class Weights(NamedTuple):
    """Weights, before there is a network.

    Args:
        settings: `Settings`.
        load: Function of the network, whether it has a top, and a function that builds the network
            anew as timm has it; `None` if there are none to load.
    """

    settings: Settings
    load: Callable | None


def open_weights(weights, function):
    """Finds weights and reads what they say of the network, before it is built.

    Args:
        weights: The argument of a network.
        function: Name of the network's function.

    Returns:
        `Weights`.

    Raises:
        ValueError: if there are none, or they are damaged.
        FileNotFoundError: if they cannot be had from the hub.
    """
    if weights is None:
        return Weights(Settings(), None)
    if isinstance(weights, str) and weights == "imagenet":
        require(
            function in PUBLISHED,
            "weights",
            f"a file or None for {function}, of which no weights are published; networks that have them: "
            f"{', '.join(PUBLISHED)}",
            weights=weights,
        )
        weights = PUBLISHED[function]
    if isinstance(weights, str):
        weights = shipped_file(function, weights) or weights
    on_hub = ON_HUB.fullmatch(weights) if isinstance(weights, str) else None
    if on_hub and not weights.endswith((TIMM, *KERAS, *PICKLES)):
        return _of_hub(*on_hub.groups())
    _require_readable(weights)
    if os.fspath(weights).endswith(TIMM):
        return _of_timm_file(weights)
    return Weights(
        read_keras_settings(weights),
        lambda network, include_top, build: _tell(network, load_weights_file(network, weights, include_top)),
    )


def _require_readable(weights):
    is_path = isinstance(weights, (str, os.PathLike))
    require(
        not is_path or not os.fspath(weights).endswith(PICKLES),
        "weights",
        "a .safetensors file, not one of PyTorch's pickles, which can run any code when they are read; "
        "`safetensors.torch.save_file(state_dict, path)` writes one",
        weights=weights,
    )
    require(
        is_path and os.path.isfile(weights),
        "weights",
        f"None, 'imagenet', {_names_of_shipped()}'timm/NAME.TAG' or the path of an existing .safetensors, "
        ".weights.h5 or .keras file",
        weights=weights,
    )
    require(
        os.fspath(weights).endswith((TIMM, *KERAS)),
        "weights",
        "a file whose name ends in .safetensors, .weights.h5 or .keras",
        weights=weights,
    )


def _names_of_shipped():
    return "".join(f"{name!r} ({function}), " for function, names in SHIPPED.items() for name in names)


def _of_timm_file(path):
    settings = _with_names(read_settings(path))
    if settings.license:
        print(f"Weights: {os.fspath(path)}, licence: {settings.license}")

    def load(network, include_top, build):
        tensors = read_tensors(path)
        classes = count_classes(tensors)
        top = next((layer for layer in network.layers if isinstance(layer, Classifier)), None)
        passed_over = top is not None and classes is not None and classes != top.units
        _load_timm(network, tensors, path, skip_classifier=passed_over)
        _tell(network, classes if passed_over else None)

    return Weights(settings, load)


def _of_hub(repository, revision):
    download = hub.fetch(repository, revision)
    settings = _with_names(read_settings(download.weights, download.config))
    print(f"Weights: {repository}, licence: {settings.license or 'not stated in their config.json'}")
    name = f"{repository.partition('/')[2]}-{download.sha256}"

    def load(network, include_top, build):
        kept = cache.find(name)
        try:
            if kept:
                return _tell(network, load_weights_file(network, kept, include_top))
        except ValueError:
            pass  # another version of this package may have written it
        hub.check(download)
        kept = cache.keep(name, lambda path: _convert(download.weights, build, path))
        return _tell(network, load_weights_file(network, kept, include_top))

    return Weights(settings, load)


def _convert(checkpoint, build, path):
    tensors = read_tensors(checkpoint)
    policy = keras.config.dtype_policy()
    # Whatever the user computes in, what is kept loses nothing.
    keras.config.set_dtype_policy("float32")
    try:
        classes = count_classes(tensors)
        network = build(classes=classes) if classes else build(include_top=False)
    finally:
        keras.config.set_dtype_policy(policy)
    _load_timm(network, tensors, checkpoint)
    network.save_weights(path)


def _load_timm(network, tensors, path, skip_classifier=False):
    try:
        with warnings.catch_warnings():
            # A padding other than timm's is what the user, or the file, asked for.
            warnings.simplefilter("ignore", UserWarning)
            load_timm(network, tensors, skip_classifier)
    except ValueError as error:
        raise ValueError(
            f"`weights` must be a file that fits the model {network.name!r} as built. "
            f"Received: weights={str(path)!r}. {error}"
        ) from error


def _with_names(settings):
    """Adds the names of ImageNet's classes, where weights were trained on them and bring none."""
    if settings.class_names is None and str(settings.tag).endswith("in1k"):
        return settings._replace(class_names=class_names_of_imagenet())
    return settings


def _tell(network, classes):
    if classes is not None:
        print(f"The classifier of model {network.name!r} is new: the weights' is for {classes} classes.")
