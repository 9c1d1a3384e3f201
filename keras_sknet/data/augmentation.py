"""Augmentation by Keras' own layers, whose random numbers depend on keys instead of on what came before."""

import dataclasses
import numbers

import keras

from keras_sknet.validation import require

OPERATIONS = 2


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What is done to training images beside cropping and mirroring, by Keras' layers: nothing by default.

    Each image may go through `keras.layers.RandAugment` and `RandomErasing`, then each batch through `MixUp`
    or `CutMix`; where both are wanted, every batch draws one of them. What becomes of an image depends only
    on the seed, the epoch and its index, what becomes of a batch on the seed and its step.

    It is plain data, for a recipe to hold, and `batches` applies it. `RandAugment` is slow: it computes all
    of its eleven operations of each image. TensorFlow must be Keras' backend.

    Args:
        rand_augment: Float from 0 to 1, the greatest strength of two operations an image. Defaults to `0.0`.
        erasing: Float from 0 to 1, the share of images of which a box becomes noise. Defaults to `0.0`.
        mixup: Float from 0 to 1, alpha of the Beta distribution of the weights with which two images are
            added. Defaults to `0.0`.
        cutmix: Float from 0 to 1, alpha likewise of the share of an image that a box of another one
            replaces. Defaults to `0.0`.

    Raises:
        ValueError: for a value outside of its range.

    Example:

    ```python
    from keras_sknet.data import Augmentation, Digits, batches

    augmentation = Augmentation(erasing=0.25, mixup=0.2)
    images, labels = next(iter(batches(Digits("train"), 64, augmentation=augmentation)))
    labels.shape  # (64, 10)
    ```
    """

    rand_augment: float = 0.0
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            valid = isinstance(value, numbers.Real) and not isinstance(value, bool) and 0 <= value <= 1
            require(valid, name, "a number from 0 to 1", **{name: value})

    def of_images(self):
        """Returns a function of an image (float32, 0–255) and a key that returns an image; or `None`."""
        import tensorflow as tf

        layers = []
        if self.rand_augment:
            layers.append(_Keyed("RandAugment", num_ops=OPERATIONS, factor=float(self.rand_augment)))
        if self.erasing:
            layers.append(_Keyed("RandomErasing", factor=(self.erasing, self.erasing)))

        def change(image, key):
            shape = image.shape
            for number, layer in enumerate(layers):
                image = layer(image, tf.random.experimental.stateless_fold_in(key, number))
            return tf.ensure_shape(tf.clip_by_value(image, 0, 255), shape)

        return change if layers else None

    def of_batches(self, classes):
        """Returns a function of images, integer labels and a key that mixes both; or `None`."""
        import tensorflow as tf

        layers = []
        if self.mixup:
            layers.append(_Keyed("MixUp", alpha=float(self.mixup)))
        if self.cutmix:
            layers.append(_Keyed("CutMix", factor=(self.cutmix, self.cutmix)))

        def apply(layer, images, labels, key):
            mixed = layer({"images": images, "labels": labels}, key)
            in_range = tf.clip_by_value(mixed["images"], 0, 255)  # sums are rounded
            return tf.ensure_shape(in_range, images.shape), tf.ensure_shape(mixed["labels"], labels.shape)

        def mix(images, labels, key):
            images, labels = tf.cast(images, tf.float32), tf.one_hot(labels, classes)
            if len(layers) == 1:
                return apply(layers[0], images, labels, key)
            first = tf.random.stateless_uniform([], tf.random.experimental.stateless_fold_in(key, 0)) < 0.5
            key = tf.random.experimental.stateless_fold_in(key, 1)
            one, other = [lambda layer=layer: apply(layer, images, labels, key) for layer in layers]
            return tf.cond(first, one, other)

        return mix if layers else None


class _Keyed:
    """One of Keras' random layers as a function of its input and a key."""

    def __init__(self, name, **options):
        require(
            keras.backend.backend() == "tensorflow",
            "augmentation",
            "None where Keras' backend is not TensorFlow",
            augmentation=name,
            backend=keras.backend.backend(),
        )
        self._keys = _Keys()
        # Whatever the policy, 0–255 is too much for float16. Without a seed it would draw one from Python.
        self._layer = getattr(keras.layers, name)(**options, seed=0, dtype="float32")
        self._layer.generator = self._keys

    def __call__(self, inputs, key):
        self._keys.start(key)
        return self._layer(inputs, training=True)


class _Keys(keras.random.SeedGenerator):
    """Derives one seed after the other from a key, instead of counting in a variable."""

    def __init__(self):
        self.start(None)

    def start(self, key):
        """Begins anew with a key."""
        self._key, self._count = key, 0

    def next(self, ordered=True):
        """Returns the next seed."""
        import tensorflow as tf

        self._count += 1
        return tf.random.experimental.stateless_fold_in(self._key, self._count)
