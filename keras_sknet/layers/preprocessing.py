import math
import numbers

import keras
import numpy as np
from keras import ops

from keras_sknet.validation import image_shape, one_of, require

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


@keras.saving.register_keras_serializable("keras_sknet")
class ImageNormalization(keras.layers.Layer):
    """Turns raw RGB images into what the network was trained on: `(x / 255 - mean) / std`.

    It also remembers how images were resized and cropped for evaluation, so that a saved model needs no
    other file to be used well.

    Args:
        mean: Sequence of floats, one a channel, for images in 0–1. Defaults to ImageNet's.
        std: Sequence of positive floats, likewise. Defaults to ImageNet's.
        crop_fraction: Float in (0, 1]. In evaluation the shorter side becomes
            `input size / crop_fraction`, then the centre is cut out. Defaults to `0.875` (224 of 256).
        interpolation: Resizing method of evaluation: `"nearest"`, `"bilinear"`, `"bicubic"`,
            `"lanczos3"` or `"lanczos5"`. Defaults to `"bicubic"`.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, values 0–255, integers or floats.

    Output shape:
        The input's, of the layer's compute dtype.

    Raises:
        ValueError: for an argument or an input shape that cannot work.

    Example:

    ```python
    layer = keras_sknet.layers.ImageNormalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    y = layer(255 * keras.random.uniform((1, 32, 32, 3)))  # between -1 and 1
    ```
    """

    def __init__(
        self,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        crop_fraction=0.875,
        interpolation="bicubic",
        **kwargs,
    ):
        # Pixels that mixed precision had rounded already would be rounded twice.
        super().__init__(**{"autocast": False, **kwargs})
        self.mean, self.std = _numbers("mean", mean), _numbers("std", std)
        require(
            len(self.std) == len(self.mean) and min(self.std) > 0,
            "std",
            "as many positive numbers as `mean`",
            std=std,
            mean=mean,
        )
        require(
            _is_number(crop_fraction) and 0 < crop_fraction <= 1,
            "crop_fraction",
            "a number in (0, 1]",
            crop_fraction=crop_fraction,
        )
        self.crop_fraction = float(crop_fraction)
        self.interpolation = one_of("interpolation", interpolation, INTERPOLATIONS)

    def build(self, input_shape):
        image_shape(self, input_shape, len(self.mean))

    def call(self, inputs):
        image_shape(self, inputs.shape, len(self.mean))
        # float16 would lose a bit of 255: computed in the variable dtype, rounded once.
        dtype = self.variable_dtype
        scale = ops.convert_to_tensor(1 / (255 * np.array(self.std)), dtype)
        offset = ops.convert_to_tensor(-np.array(self.mean) / np.array(self.std), dtype)
        return ops.cast(ops.cast(inputs, dtype) * scale + offset, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return image_shape(self, input_shape, len(self.mean))

    def get_config(self):
        return {
            **super().get_config(),
            "mean": self.mean,
            "std": self.std,
            "crop_fraction": self.crop_fraction,
            "interpolation": self.interpolation,
        }


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _numbers(argument, values):
    valid = np.iterable(values) and len(values) > 0 and all(map(_is_number, values))
    require(valid, argument, "finite numbers, one a channel", **{argument: values})
    return tuple(float(value) for value in values)
