"""Labelled images, as the commands take them."""

import sys

from keras_sknet.cli.output import shown
from keras_sknet.data import open_source, skip_corrupt
from keras_sknet.data.cached import Cached
from keras_sknet.validation import require

DATA = """\
'digits' (scikit-learn's, at three scales), 'folder:PATH' for PATH/SPLIT/CLASS/*.jpg (or .png), or 'tfds:NAME'
for a data set of TensorFlow Datasets"""


def add_data_options(parser, default=None):
    """Adds the options that tell the data.

    Args:
        parser: Parser of a command.
        default: Default of `--data`. Without one the option is required.
    """
    parser.add_argument(
        "--data",
        default=default,
        required=default is None,
        metavar="DATA",
        help=DATA + (f" (default: {default})" if default else ""),
    )
    parser.add_argument("--data-dir", metavar="FOLDER", help="tfds: where the data sets are")
    parser.add_argument(
        "--skip-corrupt", action="store_true", help="leave files out that cannot be decoded, and name them"
    )


def open_data(arguments, split, cache=False, size=None):
    """Opens the data that a command names.

    Args:
        arguments: The command's.
        split: `"train"`, `"validation"` or `"test"`.
        cache: As in `keras_sknet.data.open_source`. Defaults to `False`.
        size: As in `keras_sknet.data.skip_corrupt`, which smaller images are left out with the corrupt ones.
            Defaults to `None`.

    Returns:
        A source, and how many corrupt files it leaves out.

    Raises:
        ValueError: if there is no such data.
    """
    if not arguments.skip_corrupt:
        return open_source(arguments.data, split, arguments.data_dir, cache), 0
    source, corrupt = skip_corrupt(open_source(arguments.data, split, arguments.data_dir), size)
    for _, path, reason in corrupt:
        print(f"Skipped: {shown(path)}, which {reason}", file=sys.stderr)
    if split == "train" and corrupt:
        _require_all_classes(source)
    # Digits are in memory anyway.
    return Cached(source) if cache and arguments.data != "digits" else source, len(corrupt)


def _require_all_classes(source):
    """Raises an error if corrupt files were all that a class had: a network would never give its name."""
    labels = getattr(source.source, "labels", None)
    if labels is None:  # only folders tell labels without reading images
        return
    left = {labels[index] for index in source.indices}
    empty = [name for label, name in enumerate(source.class_names) if label not in left]
    require(not empty, "--skip-corrupt", "used where each class has images that can be read", without=empty)
