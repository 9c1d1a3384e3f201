import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_sknet.data import Augmentation, Digits, Subset, batches

FULL = {"rand_augment": 0.5, "erasing": 1.0, "mixup": 0.5, "cutmix": 1.0}


@pytest.fixture(scope="module")
def source():
    return Subset(Digits("train"), range(24))


def stream(source, augmentation, seed=1, **options):
    return list(
        batches(source, 8, epochs=2, seed=seed, augmentation=augmentation, **options).as_numpy_iterator()
    )


def test_nothing_is_done_by_default(source):
    for images, plain in zip(stream(source, Augmentation()), stream(source, None), strict=True):
        np.testing.assert_array_equal(images[0], plain[0])
        np.testing.assert_array_equal(images[1], plain[1])


@pytest.mark.parametrize("name", FULL)
def test_each_changes_images_and_depends_on_the_seed_alone(source, name):
    augmentation = Augmentation(**{name: FULL[name]})
    first, plain = stream(source, augmentation), stream(source, None)
    keras.utils.set_random_seed(9)
    for batch, other in zip(first[1:], stream(source, augmentation, first_step=1), strict=True):
        for tensor, expected in zip(batch, other, strict=True):
            np.testing.assert_array_equal(tensor, expected)
    for (images, labels), (before, numbers) in zip(first, plain, strict=True):
        assert images.dtype == np.float32 and images.shape == before.shape
        assert 0 <= images.min() and images.max() <= 255
        assert np.mean(np.any(images != before, axis=(1, 2, 3))) > 0.5
        if name in ("mixup", "cutmix"):
            assert labels.dtype == np.float32 and labels.shape == (8, 10)
            np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-5)
        else:
            np.testing.assert_array_equal(labels, numbers)
    differs = [np.any(a[0] != b[0]) for a, b in zip(first, stream(source, augmentation, seed=2), strict=True)]
    assert all(differs)


def test_an_image_becomes_the_same_in_any_batch(source):
    augmentation = Augmentation(erasing=0.5)
    eights = {image.tobytes() for images, _ in stream(source, augmentation) for image in images}
    threes = batches(source, 3, epochs=2, seed=1, augmentation=augmentation).as_numpy_iterator()
    assert {image.tobytes() for images, _ in threes for image in images} == eights


def test_mixed_images_are_the_sums_that_their_labels_tell(source):
    plain, mixed = stream(source, None), stream(source, Augmentation(mixup=0.5))
    for (images, labels), (before, numbers) in zip(mixed, plain, strict=True):
        for image, shares, own, number in zip(images, labels, before, numbers, strict=True):
            candidates = [
                shares[number] * own.astype(float) + (1 - shares[number]) * other
                for other, label in zip(before, numbers, strict=True)
                if label != number and shares[label] > 0
            ]
            if np.count_nonzero(shares) == 2:  # two of one class show no share
                assert min(np.abs(image - candidate).max() for candidate in candidates) < 0.1


def test_a_box_of_another_image_has_the_share_that_the_label_tells(source):
    plain, mixed = stream(source, None), stream(source, Augmentation(cutmix=1.0))
    checked = 0
    for (images, labels), (before, numbers) in zip(mixed, plain, strict=True):
        for image, shares, own, number in zip(images, labels, before, numbers, strict=True):
            if np.count_nonzero(shares) == 2:
                changed = np.any(image != own, axis=-1).mean()
                # The box's sides are rounded to whole pixels.
                assert abs((1 - shares[number]) - changed) < 0.08
                checked += 1
    assert checked > 10


def test_of_both_mixtures_every_batch_draws_one(source):
    both = batches(source, 8, epochs=8, seed=1, augmentation=Augmentation(mixup=0.5, cutmix=1.0))
    plain = batches(source, 8, epochs=8, seed=1)
    boxes = []
    for (images, _), (before, _) in zip(both.as_numpy_iterator(), plain.as_numpy_iterator(), strict=True):
        # Whatever a box brings, each of its pixels is one of the batch.
        copied = np.any(np.all(images[:, None] == before[None], axis=-1), axis=1)
        boxes.append(bool(copied.all()))
    assert 4 < sum(boxes) < 20


def test_the_dtype_policy_does_not_matter(source):
    augmentation = Augmentation(erasing=0.5, mixup=0.5)
    expected = stream(source, augmentation)
    keras.config.set_dtype_policy("mixed_float16")
    for batch, other in zip(stream(source, augmentation), expected, strict=True):
        np.testing.assert_array_equal(batch[0], other[0])


def test_it_draws_nothing_from_the_seeds_of_others(source):
    keras.utils.set_random_seed(4)
    expected = keras.random.uniform(()), np.random.uniform()
    keras.utils.set_random_seed(4)
    stream(source, Augmentation(**FULL))
    assert (keras.random.uniform(()), np.random.uniform()) == expected


def test_a_recipe_can_hold_it():
    augmentation = Augmentation(erasing=0.25)
    written = json.dumps(dataclasses.asdict(augmentation))
    assert Augmentation(**json.loads(written)) == augmentation and hash(augmentation)


def test_stateful_layers_would_not_repeat_themselves():
    """What the keys are for."""
    layer = keras.layers.RandomErasing(factor=(1.0, 1.0), seed=0)
    images = tf.data.Dataset.from_tensors(np.zeros((8, 8, 3), "float32")).repeat(4).map(layer)
    first, second = (list(images.as_numpy_iterator()) for _ in range(2))
    assert any(np.any(a != b) for a, b in zip(first, second, strict=True))
