import keras
import numpy as np
import pytest
import tensorflow as tf
from data_sources import encoded, picture

from keras_sknet.data import decode, pad_crop_transform, training_transform, training_transforms


def keys(count):
    return [(3, number) for number in range(count)]


@pytest.mark.parametrize(
    "mode, kind, options",
    [
        ("RGB", "JPEG", {}),
        ("RGB", "JPEG", {"subsampling": 1, "progressive": True}),
        ("RGB", "JPEG", {"subsampling": 0}),
        ("L", "JPEG", {}),
        ("CMYK", "JPEG", {}),
        ("RGB", "PNG", {}),
        ("L", "PNG", {}),
    ],
)
def test_a_piece_of_a_file_is_that_of_the_whole_image_to_the_bit(mode, kind, options):
    contents = encoded(picture(75, 110).convert(mode), kind, **options)
    whole = decode(contents)
    transform = tf.function(training_transform((24, 32)))
    for key in keys(25):
        of_file = transform(tf.constant(contents), tf.constant(key))
        np.testing.assert_array_equal(of_file, transform(whole, tf.constant(key)))


def test_decoding_just_the_piece_would_be_off():
    contents = encoded(picture(75, 110))
    piece = tf.image.decode_and_crop_jpeg(contents, [17, 16, 30, 40], 3, dct_method="INTEGER_ACCURATE")
    assert np.any(piece != decode(contents)[17:47, 16:56])


def windows(height, width, count=600, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)):
    draw = tf.function(
        lambda key: tf.stack(training_transforms._random_window(height, width, scale, ratio, key))
    )
    return np.array([draw(tf.constant(key)).numpy() for key in keys(count)])


def test_pieces_have_all_sizes_ratios_and_places():
    top, left, height, width = windows(400, 500).T.astype(float)
    assert np.all((top >= 0) & (left >= 0) & (top + height <= 400) & (left + width <= 500))
    area, ratio = height * width / 200_000, width / height
    assert 0.079 < area.min() < 0.1 and area.max() > 0.9
    assert 0.74 < ratio.min() < 0.77 and 1.3 < ratio.max() < 1.35
    # Evenly in the area (large ones that do not fit are rarer) and in the logarithm of the ratio.
    assert abs(np.mean(area < 0.3) - 0.22 / 0.85) < 0.06
    assert abs(np.mean(np.log(ratio[area < 0.5]))) < 0.03
    free = (height < 300) & (width < 300)
    assert abs(np.mean(top[free] / (400 - height[free])) - 0.5) < 0.05
    assert abs(np.mean(left[free] / (500 - width[free])) - 0.5) < 0.05
    assert {top.min(), left.min()} == {0}


@pytest.mark.parametrize(
    "shape, window", [((30, 900), (0, 430, 30, 40)), ((900, 30), (430, 0, 40, 30)), ((1, 1), (0, 0, 1, 1))]
)
def test_where_nothing_fits_it_is_the_centre(shape, window):
    assert {tuple(found) for found in windows(*shape, count=20, scale=(0.9, 1.0))} == {window}


def test_the_whole_image_is_only_resized_and_half_are_mirrored():
    image = np.asarray(picture(48, 48))
    transform = tf.function(training_transform(32, (1.0, 1.0), (1.0, 1.0), interpolation="bilinear"))
    want = tf.image.resize(image, (32, 32), "bilinear", antialias=True).numpy()
    plain = tf.function(training_transform(32, (1.0, 1.0), (1.0, 1.0), False, "bilinear"))
    mirrored = 0
    for key in keys(100):
        got = transform(image, tf.constant(key))
        assert got.dtype == tf.float32 and got.shape == (32, 32, 3)
        is_mirrored = bool(np.all(got == want[:, ::-1]))
        assert is_mirrored or np.all(got == want)
        mirrored += is_mirrored
        np.testing.assert_array_equal(plain(image, tf.constant(key)), want)
    assert 35 < mirrored < 65


