"""Folders of image files."""

import hashlib
import os
import stat
from pathlib import Path

from keras_sknet.data.missing import split_missing
from keras_sknet.validation import require

SUFFIXES = (".jpg", ".jpeg", ".png")
# What the folder of a split may be called.
NAMES = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}


class Folder:
    """Image files in folders that are named after their classes: `root/split/label/*.jpg`.

    Files end in `.jpg`, `.jpeg` or `.png`, in upper or lower case; links count as what they lead to; hidden
    files and folders (`.name`) and all other files count as not there. Labels number the class folders in
    sorted order, which must be the same in every split as in `train`. The folder of the validation split is
    called `validation`, `val` or `valid`.

    Where the class folders are in the root itself and there are no splits, a file belongs to one by a hash
    of its class and its name: about 80 % to training, 10 % to validation and 10 % to test. A file
    stays where it is when others come or go.

    Args:
        root: Path of the folder.
        split: `"train"`, `"validation"` or `"test"`.

    Raises:
        ValueError: if the folder is not so.
    """

    def __init__(self, root, split):
        import tensorflow as tf

        self._text = f"folder:{root}"
        root = Path(os.path.expanduser(root))
        self._require(root.is_dir(), f"a folder that exists{_near(root)}")
        splits = _splits(root)
        folder = root
        if splits:
            with split_missing():
                self._require(split in splits, "a folder that has the split", split=split, found=_names(root))
            folder = splits[split]
            self._require_classes_of(splits.get("train", folder), folder)
        classes = _folders(folder)
        self._require(classes, "a folder of one folder for each class", folder=str(folder))
        self._require(not (odd := _no_text(classes)), "a folder of classes named in UTF-8", classes=odd)
        self.class_names = tuple(classes)
        paths, labels = [], []
        for label, (name, path) in enumerate(classes.items()):
            files = image_files(path)
            self._require(
                files or split != "train",
                "a folder with images (.jpg, .jpeg, .png) of each class",
                folder=str(path),
            )
            if not splits:
                files = [file for file in files if _split_of(name, file) == split]
                self._require(
                    files or split != "train",
                    "a folder with more images of each class, or with splits of their own",
                    folder=str(path),
                )
            paths += [os.path.join(path, file) for file in files]
            labels += [label] * len(files)
        with split_missing():
            self._require(paths, "a folder with images (.jpg, .jpeg, .png) of this split", split=split)
        self.paths, self.labels = paths, labels
        with tf.device("/CPU:0"):
            # Names of files are bytes, not always of UTF-8.
            self._paths = tf.constant([os.fsencode(path) for path in paths])
            self._labels = tf.constant(labels, tf.int32)

    def __len__(self):
        return len(self.paths)

    def element(self, index, seed, epoch):
        """Contents and label of a file."""
        import tensorflow as tf

        return tf.io.read_file(tf.gather(self._paths, index)), tf.gather(self._labels, index)

    def describe(self, index):
        """The path of a file, as text: what is not UTF-8 in it is escaped."""
        return os.fsencode(self.paths[index]).decode(errors="backslashreplace")

    def _require(self, condition, requirement, **received):
        require(condition, "text", requirement, text=self._text, **received)

    def _require_classes_of(self, training, folder):
        wanted, found = set(_folders(training)), set(_folders(folder))
        self._require(
            wanted == found,
            f"a folder with the same classes in {training.name!r} and {folder.name!r}",
            missing=sorted(wanted - found),
            additional=sorted(found - wanted),
        )


def _splits(root):
    """{split: its folder}; empty where the folders of the root are classes."""
    folders = {name.lower(): path for name, path in _folders(root).items()}
    found = {
        split: next((folders[name] for name in names if name in folders), None)
        for split, names in NAMES.items()
    }
    # A class may be called "train"; what holds folders is a split.
    return {split: path for split, path in found.items() if path and _folders(path)}


def _folders(root):
    """{name: path} of the folders in a folder, sorted by name, without hidden ones."""
    with os.scandir(root) as entries:
        # Not the entry's own `is_dir`, which fails at a link that leads to itself.
        found = {
            e.name: Path(e.path) for e in entries if not e.name.startswith(".") and os.path.isdir(e.path)
        }
    return dict(sorted(found.items()))


def image_files(folder):
    """Sorted names of the images in a folder, links that lead nowhere included, so that they are noticed."""

    def is_other(path):
        try:
            return not stat.S_ISREG(os.stat(path).st_mode)
        except OSError:
            return False

    with os.scandir(folder) as entries:
        return sorted(
            e.name
            for e in entries
            if e.name.lower().endswith(SUFFIXES) and not e.name.startswith(".") and not is_other(e.path)
        )


def _no_text(names):
    """Those of the names that are not UTF-8, which no report, label or export could tell."""
    # Python keeps such a byte as half of a pair of codes.
    return [name for name in names if any("\ud800" <= letter <= "\udfff" for letter in name)]


def _split_of(label, file):
    digest = hashlib.sha256(os.fsencode(f"{label}/{file}")).digest()
    tenth = int.from_bytes(digest[:8]) % 10
    return {8: "validation", 9: "test"}.get(tenth, "train")


def _names(root):
    return list(_folders(root))


def _near(root):
    """What else there is where a folder is missing."""
    from difflib import get_close_matches

    parent = root.parent
    near = get_close_matches(root.name, _names(parent)) if parent.is_dir() else []
    return f" (there is {str(parent / near[0])!r})" if near else ""
