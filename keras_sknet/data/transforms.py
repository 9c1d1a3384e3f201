"""From an image file to what a network takes in evaluation: the one decoder and the one transform for it."""

import math

from keras_sknet.layers import ImageNormalization
from keras_sknet.layers.preprocessing import INTERPOLATIONS
from keras_sknet.ops._private import flatten_layers
from keras_sknet.validation import one_of, positive_pair, require

SIZE = 224
# The most pixels that an image may have; Pillow, too, refuses more. A small file can claim any number.
PIXELS = 2**29 // 3
TOO_MANY_PIXELS = "More pixels than an image may have."
JPEG_HEAD = b"\xff\xd8\xff"
# What TensorFlow calls the kernels; "nearest" has none.
KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic", "lanczos3": "lanczos3", "lanczos5": "lanczos5"}


def decode(contents):
    """Decodes a JPEG or PNG file in TensorFlow's graph to the pixels that Pillow gives.

    - JPEG is decoded with `dct_method="INTEGER_ACCURATE"` and smooth chroma: equal to Pillow's to the bit.
      TensorFlow's own default is up to 3 levels off.
    - Grey images, and those of a palette, become RGB; of 16 bits a channel the upper 8 stay.
    - CMYK and YCCK become RGB by `(255 - C)(255 - K) / 255`. Colour profiles are not applied.
    - Transparency is dropped, not blended with a background.
    - More than 178,956,970 pixels are refused before they take memory.
    - The orientation that EXIF data tell is not applied: pixels are taken as they are stored, as
      they were for the published accuracies. Turn photographs of a phone before.

    Args:
        contents: Scalar string tensor or `bytes`, the file.

    Returns:
        `uint8` tensor `(height, width, 3)`.

    Raises:
        ValueError: if `contents` is something else.
        tf.errors.InvalidArgumentError: when it runs, for a file that is cut off, too large or of another
            format.

    Example:

    ```python
    import tensorflow as tf

    from keras_sknet.data import decode

    file = tf.io.encode_png(tf.zeros((40, 60, 1), "uint8"))
    image = decode(file)  # (40, 60, 3)
    ```
    """
    import tensorflow as tf

    contents = tf.convert_to_tensor(contents)
    require(
        contents.dtype == tf.string and contents.shape.is_compatible_with(()),
        "contents",
        "the bytes of one file",
        contents=contents.dtype.name,
        shape=tuple(contents.shape),
    )
    # This operation would take a GIF, of which it shows the first picture.
    known = tf.debugging.Assert(is_image_file(contents), ["Neither a JPEG nor a PNG file."])
    with tf.control_dependencies([known]):
        sides = _sides(contents)
    fits = tf.debugging.Assert(tf.reduce_prod(sides) <= PIXELS, [TOO_MANY_PIXELS, sides])
    with tf.control_dependencies([fits]):
        # It reads PNG too, whatever its name.
        return tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE")


def _sides(contents):
    """Height and width that the first bytes of a JPEG or PNG file claim, as a tensor of two integers."""
    import tensorflow as tf

    def of_png():
        # After the signature, and the length and the name of the first chunk. A shorter file is filled up.
        head = tf.strings.join([tf.strings.substr(contents, 0, 24), b"\0" * 24])
        return tf.io.decode_raw(tf.strings.substr(head, 16, 8), tf.int32, little_endian=False)[::-1]

    is_jpeg = tf.equal(tf.strings.substr(contents, 0, len(JPEG_HEAD)), JPEG_HEAD)
    sides = tf.cond(is_jpeg, lambda: tf.io.extract_jpeg_shape(contents)[:2], of_png)
    return tf.cast(sides, tf.int64)


def is_image_file(contents):
    """Tells by their first bytes which files are JPEG or PNG: a boolean tensor of the shape of `contents`."""
    import tensorflow as tf

    def starts_with(head):
        return tf.equal(tf.strings.substr(contents, 0, len(head)), head)

    return tf.logical_or(starts_with(JPEG_HEAD), starts_with(b"\x89PNG\r\n\x1a\n"))


