import keras
from keras import ops

from keras_sknet.layers.initializers import he_normal
from keras_sknet.validation import image_shape, positive_integer


class Gate:
    """A gate has its input's shape, whose channels its layer `excite` knows."""

    def compute_output_shape(self, input_shape):
        return image_shape(self, input_shape, self.excite.units if self.built else None)


@keras.saving.register_keras_serializable("keras_sknet")
class SqueezeExcite(Gate, keras.layers.Layer):
    """Channel gate: each channel is scaled by a sigmoid of what all channels see on average.

    Args:
        reduction: Integer. The first of the two dense layers (both with biases) has
            `max(channels // reduction, 1)` units. Defaults to `16`.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        The input's.

    Raises:
        ValueError: for an argument or an input shape that cannot work.

    Example:

    ```python
    y = keras_sknet.SqueezeExcite(reduction=8)(keras.random.normal((2, 14, 14, 64)))
    ```

    Reference:
        [Squeeze-and-Excitation Networks](https://arxiv.org/abs/1709.01507), compared with in Table 2 of
        [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).
    """

    def __init__(self, reduction=16, **kwargs):
        super().__init__(**kwargs)
        self.reduction = positive_integer("reduction", reduction)

    def build(self, input_shape):
        self.squeeze, self.excite = channel_layers(self, image_shape(self, input_shape), "sigmoid")

    def call(self, inputs):
        self.compute_output_shape(inputs.shape)  # which checks the shape
        gate = self.excite(self.squeeze(ops.mean(inputs, axis=(1, 2))))
        return inputs * ops.expand_dims(gate, (1, 2))

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction}


def channel_layers(gate, shape, activation=None):
    """Builds the two dense layers through which a gate with a `reduction` weighs the channels of images."""
    inherited = {"dtype": gate.dtype_policy, "trainable": gate.trainable}
    batch, channels = shape[0], shape[-1]
    units = max(channels // gate.reduction, 1)
    squeeze = keras.layers.Dense(units, "relu", kernel_initializer=he_normal(), name="squeeze", **inherited)
    excite = keras.layers.Dense(channels, activation, name="excite", **inherited)
    squeeze.build((batch, channels))
    excite.build((batch, units))
    return squeeze, excite
