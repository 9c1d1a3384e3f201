import io
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_sknet
from checks import images
from keras_sknet.data import decode, evaluation_transform
from nets import tiny

PILLOW = {name: Image.Resampling[name.upper()] for name in ("nearest", "bilinear", "bicubic")}
PILLOW["lanczos3"] = Image.Resampling.LANCZOS


def picture(height=75, width=110, mode="RGB", seed=0):
    pixels = images(1, (height, width, 3), seed)[0].astype("uint8")
    return Image.fromarray(pixels).convert(mode)


def file(image, kind="JPEG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def pillow(contents):
    return np.asarray(Image.open(io.BytesIO(contents)).convert("RGB"))


@pytest.mark.parametrize(
    "mode, kind, options",
    [
        ("RGB", "JPEG", {}),
        ("RGB", "JPEG", {"quality": 95, "subsampling": 0, "progressive": True}),
        ("L", "JPEG", {}),
        ("CMYK", "JPEG", {}),
        ("RGB", "PNG", {}),
        ("L", "PNG", {}),
        ("LA", "PNG", {}),
        ("1", "PNG", {}),
        ("P", "PNG", {}),
    ],
)
def test_pixels_are_those_of_pillow(mode, kind, options):
    contents = file(picture(mode=mode), kind, **options)
    decoded = decode(contents)
    assert decoded.dtype == tf.uint8
    np.testing.assert_array_equal(decoded, pillow(contents))
    np.testing.assert_array_equal(tf.function(decode)(tf.constant(contents)), decoded)


def test_the_default_of_tensorflow_would_be_off():
    contents = file(picture())
    off = tf.io.decode_jpeg(contents, 3).numpy().astype(int) - pillow(contents)
    assert 1 <= np.abs(off).max() <= 3


def test_transparency_is_dropped_and_of_16_bits_8_stay():
    pixels = np.asarray(picture())
    alpha = np.tile(np.arange(110, dtype="uint8"), (75, 1))
    contents = file(Image.fromarray(np.dstack([pixels, alpha])), "PNG")
    np.testing.assert_array_equal(decode(contents), pixels)
    deep = pixels[..., 0].astype("uint16") * 256 + 200
    np.testing.assert_array_equal(decode(file(Image.fromarray(deep), "PNG"))[..., 1], pixels[..., 0])


def test_the_orientation_of_exif_is_not_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = file(picture(), exif=exif)
    assert Image.open(io.BytesIO(turned)).getexif()[0x0112] == 6
    np.testing.assert_array_equal(decode(turned), decode(file(picture())))


@pytest.mark.parametrize("function", [decode, tf.function(decode)], ids=["eager", "graph"])
@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP", "text", "empty", "one byte"])
def test_other_formats_are_refused(kind, function):
    contents = {"text": b"GET / HTTP/1.1", "empty": b"", "one byte": b"\xff"}.get(kind)
    contents = tf.constant(file(picture(), kind) if contents is None else contents)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Neither a JPEG nor a PNG file"):
        function(contents)


@pytest.mark.parametrize("kind, options", [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {})])
def test_a_file_that_is_cut_off_is_refused_wherever(kind, options):
    contents = file(picture(), kind, **options)
    for length in (9, 30, len(contents) // 2, *range(len(contents) - 20, len(contents))):
        with pytest.raises(tf.errors.InvalidArgumentError, match="Invalid (JPEG|PNG)"):
            decode(contents[:length])


def net(height, width, crop_fraction=0.875, interpolation="bicubic"):
    x = inputs = keras.Input((height, width, 3))
    x = keras_sknet.ImageNormalization(crop_fraction=crop_fraction, interpolation=interpolation)(x)
    return keras.Model(inputs, x)


def by_pillow(image, size, crop_fraction, interpolation):
    """Evaluation as timm and torchvision make it of a square crop."""
    shorter = math.floor(size / crop_fraction)
    width, height = image.size
    longer = int(shorter * max(width, height) / min(width, height))
    resized = image.resize((shorter, longer) if width <= height else (longer, shorter), PILLOW[interpolation])
    left, top = (round((side - size) / 2) for side in resized.size)
    return np.asarray(resized.crop((left, top, left + size, top + size)))


@pytest.mark.parametrize("shape", [(75, 110), (200, 90), (64, 64), (20, 33), (37, 36)], ids=str)
@pytest.mark.parametrize("interpolation", PILLOW)
@pytest.mark.parametrize("crop_fraction", [0.875, 1.0])
def test_it_resizes_and_crops_as_pillow(shape, interpolation, crop_fraction):
    # Of little contrast, as Pillow cuts overshoots off between rows and columns.
    image = Image.fromarray(np.asarray(picture(*shape)) // 2 + 60)
    transform = evaluation_transform(net(32, 32, crop_fraction, interpolation))
    got = tf.function(transform)(np.asarray(image))
    assert got.dtype == tf.float32 and got.shape == (32, 32, 3) == transform.shape
    want = by_pillow(image, 32, crop_fraction, interpolation).astype("float32")
    # Pillow rounds to whole levels, after the rows and after the columns.
    limit = {"nearest": 0, "bilinear": 1.01, "bicubic": 1.6, "lanczos3": 2.1}[interpolation]
    assert np.abs(got - want).max() <= limit
    assert np.abs(got - want).mean() < 0.4


@pytest.mark.parametrize("interpolation", [*PILLOW, "lanczos5"])
def test_it_equals_resizing_and_then_cropping(interpolation):
    image = images(1, (75, 110, 3))[0]
    got = evaluation_transform(net(32, 32, 0.875, interpolation))(image)
    whole = tf.image.resize(image, (36, 52), interpolation, antialias=interpolation != "nearest")
    np.testing.assert_allclose(got, np.clip(whole, 0, 255)[2:34, 10:42], atol=1e-2)


def test_values_stay_in_range():
    image = np.repeat([0, 255], 30).astype("uint8")[:, None, None] * np.ones((60, 3), "uint8")
    got = evaluation_transform(net(90, 90, 1.0))(image).numpy()
    assert got.min() == 0 and got.max() == 255
    # It overshoots by itself.
    whole = tf.image.resize(image, (90, 90), "bicubic", antialias=True)
    assert np.min(whole) < -5 and np.max(whole) > 260


@pytest.mark.parametrize(
    "shape, box", [((100, 100), (32, 64)), ((60, 400), (32, 213)), ((300, 50), (384, 64))]
)
def test_an_input_that_is_no_square_is_covered(shape, box):
    image = images(1, (*shape, 3))[0]
    got = evaluation_transform(net(32, 64, crop_fraction=1.0))(image)
    box = (64, 64) if shape == (100, 100) else box
    whole = tf.image.resize(image, box, "bicubic", antialias=True)
    top, left = round((box[0] - 32) / 2), round((box[1] - 64) / 2)
    want = np.clip(whole, 0, 255)[top : top + 32, left : left + 64]
    np.testing.assert_allclose(got, want, atol=1e-2)


def test_an_extreme_shape_costs_no_more():
    # Resized whole it would have 36 × 1,080,000 pixels.
    got = evaluation_transform(tiny())(np.full((2, 60000, 3), 7, "uint8"))
    np.testing.assert_allclose(got, np.full((32, 32, 3), 7.0), atol=1e-3)


def test_sizes_come_from_the_model_or_the_argument():
    assert evaluation_transform(net(None, None)).shape == (224, 224, 3)
    assert evaluation_transform(net(None, None), 64).shape == (64, 64, 3)
    assert evaluation_transform(net(None, None), (64, 96)).shape == (64, 96, 3)
    assert evaluation_transform(net(48, None), (64, 96)).shape == (48, 96, 3)
    assert evaluation_transform(net(48, 32), 64).shape == (48, 32, 3)


def test_settings_come_from_the_layer_also_of_a_nested_network():
    image = images(1, (75, 110, 3))[0]
    inner = net(32, 32, 0.5, "bilinear")
    want = evaluation_transform(inner)(image)
    inputs = keras.Input((32, 32, 3))
    np.testing.assert_array_equal(evaluation_transform(keras.Model(inputs, inner(inputs)))(image), want)
    plain = tiny(include_preprocessing=False)
    np.testing.assert_array_equal(evaluation_transform(plain)(image), evaluation_transform(tiny())(image))
    assert np.abs(want - evaluation_transform(tiny())(image)).max() > 5
