import keras
from keras import ops

from keras_sknet.layers.block import Block
from keras_sknet.layers.conv_norm_act import ConvNormAct
from keras_sknet.ops.pooling import max_pool
from keras_sknet.validation import image_shape, one_of

KINDS = ("imagenet", "cifar")
PADDINGS = ("same", "torch")


@keras.saving.register_keras_serializable("keras_sknet")
class Stem(Block):
    """The first layers of a residual network.

    Args:
        filters: Integer, output channels. Defaults to `64`.
        kind: `"imagenet"` (default): 7×7 convolution of stride 2, then 3×3 max-pooling of stride 2.
            `"cifar"`: one 3×3 convolution of stride 1.
        padding: How the max-pooling pads. `"same"` (default): as Keras, and as Caffe on even sizes, where
            the paper's networks were trained; `"torch"`: by one on both sides, as PyTorch.
        **kwargs: `folded` of `ConvNormAct`; `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, ceil(height / 4), ceil(width / 4), filters)`; for `"cifar"`
        `(batch, height, width, filters)`.

    Raises:
        ValueError: for an argument or an input shape that cannot work.

    Example:

    ```python
    y = keras_sknet.layers.Stem()(keras.random.normal((1, 224, 224, 3)))  # (1, 56, 56, 64)
    ```

    Reference:
        Table 1 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).
    """

    def __init__(self, filters=64, kind="imagenet", padding="same", **kwargs):
        super().__init__(**kwargs)
        self.kind = one_of("kind", kind, KINDS)
        self.padding = one_of("padding", padding, PADDINGS)
        kernel_size, strides = (7, 2) if kind == "imagenet" else (3, 1)
        self.conv = ConvNormAct(filters, kernel_size, strides, name="conv", **self.inherited)

    @property
    def stride(self):
        """By how much the stem reduces height and width."""
        return 4 if self.kind == "imagenet" else 1

    def build(self, input_shape):
        self.conv.build(image_shape(self, input_shape))

    def compute(self, inputs, training):
        x = self.conv(inputs, training=training)
        if self.kind == "cifar":
            return x
        if self.padding == "torch":
            # Behind a ReLU, padding with zeros equals padding with nothing.
            x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            return max_pool(x, 3, 2, "valid")
        return max_pool(x, 3, 2, "same")

    def compute_output_shape(self, input_shape):
        batch, *spatial, filters = self.conv.compute_output_shape(input_shape)
        if self.kind == "imagenet":
            spatial = [None if size is None else -(-size // 2) for size in spatial]
        return (batch, *spatial, filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.conv.conv.filters,
            "kind": self.kind,
            "padding": self.padding,
        }
