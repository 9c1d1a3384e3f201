"""The folder that a command writes to, and names in what it prints."""

import contextlib

from keras_sknet.cli.errors import CommandError


@contextlib.contextmanager
def output_folder(path):
    """Makes a folder inside a `with` block; if nothing is written to it, it goes again.

    Args:
        path: `Path`, the argument `--output`: nothing, or an empty folder.

    Yields:
        `path`.

    Raises:
        CommandError: if there is something else.
    """
    require_unused(path)
    created = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield path
    finally:
        if created and not any(path.iterdir()):
            path.rmdir()


def require_unused(path):
    """Raises `CommandError` unless there is nothing at `path`, or an empty folder."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise CommandError(f"argument --output: {str(path)!r} exists and is no empty folder: name another")


def shown(name):
    """A name in one line that a terminal can show: quoted if it has control characters or is no text.

    Args:
        name: `Path` or string.

    Returns:
        String.
    """
    name = str(name)
    return name if name.isprintable() else ascii(name)
