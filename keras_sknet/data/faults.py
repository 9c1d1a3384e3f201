"""What is wrong with the images of a source, told with their paths."""

import contextlib
import numbers
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from keras_sknet.data.transforms import TOO_MANY_PIXELS, decode, is_image_file, pixels
from keras_sknet.validation import positive_integer, positive_pair, require

# So many results are waited for at once, of millions of images.
WINDOW = 1024
SAMPLE = 256
NEITHER = "is neither a JPEG nor a PNG file"
OTHER_FORMATS = {
    start: f"is a {name} file, neither JPEG nor PNG"
    for start, name in {
        b"GIF8": "GIF",
        b"BM": "BMP",
        b"RIFF": "WebP",
        b"II*\0": "TIFF",
        b"MM\0*": "TIFF",
    }.items()
}
HEAD = 8


def find_corrupt(source, indices=None, size=None):
    """Decodes every image of a source, in parallel, and tells which of them cannot be.

    Args:
        source: As in `batches`.
        indices: Sequence of integers, the elements to look at. Defaults to `None`, all of them.
        size: Integer or pair of them, the height and width that an image must have at least. Defaults to
            `None`: any will do.

    Returns:
        List of `(index, path, reason)` in the order of the indices. For an element that is no file of its
        own, the path is what else tells which one it is.

    Raises:
        ValueError: for indices that the source does not have, or what is no size.

    Example:

    ```python
    from keras_sknet.data import Digits, find_corrupt

    len(find_corrupt(Digits("validation")))  # 0
    ```
    """
    if indices is None:
        indices = range(len(source))
    else:
        whole = all(isinstance(index, numbers.Integral) and 0 <= index < len(source) for index in indices)
        require(
            whole,
            "indices",
            "integers from 0 to below the length of `source`",
            indices=indices,
            length=len(source),
        )
    return list(_corrupt(source, indices, None if size is None else positive_pair("size", size)))


def skip_corrupt(source, size=None):
    """Decodes every image of a source, in parallel, and leaves out those that cannot be.

    Args:
        source: As in `batches`.
        size: As in `find_corrupt`. Defaults to `None`.

    Returns:
        The source without them (itself if there are none), and what `find_corrupt` returns.

    Raises:
        ValueError: if no image is left.

    Example:

    ```python
    from keras_sknet.data import Digits, skip_corrupt

    source, corrupt = skip_corrupt(Digits("validation"))
    ```
    """
    from keras_sknet.data.subset import Subset

    corrupt = find_corrupt(source, size=size)
    if not corrupt:
        return source, []
    kept = np.setdiff1d(np.arange(len(source)), [index for index, _, _ in corrupt])
    require(len(kept), "source", "of images that can be read", file=corrupt[0][1], reason=corrupt[0][2])
    return Subset(source, kept), corrupt


@contextlib.contextmanager
def naming_corrupt_files(*sources, size=None):
    """Context in which a failure to read or decode an image becomes an error that names its file.

    It costs nothing as long as nothing fails. Then the sources that it was given, those that are read inside,
    are searched for the file at fault, which takes as long as decoding them; an error that no image explains
    stays what it was.

    Args:
        size: As in `find_corrupt`, where smaller images are failures too. Defaults to `None`.

    Raises:
        ValueError: for the first file that cannot be read, or is too small; it tells path and reason.

    Example:

    ```python
    from keras_sknet.data import Digits, batches, naming_corrupt_files

    digits = Digits("train")
    with naming_corrupt_files(digits):
        for images, labels in batches(digits, 1300):
            pass
    ```
    """
    import tensorflow as tf

    size = None if size is None else positive_pair("size", size)
    try:
        yield
    except tf.errors.ResourceExhaustedError:
        raise  # by no image
    except tf.errors.OpError as error:
        for source in sources:
            for _, path, reason in _corrupt(source, range(len(source)), size):
                text = f"`source` must be of images that can be read. Received: file={path!r}, which {reason}"
                raise ValueError(text) from error
        raise


def check_sizes(source, size, sample=SAMPLE):
    """Checks on some images of a source that none is smaller than what is to be cut out of it.

    Args:
        source: As in `batches`.
        size: Integer or pair of them, height and width of the crop.
        sample: Integer, how many images to look at, spread over the source. Defaults to `256`.

    Returns:
        The median height and width of these images; `None` if none of them can be read.

    Raises:
        ValueError: if one is smaller, with its size and path; or for an argument that cannot work.

    Example:

    ```python
    from keras_sknet.data import Digits, check_sizes

    check_sizes(Digits("train"), 32)  # (32, 32)
    ```
    """
    import tensorflow as tf

    size = positive_pair("size", size)
    positive_integer("sample", sample)
    found = []
    for index in np.unique(np.linspace(0, len(source) - 1, sample).astype(int)):
        try:
            height, width = pixels(_image(source, index)).shape[:2]
        except tf.errors.OpError:
            continue  # found by those whose task it is
        found.append((height, width))
        require(
            height >= size[0] and width >= size[1],
            "size",
            "no more than the images' height and width",
            size=size,
            image=(height, width),
            file=describe(source, index),
        )
    return tuple(np.median(found, axis=0).astype(int).tolist()) if found else None


def decode_or_fault(contents):
    """Decodes the bytes of an image file, or tells what is wrong with them.

    Args:
        contents: Scalar string tensor or `bytes`.

    Returns:
        `uint8` tensor `(height, width, 3)` and `None`; or `None` and a phrase that continues "which".

    Example:

    ```python
    from keras_sknet.data.faults import decode_or_fault

    decode_or_fault(b"")  # (None, "is empty")
    ```
    """
    import tensorflow as tf

    contents = tf.convert_to_tensor(contents)
    head = tf.strings.substr(contents, 0, HEAD).numpy()
    if not head:
        return None, "is empty"
    if not is_image_file(contents):
        return None, next((text for start, text in OTHER_FORMATS.items() if head.startswith(start)), NEITHER)
    try:
        return decode(contents), None
    except tf.errors.InvalidArgumentError as error:
        return None, "has too many pixels" if TOO_MANY_PIXELS in error.message else "is cut off or damaged"


def describe(source, index):
    """The path of an element of a source, or what else tells which one it is."""
    return source.describe(index) if hasattr(source, "describe") else f"element {index}"


def _corrupt(source, indices, size=None):
    """Yields `(index, path, reason)` of what cannot be decoded, or is smaller than `size`."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(indices), WINDOW):
            window = [int(index) for index in indices[start : start + WINDOW]]
            for index, reason in zip(
                window, pool.map(lambda i: _fault(source, i, size), window), strict=True
            ):
                if reason:
                    yield index, describe(source, index), reason


def _image(source, index):
    import tensorflow as tf

    zero = tf.constant(0, tf.int64)
    return source.element(tf.constant(index, tf.int64), zero, zero)[0]


def _fault(source, index, size):
    """What is wrong with an element: a phrase that continues "which", or `None`."""
    import tensorflow as tf

    try:
        image = _image(source, index)
    except tf.errors.NotFoundError:
        return "does not exist"
    except tf.errors.OpError as error:
        return f"cannot be read ({error.message.splitlines()[0]})"
    if image.dtype == tf.string:
        image, reason = decode_or_fault(image)
        if reason:
            return reason
    height, width = image.shape[:2]
    if size and (height < size[0] or width < size[1]):
        return f"has {height}x{width} pixels, fewer than {size[0]}x{size[1]}"
    return None