@pytest.mark.parametrize("interpolation", ["nearest", "bicubic", "lanczos3"])
def test_values_stay_in_range(interpolation):
    image = np.repeat([0, 255], 30).astype("uint8")[:, None, None] * np.ones((60, 3), "uint8")
    got = training_transform(90, (1.0, 1.0), (1.0, 1.0), interpolation=interpolation)(image, (0, 0)).numpy()
    assert (got.min(), got.max(), got.dtype) == (0, 255, np.float32)


def test_another_key_gives_another_piece_and_the_same_one_the_same():
    image = np.asarray(picture())
    for transform in (training_transform(16), pad_crop_transform(32)):
        pieces = [transform(image, key).numpy() for key in ((0, 1), (0, 2), (1, 1), (0, 1))]
        np.testing.assert_array_equal(pieces[0], pieces[3])
        assert np.any(pieces[0] != pieces[1]) and np.any(pieces[0] != pieces[2])


def test_small_images_are_moved_within_a_black_border():
    image = np.asarray(picture(32, 32)) // 2 + 60
    transform = tf.function(pad_crop_transform(32, padding=4))
    places, mirrored = set(), 0
    for key in keys(150):
        got = transform(image, tf.constant(key)).numpy()
        rows, columns = (np.flatnonzero(got.any(axis=axes)) for axes in ((1, 2), (0, 2)))
        part = got[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        for flipped in (image, image[:, ::-1]):
            top = 32 - len(rows) if rows[0] == 0 else 0
            left = 32 - len(columns) if columns[0] == 0 else 0
            want = flipped[top : top + len(rows), left : left + len(columns)]
            if np.array_equal(part, want):
                mirrored += flipped is not image
                places.add((rows[0] - top, columns[0] - left))
                break
        else:
            raise AssertionError("no part of the image")
    assert {place for pair in places for place in pair} == set(range(-4, 5))
    assert 50 < mirrored < 100


def test_scaling_down_without_antialias_takes_single_pixels():
    image = np.asarray(picture(64, 64))
    options = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": False, "interpolation": "bilinear"}
    got = training_transform(8, antialias=False, **options)(image, (0, 0))
    np.testing.assert_allclose(got, tf.image.resize(image, (8, 8)), atol=1e-3)
    assert np.abs(got - training_transform(8, **options)(image, (0, 0))).max() > 5


def test_the_shape_is_told():
    assert training_transform((24, 32)).shape == pad_crop_transform((24, 32)).shape == (24, 32, 3)


def test_files_of_small_images_are_taken_too():
    image = picture(32, 32)
    transform = pad_crop_transform(32)
    of_file = transform(encoded(image, "PNG"), (0, 5))
    np.testing.assert_array_equal(of_file, transform(np.asarray(image), (0, 5)))


def test_an_image_of_four_channels_is_refused():
    transform = pad_crop_transform(8)
    with pytest.raises(tf.errors.InvalidArgumentError, match="not compatible with expected shape"):
        transform(tf.zeros((8, 8, 4), "uint8"), key=(0, 7))


def test_an_image_smaller_than_the_piece_is_refused():
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        pad_crop_transform(64)(np.asarray(picture(40, 60)), (0, 0))
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.function(pad_crop_transform(64))(tf.constant(encoded(picture(40, 60))), tf.constant((0, 0)))


@pytest.mark.parametrize("damage", ["text", "empty", "half"])
def test_a_damaged_file_is_refused(damage):
    whole = encoded(picture(75, 110))
    contents = {"text": b"GET / HTTP/1.1", "empty": b"", "half": whole[: len(whole) // 2]}[damage]
    transform = tf.function(training_transform(24, scale=(1.0, 1.0)))
    with pytest.raises(tf.errors.InvalidArgumentError):
        transform(tf.constant(contents), tf.constant((0, 0)))


def test_pixels_do_not_depend_on_the_dtype_policy():
    image, transform = np.asarray(picture()), training_transform(16)
    want = transform(image, (0, 0))
    keras.config.set_dtype_policy("mixed_float16")
    np.testing.assert_array_equal(transform(image, (0, 0)), want)
