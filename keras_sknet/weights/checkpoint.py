"""Files of timm's: the tensors of a `.safetensors` file, and what is said of them in its `config.json`."""

import contextlib
import json
import textwrap
from pathlib import Path
from typing import NamedTuple

from keras_sknet.extras import import_extra
from keras_sknet.layers import ImageNormalization
from keras_sknet.layers.stem import PADDINGS
from keras_sknet.validation import one_of
from keras_sknet.weights.timm import CLASSIFIER

# timm's word for an interpolation, where it is not Keras'.
INTERPOLATIONS = {"lanczos": "lanczos3"}


class Settings(NamedTuple):
    """What weights say of the network that they are for.

    Args:
        stem_padding: `padding` of the `Stem` that they were trained with. Defaults to `"same"`.
        normalization: Arguments of `ImageNormalization`. Defaults to none: ImageNet's.
        class_names: Tuple of strings or `None`, the default.
        tag: String, of which training they are, or `None`, the default.
        license: String or `None`, the default.
    """

    stem_padding: str = "same"
    normalization: dict = {}
    class_names: tuple | None = None
    tag: str | None = None
    license: str | None = None


def read_tensors(path):
    """Reads all tensors of a `.safetensors` file.

    Args:
        path: String or path object.

    Returns:
        `{name: array}`.

    Raises:
        ValueError: if the file is damaged.
        ImportError: without safetensors.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def count_classes(tensors):
    """Tells how many classes a checkpoint tells apart.

    Args:
        tensors: `{name: array}`, under timm's names.

    Returns:
        Integer, or `None` if it has no classifier.
    """
    bias = tensors.get(CLASSIFIER[-1])
    return bias.shape[0] if bias is not None and bias.shape else None


def read_settings(path, config=None):
    """Reads what is known of the weights in a `.safetensors` file of timm's.

    It is taken from the file itself, if this package wrote it, else from timm's `config.json`.

    Args:
        path: String or path object of the `.safetensors` file.
        config: Path of the `config.json`. Defaults to the one beside `path`, if there is one.

    Returns:
        `Settings`. What nobody says is as timm does it.

    Raises:
        ValueError: if one of the files is damaged.
        ImportError: without safetensors.
    """
    config = Path(config or Path(path).with_name("config.json"))
    with _opened(path) as file:
        text = (file.metadata() or {}).get("config")
    source = path if text else config
    try:
        if text is None:
            text = config.read_text(encoding="utf-8") if config.is_file() else "{}"
        return _settings(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"`weights` must be weights whose description is timm's. Received: weights={str(path)!r}; "
            f"{str(source)!r} says otherwise ({error})"
        ) from error


def write_tensors(path, tensors, settings):
    """Writes a `.safetensors` file that timm reads, and `read_settings` too.

    Args:
        path: String or path object.
        tensors: `{name: array}`.
        settings: `Settings`.

    Raises:
        ImportError: without safetensors.
        OSError: if it cannot be written.
    """
    normalization = dict(settings.normalization)
    described = {
        "label_names": settings.class_names,
        "stem_padding": settings.stem_padding,
        "pretrained_cfg": {
            "tag": settings.tag,
            "license": settings.license,
            "crop_pct": normalization.pop("crop_fraction", None),
            **normalization,
        },
    }
    metadata = {"format": "pt", "config": json.dumps(described)}
    # Its own function that writes a file raises an error of its own on a full disk.
    Path(path).write_bytes(import_extra("safetensors.numpy").save(tensors, metadata))


@contextlib.contextmanager
def _opened(path):
    safetensors = import_extra("safetensors")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            yield file
    except (safetensors.SafetensorError, OSError, TypeError) as error:  # TypeError: a type NumPy lacks
        raise ValueError(
            f"`weights` must be an undamaged .safetensors file. Received: weights={str(path)!r}. "
            f"safetensors says: {textwrap.shorten(str(error), 300)}"
        ) from error


def _settings(config):
    # Old files have one level only.
    trained = config.get("pretrained_cfg", config)
    interpolation = trained.get("interpolation")
    normalization = {
        "mean": trained.get("mean"),
        "std": trained.get("std"),
        "crop_fraction": trained.get("crop_pct"),
        "interpolation": INTERPOLATIONS.get(interpolation, interpolation),
    }
    normalization = {name: value for name, value in normalization.items() if value is not None}
    ImageNormalization(**normalization)  # which tells what is wrong with them
    names = config.get("label_names", trained.get("label_names"))
    return Settings(
        stem_padding=one_of("stem_padding", config.get("stem_padding", "torch"), PADDINGS),
        normalization=normalization,
        class_names=tuple(map(str, names)) if isinstance(names, list) else None,
        tag=trained.get("tag"),
        license=trained.get("license"),
    )
