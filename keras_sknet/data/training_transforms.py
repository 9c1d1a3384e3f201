"""From an image, or the bytes of its file, to what a network takes in training: another piece each time."""

import math
import numbers

from keras_sknet.data.transforms import JPEG_HEAD, decode, pixels
from keras_sknet.layers.preprocessing import INTERPOLATIONS
from keras_sknet.validation import one_of, positive_pair, require, whole_number

TRIES = 10


def training_transform(
    size,
    scale=(0.08, 1.0),
    ratio=(3 / 4, 4 / 3),
    flip=True,
    interpolation="bicubic",
    antialias=True,
):
    """Makes the function that cuts a random piece out of an image, resizes and may mirror it.

    The usual augmentation for ImageNet. The piece has a share of the image's area drawn from `scale`, and a
    ratio of width to height drawn from `ratio` (evenly in its logarithm); where ten draws do not fit, it is
    the largest piece in the centre whose ratio is allowed. Of a JPEG file only the piece is decoded, to the
    very pixels that it has in the whole image; so a file that is cut off fails only where the piece reaches
    the cut (`find_corrupt` looks at all of it). What it draws depends on its key alone.

    Args:
        size: Integer or pair of them, the height and width of the result.
        scale: Pair of numbers above 0 and at most 1, the smallest and largest share of the image's area.
            Defaults to `(0.08, 1.0)`.
        ratio: Pair of positive numbers, the smallest and largest ratio of width to height. Defaults to
            `(3 / 4, 4 / 3)`.
        flip: Boolean, whether half of the images are mirrored. Defaults to `True`.
        interpolation: As in `ImageNormalization`. Defaults to `"bicubic"`.
        antialias: Boolean, whether scaling down averages over pixels, as evaluation does. `False` with
            `"bilinear"` is the fastest. Defaults to `True`.

    Returns:
        Function of an image (a `uint8` tensor `(height, width, 3)` or the bytes of a JPEG or PNG file) and
        a key (a tensor of two integers), which returns a float32 tensor of 0–255. Its attribute `shape` is
        the result's shape.

    Raises:
        ValueError: for an argument that cannot work.

    Example:

    ```python
    import tensorflow as tf

    from keras_sknet.data import training_transform

    transform = training_transform(224)
    image = transform(tf.zeros((375, 500, 3), "uint8"), key=(0, 7))  # (224, 224, 3)
    ```
    """
    size = positive_pair("size", size)
    scale, ratio = _range("scale", scale), _range("ratio", ratio)
    require(scale[1] <= 1, "scale", "two rising numbers above 0 and at most 1", scale=scale)
    one_of("interpolation", interpolation, INTERPOLATIONS)

    def transform(image, key):
        import tensorflow as tf

        image = tf.convert_to_tensor(image)
        piece = _random_piece(image, scale, ratio, _subkey(key, 0))
        resized = tf.image.resize(piece, size, interpolation, antialias=antialias)
        resized = tf.clip_by_value(tf.cast(resized, tf.float32), 0, 255)
        return _finish(resized, size, flip, key)

    transform.shape = (*size, 3)
    return transform


def pad_crop_transform(size, padding=4, flip=True):
    """Makes the function that cuts a random piece of fixed size out of an image with a black border.

    The usual augmentation for CIFAR and other small images, which it does not resize. What it draws depends
    on its key alone.

    Args:
        size: Integer or pair of them, the height and width of the result.
        padding: Integer, 0 or more, the pixels of the border on each side. Defaults to `4`.
        flip: Boolean, whether half of the images are mirrored. Defaults to `True`.

    Returns:
        Function like that of `training_transform`.

    Raises:
        ValueError: for an argument that cannot work.
        tf.errors.InvalidArgumentError: when it runs, for an image that is smaller even with its border.

    Example:

    ```python
    import tensorflow as tf

    from keras_sknet.data import pad_crop_transform

    transform = pad_crop_transform(32)
    image = transform(tf.zeros((32, 32, 3), "uint8"), key=(0, 7))  # (32, 32, 3)
    ```
    """
    size = positive_pair("size", size)
    padding = whole_number("padding", padding)

    def transform(image, key):
        import tensorflow as tf

        rgb = tf.ensure_shape(pixels(image), (None, None, 3))
        bordered = tf.pad(rgb, [[padding, padding], [padding, padding], [0, 0]])
        piece = tf.image.stateless_random_crop(bordered, (*size, 3), _subkey(key, 0))
        return _finish(tf.cast(piece, tf.float32), size, flip, key)

    transform.shape = (*size, 3)
    return transform