def evaluation_transform(model, size=SIZE):
    """Makes the function that resizes and crops an image as a network's evaluation does.

    The shorter side becomes the network's input size divided by `crop_fraction`, then the centre is cut out.
    `crop_fraction` and the interpolation are those of the model's `ImageNormalization`; a model without one
    gets that layer's defaults (0.875, bicubic). Scaling down is antialiased (but for `"nearest"`), and the
    sizes and the place of the crop are rounded as torchvision and timm do. It runs in TensorFlow's graph, and
    never makes more of the resized image than the crop.

    Args:
        model: `keras.Model` of one input, images with three channels.
        size: Integer or pair of them, the height and width to use where the model's are `None`. Defaults
            to `224`.

    Returns:
        Function of an image, which is a tensor `(height, width, 3)`, values 0–255 of any dtype, or the bytes
        of a JPEG or PNG file. It returns one of the model's height and width: float32, not rounded, clipped
        to 0–255. Its attribute `shape` is this shape. It takes a key, as transforms for training do, and
        ignores it.

    Raises:
        ValueError: if the model does not take such images, or `size` is no size.

    Example:

    ```python
    from keras_sknet.data import evaluation_transform

    transform = evaluation_transform(keras_sknet.SKNetSmall())
    image = transform(np.zeros((480, 640, 3), "uint8"))  # (32, 32, 3)
    ```
    """
    height, width = input_size(model, size)
    found = [layer for layer in flatten_layers(model) if isinstance(layer, ImageNormalization)]
    settings = found[0] if found else ImageNormalization()
    # As timm's: 224 / 0.95 is 235.
    box = tuple(math.floor(side / settings.crop_fraction) for side in (height, width))
    return center_crop_transform(box, (height, width), settings.interpolation)


def center_crop_transform(resize, crop, interpolation="bicubic"):
    """Makes the function that resizes an image and cuts out its centre, as `evaluation_transform` does.

    It is for sizes that are not the model's own, such as 256 and 224 for a model that tells others.

    Args:
        resize: Integer, what the shorter side becomes; or a pair, the height and width of a box that the
            resized image just covers.
        crop: Integer or pair of them, the height and width of the result, no more than `resize`.
        interpolation: As in `ImageNormalization`. Defaults to `"bicubic"`.

    Returns:
        Function like that of `evaluation_transform`.

    Raises:
        ValueError: for an argument that cannot work.

    Example:

    ```python
    from keras_sknet.data import center_crop_transform

    transform = center_crop_transform(256, 224)
    image = transform(np.zeros((480, 640, 3), "uint8"))  # (224, 224, 3)
    ```
    """
    box, crop = positive_pair("resize", resize), positive_pair("crop", crop)
    require(crop[0] <= box[0] and crop[1] <= box[1], "crop", "no more than `resize`", crop=crop, resize=box)
    one_of("interpolation", interpolation, INTERPOLATIONS)

    def transform(image, key=None):
        return _resize_and_crop(pixels(image), box, crop, interpolation)

    transform.shape = (*crop, 3)
    return transform


def pixels(image):
    """Returns an image as a tensor of pixels, decoded where it is the bytes of a file."""
    import tensorflow as tf

    image = tf.convert_to_tensor(image)
    return decode(image) if image.dtype == tf.string else image


def takes_images(model):
    """Tells whether a model has one input and this is images of three channels, channels last."""
    inputs = getattr(model, "inputs", None) or ()
    return len(inputs) == 1 and len(inputs[0].shape) == 4 and inputs[0].shape[-1] == 3


def input_size(model, size=SIZE):
    """Returns the height and width of a model's images; `size` stands in for what is `None`."""
    require(
        takes_images(model),
        "model",
        "a keras.Model of one input, images with three channels",
        model=type(model).__name__,
        input_shape=getattr(model, "input_shape", None),
    )
    defaults = positive_pair("size", size)
    return tuple(own or default for own, default in zip(model.inputs[0].shape[1:3], defaults, strict=True))


def _resize_and_crop(image, box, crop, interpolation):
    """Scales `image` until it just covers `box`, and cuts `crop` out of its centre."""
    import tensorflow as tf

    shape = tf.shape(image, tf.int64)
    height, width = shape[0], shape[1]
    # One side fits exactly, the other is as long or longer.
    resized = tf.maximum(tf.stack([box[1] * height // width, box[0] * width // height]), box)
    scale = tf.cast(resized, tf.float32) / tf.cast(shape[:2], tf.float32)
    # Half a pixel is rounded to the even one, as Python does.
    offset = tf.round(tf.cast(resized - tf.constant(crop, tf.int64), tf.float32) / 2)
    if interpolation == "nearest":
        centres = [tf.range(crop[axis], dtype=tf.float32) + offset[axis] + 0.5 for axis in (0, 1)]
        places = [tf.cast(centres[axis] / scale[axis], tf.int32) for axis in (0, 1)]
        cropped = tf.gather(tf.gather(image, places[0]), places[1], axis=1)
    else:
        # What `tf.image.resize(antialias=True)` calls, which has no crop.
        cropped = tf.raw_ops.ScaleAndTranslate(
            images=image[None],
            size=crop,
            scale=scale,
            translation=-offset,
            kernel_type=KERNELS[interpolation],
            antialias=True,
        )[0]
    return tf.ensure_shape(tf.clip_by_value(tf.cast(cropped, tf.float32), 0, 255), (*crop, 3))
