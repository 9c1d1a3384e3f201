import keras

from keras_sknet.ops.grouped_conv import add_bias, check_padding, grouped_conv, output_size
from keras_sknet.validation import (
    activation_function,
    image_shape,
    positive_integer,
    positive_pair,
    require,
)


@keras.saving.register_keras_serializable("keras_sknet")
class GroupedConv2D(keras.layers.Conv2D):
    """2D convolution whose groups, dilation and strides combine freely and train at full speed on CPU.

    A `keras.layers.Conv2D` with the same weights and config. Keras compiles each grouped convolution with
    XLA on TensorFlow, which is slow to train on CPU and does not run in a model server without XLA; this
    layer never does (see `keras_sknet.ops.convolution_path`).

    Args:
        filters: Integer, number of output channels. A multiple of `groups`.
        kernel_size: Integer or pair, in pixels. Odd for `padding="symmetric"`.
        strides: Integer or pair, in pixels. Defaults to `1`. May exceed 1 together with `dilation_rate`.
        padding: `"symmetric"` (default): `dilation * (kernel - 1) / 2` zeros on each side, so that every
            stride samples the same centres whatever the kernel; `"same"` or `"valid"` as in Keras.
        data_format: `None` or `"channels_last"`. Defaults to `None`.
        dilation_rate: Integer or pair. Defaults to `1`.
        groups: Integer. Input channels and `filters` are cut into this many groups that do not see each
            other. Equal to the input channels it is a depthwise convolution. Defaults to `1`.
        activation: Activation function or name, `None` (default) for none.
        use_bias: Boolean. Defaults to `True`.
        **kwargs: Any other argument of `keras.layers.Conv2D`: initializers, regularizers, constraints,
            `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, height, width, channels)`, channels a multiple of `groups`. Height and width may be
        unknown, the batch empty; only a graph traced with `training=False` and an unknown batch size takes
        no empty batch on a single device, so that TensorFlow can fuse convolutions with what follows.

    Output shape:
        `(batch, new_height, new_width, filters)`.

    Raises:
        ValueError: for an argument or an input shape that cannot work.

    Example:

    ```python
    layer = keras_sknet.GroupedConv2D(64, 3, strides=2, dilation_rate=2, groups=32)
    y = layer(keras.random.normal((1, 56, 56, 64)))  # (1, 28, 28, 64)
    ```

    Reference:
        Section 3.1 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586) (grouped, dilated).
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="symmetric",
        data_format=None,
        dilation_rate=1,
        groups=1,
        activation=None,
        use_bias=True,
        **kwargs,
    ):
        filters = positive_integer("filters", filters)
        groups = positive_integer("groups", groups)
        kernel_size = positive_pair("kernel_size", kernel_size)
        strides = positive_pair("strides", strides)
        dilation_rate = positive_pair("dilation_rate", dilation_rate)
        data_format = data_format or keras.config.image_data_format()
        check_padding(padding, kernel_size)
        require(data_format == "channels_last", "data_format", "'channels_last'", data_format=data_format)
        require(filters % groups == 0, "filters", "a multiple of `groups`", filters=filters, groups=groups)
        # Conv2D refuses strides with dilation and does not know "symmetric": both are set afterwards.
        super().__init__(
            filters,
            kernel_size,
            data_format=data_format,
            dilation_rate=dilation_rate,
            groups=groups,
            activation=activation_function("activation", activation),
            use_bias=use_bias,
            **kwargs,
        )
        self.strides = strides
        self.padding = padding
        # Keras' own check would speak before this layer's.
        self.input_spec = None

    def build(self, input_shape):
        channels = image_shape(self, input_shape)[-1]
        require(
            channels % self.groups == 0,
            "groups",
            "a divisor of the input channels",
            groups=self.groups,
            input_shape=tuple(input_shape),
        )
        super().build(input_shape)
        self.input_spec = None

    def call(self, inputs, training=None):
        self._image_shape(inputs.shape)
        # In inference on one device no batch is empty.
        outputs = self.convolution_op(inputs, self.kernel, inference=training is False)
        if self.use_bias:
            outputs = add_bias(outputs, self.bias, self.groups, inference=training is False)
        return self.activation(outputs)

    def convolution_op(self, inputs, kernel, inference=False):
        return grouped_conv(inputs, kernel, self.strides, self.padding, self.dilation_rate, inference)

    def compute_output_shape(self, input_shape):
        batch, *spatial, _ = self._image_shape(input_shape)
        sizes = output_size(spatial, self.kernel_size, self.strides, self.padding, self.dilation_rate)
        return (batch, *sizes, self.filters)

    def _image_shape(self, input_shape):
        # A multiple of the channels would pass for more groups.
        channels = self.kernel.shape[2] * self.groups if self.built else None
        return image_shape(self, input_shape, channels)