def _finish(image, size, flip, key):
    import tensorflow as tf

    if flip:
        image = tf.image.stateless_random_flip_left_right(image, _subkey(key, 1))
    return tf.ensure_shape(image, (*size, 3))


def _subkey(key, number):
    import tensorflow as tf

    return tf.random.experimental.stateless_fold_in(key, number)


def _random_piece(image, scale, ratio, key):
    """Cuts a random piece out of an image; of a JPEG file no more than the piece is decoded."""
    import tensorflow as tf

    def of_pixels(image):
        shape = tf.shape(image)
        top, left, height, width = _random_window(shape[0], shape[1], scale, ratio, key)
        return tf.slice(image, [top, left, 0], [height, width, 3])

    def of_jpeg():
        shape = tf.io.extract_jpeg_shape(image)
        return _decode_window(image, shape, _random_window(shape[0], shape[1], scale, ratio, key))

    if image.dtype != tf.string:
        return of_pixels(image)
    is_jpeg = tf.equal(tf.strings.substr(image, 0, len(JPEG_HEAD)), JPEG_HEAD)
    return tf.cond(is_jpeg, of_jpeg, lambda: of_pixels(decode(image)))


def _decode_window(contents, shape, window):
    import tensorflow as tf

    top, left, height, width = window
    # Colours are stored more coarsely and smoothed over neighbours: one more pixel on each side is needed.
    first_row, first_column = tf.maximum(top - 1, 0), tf.maximum(left - 1, 0)
    last_row, last_column = tf.minimum(top + height + 1, shape[0]), tf.minimum(left + width + 1, shape[1])
    decoded = tf.image.decode_and_crop_jpeg(
        contents,
        [first_row, first_column, last_row - first_row, last_column - first_column],
        channels=3,
        dct_method="INTEGER_ACCURATE",
    )
    return tf.slice(decoded, [top - first_row, left - first_column, 0], [height, width, 3])


def _random_window(height, width, scale, ratio, key):
    """Draws (top, left, height, width) of a piece."""
    import tensorflow as tf

    draws = tf.random.stateless_uniform([4, TRIES], key)
    sides = tf.cast(tf.stack([height, width]), tf.float32)
    areas = sides[0] * sides[1] * (scale[0] + (scale[1] - scale[0]) * draws[0])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    ratios = tf.exp(low + (high - low) * draws[1])
    pieces = tf.cast(tf.round(tf.sqrt(tf.stack([areas / ratios, areas * ratios]))), tf.int32)
    fits = tf.reduce_all((pieces > 0) & (pieces <= tf.stack([[height], [width]])), axis=0)
    first = tf.argmax(tf.cast(fits, tf.int32))
    piece = pieces[:, first]
    room = tf.stack([height, width]) - piece
    place = tf.cast(draws[2:, first] * tf.cast(room + 1, tf.float32), tf.int32)
    # The product may be rounded up to a whole number.
    drawn = tf.concat([tf.minimum(place, room), piece], axis=0)
    window = tf.where(tf.reduce_any(fits), drawn, _central_window(sides, ratio))
    return window[0], window[1], window[2], window[3]


def _central_window(sides, ratio):
    import tensorflow as tf

    piece = tf.minimum(sides, tf.stack([sides[1] / ratio[0], sides[0] * ratio[1]]))
    piece = tf.maximum(tf.round(piece), 1)
    return tf.cast(tf.concat([(sides - piece) // 2, piece], axis=0), tf.int32)


def _range(argument, value):
    pair = tuple(value) if isinstance(value, (tuple, list)) else ()
    valid = len(pair) == 2 and all(isinstance(x, numbers.Real) and math.isfinite(x) for x in pair)
    require(valid and 0 < pair[0] <= pair[1], argument, "two rising numbers above 0", **{argument: value})
    return pair
