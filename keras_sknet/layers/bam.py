"""BAM: one gate over channels and positions at once; and the block that it stands behind."""

import keras
from keras import ops

from keras_sknet.layers.bottleneck import ResNeXtBottleneck
from keras_sknet.layers.conv_norm_act import ConvNormAct, batch_norm
from keras_sknet.layers.foldable import Foldable
from keras_sknet.layers.gates import Gate
from keras_sknet.layers.grouped_conv import GroupedConv2D
from keras_sknet.layers.initializers import he_normal
from keras_sknet.validation import image_shape, positive_integer


@keras.saving.register_keras_serializable("keras_sknet")
class BAM(Gate, Foldable):
    """Bottleneck attention: `F + sigmoid(M_c + M_s) * F`, of a branch over channels and one over positions.

    - Channels: `M_c` is two dense layers on the mean of F over space.
    - Positions: `M_s` is a 1×1 convolution, two dilated 3×3 ones and a 1×1 one to a single channel.

    As in the authors' code, batch normalization and ReLU follow every layer but the last of each branch, and
    all layers have biases. The branches are added, as in the paper; its code multiplies them.

    Args:
        reduction: Integer. Hidden layers have `max(channels // reduction, 1)` channels. Defaults to `16`.
        dilation_rate: Integer, of the 3×3 convolutions. Defaults to `4`.
        **kwargs: `folded` of `ConvNormAct`; `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        The input's.

    Raises:
        ValueError: for an argument or an input shape that cannot work.

    Example:

    ```python
    y = keras_sknet.BAM(reduction=8)(keras.random.normal((2, 14, 14, 64)))
    ```

    Reference:
        [BAM](https://arxiv.org/abs/1807.06514), compared with in Table 2 of
        [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).
    """

    def __init__(self, reduction=16, dilation_rate=4, **kwargs):
        super().__init__(**kwargs)
        self.reduction = positive_integer("reduction", reduction)
        self.dilation_rate = positive_integer("dilation_rate", dilation_rate)

    def build(self, input_shape):
        shape = image_shape(self, input_shape)
        channels = shape[-1]
        units = max(channels // self.reduction, 1)
        self.squeeze = keras.layers.Dense(
            units,
            kernel_initializer=he_normal(),
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name="squeeze",
        )
        self.norm = None if self.folded else batch_norm(self.dtype_policy, self.trainable)
        self.excite = keras.layers.Dense(
            channels, dtype=self.dtype_policy, trainable=self.trainable, name="excite"
        )
        self.convolutions = [
            ConvNormAct(
                units, size, dilation_rate=rate, use_bias=True, name=f"positions_{number}", **self.inherited
            )
            for number, (size, rate) in enumerate([(1, 1), (3, self.dilation_rate), (3, self.dilation_rate)])
        ]
        self.project = GroupedConv2D(1, 1, dtype=self.dtype_policy, trainable=self.trainable, name="project")

        self.squeeze.build((shape[0], channels))
        if not self.folded:
            self.norm.build((shape[0], units))
        self.excite.build((shape[0], units))
        for convolution in self.convolutions:
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)
        self.project.build(shape)

    def call(self, inputs, training=None):
        self.compute_output_shape(inputs.shape)  # which checks the shape
        z = self.squeeze(ops.mean(inputs, axis=(1, 2)))
        if not self.folded:
            z = self.norm(z, training=training)
        channels = ops.expand_dims(self.excite(ops.relu(z)), (1, 2))
        positions = inputs
        for convolution in self.convolutions:
            positions = convolution(positions, training=training)
        positions = self.project(positions, training=training)
        return inputs + ops.sigmoid(channels + positions) * inputs

    def get_config(self):
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "dilation_rate": self.dilation_rate,
        }


@keras.saving.register_keras_serializable("keras_sknet")
class BAMBottleneck(ResNeXtBottleneck):
    """`ResNeXtBottleneck` with `BAM` behind it, as at the end of a stage.

    Args:
        filters: Integer, output channels.
        width: Integer, inner channels, a multiple of `cardinality`.
        strides: Integer or pair, of the block's 3×3 convolution. Defaults to `1`.
        cardinality: Integer, groups of the block's 3×3 convolution. Defaults to `32`.
        reduction: Integer, of `BAM`. Defaults to `16`.
        dilation_rate: Integer, of `BAM`. Defaults to `4`.
        **kwargs: `folded` of `ConvNormAct`; `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`.

    Raises:
        ValueError: for an argument or an input shape that cannot work.

    Example:

    ```python
    y = keras_sknet.BAMBottleneck(256, 128, reduction=8)(keras.random.normal((2, 14, 14, 64)))
    ```

    Reference:
        Section 3 of [BAM](https://arxiv.org/abs/1807.06514).
    """

    name_prefix = "bam"

    def __init__(self, filters, width, strides=1, cardinality=32, reduction=16, dilation_rate=4, **kwargs):
        super().__init__(filters, width, strides, cardinality, **kwargs)
        self.bam = BAM(reduction, dilation_rate, name="bam", **self.inherited)

    def build(self, input_shape):
        super().build(input_shape)
        self.bam.build(self.compute_output_shape(input_shape))

    def compute(self, inputs, training):
        return self.bam(super().compute(inputs, training), training=training)

    def get_config(self):
        return {
            **super().get_config(),
            "reduction": self.bam.reduction,
            "dilation_rate": self.bam.dilation_rate,
        }
