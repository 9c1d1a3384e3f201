"""The residual bottleneck, and the blocks that differ from each other in one layer of it."""

import keras
from keras import ops

from keras_sknet.layers.block import Block
from keras_sknet.layers.conv_norm_act import ConvNormAct
from keras_sknet.layers.gates import SqueezeExcite
from keras_sknet.layers.selective_kernel import K3, K5, SelectiveKernel, standardize_branches
from keras_sknet.validation import image_shape, positive_integer, positive_pair, require


class Bottleneck(Block):
    """1×1 reduce, a spatial layer, 1×1 expand, a gate or none; added to the shortcut, then ReLU.

    The base of the blocks: a subclass makes the spatial layer (which takes the stride), and may make another
    gate, or other layers around. In inference all of them treat each image by itself: `ops.halves` may hand
    them half of a batch at a time. The shortcut is the input itself, or a strided 1×1 convolution with batch
    normalization where the shapes differ.

    Args:
        filters: Integer, output channels.
        width: Integer, inner channels.
        strides: Integer or pair. Defaults to `1`.
        **kwargs: `folded` of `ConvNormAct`; `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`.

    Raises:
        ValueError: for an argument or an input shape that cannot work.
        NotImplementedError: if the class does not say what its spatial layer is.

    Example:

    ```python
    class PlainBottleneck(keras_sknet.layers.Bottleneck):
        def make_spatial(self):
            return keras_sknet.ConvNormAct(self.width, 3, self.strides, **self.inherited)

    y = PlainBottleneck(64, 16, strides=2)(keras.random.normal((1, 14, 14, 32)))  # (1, 7, 7, 64)
    ```

    Reference:
        [Deep Residual Learning](https://arxiv.org/abs/1512.03385), Section 4.1.
    """

    # Layers of a network are named by it, stage and block: "sk_3_4".
    name_prefix = None

    def __init__(self, filters, width, strides=1, **kwargs):
        super().__init__(**kwargs)
        self.filters = positive_integer("filters", filters)
        self.width = positive_integer("width", width)
        self.strides = positive_pair("strides", strides)
        self.reduce = self.make_reduce()
        self.expand = self.make_expand()
        self.spatial = self.make_spatial()
        self.gate = self.make_gate()
        self.shortcut = None

    def make_reduce(self):
        """Returns the layer in front of the spatial one, or `None`."""
        return ConvNormAct(self.width, 1, name="reduce", **self.inherited)

    def make_expand(self):
        """Returns the layer behind the spatial one: `filters` channels, no activation."""
        return ConvNormAct(self.filters, 1, activation=None, name="expand", **self.inherited)

    def make_spatial(self):
        """Returns the layer between these two: `width` channels, this block's strides."""
        raise NotImplementedError(f"{type(self).__name__} must define `make_spatial`")

    def make_gate(self):
        """Returns the layer behind the expanding one, or `None`."""
        return None

    def build(self, input_shape):
        shape = image_shape(self, input_shape)
        if self.strides != (1, 1) or shape[-1] != self.filters:
            self.shortcut = ConvNormAct(
                self.filters, 1, self.strides, activation=None, name="shortcut", **self.inherited
            )
            self.shortcut.build(shape)
        for layer in (self.reduce, self.spatial, self.expand, self.gate):
            if layer is not None:
                layer.build(shape)
                shape = layer.compute_output_shape(shape)

    def compute(self, inputs, training):
        x = inputs if self.reduce is None else self.reduce(inputs, training=training)
        x = self.spatial(x, training=training)
        x = self.expand(x, training=training)
        if self.gate is not None:
            x = self.gate(x)
        shortcut = inputs if self.shortcut is None else self.shortcut(inputs, training=training)
        return ops.relu(x + shortcut)

    def compute_output_shape(self, input_shape):
        shape = input_shape if self.reduce is None else self.reduce.compute_output_shape(input_shape)
        return (*self.spatial.compute_output_shape(shape)[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "width": self.width,
            "strides": self.strides,
        }


@keras.saving.register_keras_serializable("keras_sknet")
class ResNeXtBottleneck(Bottleneck):
    """Residual bottleneck around a grouped 3×3 convolution.

    Args:
        filters: Integer, output channels.
        width: Integer, inner channels, a multiple of `cardinality`.
        strides: Integer or pair, of the 3×3 convolution. Defaults to `1`.
        cardinality: Integer, groups of the 3×3 convolution. Defaults to `32`.
        **kwargs: `folded` of `ConvNormAct`; `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`.

    Raises:
        ValueError: for an argument or an input shape that cannot work.

    Example:

    ```python
    y = keras_sknet.ResNeXtBottleneck(256, 128, strides=2)(keras.random.normal((1, 14, 14, 64)))
    ```

    Reference:
        [Aggregated Residual Transformations](https://arxiv.org/abs/1611.05431); Table 1 of
        [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).
    """

    name_prefix = "resnext"

    def __init__(self, filters, width, strides=1, cardinality=32, **kwargs):
        self.cardinality = positive_integer("cardinality", cardinality)
        require(
            positive_integer("width", width) % self.cardinality == 0,
            "width",
            "a multiple of `cardinality`",
            width=width,
            cardinality=cardinality,
        )
        super().__init__(filters, width, strides, **kwargs)

    def make_spatial(self):
        return ConvNormAct(
            self.width, 3, self.strides, groups=self.cardinality, name="spatial", **self.inherited
        )

    def get_config(self):
        return {**super().get_config(), "cardinality": self.cardinality}


@keras.saving.register_keras_serializable("keras_sknet")
class SEBottleneck(ResNeXtBottleneck):
    """`ResNeXtBottleneck` with a `SqueezeExcite` gate on its output channels.

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
    y = keras_sknet.SEBottleneck(256, 128, reduction=8)(keras.random.normal((1, 14, 14, 64)))
    ```

    Reference:
        [Squeeze-and-Excitation Networks](https://arxiv.org/abs/1709.01507); Table 1 of
        [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).
    """

    name_prefix = "se"

    def __init__(self, filters, width, strides=1, cardinality=32, reduction=16, **kwargs):
        self.reduction = positive_integer("reduction", reduction)
        super().__init__(filters, width, strides, cardinality, **kwargs)

    def make_gate(self):
        return SqueezeExcite(self.reduction, dtype=self.dtype_policy, trainable=self.trainable, name="gate")

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction}


