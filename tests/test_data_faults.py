import keras
import numpy as np
import pytest
import tensorflow as tf
from data_sources import encoded, picture, write_folder

from keras_sknet.data import (
    Digits,
    Subset,
    batches,
    check_sizes,
    evaluation_batches,
    find_corrupt,
    naming_corrupt_files,
    open_source,
    pad_crop_transform,
    skip_corrupt,
    training_transform,
)

WHOLE = encoded(picture(60, 80))
BAD = {
    "bmp.jpg": (encoded(picture(), "BMP"), "is a BMP file, neither JPEG nor PNG"),
    "cut.jpg": (WHOLE[: len(WHOLE) // 2], "is cut off or damaged"),
    "cut.png": (encoded(picture(), "PNG")[:-30], "is cut off or damaged"),
    "empty.png": (b"", "is empty"),
    "gif.jpg": (encoded(picture(), "GIF"), "is a GIF file, neither JPEG nor PNG"),
    "gone.jpg": (None, "does not exist"),
    "head.jpg": (b"\xff\xd8\xff" + b"\0" * 200, "is cut off or damaged"),
    "text.jpg": (b"<html>404</html>", "is neither a JPEG nor a PNG file"),
    "webp.jpg": (encoded(picture(), "WEBP"), "is a WebP file, neither JPEG nor PNG"),
}


def add(folder, *names):
    for name in names:
        contents = BAD[name][0]
        if contents is None:
            (folder / name).symlink_to(folder / "nothing")
        else:
            (folder / name).write_bytes(contents)


@pytest.fixture
def folder(tmp_path):
    write_folder(tmp_path, {"train": {"cat": 6, "dog": 6}})
    return tmp_path


def test_every_bad_file_is_found_with_its_path_and_reason(folder):
    # Suffixes do not matter: a PNG file called .jpg can be read.
    (folder / "train" / "cat" / "png.jpg").write_bytes(encoded(picture(), "PNG"))
    add(folder / "train" / "dog", *BAD)
    source = open_source(f"folder:{folder}", "train")
    found = find_corrupt(source)
    assert [(path, reason) for _, path, reason in found] == [
        (str(folder / "train" / "dog" / name), BAD[name][1]) for name in sorted(BAD)
    ]
    assert all(source.describe(index) == path for index, path, _ in found)
    indices = [found[2][0], 0, found[0][0]]
    assert find_corrupt(source, indices) == [found[2], found[0]]


def test_without_them_the_source_is_whole(folder):
    source = open_source(f"folder:{folder}", "train")
    assert skip_corrupt(source) == (source, []) and find_corrupt(Digits("validation", scales=(1.0,))) == []
    add(folder / "train" / "cat", "cut.jpg", "empty.png")
    kept, corrupt = skip_corrupt(open_source(f"folder:{folder}", "train"))
    assert isinstance(kept, Subset) and len(kept) == 12 and len(corrupt) == 2
    assert [kept.describe(i) for i in range(12)] == [source.describe(i) for i in range(12)]
    labels = np.concatenate([labels for _, labels, _ in evaluation_batches(kept, 4, training_transform(8))])
    np.testing.assert_array_equal(labels, [0] * 6 + [1] * 6)


def test_nothing_left_is_an_error(tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / "train" / label).mkdir(parents=True)
        add(tmp_path / "train" / label, "text.jpg")
    with pytest.raises(
        ValueError, match="`source` must be of images that can be read. Received: file=.*text.jpg"
    ):
        skip_corrupt(open_source(f"folder:{tmp_path}", "train"))


@pytest.mark.parametrize("name", ["cut.jpg", "empty.png", "gif.jpg", "gone.jpg"])
def test_a_stream_ends_with_one_error_that_names_the_file(folder, name):
    add(folder / "train" / "dog", name)
    source = open_source(f"folder:{folder}", "train")
    text = f"`source` must be of images that can be read. Received: file='{folder}/train/dog/{name}', which "
    with pytest.raises(ValueError) as caught, naming_corrupt_files(Digits("test"), source):
        for _ in batches(source, 13, transform=training_transform(8, scale=(1.0, 1.0))):
            pass
    assert str(caught.value) == text + BAD[name][1]


def test_training_ends_with_that_error(folder):
    add(folder / "train" / "dog", "cut.jpg")
    source = open_source(f"folder:{folder}", "train")
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match="cut.jpg', which is cut off"), naming_corrupt_files(source):
        stream = batches(source, 13, transform=training_transform(8, scale=(1.0, 1.0)))
        model.fit(stream, shuffle=False, verbose=0)


def test_other_errors_stay_what_they_are(folder):
    source = open_source(f"folder:{folder}", "train")
    with pytest.raises(tf.errors.InvalidArgumentError, match="something else"), naming_corrupt_files(source):
        tf.debugging.Assert(False, ["something else"])
    with pytest.raises(KeyError), naming_corrupt_files(source):
        raise KeyError("x")


def test_a_file_that_cannot_be_read_is_named_when_it_is_to_be_cached(folder):
    add(folder / "train" / "dog", "gone.jpg", "text.jpg")
    with pytest.raises(ValueError, match="gone.jpg', which does not exist"):
        open_source(f"folder:{folder}", "train", cache=True)


def test_images_smaller_than_the_crop_are_named(folder):
    source = open_source(f"folder:{folder}", "train")
    check_sizes(source, (36, 44))
    (folder / "train" / "cat" / "aa.png").write_bytes(encoded(picture(20, 90), "PNG"))
    source = open_source(f"folder:{folder}", "train")
    text = r"`size` must be no more than the images' height and width. Received: size=\(32, 32\), image="
    with pytest.raises(ValueError, match=text + r"\(20, 90\), file='.*/cat/aa.png'"):
        check_sizes(source, 32)
    check_sizes(source, 20)
    with pytest.raises(ValueError, match=r"size=\(33, 33\), image=\(32, 32\), file='element 0'"):
        check_sizes(Digits("test"), 33, sample=3)


def test_the_median_size_is_of_what_can_be_read(tmp_path):
    cats = tmp_path / "train" / "cat"
    cats.mkdir(parents=True)
    add(cats, "empty.png")
    (tmp_path / "train" / "dog").mkdir()
    add(tmp_path / "train" / "dog", "text.jpg")
    assert check_sizes(open_source(f"folder:{tmp_path}", "train"), 1) is None
    for number, size in enumerate([(10, 20), (30, 40), (31, 90)]):
        (cats / f"{number}.png").write_bytes(encoded(picture(*size), "PNG"))
    assert check_sizes(open_source(f"folder:{tmp_path}", "train"), 1) == (30, 40)


def test_sizes_are_looked_at_in_a_sample_that_may_have_bad_files(folder):
    add(folder / "train" / "cat", "empty.png")
    (folder / "train" / "cat" / "000.jpg").write_bytes(encoded(picture(9, 9)))
    source = open_source(f"folder:{folder}", "train")
    check_sizes(Subset(source, [3, 0, 1]), 32, sample=1)  # the first of them
    with pytest.raises(ValueError, match=r"image=\(9, 9\)"):
        check_sizes(source, 32)


def test_an_image_that_is_too_small_is_named_where_a_size_is_needed(folder):
    (folder / "train" / "cat" / "000.jpg").write_bytes(encoded(picture(9, 12)))
    source = open_source(f"folder:{folder}", "train")

    def read():
        for _ in batches(source, 6, transform=pad_crop_transform(32)):
            pass

    text = r"file='.*/cat/000.jpg', which has 9x12 pixels, fewer than 32x32"
    with pytest.raises(ValueError, match=text), naming_corrupt_files(source, size=32):
        read()
    with pytest.raises(tf.errors.InvalidArgumentError), naming_corrupt_files(source):
        read()
    for size in (0, (32, 0)):
        with pytest.raises(ValueError, match="`size` must be"):
            find_corrupt(source, size=size)


@pytest.mark.parametrize("name", ["folder:~nobody-of-this-name/x", "~nobody-of-this-name/x"])
def test_the_home_of_nobody_is_no_folder(name):
    with pytest.raises(ValueError, match="`text` must be"):
        open_source(name, "train")
