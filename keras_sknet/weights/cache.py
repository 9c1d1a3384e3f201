"""Converted weights, kept on this machine with a checksum."""

import os
import shutil
from pathlib import Path

from keras_sknet.files import appearing_whole
from keras_sknet.weights.hub import file_checksum

WEIGHTS, CHECKSUM = "model.weights.h5", "model.weights.h5.sha256"


def cache_folder():
    """Returns the `Path` of the folder, in Keras' own: `$KERAS_HOME` or `~/.keras`."""
    # Keras has no public function for it.
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home) / "keras_sknet"


def find(name):
    """Looks for converted weights; damaged ones are named, and removed.

    Args:
        name: String, of the weights.

    Returns:
        `Path` of a `.weights.h5` file that is what it was when it was written, or `None`.
    """
    folder = cache_folder() / name
    if not folder.is_dir():
        return None
    path, checksum = folder / WEIGHTS, folder / CHECKSUM
    if path.is_file() and checksum.is_file() and checksum.read_bytes() == _checksum(path):
        return path
    print(f"{str(path)!r} is damaged: it does not match its checksum. It is made anew.")
    shutil.rmtree(folder)
    return None


def keep(name, write):
    """Keeps converted weights, all of them or none, in place of those of this name that may be there.

    Args:
        name: String, of the weights.
        write: Function of a path, which writes a `.weights.h5` file there.

    Returns:
        `Path` of the file.

    Raises:
        OSError: if the folder cannot be written to.
    """
    folder = cache_folder() / name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            error.errno,
            f"Cannot keep converted weights here ({error.strerror}); set KERAS_HOME to another folder",
            str(folder.parent),
        ) from error
    try:
        with appearing_whole(folder, replace=True) as unfinished:
            unfinished.mkdir()
            write(unfinished / WEIGHTS)
            (unfinished / CHECKSUM).write_bytes(_checksum(unfinished / WEIGHTS))
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        # Another process may have been faster.
        if find(name) is None:
            raise
    return folder / WEIGHTS


def _checksum(path):
    return file_checksum(path).encode() + b"\n"
