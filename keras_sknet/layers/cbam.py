"""CBAM: a gate over channels, then one over positions; and the block that ends in it."""

import keras
from keras import ops

from keras_sknet.layers.bottleneck import ResNeXtBottleneck
from keras_sknet.layers.conv_norm_act import ConvNormAct
from keras_sknet.layers.foldable import Foldable
from keras_sknet.layers.gates import Gate, channel_layers
from keras_sknet.ops.pooling import largest
from keras_sknet.validation import image_shape, positive_integer


@keras.saving.register_keras_serializable("keras_sknet")
class CBAM(Gate, Foldable):
    """Convolutional block attention: scales each channel, then each position, by a sigmoid.

    - Channels: `F' = sigmoid(MLP(mean of F over space) + MLP(maximum of F over space)) * F`, one MLP of two
      dense layers, both with biases.
    - Positions: `F'' = sigmoid(BN(conv 7×7 of [maximum, mean of F' over channels])) * F'`.

    Args:
        reduction: Integer. The hidden layer of the MLP has `max(channels // reduction, 1)` units. Defaults
            to `16`.
        **kwargs: `folded` of `ConvNormAct`; `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        The input's.

    Raises:
        ValueError: for an argument or an input shape that cannot work.

    Example:

    ```python
    y = keras_sknet.CBAM(reduction=8)(keras.random.normal((2, 14, 14, 64)))
    ```

    Reference:
        [CBAM](https://arxiv.org/abs/1807.06521), compared with in Table 2 of
        [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).
    """

    def __init__(self, reduction=16, **kwargs):
        super().__init__(**kwargs)
        self.reduction = positive_integer("reduction", reduction)
        self.position_gate = ConvNormAct(1, 7, activation="sigmoid", name="position_gate", **self.inherited)

    def build(self, input_shape):
        shape = image_shape(self, input_shape)
        self.squeeze, self.excite = channel_layers(self, shape)
        self.position_gate.build((*shape[:-1], 2))

    def call(self, inputs, training=None):
        self.compute_output_shape(inputs.shape)  # which checks the shape
        pooled = (ops.mean(inputs, axis=(1, 2)), largest(inputs, axis=(1, 2)))
        mean, maximum = (self.excite(self.squeeze(x)) for x in pooled)
        x = inputs * ops.expand_dims(ops.sigmoid(mean + maximum), (1, 2))
        seen = ops.concatenate([largest(x, -1, keepdims=True), ops.mean(x, -1, keepdims=True)], axis=-1)
        return x * self.position_gate(seen, training=training)

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction}


@keras.saving.register_keras_serializable("keras_sknet")
class CBAMBottleneck(ResNeXtBottleneck):
    """`ResNeXtBottleneck` with a `CBAM` gate on its output channels, in front of the addition.

    Args:
        filters: Integer, output channels.
        width: Integer, inner channels, a multiple of `cardinality`.
        strides: Integer or pair, of the 3×3 convolution. Defaults to `1`.
        cardinality: Integer, groups of the 3×3 convolution. Defaults to `32`.
        reduction: Integer, of the gate. Defaults to `16`.
        **kwargs: `folded` of `ConvNormAct`; `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`.

    Raises:
        ValueError: for an argument or an input shape that cannot work.

    Example:

    ```python
    y = keras_sknet.CBAMBottleneck(256, 128, reduction=8)(keras.random.normal((1, 14, 14, 64)))
    ```

    Reference:
        Section 3 of [CBAM](https://arxiv.org/abs/1807.06521).
    """

    name_prefix = "cbam"

    def __init__(self, filters, width, strides=1, cardinality=32, reduction=16, **kwargs):
        self.reduction = positive_integer("reduction", reduction)
        super().__init__(filters, width, strides, cardinality, **kwargs)

    def make_gate(self):
        return CBAM(self.reduction, name="gate", **self.inherited)

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction}
