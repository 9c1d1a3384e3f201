import inspect

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from keras_sknet.data import Digits, batches, digits


@pytest.fixture
def marked(monkeypatch):
    """`marked(split or slice, ...)`: a bank whose digits in these are full squares, all others empty."""

    def mark(*bright):
        bank, labels = digits._bank()
        marks = np.zeros((len(labels), 1, 1), "float32")
        for part in bright:
            marks[slice(*digits.SPLITS[part]) if isinstance(part, str) else part] = 1
        squares = {scale: np.broadcast_to(marks, images.shape) for scale, images in bank.items()}
        monkeypatch.setattr(digits, "_bank", lambda: (squares, labels))
        monkeypatch.setattr(digits, "NOISE", 0.0)

    return mark


def is_ink(image):
    return image.astype(int).mean(axis=-1) > 127


def test_an_element_depends_on_seed_epoch_and_index_alone():
    first, again = Digits("train"), Digits("train")
    first.render(3)
    image = first.render(7, seed=1, epoch=2)
    np.testing.assert_array_equal(again.render(7, seed=1, epoch=2), image)
    for index, seed, epoch in ((8, 1, 2), (7, 2, 2), (7, 1, 1), (7, 2, 1)):
        assert np.any(again.render(index, seed, epoch) != image)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_images_are_rgb_of_the_full_range(split):
    images = np.stack([Digits(split).render(index) for index in range(60)])
    assert images.shape == (60, 32, 32, 3) and images.dtype == np.uint8
    assert images.min() < 10 and images.max() > 245
    assert np.any(images[..., 0] != images[..., 1])


def test_splits_are_blocks_of_scikit_learns_digits():
    target = load_digits().target
    splits = [Digits(split) for split in ("train", "validation", "test")]
    np.testing.assert_array_equal(np.concatenate([s.element_labels[::3] for s in splits]), target)
    assert [len(s) for s in splits] == [3 * 1300, 3 * 137, 3 * 360]
    assert set(splits[0].element_labels) == set(range(10)) == {int(name) for name in Digits.class_names}


def test_nothing_held_out_is_seen_in_training(marked):
    marked("validation", "test")
    source = Digits("train")
    assert not any(is_ink(source.render(index)).any() for index in range(0, len(source), 7))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_fragments_are_of_training_digits(split, marked):
    marked("train")
    source = Digits(split)
    assert any(is_ink(source.render(index)).any() for index in range(30))
    marked("validation" if split == "test" else "test")
    source = Digits(split)
    assert not any(is_ink(source.render(index)).any() for index in range(len(source)))


@pytest.mark.parametrize("scale, pixels", [(1.0, 12), (1.5, 18), (2.0, 24)])
def test_digits_have_the_stated_sizes_and_lie_anywhere(scale, pixels, marked):
    marked("test")
    source = Digits("test")
    places = set()
    for index in np.flatnonzero(source.element_scales == scale)[:150]:
        rows, columns = np.nonzero(is_ink(source.render(index)))
        assert len(rows) == pixels**2
        assert np.ptp(rows) == np.ptp(columns) == pixels - 1
        places.add((rows.min(), columns.min()))
    assert {min(p[0] for p in places), min(p[1] for p in places)} == {0}
    assert {max(p[0] for p in places), max(p[1] for p in places)} == {32 - pixels}


def test_a_digit_is_no_fragment_beside_itself(marked):
    marked(slice(5, 6))
    source = Digits("train", scales=(1.0,))
    assert {is_ink(source.render(5, epoch=epoch)).sum() for epoch in range(40)} == {12**2}


def test_enlargement_is_bicubic():
    image = load_digits().images[0, ..., None] / 16
    for scale, size in ((1.0, 12), (1.5, 18), (2.0, 24)):
        oracle = np.clip(tf.image.resize(image, (size, size), "bicubic")[..., 0], 0, 1)
        # TensorFlow reads its kernel from a table of 1,024 entries.
        np.testing.assert_allclose(digits._bank()[0][scale][0], oracle, atol=1e-3)


def test_scales_can_be_chosen():
    source = Digits("test", scales=(1.5,))
    assert len(source) == 360 and set(source.element_scales) == {1.5}
    images, labels = source.arrays()
    assert len(images) == len(labels) == 360


def test_batches_hold_elements_of_the_source():
    source = Digits("validation")
    images, labels = next(iter(batches(source, 16, seed=3)))
    assert images.shape == (16, 32, 32, 3) and images.dtype == tf.uint8
    rendered = {source.render(i, seed=3).tobytes(): label for i, label in enumerate(source.element_labels)}
    assert [rendered[image.tobytes()] for image in images.numpy()] == labels.numpy().tolist()


def test_a_stream_can_be_taken_up_anywhere():
    source = Digits("validation", scales=(1.0,))
    steps = len(source) // 10
    whole = list(batches(source, 10, epochs=3, seed=1).as_numpy_iterator())
    assert len(whole) == len(batches(source, 10, epochs=3, seed=1)) == 3 * steps
    for first in (1, steps, 2 * steps + 3):
        rest = list(batches(source, 10, epochs=3, seed=1, first_step=first).as_numpy_iterator())
        assert len(rest) == len(whole) - first
        for (x, y), (expected_x, expected_y) in zip(rest, whole[first:], strict=True):
            np.testing.assert_array_equal(x, expected_x)
            np.testing.assert_array_equal(y, expected_y)


class Indices:
    """A source whose labels are the indices themselves."""

    def __len__(self):
        return 23

    def element(self, index, seed, epoch):
        return tf.stack([seed, epoch]), index


def test_an_epoch_shows_each_element_once_in_an_order_of_its_own():
    stream = list(batches(Indices(), 5, epochs=3, seed=8).as_numpy_iterator())
    assert [epoch.tolist() for x, _ in stream for epoch in x] == sorted([[8, e] for e in range(3)] * 20)
    orders = [np.concatenate([y for _, y in stream[4 * e : 4 * e + 4]]) for e in range(3)]
    assert all(len(set(order)) == 20 and set(order) <= set(range(23)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert len({frozenset(order) for order in orders}) == 3  # those left out change too


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Digits("held_out"), "`split` must be one of .* Received: split='held_out'"),
        (lambda: Digits(scales=(1.0, 3.0)), r"`scales` must be some of .* Received: scales=\(1.0, 3.0\)"),
        (lambda: Digits(scales=()), "`scales` must be some of"),
        (lambda: batches(Indices(), 0), "`batch_size` must be a positive integer. Received: batch_size=0"),
        (lambda: batches(Indices(), 24), "`batch_size` must be no more .* batch_size=24, images=23"),
        (lambda: batches(Indices(), 5, epochs=0), "`epochs` must be a positive integer"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_sizes_are_documented():
    text = " ".join(inspect.getdoc(Digits).split())
    assert "12, 18 and 24 pixels" in text and "32×32" in text and "five fragments (3 to 6 pixels" in text
    assert (digits.BASE, digits.CANVAS, digits.FRAGMENTS, digits.FRAGMENT_SIZES) == (12, 32, 5, (3, 6))


def test_without_scikit_learn_the_error_names_the_extra(uninstalled):
    uninstalled("sklearn")
    digits._bank.cache_clear()
    with pytest.raises(
        ImportError, match=r'^scikit-learn is not installed: pip install "keras_sknet\[train\]"$'
    ):
        Digits()
