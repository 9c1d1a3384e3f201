"""The one way in which commands and users name data."""

import os
from difflib import get_close_matches

from keras_sknet.data.cached import Cached
from keras_sknet.data.digits import Digits
from keras_sknet.data.folder import Folder
from keras_sknet.data.tfds import Tfds, near_names
from keras_sknet.validation import one_of, require

SPLITS = ("train", "validation", "test")


def open_source(text, split, data_dir=None, cache=False):
    """Opens images with labels by their name.

    - `"digits"`: `Digits`, scikit-learn's at three scales.
    - `"folder:PATH"`: files `PATH/split/label/*.jpg` (`.jpeg`, `.png`), with splits called `train`,
      `validation` (or `val`, `valid`) and `test`, all of the same classes. Where `PATH` has the class folders
      themselves, a file belongs to a split by a hash of its class and name: about 80 % to `train` and 10 % to
      each other one. Links are followed; hidden files and folders are left out.
    - `"tfds:NAME"` or `"tfds:NAME/CONFIG"`: any data set of TensorFlow Datasets with one label an image,
      prepared on this machine; nothing is downloaded. Without a validation split the last 10 % of the
      training split stand for it, and are not trained on (CIFAR-10: 45,000 and 5,000); without a test split
      either, the last 20 % stand for both.

    Args:
        text: String, one of these.
        split: `"train"`, `"validation"` or `"test"`.
        data_dir: Path of the folder that TensorFlow Datasets prepared data in. Defaults to `None`, its own.
        cache: Boolean, whether the contents of all files are read now and kept in memory, as they are on
            disk. Digits, which are in memory anyway, need none. Defaults to `False`.

    Returns:
        Source: an object with `class_names`, a length, and `element(index, seed, epoch)`, which returns an
        image (a `uint8` tensor, or the bytes of a JPEG or PNG file) and its label.

    Raises:
        ValueError: if there is no such data; the error tells what there is instead.
        ImportError: without the package that has the data.

    Example:

    ```python
    from keras_sknet.data import open_source

    digits = open_source("digits", "test")
    len(digits)  # 1080
    ```
    """
    kind, _, rest = str(text).partition(":")
    if text != "digits" and not (rest and kind in ("folder", "tfds")):
        require(False, "text", f"'digits', 'folder:PATH' or 'tfds:NAME'{_hint(str(text))}", text=text)
    one_of("split", split, SPLITS)
    tfds = kind == "tfds"
    require(data_dir is None or tfds, "data_dir", "None but for 'tfds:NAME'", data_dir=data_dir, text=text)
    if text == "digits":
        return Digits(split)
    source = Tfds(rest, split, data_dir) if tfds else Folder(rest, split)
    classes = source.class_names
    require(len(classes) > 1, "text", "data of two classes or more", text=text, classes=classes)
    return Cached(source) if cache else source


def _hint(text):
    """Names that are much like what is no name of data, or nothing."""
    is_folder = text and os.path.isdir(os.path.expanduser(text))
    near = [f"folder:{text}"] if is_folder else get_close_matches(text, ["digits"])
    try:
        near = near or near_names(text)
    except ImportError:
        pass
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
