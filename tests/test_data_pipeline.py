import keras
import numpy as np
import pytest
import tensorflow as tf
from data_sources import write_folder

from keras_sknet.data import (
    Augmentation,
    Digits,
    Subset,
    batches,
    evaluation_batches,
    evaluation_transform,
    open_source,
    pad_crop_transform,
    split_source,
    training_transform,
)
from nets import small

AUGMENTATION = Augmentation(erasing=0.5, mixup=0.3, cutmix=1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("photographs")
    write_folder(root, {"train": {"cat": 8, "dog": 9}, "val": {"cat": 4, "dog": 3}})
    return root


def stream(source, **options):
    return list(batches(source, 4, epochs=2, seed=5, **options).as_numpy_iterator())


def assert_equal(found, expected):
    assert len(found) == len(expected) > 0
    for batch, other in zip(found, expected, strict=True):
        for tensor, wanted in zip(batch, other, strict=True):
            np.testing.assert_array_equal(tensor, wanted)


@pytest.mark.parametrize("augmentation", [None, AUGMENTATION], ids=["transform", "augmentation"])
def test_a_stream_is_the_same_twice_and_from_any_step_on(folder, augmentation):
    options = {"transform": training_transform(32), "augmentation": augmentation}
    whole = stream(open_source(f"folder:{folder}", "train"), **options)
    assert len(whole) == 8 and whole[0][0].shape == (4, 32, 32, 3) and whole[0][0].dtype == np.float32
    keras.utils.set_random_seed(77)
    assert_equal(stream(open_source(f"folder:{folder}", "train", cache=True), **options), whole)
    for first in (1, 4, 6):
        assert_equal(
            stream(open_source(f"folder:{folder}", "train"), first_step=first, **options), whole[first:]
        )
    # Another epoch shows other pieces.
    assert len({image.tobytes() for images, _ in whole for image in images}) == 32


def test_processes_have_their_parts_of_every_batch(folder):
    source, transform = open_source(f"folder:{folder}", "train"), training_transform(32)
    whole = stream(source, transform=transform, first_step=1)
    parts = [stream(source, transform=transform, first_step=1, shard=(process, 2)) for process in (0, 1)]
    assert {images.shape[0] for part in parts for images, _ in part} == {2}
    joined = [
        [np.concatenate(tensors) for tensors in zip(*batch, strict=True)]
        for batch in zip(*parts, strict=True)
    ]
    assert_equal(joined, whole)


def test_labels_belong_to_their_images(folder):
    source = open_source(f"folder:{folder}", "train")
    transform = evaluation_transform(small())
    known = {transform(tf.io.read_file(path)).numpy().tobytes(): path for path in source.paths}
    assert len(known) == 17
    for images, labels in stream(source, transform=transform):
        for image, label in zip(images, labels, strict=True):
            assert f"/{source.class_names[label]}/" in known[image.tobytes()]


class Plain:
    """No more than the documents ask of a source."""

    def __len__(self):
        return 4

    def element(self, index, seed, epoch):
        return tf.fill((8, 8, 3), tf.cast(index, tf.uint8)), tf.cast(index % 2, tf.int32)


def test_a_source_needs_names_of_classes_only_to_mix_them():
    erased, plain = Augmentation(erasing=0.5), Augmentation()
    for augmentation in (erased, plain):
        (images, labels), *_ = batches(Plain(), 4, augmentation=augmentation)
        assert images.shape == (4, 8, 8, 3) and sorted(labels.numpy()) == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="`source` must be one with `class_names`, for mixup .*'Plain'"):
        batches(Plain(), 4, augmentation=Augmentation(mixup=0.2))
    assert len(Subset(Plain(), [1, 2])) == 2


@pytest.mark.parametrize("batch_size, steps, filled", [(4, 2, 1), (7, 1, 0), (16, 1, 9)])
def test_evaluation_counts_every_image_once_in_order(folder, batch_size, steps, filled):
    source = open_source(f"folder:{folder}", "validation")
    transform = evaluation_transform(small())
    dataset = evaluation_batches(source, batch_size, transform)
    assert len(dataset) == steps and dataset.element_spec[0].shape == (batch_size, 32, 32, 3)
    images, labels, weights = (
        np.concatenate(parts) for parts in zip(*dataset.as_numpy_iterator(), strict=True)
    )
    assert len(images) == batch_size * steps and weights.dtype == np.float32
    np.testing.assert_array_equal(weights, [1] * 7 + [0] * filled)
    np.testing.assert_array_equal(labels, [0] * 4 + [1] * 3 + [0] * filled)
    np.testing.assert_array_equal(images[:7], [transform(tf.io.read_file(path)) for path in source.paths])
    assert not images[7:].any()


def test_evaluation_of_digits_is_on_the_images_of_arrays():
    digits = Digits("validation", scales=(1.0,))
    dataset = evaluation_batches(digits, 50).as_numpy_iterator()
    images, labels, weights = (np.concatenate(parts) for parts in zip(*dataset, strict=True))
    assert images.dtype == np.uint8
    for found, expected in zip((images, labels), digits.arrays(), strict=True):
        np.testing.assert_array_equal(found[:137], expected)
    assert weights.sum() == 137 and not images[137:].any()


def test_the_result_of_an_evaluation_does_not_depend_on_the_batch_size(folder):
    source, model = open_source(f"folder:{folder}", "validation"), small()
    model.compile(loss="sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    transform = evaluation_transform(model)
    results = [model.evaluate(evaluation_batches(source, size, transform), verbose=0) for size in (7, 4)]
    assert results[0][1] == results[1][1]


def test_small_images_go_through_their_own_transform():
    images, _ = next(iter(batches(Digits("test"), 8, transform=pad_crop_transform(32))))
    assert images.shape == (8, 32, 32, 3) and images.dtype == tf.float32


def test_a_subset_has_the_elements_of_its_source():
    digits = Digits("test")
    chosen = Subset(Subset(digits, range(100, 200)), [3, 50, 3])
    assert len(chosen) == 3 and chosen.class_names == digits.class_names
    for position, index in enumerate([103, 150, 103]):
        image, label = chosen.element(tf.constant(position, tf.int64), 0, 2)
        np.testing.assert_array_equal(image, digits.render(index, epoch=2))
        assert label == digits.element_labels[index]
    images, labels, _ = next(iter(evaluation_batches(chosen, 3)))
    np.testing.assert_array_equal(labels, digits.element_labels[[103, 150, 103]])


@pytest.mark.parametrize("held_out, size", [(500, 500), (0.25, 975)])
def test_a_source_is_split_in_two(held_out, size):
    digits = Digits("train")
    rest, part = split_source(digits, held_out, seed=3)
    assert len(part) == size and len(rest) == 3900 - size
    assert sorted([*rest.indices, *part.indices]) == list(range(3900))
    np.testing.assert_array_equal(split_source(digits, held_out, seed=3)[1].indices, part.indices)
    assert set(split_source(digits, held_out, seed=4)[1].indices) != set(part.indices)
    assert len({index // 390 for index in part.indices}) == 10  # from everywhere
