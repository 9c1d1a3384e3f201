"""Image files, as the commands take them."""

import numpy as np

from keras_sknet.cli.errors import CommandError
from keras_sknet.data.transforms import decode, is_image_file


def read_images(paths, transform):
    """Reads, decodes and transforms image files.

    Args:
        paths: List of `Path`, one or more.
        transform: Function that `keras_sknet.data.evaluation_transform` returns.

    Returns:
        float32 array `(images, height, width, 3)`.

    Raises:
        CommandError: for a file that cannot be read or decoded; it names the file.
    """
    return np.stack([_read(path, transform) for path in paths])


def _read(path, transform):
    import tensorflow as tf

    try:
        contents = path.read_bytes()
    except OSError as error:
        raise CommandError(f"Cannot read {str(path)!r} ({error.strerror})") from error
    if not is_image_file(tf.constant(contents)):
        raise CommandError(f"{str(path)!r} is neither a JPEG nor a PNG file")
    try:
        image = decode(contents)
    except tf.errors.InvalidArgumentError as error:
        raise CommandError(f"{str(path)!r} is cut off or damaged") from error
    return transform(image).numpy()
