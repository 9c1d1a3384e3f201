import functools

import numpy as np

from keras_sknet.extras import import_extra
from keras_sknet.validation import one_of, require

CANVAS = 32
BASE = 12
SCALES = (1.0, 1.5, 2.0)
# First and last digit of each split in scikit-learn's order, in which neighbours share a writer.
SPLITS = {"train": (0, 1300), "validation": (1300, 1437), "test": (1437, 1797)}
FRAGMENTS = 5
FRAGMENT_SIZES = (3, 6)
NOISE = 12.0


class Digits:
    """Handwritten digits at three scales on cluttered canvases: small, offline, and about scale.

    The 1,797 grey 8×8 digits that come with scikit-learn, enlarged bicubically to 12, 18 and 24 pixels
    (scales 1.0, 1.5 and 2.0 of 12 pixels) and placed at random on a canvas of 32×32 RGB pixels, in random
    ink on random ground, over five fragments (3 to 6 pixels wide) of other digits and under
    Gaussian noise. The square of the digit hides the fragments behind it, so clutter surrounds the digit but
    never crosses it.

    They carry no writer's name but come in the order in which they were collected, so the splits are
    blocks: `"train"` is digits 0 to 1,299, `"validation"` 1,300 to 1,436 and `"test"` the last 360. The
    fragments in all three are of training digits: nothing of the others is ever seen in training.

    Every digit is there at every scale: element `i` is digit `i // 3` of its split at scale `i % 3`. Its
    place, colours and clutter depend on `seed` and `epoch` and on nothing else, which two elements never
    share.

    Args:
        split: `"train"` (the default), `"validation"` or `"test"`.
        scales: Sequence of some of `(1.0, 1.5, 2.0)`, the default.

    Raises:
        ValueError: for an unknown split or scale.
        ImportError: without scikit-learn.

    Example:

    ```python
    from keras_sknet.data import Digits

    digits = Digits("test")
    images, labels = digits.arrays()  # (1080, 32, 32, 3) of 0-255, (1080,)
    largest = images[digits.element_scales == 2.0]
    ```
    """

    class_names = tuple("0123456789")
    image_shape = (CANVAS, CANVAS, 3)

    def __init__(self, split="train", scales=SCALES):
        self.split = one_of("split", split, tuple(SPLITS))
        self.scales = tuple(scales) if isinstance(scales, (tuple, list)) else ()
        require(self.scales and set(self.scales) <= set(SCALES), "scales", f"some of {SCALES}", scales=scales)
        first, last = SPLITS[split]
        digits, labels = _bank()
        self._digits = [digits[scale][first:last] for scale in self.scales]
        self._fragments = [digits[scale][slice(*SPLITS["train"])] for scale in SCALES]
        self._first, self._labels = first, labels[first:last]
        self.element_labels = np.repeat(self._labels, len(self.scales))
        self.element_scales = np.tile(self.scales, len(self._labels))

    def __len__(self):
        return len(self.element_labels)

    def render(self, index, seed=0, epoch=0):
        """Draws one element.

        Args:
            index: Integer below `len(self)`.
            seed: Integer, 0 or more. Defaults to `0`.
            epoch: Integer, 0 or more. Defaults to `0`.

        Returns:
            Array `(32, 32, 3)` of `uint8`.
        """
        number, scale = divmod(int(index), len(self.scales))
        random = np.random.default_rng((int(seed), int(epoch), self._first + number, scale))
        canvas = np.zeros((CANVAS, CANVAS), "float32")
        for _ in range(FRAGMENTS):
            _place(canvas, self._fragment(random, self._first + number), random)
        _place(canvas, self._digits[scale][number], random)
        ground, ink = random.uniform(0, 90, 3), random.uniform(165, 255, 3)
        image = ground + canvas[..., None] * (ink - ground)
        image += NOISE * random.standard_normal((CANVAS, CANVAS, 1), "float32")
        return np.clip(np.rint(image), 0, 255).astype("uint8")

    def arrays(self, seed=0, epoch=0):
        """Draws all elements in order; the defaults make the images that accuracies are measured on.

        Args:
            seed: Integer, 0 or more. Defaults to `0`.
            epoch: Integer, 0 or more. Defaults to `0`.

        Returns:
            Images `(len(self), 32, 32, 3)` of `uint8`, and labels `(len(self),)`.
        """
        images = np.stack([self.render(index, seed, epoch) for index in range(len(self))])
        return images, self.element_labels

    def element(self, index, seed, epoch):
        """As `render`, on TensorFlow's tensors, for a `tf.data` pipeline; returns image and label."""
        import tensorflow as tf

        image = tf.numpy_function(self.render, [index, seed, epoch], tf.uint8, stateful=False)
        return tf.ensure_shape(image, self.image_shape), tf.gather(self.element_labels, index)

    def _fragment(self, random, number):
        """A random piece of a random training digit, but not of digit `number`."""
        digits = self._fragments[random.integers(len(self._fragments))]
        other = random.integers(len(digits) - 1)
        other += other >= number
        height, width = random.integers(FRAGMENT_SIZES[0], FRAGMENT_SIZES[1] + 1, 2)
        top = random.integers(digits.shape[1] - height + 1)
        left = random.integers(digits.shape[2] - width + 1)
        return digits[other, top : top + height, left : left + width]


def _place(canvas, patch, random):
    """Puts `patch` on `canvas` at a random position, over what is there."""
    height, width = patch.shape
    top, left = random.integers(CANVAS - height + 1), random.integers(CANVAS - width + 1)
    canvas[top : top + height, left : left + width] = patch


@functools.cache
def _bank():
    """({scale: all digits enlarged, 0–1}, labels)"""
    digits = import_extra("sklearn.datasets").load_digits()
    images = (digits.images / 16).astype("float32")
    enlarged = {}
    for scale in SCALES:
        matrix = _bicubic(images.shape[1], round(BASE * scale))
        enlarged[scale] = np.clip(matrix @ images @ matrix.T, 0, 1)
    return enlarged, digits.target.astype("int32")


def _bicubic(size, new_size):
    """Matrix `(new_size, size)` that enlarges a line of pixels by Keys' cubic kernel (a = -0.5)."""
    centres = (np.arange(new_size) + 0.5) * size / new_size - 0.5
    distance = np.abs(centres[:, None] - np.arange(size))
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0))
    # At the border the kernel's missing taps are shared out among the others.
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")
