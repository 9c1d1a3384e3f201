"""Files and folders that appear whole or not at all."""

import contextlib
import errno
import os
import re
import tempfile
from pathlib import Path

from keras_sknet.validation import require

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What TensorFlow puts around a reason.
AROUND = re.compile(r"^\{\{.*?\}\} | \[Op:\w+\].*$")


@contextlib.contextmanager
def appearing_whole(path, replace=False):
    """Lets a `with` block write a file or folder that gets its name when it is complete.

    Args:
        path: String or path object. The folder around it must exist.
        replace: Boolean, whether a file that is there gives way to the new one. Defaults to `False`: nothing
            may be there.

    Yields:
        The `Path` to write to, in a hidden folder beside `path` of which nothing remains in the end.

    Raises:
        ValueError: if `path` exists, at the start or at the end, and is not to be replaced, or the folder
            around it does not.
        OSError: if the folder around it cannot be written to, or the disk is full, in words about `path`.

    Example:

    ```python
    from keras_sknet.files import appearing_whole

    with appearing_whole("notes.txt") as unfinished:
        unfinished.write_text("complete")
    ```
    """
    require(isinstance(path, (str, os.PathLike)), "path", "a string or a path object", path=path)
    path = Path(path)
    if not replace:
        _require_free(path)
    require(path.parent.is_dir(), "path", "in a folder that exists", path=str(path))
    with _hidden_folder(path.parent, path) as folder:
        # One level deeper, as a temporary folder itself is its owner's alone.
        unfinished = folder / path.name
        yield unfinished
        if not replace:
            _require_free(path)
        unfinished.replace(path)


@contextlib.contextmanager
def filled_whole(folder):
    """Lets a `with` block write the contents of a new or empty folder, which appear when they are complete.

    An empty folder itself stays: it may be a link, the working directory, or where a disk is mounted.

    Args:
        folder: String or path object. The folder around it must exist.

    Yields:
        The `Path` of a folder to write to, of which nothing remains in the end.

    Raises:
        ValueError, OSError: as `appearing_whole` does.

    Example:

    ```python
    from keras_sknet.files import filled_whole

    with filled_whole("report") as unfinished:
        (unfinished / "notes.txt").write_text("complete")
    ```
    """
    folder = Path(folder)
    if not folder.is_dir():
        with appearing_whole(folder) as unfinished:
            unfinished.mkdir()
            yield unfinished
        return
    with _hidden_folder(folder, folder) as unfinished:
        yield unfinished
        others = [path.name for path in folder.iterdir() if path != unfinished]
        require(not others, "path", "empty until the end", path=str(folder), found=others)
        for path in sorted(unfinished.iterdir()):
            path.replace(folder / path.name)


@contextlib.contextmanager
def _hidden_folder(parent, path):
    """A folder in `parent` for the time of a `with` block; errors of the disk are in words about `path`."""
    with contextlib.ExitStack() as stack:
        try:
            folder = tempfile.TemporaryDirectory(prefix=f".{path.name[:50]}.", dir=parent)
            folder = Path(stack.enter_context(folder))
        except OSError as error:
            raise OSError(error.errno, f"Cannot write here ({error.strerror})", str(path)) from error
        try:
            yield folder
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise OSError(error.errno, f"Cannot write here ({error.strerror})", str(path)) from error


def _require_free(path):
    require(not os.path.lexists(path), "path", "new: nothing is overwritten", path=str(path))


@contextlib.contextmanager
def write_errors(path):
    """Turns what goes wrong in writing unfinished files, by TensorFlow too, into one line about `path`.

    Args:
        path: String or path object, the name that the user knows.

    Raises:
        OSError: for the errors of the system and of TensorFlow.

    Example:

    ```python
    import tensorflow as tf
    from keras_sknet.files import write_errors

    with write_errors("log"):
        tf.summary.create_file_writer("log")
    ```
    """
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        # TensorFlow puts its own kernel and the temporary file in front of the reason, more below it.
        reason = AROUND.sub("", error.message.partition("\n")[0].rpartition("; ")[2])
        raise OSError(f"Cannot write {str(path)!r} ({reason})") from error
    except OSError as error:
        raise OSError(f"Cannot write {str(path)!r} ({error.strerror or error})") from error
