"""Image files, as the commands take them."""

import numpy as np

from keras_sknet.cli.errors import CommandError
from keras_sknet.data.faults import decode_or_fault


def read_images(paths, transform):
    """Reads, decodes and transforms image files.

    Args:
        paths: List of `Path`, one or more.
        transform: Function that `keras_sknet.data.evaluation_transform` returns.

    Returns:
        float32 array `(images, height, width, 3)`.

    Raises:
        CommandError: for the first file that cannot be read or decoded; it names the file.
    """
    images = []
    for path in paths:
        image, reason = read_image(path, transform)
        if reason:
            raise CommandError(f"{str(path)!r} {reason}")
        images.append(image)
    return np.stack(images)


def read_image(path, transform):
    """Reads, decodes and transforms an image file, or tells what is wrong with it.

    Args:
        path: `Path`.
        transform: As for `read_images`.

    Returns:
        float32 array `(height, width, 3)` and `None`; or `None` and a phrase that continues "which".
    """
    try:
        contents = path.read_bytes()
    except FileNotFoundError:
        return None, "does not exist"
    except OSError as error:
        return None, f"cannot be read ({error.strerror})"
    pixels, reason = decode_or_fault(contents)
    return (None, reason) if reason else (transform(pixels).numpy(), None)