@keras.saving.register_keras_serializable("keras_sknet")
class SKBottleneck(Bottleneck):
    """Residual bottleneck around a `SelectiveKernel` unit.

    Args:
        filters: Integer, output channels.
        width: Integer, inner channels, a multiple of every branch's groups.
        strides: Integer or pair, of the SK unit's branches. Defaults to `1`.
        branches: Sequence of `Branch`, the kernels to select from. Defaults to `(K3, K5)`.
        reduction: Integer r of the SK unit. Defaults to `16`.
        min_units: Integer L of the SK unit. Defaults to `32`.
        use_attention: Boolean. `False` adds the branches up without selection. Defaults to `True`.
        split_input: Boolean. `True` hands each branch its own share of the channels. Defaults to `False`.
        **kwargs: `folded` of `ConvNormAct`; `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`.

    Raises:
        ValueError: for an argument or an input shape that cannot work.

    Example:

    ```python
    block = keras_sknet.SKBottleneck(256, 128, strides=2)
    x = keras.random.normal((1, 14, 14, 64))
    y = block(x)  # (1, 7, 7, 256)
    a = block.attention(x)  # (1, 2, 128)
    ```

    Reference:
        Section 3.2 and Table 1 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).
    """

    name_prefix = "sk"

    def __init__(
        self,
        filters,
        width,
        strides=1,
        branches=(K3, K5),
        reduction=16,
        min_units=32,
        use_attention=True,
        split_input=False,
        **kwargs,
    ):
        width = positive_integer("width", width)
        self._unit_config = {
            "branches": standardize_branches(branches, width=width),
            "reduction": reduction,
            "min_units": min_units,
            "use_attention": use_attention,
            "split_input": split_input,
        }
        super().__init__(filters, width, strides, **kwargs)

    def make_spatial(self):
        # The unit bears the block's name, by which its attention is reported.
        return SelectiveKernel(
            self.width, strides=self.strides, name=self.name, **self.inherited, **self._unit_config
        )

    def attention(self, inputs):
        """Computes the attention weights of the block's SK unit, in inference mode.

        Args:
            inputs: Tensor `(N, H, W, C)`, the input of the block.

        Returns:
            Tensor `(N, M, width)`, sums to 1 over the M branches.

        Raises:
            ValueError: if the unit has a single branch or `use_attention=False`.
        """
        inputs = ops.convert_to_tensor(inputs)
        if not self.built:
            self.build(inputs.shape)
        inputs = ops.cast(inputs, self.compute_dtype)
        return self.spatial.attention(inputs if self.reduce is None else self.reduce(inputs, training=False))

    def get_config(self):
        unit = self.spatial.get_config()
        return {**super().get_config(), **{key: unit[key] for key in self._unit_config}}
